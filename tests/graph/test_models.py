"""Models by name, from yaml and from checkpoints; every way a model can be refused, by its text."""

from __future__ import annotations

import copy
import pickle
import shutil
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.errors import CODES, ModelError
from kdgraph.graph.models import build_model, check_student
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import ModelSpec, TeacherSpec


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return build_model(ModelSpec(model="yolo11n.yaml"), nc=3)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(model: object, path: Path, **more: object) -> Path:
    torch.save({"model": None, "ema": model, "train_args": {"imgsz": 320}, **more}, path)
    return path


def refusal(model: object, *, trust: bool = False, weights: bool = True) -> str:
    with pytest.raises(ModelError) as caught:
        build_model(ModelSpec(model=str(model), trust=trust), nc=None, weights=weights)
    (fault,) = caught.value.diagnostics
    assert fault.code in CODES
    assert fault.hint, "a refusal must say the way out"
    return str(caught.value)


# -- what is built --


@pytest.mark.parametrize("name", ["yolo11n", "yolo11n.yaml"])
def test_a_name_with_and_without_yaml_is_the_same_architecture(name: str) -> None:
    model = build_model(ModelSpec(model=name), nc=5)
    assert sum(p.numel() for p in model.parameters()) == 2_590_815
    assert (model.yaml["nc"], model.yaml["scale"], model.yaml["yaml_file"]) == (5, "n", "yolo11n.yaml")
    assert (model.task, model.args["box"], model.training) == ("detect", 7.5, False)


def test_without_nc_the_yaml_decides() -> None:
    assert build_model(ModelSpec(model="yolov8n"), nc=None, meta=True).yaml["nc"] == 80


def test_channels_reach_the_first_layer() -> None:
    model = build_model(ModelSpec(model="yolo11n"), nc=2, channels=1, meta=True)
    assert next(model.parameters()).shape[1] == 1


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolov9t", "yolov10n", "yolo11n-seg", "yolo26n"])
def test_on_the_meta_device_shapes_and_strides_are_those_of_the_real_model(name: str) -> None:
    ref = ModelSpec(model=name)
    bare, full = build_model(ref, nc=4, meta=True), build_model(ref, nc=4)
    assert {t.device.type for t in bare.state_dict().values()} == {"meta"}
    assert [(k, v.shape) for k, v in bare.state_dict().items()] == [
        (k, v.shape) for k, v in full.state_dict().items()
    ]
    assert torch.equal(bare.stride, full.stride)
    assert torch.equal(bare.model[-1].stride, full.stride)


def test_the_largest_model_is_checked_in_little_time() -> None:
    build_model(ModelSpec(model="yolo11n"), nc=None, meta=True)  # imports that happen once
    start = time.perf_counter()
    build_model(ModelSpec(model="yolo11x.pt"), nc=None, weights=False, meta=True)
    assert time.perf_counter() - start < 2


def test_released_weights_give_their_architecture_when_only_checked(here: Path) -> None:
    model = build_model(ModelSpec(model="yolo11s-obb.pt"), nc=3, weights=False, meta=True)
    assert (model.yaml["nc"], model.task) == (15, "obb")  # the checkpoint's own classes, not the data's


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("yolo11s.pt", {"count": 80, 0: "person", 79: "toothbrush"}),
        ("yolo11n-pose.pt", {"count": 1, 0: "person"}),
        ("yolov8n-oiv7.pt", {"count": 601, 0: "Accordion"}),
        ("yolo26n-obb.pt", {"count": 15, 0: "plane"}),
        ("yolo11n.yaml", {"count": 80, 0: "0"}),
    ],
)
def test_released_weights_have_their_names_without_being_there(
    name: str, names: dict[object, object], here: Path
) -> None:
    model = build_model(ModelSpec(model=name), nc=None, weights=False, meta=True)
    assert {"count": len(model.names), **{key: model.names[key] for key in names if key != "count"}} == names
    assert model.model[-1].nc == names["count"]


def test_an_own_yaml_is_built(here: Path) -> None:
    import ultralytics

    shipped = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    shutil.copy(shipped, here / "mine-yolo11s.yaml")
    model = build_model(ModelSpec(model="mine-yolo11s.yaml"), nc=2, meta=True)
    assert model.yaml["scale"] == "s"


def test_a_checkpoint_can_be_trained_and_saved(small: nn.Module, here: Path) -> None:
    frozen = copy.deepcopy(small).half().requires_grad_(False)
    model = build_model(ModelSpec(model=str(save(frozen, here / "best.pt"))), nc=80)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {"model.23.dfl.conv.weight"}
    assert (model.args["imgsz"], model.args["cls"], model.task) == (320, 0.5, "detect")
    assert (model.pt_path, model.yaml["nc"], model.training) == (str(here / "best.pt"), 3, False)
    assert model.stride.tolist() == [8, 16, 32]
    model.args = IterableSimpleNamespace(**model.args)
    boxes = {"batch_idx": torch.zeros(1), "cls": torch.zeros(1, 1), "bboxes": torch.full((1, 4), 0.5)}
    loss, _ = model.train()({"img": torch.rand(2, 3, 64, 64), **boxes})
    loss.sum().backward()
    model.criterion = None
    torch.save({"model": model}, here / "again.pt")
    assert build_model(ModelSpec(model="again.pt"), nc=None).yaml["nc"] == 3


def test_a_checkpoint_keeps_its_weights(small: nn.Module, here: Path) -> None:
    model = build_model(ModelSpec(model=str(save(small, here / "best.pt"))), nc=None)
    for key, value in small.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_a_path_is_also_looked_for_beside_the_spec(small: nn.Module, here: Path) -> None:
    (here / "specs").mkdir()
    save(small, here / "specs" / "best.pt")
    text = "student: best.pt\nteacher: yolo11s.yaml\nedges: {neck: {taps: neck.*, criterion: cwd}}\n"
    spec = parse(text, str(here / "specs" / "spec.yaml"))
    assert build_model(spec.student, nc=None).pt_path.endswith("best.pt")


def test_nothing_is_printed(here: Path, small: nn.Module, capfd: pytest.CaptureFixture[str]) -> None:
    build_model(ModelSpec(model="yolo11.yaml"), nc=7)  # Ultralytics warns: no scale given
    build_model(ModelSpec(model=str(save(small, here / "best.pt"))), nc=None)
    refusal("yolo11m.pt") if not Path("yolo11m.pt").exists() else None
    assert capfd.readouterr() == ("", "")


# -- files and names --


def test_a_missing_file(here: Path) -> None:
    assert refusal("runs/best.pt") == (
        f"error[KD301] no file 'best.pt' in {here}/runs\n  hint: correct the path"
    )


def test_a_fault_in_a_spec_shows_its_line(here: Path) -> None:
    text = "student: runs/best.pt\nteacher: yolo11s.yaml\nedges: {neck: {taps: neck.*, criterion: cwd}}\n"
    with pytest.raises(ModelError, match=r"my.yaml:1:10: error\[KD301\] no file 'best.pt' in"):
        build_model(parse(text, "my.yaml").student, nc=None)


def test_a_folder(here: Path) -> None:
    (here / "best.pt").mkdir()
    assert refusal("best.pt") == (
        "error[KD301] best.pt is a folder, not a model\n  hint: give a .pt or .yaml file"
    )


def test_an_exported_model(here: Path) -> None:
    (here / "best.onnx").write_bytes(b"\x08")
    assert refusal("best.onnx") == (
        "error[KD302] best.onnx is neither a checkpoint (.pt) nor a model yaml\n"
        "  hint: give the .pt file that it was made from"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [("yolo11nn.pt", "yolo11n.pt"), ("yol11n.yaml", "yolo11n.yaml"), ("yoli11n", "yolo11n")],
)
def test_an_unknown_name(name: str, near: str, here: Path) -> None:
    text = refusal(name)
    assert text.startswith(
        f"error[KD302] unknown model '{name}': no file of that name, and Ultralytics knows none\n"
        f"  hint: did you mean {near}"
    )


def test_a_name_like_no_other(here: Path) -> None:
    assert refusal("q").endswith("hint: give a .pt or .yaml file, or a name such as yolo11n.pt")


# -- no network --


@pytest.fixture
def offline(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    for variable in ("no_proxy", "NO_PROXY", "YOLO_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return here


def test_no_network_for_weights(offline: Path) -> None:
    start = time.perf_counter()
    assert refusal("yolo12x.pt") == (
        "error[KD303] no network for weights: yolo12x.pt is not on disk and cannot be downloaded "
        "(github.com does not answer: ProxyError)\n"
        f"  hint: put the file at {offline}/yolo12x.pt or start from scratch with yolo12x.yaml"
    )
    assert time.perf_counter() - start < 5
    assert list(offline.iterdir()) == []


def test_a_teacher_without_network_can_be_trained(offline: Path) -> None:
    with pytest.raises(ModelError, match=r"first: \{model: yolo12x.yaml, train: \{epochs: 100\}\}"):
        build_model(TeacherSpec(model="yolo12x.pt"), nc=None)


def test_offline_by_setting_tries_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    assert "cannot be downloaded (YOLO_OFFLINE is set)\n" in refusal("yolo12x.pt")


def test_a_release_without_known_architecture(here: Path) -> None:
    assert refusal("yolo26n-objv1-150.pt", weights=False) == (
        "error[KD301] yolo26n-objv1-150.pt is not on disk, and its name does not tell its architecture\n"
        f"  hint: put the file at {here}/yolo26n-objv1-150.pt"
    )


# -- broken checkpoints --


def test_an_empty_checkpoint(here: Path) -> None:
    (here / "best.pt").touch()
    assert refusal("best.pt") == (
        "error[KD304] best.pt is empty (0 bytes)\n  hint: copy or download it again"
    )


def test_a_truncated_checkpoint(small: nn.Module, here: Path) -> None:
    whole = save(small, here / "best.pt").read_bytes()
    (here / "best.pt").write_bytes(whole[:100_000])
    assert refusal("best.pt") == (
        "error[KD304] best.pt is cut off: 100000 bytes of a checkpoint whose end is missing\n"
        "  hint: copy or download it again"
    )


@pytest.mark.parametrize("content", [b"\x80" + bytes(range(256)), b"\x80\x02}q\x00"])
def test_a_damaged_pickle(content: bytes, here: Path) -> None:
    (here / "best.pt").write_bytes(content)
    assert refusal("best.pt").startswith("error[KD304] best.pt is damaged: its content cannot be rebuilt (")


def test_a_checkpoint_with_damaged_content(small: nn.Module, here: Path) -> None:
    with (
        zipfile.ZipFile(save(small, here / "good.pt")) as good,
        zipfile.ZipFile(here / "best.pt", "w") as bad,
    ):
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, content[: len(content) // 2] if name.endswith("data.pkl") else content)
    assert refusal("best.pt").startswith("error[KD304] best.pt is damaged: its content cannot be rebuilt (")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"<!DOCTYPE html>", b"version https://git-lfs"])
def test_another_kind_of_file(content: bytes, here: Path) -> None:
    (here / "best.pt").write_bytes(content)
    assert refusal("best.pt") == (
        f"error[KD304] best.pt is no PyTorch checkpoint: it starts with {content[:2]!r}\n"
        "  hint: give a .pt file that Ultralytics saved (model.save, best.pt, last.pt)"
    )


def test_another_zip(here: Path) -> None:
    with zipfile.ZipFile(here / "best.pt", "w") as archive:
        archive.writestr("photo.jpg", b"")
    assert refusal("best.pt").startswith("error[KD304] best.pt is a zip archive, but no PyTorch checkpoint\n")


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:.*jit.script")
def test_a_torchscript_archive(here: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(here / "best.pt"))
    assert refusal("best.pt") == (
        "error[KD304] best.pt is a TorchScript archive, which has no layers to tap\n"
        "  hint: give the .pt that it was exported from"
    )


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state}])
def test_weights_alone(wrap: object, small: nn.Module, here: Path) -> None:
    torch.save(wrap(small.state_dict()), here / "best.pt")  # type: ignore[operator]
    assert refusal("best.pt").startswith(
        "error[KD304] best.pt holds weights without their model (a state_dict)"
    )


def test_a_checkpoint_of_something_else(here: Path) -> None:
    torch.save({"epoch": 3}, here / "best.pt")
    assert refusal("best.pt").startswith("error[KD304] best.pt holds no model\n")


@pytest.mark.parametrize("name", ["o'neil.pt", "yolov5n.pt"])
def test_a_name_that_ultralytics_would_rewrite(name: str, small: nn.Module, here: Path) -> None:
    save(small, here / name)
    assert refusal(name).startswith(f"error[KD304] {name} has a name that Ultralytics takes for ")


# -- foreign code --


class Foreign:
    """Writes a file when it is unpickled: the mark that code ran."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _leave_mark, ("ran",)


def _leave_mark(name: str) -> str:
    Path(name).touch()
    return name


@pytest.mark.parametrize("zipped", [True, False])
def test_foreign_code_runs_only_when_trusted(zipped: bool, small: nn.Module, here: Path) -> None:
    content = {"model": small, "extra": Foreign()}
    torch.save(content, here / "best.pt", _use_new_zipfile_serialization=zipped)
    text = refusal("best.pt")
    assert text.startswith("error[KD306] best.pt needs ")
    assert "_leave_mark: loading it could run code\n" in text
    assert text.endswith("hint: if you trust where it comes from: {model: best.pt, trust: true}")
    assert not (here / "ran").exists()

    trusted = build_model(ModelSpec(model="best.pt", trust=True), nc=None)
    assert (trusted.yaml["nc"], trusted.task, (here / "ran").exists()) == (3, "detect", True)


def test_a_plain_pickle_with_foreign_code_does_not_run(here: Path) -> None:
    (here / "best.pt").write_bytes(pickle.dumps({"model": Foreign()}))
    assert refusal("best.pt").startswith("error[KD306] best.pt needs ")
    assert not (here / "ran").exists()


def test_a_trusted_checkpoint_whose_package_is_missing_installs_nothing(here: Path) -> None:
    (here / "best.pt").write_bytes(b"\x80\x02cno_such_package.models\nNet\n)R.")
    assert "needs no_such_package.models.Net: loading it could run code" in refusal("best.pt")
    # torch's own pickle needs a header; a zip carries the same content
    with zipfile.ZipFile(here / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02cno_such_package.models\nNet\n)R.")
        archive.writestr("best/version", "3\n")
        archive.writestr("best/byteorder", "little")
    assert refusal("best.pt", trust=True) == (
        "error[KD304] best.pt needs the Python package 'no_such_package', which is not installed\n"
        "  hint: install it, or save the model again without it"
    )


def test_a_yolov5_checkpoint(here: Path) -> None:
    (here / "best.pt").write_bytes(b"\x80\x02cmodels.yolo\nDetectionModel\n)R.")
    for trust in (False, True):
        assert refusal("best.pt", trust=trust) == (
            "error[KD304] best.pt comes from the YOLOv5 or YOLOv7 repository, "
            "whose models Ultralytics cannot load\n"
            "  hint: use an Ultralytics model instead, e.g. yolov5nu.pt"
        )


# -- no detectors --

STUDENTS = "hint: kdgraph distils into YOLO detectors with a Detect, Segment, Pose or OBB head"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("yolo11n-cls.yaml", "an image classifier"),
        ("yolo11n-cls.pt", "an image classifier"),
        ("rtdetr-l", "an RT-DETR, whose decoder reads the labels while it trains"),
        ("yolov8s-world.yaml", "a YOLO-World, which needs text prompts"),
        ("yoloe-11s-seg.pt", "a YOLOE, which needs text prompts"),
        ("yolo26n-sem.yaml", "a semantic segmentation model, without boxes"),
        ("yolo26n-depth.yaml", "a depth estimator"),
    ],
)
def test_a_model_that_can_only_teach(name: str, kind: str, here: Path) -> None:
    teacher = build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True)
    assert {t.device.type for t in teacher.state_dict().values()} == {"meta"}
    with pytest.raises(ModelError) as caught:
        check_student(teacher, ModelSpec(model=name))
    assert str(caught.value) == f"error[KD305] {name} is {kind}\n  {STUDENTS}; this one can be a teacher"


def test_nothing_is_downloaded_that_cannot_be_a_student(offline: Path) -> None:
    assert refusal("yolo11n-cls.pt").startswith("error[KD305] yolo11n-cls.yaml is an image classifier\n")
    with pytest.raises(ModelError, match="KD303"):
        build_model(TeacherSpec(model="yolo11n-cls.pt"), nc=None)


@pytest.mark.parametrize(
    "name", ["yolo11n", "yolov10n.yaml", "yolo11n-seg.pt", "yolov8n-pose", "yolo26n-obb"]
)
def test_detectors_can_be_students(name: str, here: Path) -> None:
    ref = ModelSpec(model=name)
    check_student(build_model(ref, nc=2, weights=False, meta=True), ref)


def test_a_checkpoint_that_can_only_teach(here: Path) -> None:
    from ultralytics.nn.tasks import ClassificationModel

    save(ClassificationModel("yolo11n-cls.yaml", nc=2, verbose=False), here / "best.pt")
    ref = ModelSpec(model="best.pt")
    with pytest.raises(ModelError, match=r"KD305\] best.pt is an image classifier\n"):
        check_student(build_model(ref, nc=None), ref)


def test_a_checkpoint_of_another_library(here: Path) -> None:
    save(nn.Linear(2, 2), here / "best.pt")
    assert refusal("best.pt").startswith("error[KD305] best.pt is a model that ends in 'Linear'\n")


def test_a_segmentation_checkpoint_is_a_detector_too(here: Path) -> None:
    model = build_model(ModelSpec(model="yolo11n-seg"), nc=2)
    assert build_model(ModelSpec(model=str(save(model, here / "best.pt"))), nc=None).task == "segment"


# -- wrong model yamls --

HEAD = "head: [[[0, 1], 1, Detect, [nc]]]\n"
BODY = "backbone: [[-1, 1, Conv, [16, 3, 2]], [-1, 1, Conv, [32, 3, 2]]]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "error[KD307] my.yaml is not valid YAML: "),
        ("- a", "error[KD307] my.yaml is no model yaml: it has no lists 'backbone' and 'head' of layers"),
        ("names: [a]", "error[KD307] my.yaml is no model yaml: "),
        (f"nc: 2\nbackbone: []\n{HEAD}", "error[KD307] my.yaml is no model yaml: "),
        (BODY + HEAD, "error[KD307] my.yaml does not say how many classes the model has"),
        (f"nc: 2\n{BODY.replace('Conv,', 'Cnov,')}{HEAD}", "error[KD307] my.yaml: unknown layer 'Cnov'"),
        (f"nc: 2\n{BODY.replace('3, 2', 'x, 2')}{HEAD}", "error[KD307] my.yaml cannot be built ("),
        (
            f"nc: 2\n{BODY}{HEAD.replace('Detect', 'Conv')}",
            "error[KD305] my.yaml is a model that ends in 'Conv'",
        ),
    ],
)
def test_a_wrong_model_yaml(text: str, message: str, here: Path) -> None:
    (here / "my.yaml").write_text(text)
    assert refusal("my.yaml").startswith(message)


def test_a_scale_that_an_architecture_does_not_have(here: Path) -> None:
    (here / "my-yolo11q.yaml").write_text(f"nc: 2\nscales: {{n: [1, 1, 1024]}}\n{BODY}{HEAD}")
    (here / "my-yolo11s.yaml").write_text(f"nc: 2\nscales: {{n: [1, 1, 1024]}}\n{BODY}{HEAD}")
    assert refusal("my-yolo11s.yaml") == (
        "error[KD302] my-yolo11s.yaml has no scale 's'\n  hint: its scales are n"
    )


def test_an_unknown_layer_gets_close_names(here: Path) -> None:
    (here / "my.yaml").write_text(f"nc: 2\n{BODY.replace('Conv,', 'Conb,')}{HEAD}")
    assert "hint: did you mean Conv" in refusal("my.yaml")


@pytest.mark.parametrize(
    "layer", ["torch_safe_load", "Path", "nn.init", "nn.Module.register_module", "torch.load"]
)
def test_a_yaml_cannot_call_what_is_no_layer(layer: str, here: Path) -> None:
    (here / "my.yaml").write_text(f"nc: 2\n{BODY.replace('Conv,', layer + ',')}{HEAD}")
    assert refusal("my.yaml").startswith(f"error[KD307] my.yaml: unknown layer '{layer}'")


def test_the_activation_of_a_yaml_is_not_run_as_code(here: Path) -> None:
    code = "__import__('pathlib').Path('ran').touch() or nn.ReLU()"
    (here / "my.yaml").write_text(f'nc: 2\nactivation: "{code}"\n{BODY}{HEAD}')
    assert refusal("my.yaml") == (
        f"error[KD306] my.yaml: the activation '{code}' would be run as code\n"
        "  hint: write a plain layer such as nn.ReLU(), or set trust: true"
    )
    assert not (here / "ran").exists()


def test_a_plain_activation_is_built(here: Path) -> None:
    (here / "my.yaml").write_text(f"nc: 2\nactivation: torch.nn.LeakyReLU(0.1, inplace=True)\n{BODY}{HEAD}")
    model = build_model(ModelSpec(model="my.yaml"), nc=None)
    assert isinstance(model.model[0].act, nn.LeakyReLU)
