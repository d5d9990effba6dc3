"""Checkpoints of Ultralytics 8.0 to 8.3, made by tools/old-checkpoints: they compute what they did then."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.errors import ModelError
from kdgraph.graph.architectures import build_architecture
from kdgraph.graph.checkpoints import read_checkpoint
from kdgraph.graph.upgrade import OldNames, admitted, today
from kdgraph.graph.yolo import trace_model
from tests.toys import toy

OLD = sorted((Path(__file__).parent / "old").glob("*.zip"))
TASKS = {"detect", "segment", "pose", "obb"}
EXTRAS = {"segment": ("mask_coefficient", "proto"), "pose": ("kpts",), "obb": ("angle",), "detect": ()}


@dataclass
class Kept:
    """A checkpoint, loaded today, and what its own version recorded of it."""

    model: Any
    task: str
    images: Tensor
    found: Tensor
    raw: list[Tensor]

    def training(self) -> dict[str, dict[str, Tensor]]:
        """The recorded raw outputs, feature maps of boxes and scores together, as today's heads give them."""
        count = self.model.model[-1].nl
        maps, extras = self.raw[: len(self.raw) - len(EXTRAS[self.task])], EXTRAS[self.task]
        branches = [maps[i : i + count] for i in range(0, len(maps), count)]
        more = dict(zip(extras, self.raw[len(maps) :], strict=True))
        return {
            name: {**_split(branch), **more}
            for name, branch in zip(("one2many", "one2one"), branches, strict=False)
        }


def _split(maps: list[Tensor]) -> dict[str, Tensor]:
    boxes, scores = torch.cat([level.flatten(2) for level in maps], 2).split((64, 3), 1)
    return {"boxes": boxes, "scores": scores}


@pytest.fixture(scope="module", params=OLD, ids=[file.stem for file in OLD])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp(request.param.stem)
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(folder)
    (checkpoint,) = folder.glob("*.pt")
    record = np.load(folder / "record.npz")
    raw = [torch.from_numpy(record[f"raw{i}"]) for i in range(len(record.files) - 2)]
    images = torch.from_numpy(record["images"]).float() / 255
    task = request.param.stem.split("-")[1]
    return Kept(read_checkpoint(checkpoint), task, images, torch.from_numpy(record["found"]), raw)


def branches(outputs: Mapping[str, Any]) -> dict[str, Mapping[str, Tensor]]:
    return {name: outputs[name] for name in ("one2many", "one2one") if name in outputs} or {
        "one2many": outputs
    }


def check(outputs: Mapping[str, Any], expected: dict[str, dict[str, Tensor]]) -> None:
    assert branches(outputs).keys() == expected.keys()
    for name, branch in branches(outputs).items():
        for part, tensor in expected[name].items():
            torch.testing.assert_close(branch[part], tensor, rtol=1e-4, atol=1e-4, msg=f"{name}.{part}")


def test_every_version_that_matters_is_there() -> None:
    versions = {tuple(map(int, file.stem.split("-")[0].split("."))) for file in OLD}
    assert {version[:2] for version in versions} == {(8, 0), (8, 1), (8, 2), (8, 3)}
    assert {file.stem.split("-")[1] for file in OLD} == TASKS


def test_it_is_as_a_loaded_model_should_be(kept: Kept) -> None:
    model = kept.model
    assert (model.task, model.training, model.criterion) == (kept.task, False, None)
    assert model.names == {0: "ant", 1: "bee", 2: "cat"}
    assert model.stride.tolist() == [8, 16, 32]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {
        n for n, _ in model.named_parameters() if ".dfl." in n
    }
    assert model.args["imgsz"] == 64
    assert all(type(value).__module__ == "builtins" for value in model.args.values())


def test_nothing_of_that_time_is_imported(kept: Kept) -> None:
    assert not {"omegaconf", "dill", "ultralytics.yolo"} & sys.modules.keys()


def test_it_finds_what_it_found_then(kept: Kept) -> None:
    model = copy.deepcopy(kept.model)
    model.end2end = len(kept.training()) > 1  # an old end-to-end model always answered with its second branch
    with torch.no_grad():
        output = model(kept.images)[0]
    found = output[0] if isinstance(output, tuple) else output
    assert found.std() > 0
    torch.testing.assert_close(found, kept.found, rtol=1e-4, atol=1e-3)


def test_in_training_it_computes_what_it_computed_then(kept: Kept) -> None:
    with torch.no_grad():
        check(copy.deepcopy(kept.model).train()(kept.images), kept.training())


def test_its_graph_computes_it_too(kept: Kept) -> None:
    traced = trace_model(copy.deepcopy(kept.model))
    with torch.no_grad():
        check(traced.module.train()(kept.images), kept.training())
    assert {"head.cls", "head.cls.p3.0", "head.dfl.p5", "head.box"} <= traced.names.keys()


def test_it_trains_for_a_step(kept: Kept) -> None:
    model = copy.deepcopy(kept.model).train()
    model.args = IterableSimpleNamespace(**model.args)
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.3][: 5 if kept.task == "obb" else 4]] * 2)
    batch = {"img": kept.images, "batch_idx": torch.arange(2.0), "cls": torch.zeros(2, 1), "bboxes": boxes}
    loss, _ = model({**batch, "masks": torch.ones(2, 8, 16), "keypoints": torch.full((2, 3, 3), 0.5)})
    loss.sum().backward()
    assert loss.isfinite().all()
    touched = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"model.0.conv.weight"} <= touched
    assert any(name.startswith(f"model.{len(model.model) - 1}.cv3") for name in touched)


def test_it_takes_other_classes_and_keeps_its_weights(kept: Kept) -> None:
    """As `pair` does for a student whose data has other classes: rebuilt from its own architecture."""
    rebuilt: Any = build_architecture({**copy.deepcopy(kept.model.yaml), "nc": 7}, 7, 3, None)
    rebuilt.load(kept.model, verbose=False)
    theirs, ours = kept.model.state_dict(), rebuilt.state_dict()
    changed = {name for name in ours if not torch.equal(ours[name], theirs.get(name, torch.empty(0)))}
    assert theirs.keys() == ours.keys()
    last = {f"{tower}.{level}.2" for tower in ("cv3", "one2one_cv3") for level in range(3)}
    assert {name.split(".", 2)[2].rpartition(".")[0] for name in changed} <= last


# -- what a restricted load admits, and what not --


def test_the_classes_names_may_be_a_list(tmp_path: Path) -> None:
    model = toy(nc=2)
    model.names = ["ant", "bee"]
    torch.save({"model": model}, tmp_path / "best.pt")
    assert read_checkpoint(tmp_path / "best.pt").names == {0: "ant", 1: "bee"}


def test_an_upsampling_layer_from_before_torch_1_11_works(tmp_path: Path) -> None:
    model = toy(nc=2)
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Upsample)]
    for layer in layers:
        del layer.recompute_scale_factor
    torch.save({"model": model}, tmp_path / "best.pt")
    with torch.no_grad():
        assert layers
        assert read_checkpoint(tmp_path / "best.pt")(torch.rand(1, 3, 64, 64))[0].isfinite().all()


@pytest.mark.parametrize(
    "name",
    [
        "ultralytics.yolo.utils.checks check_requirements",
        "ultralytics.yolo.utils.loss torch",
        "ultralytics.yolo.utils.downloads safe_download",
        "omegaconf.resolvers oc",
        "dill._dill _create_function",
    ],
)
def test_other_old_names_are_refused(name: str, tmp_path: Path) -> None:
    _hand_written(f"c{name.replace(' ', chr(10))}\n".encode(), tmp_path / "best.pt")
    with pytest.raises(ModelError, match=rf"KD306\] .* needs {name.replace(' ', '.')}: loading it"):
        read_checkpoint(tmp_path / "best.pt")


def test_dill_may_name_plain_types_only() -> None:
    ((load_type, name),) = admitted(["dill._dill._load_type", "dill._dill._create_function"])
    assert (name, load_type("set"), load_type("dict")) == ("dill._dill._load_type", set, dict)
    for other in ("CodeType", "FunctionType", "type"):
        with pytest.raises(pickle.UnpicklingError):
            load_type(other)


def _hand_written(instructions: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02" + instructions + b".")
        archive.writestr("best/version", "3\n")
        archive.writestr("best/byteorder", "little")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ultralytics.yolo.utils.loss.BboxLoss", "ultralytics.utils.loss.BboxLoss"),
        ("ultralytics.yolo.utils.IterableSimpleNamespace", "ultralytics.utils.IterableSimpleNamespace"),
        ("ultralytics.yolo.v8.detect.DetectionTrainer", "ultralytics.models.yolo.detect.DetectionTrainer"),
        ("ultralytics.nn.tasks.YOLOv10DetectionModel", "ultralytics.nn.tasks.DetectionModel"),
        ("ultralytics.nn.modules.block.Silence", "torch.nn.Identity"),
        ("ultralytics.nn.tasks.DetectionModel", "ultralytics.nn.tasks.DetectionModel"),
        ("pathlib.WindowsPath", "pathlib.PureWindowsPath"),
    ],
)  # fmt: skip
def test_a_trusted_file_may_use_old_names(old: str, new: str) -> None:
    module, _, name = old.rpartition(".")
    found = OldNames.load(io.BytesIO(f"c{module}\n{name}\n.".encode()))
    place, _, attribute = new.rpartition(".")
    __import__(place)
    assert today(old) == new
    assert found is getattr(sys.modules[place], attribute)


def test_a_trusted_file_of_old_is_read(tmp_path: Path) -> None:
    """One class that nobody knows makes a load unrestricted: the old names must be known there too."""
    source = next(file for file in OLD if file.stem.startswith("8.0.120"))
    with zipfile.ZipFile(source) as archive:
        archive.extract("best.pt", tmp_path)
    with zipfile.ZipFile(tmp_path / "best.pt") as old, zipfile.ZipFile(tmp_path / "mixed.pt", "w") as mixed:
        for name in old.namelist():
            content = old.read(name)
            foreign = b"\x80\x02cfractions\nFraction\n"  # read, and left below the rest
            mixed.writestr(name, foreign + content[2:] if name.endswith("data.pkl") else content)
    with pytest.raises(ModelError, match=r"KD306\] .* needs fractions.Fraction: loading"):
        read_checkpoint(tmp_path / "mixed.pt")
    model: Any = read_checkpoint(tmp_path / "mixed.pt", trust=True)
    assert (model.task, model.args["imgsz"]) == ("segment", 64)
