"""Maps of teacher and student, side by side, while a run goes on."""

from __future__ import annotations

import copy
import math
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from ultralytics import YOLO

import kdgraph
from kdgraph.compiler.api import Plan, plan
from kdgraph.spec.parse import parse
from kdgraph.train.compared import Compared, Side, Values, pairs_of
from kdgraph.train.distilling import Distilling
from kdgraph.train.edge_log import TASK, read_edges
from kdgraph.train.map_figure import Row, map_figure
from kdgraph.train.maps import maps_of, measures_of
from kdgraph.train.observer import file_name, unchanged_randomness
from kdgraph.train.run import run
from tests.toys import SIZE, spec, toy
from tests.train.test_curves import overlaps
from tests.train.tiny import data, network

IMAGES = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def planned(edges: str) -> Plan:
    return plan(spec(edges), student=toy(), teacher=toy(16, seed=1))


def compared(edges: str) -> tuple[dict[str, Values], Any, Plan]:
    """What each term compares with a student in it whose weights are not those of the Distiller's."""
    made = planned(edges)
    distiller = made.lower()
    other = toy(seed=5)
    return {v.term.name: v for v in Compared(distiller, pairs_of(made.graph), other)(IMAGES)}, distiller, made


def layer(model: Any, index: int) -> Tensor:
    """What a layer of an Ultralytics model puts out in eval mode, by a hook."""
    seen: list[Tensor] = []
    handle = model.model[index].register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model.eval()(IMAGES)
    handle.remove()
    return seen[0]


def raw(model: Any) -> Any:
    """The head's raw outputs, batch norms in eval mode."""
    model.eval().model[-1].training = True
    with torch.no_grad():
        return model(IMAGES)


def test_the_student_given_and_the_teacher_are_compared() -> None:
    found, _, _ = compared("""\
  neck: {taps: neck.*, criterion: attention}
  cls: {taps: head.cls, criterion: bce, mask: foreground}""")
    student, teacher = toy(seed=5), toy(16, seed=1)
    for level, index in (("p3", 7), ("p4", 10)):
        ours, theirs = found[f"neck.{level}"].tensors
        torch.testing.assert_close(ours, layer(student, index))
        torch.testing.assert_close(theirs, layer(teacher, index), rtol=1e-4, atol=1e-4)
    ours, theirs = found["cls.head.cls"].tensors
    torch.testing.assert_close(ours, raw(student)["scores"])
    torch.testing.assert_close(theirs, raw(teacher)["scores"], rtol=1e-4, atol=1e-4)


def test_what_is_compared_behind_an_adapter_is_shown_behind_it() -> None:
    found, distiller, _ = compared("  neck: {taps: neck.p3, criterion: mimic}")
    values = found["neck.p3"]
    adapter = copy.deepcopy(next(iter(distiller.adapters.values()))).eval()
    with torch.no_grad():
        torch.testing.assert_close(values.tensors[0], adapter(layer(toy(seed=5), 7), values.tensors[1]))
    assert [side.adapted for side in values.sides] == [True, False]


def test_looking_changes_nothing() -> None:
    made = planned("""\
  neck: {taps: neck.*, criterion: mgd, adapter: mlp}
  cls: {taps: head.cls.*, criterion: bce, splice: head.cls.*.0}""")
    distiller, student = made.lower(), toy(seed=5).train()
    before = [copy.deepcopy(each.state_dict()) for each in (distiller, student)]
    modes = [[module.training for module in each.modules()] for each in (distiller, student)]
    states = random.getstate(), torch.get_rng_state()
    list(Compared(distiller, pairs_of(made.graph), student)(IMAGES))
    for each, state, mode in zip((distiller, student), before, modes, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in each.state_dict().items())
        assert [module.training for module in each.modules()] == mode
    assert states[0] == random.getstate()
    assert torch.equal(states[1], torch.get_rng_state())


def test_every_kind_of_teacher_is_shown() -> None:
    two = "{a: {model: a.yaml}, b: {model: b.yaml}}"
    edges = """\
  both: {teacher: [a, b], taps: head.cls, criterion: bce}
  own: {teacher: student, taps: {student: backbone.p3, teacher: neck.p3}, criterion: attention}
  cross: {teacher: b, taps: head.cls.p3, criterion: bce, splice: head.cls.p3.0}"""
    top = f"student: toy-student.yaml\nteachers: {two}\nedges:\n{edges}\ntrain: {{epochs: 20, imgsz: 64}}\n"
    teachers = {"a": toy(16, seed=1), "b": toy(12, seed=2)}
    made = plan(parse(top), student=toy(), teachers=teachers)
    found = {v.term.name: v for v in Compared(made.lower(), pairs_of(made.graph), toy(seed=5))(IMAGES)}
    mean = (raw(teachers["a"])["scores"] + raw(teachers["b"])["scores"]) / 2
    torch.testing.assert_close(found["both.head.cls"].tensors[1], mean, rtol=1e-4, atol=1e-4)
    assert [side.role for side in found["both.head.cls"].sides] == ["student", "a, b"]
    torch.testing.assert_close(found["own.p3"].tensors[1], layer(toy(seed=5), 7))
    ours, theirs = found["cross.p3"].tensors
    assert ours.shape == theirs.shape == (1, 3, SIZE[0] // 8, SIZE[1] // 8)
    scores = raw(teachers["b"])["scores"][..., : theirs[0, 0].numel()]
    torch.testing.assert_close(theirs.flatten(2), scores, rtol=1e-4, atol=1e-4)
    assert found["cross.p3"].sides[0].tap == "head.cls.p3.0>head.cls.p3"


def test_the_measures_are_what_they_say() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 32, 3, 4)
    mean, attention = (measure.of(x)[0] for measure in measures_of("features"))
    (best,) = (measure.of(x)[0] for measure in measures_of("cls"))
    (entropy,) = (measure.of(x)[0] for measure in measures_of("dfl"))
    for row in range(3):
        for column in range(4):
            cell = x[0, :, row, column].tolist()
            assert mean[row, column] == pytest.approx(sum(cell) / 32, abs=1e-6)
            assert attention[row, column] == pytest.approx(sum(v * v for v in cell), rel=1e-5)
            assert best[row, column] == pytest.approx(max(1 / (1 + math.exp(-v)) for v in cell), rel=1e-5)
            sides = [cell[8 * side : 8 * side + 8] for side in range(4)]
            assert entropy[row, column] == pytest.approx(sum(map(naive_entropy, sides)) / 4, rel=1e-5)
    assert measures_of("dfl")[0].of(torch.zeros(1, 32, 1, 1)).item() == pytest.approx(1)
    assert measures_of("mask") == measures_of("box") == ()


def naive_entropy(logits: list[float]) -> float:
    total = sum(map(math.exp, logits))
    parts = [math.exp(v) / total for v in logits]
    return -sum(p * math.log(p) for p in parts) / math.log(len(logits))


def test_anchors_are_shown_level_by_level_in_the_finest_cells() -> None:
    found, _, _ = compared("  cls: {taps: head.cls, criterion: bce}\n  dfl: {taps: head.dfl, criterion: kl}")
    scores = raw(toy(seed=5))["scores"].amax(1).sigmoid()
    fine, coarse = scores[:, :96].view(1, 1, 8, 12), scores[:, 96:].view(1, 1, 4, 6)
    (pair,) = maps_of(found["cls.head.cls"], SIZE)
    torch.testing.assert_close(pair.student, torch.maximum(fine, interpolate(coarse, (8, 12)))[0, 0])
    assert pair.shapes == ((3, 120), (3, 120))
    (pair,) = maps_of(found["dfl.head.dfl"], SIZE)
    assert pair.teacher.shape == (8, 12)
    assert 0 < pair.teacher.min() < pair.teacher.max() < 1


def test_what_has_no_cells_is_left_out() -> None:
    found, _, _ = compared("  cls: {taps: head.cls, criterion: bce}")
    values = found["cls.head.cls"]
    assert maps_of(values, (64, 64)) == [], "other anchors than the image has"
    assert maps_of(values._replace(tensors=(torch.rand(1, 3), torch.rand(1, 3))), SIZE) == []


@pytest.mark.parametrize(
    "edge", ["neck: {taps: neck.*, criterion: mimic}", "cls: {taps: head.cls, criterion: bce}"]
)
def test_nothing_in_a_picture_stands_on_something_else(edge: str) -> None:
    found, _, _ = compared(f"  {edge}")
    values = next(iter(found.values()))
    tall = torch.rand(3, 96, 64)
    rows = [Row(image, maps_of(values, SIZE)) for image in (IMAGES[0], tall, torch.rand(1, *SIZE))]
    side = Side(f"teacher_{'x' * 40}", f"{'model.' * 20}conv", "features", adapted=True)
    drawn = map_figure(rows, (side, side), "neck.p3 · mimic · epoch 1")
    assert overlaps(drawn) == []
    drawn.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in drawn.axes]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


def test_a_map_is_drawn_over_its_own_range() -> None:
    found, _, _ = compared("  neck: {taps: neck.p3, criterion: mimic}")
    values = found["neck.p3"]
    drawn = map_figure([Row(IMAGES[0], maps_of(values, SIZE))], values.sides, "")
    teacher, student = values.tensors[1], values.tensors[0]
    wanted = [each for t in (teacher, student) for each in [t[0].mean(0)]]
    for axes, tensor in zip(drawn.axes[1:3], wanted, strict=True):
        (shown,) = axes.images
        np.testing.assert_allclose(np.asarray(shown.get_array()), tensor.numpy(), rtol=1e-4, atol=1e-5)
        assert shown.get_clim() == pytest.approx(
            (-tensor.abs().max().item(), tensor.abs().max().item()), rel=1e-4
        )
    assert "teacher\nneck.p3\n32×8×12" in drawn.axes[1].get_title()
    assert "student\nneck.p3\n32×8×12, adapted" in drawn.axes[2].get_title()


def test_randomness_is_put_back() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    def broken() -> None:
        with unchanged_randomness():
            draw()
            raise OSError("the disk is full")

    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(3)
    with unchanged_randomness():
        wanted = draw()
    with pytest.raises(OSError, match="full"):
        broken()
    assert draw() == wanted


def test_a_term_is_a_file_name() -> None:
    assert file_name("cls.head.cls") == "cls.head.cls"
    assert file_name("a.model.1/b c") == "a.model.1-b-c"


RUN = """\
student: {student}
teachers: {{big: {{model: {teacher}}}, ema: {{model: student.ema}}}}
data: {data}
edges:
  neck: {{teacher: big, taps: neck.*, criterion: mimic}}
  cls: {{teacher: big, taps: head.cls, criterion: bce, warmup: 1}}
  ema: {{teacher: ema, taps: neck.p3, criterion: attention, until: 1}}
train: {{epochs: 2, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, lr0: 0.001, plots: {plots}}}
"""


def ran(place: Path, plots: str, name: str, text: str = RUN) -> Path:
    teacher = place / "teacher.pt"
    if not teacher.is_file():
        YOLO(network(place, "detect", 16)).save(teacher)
    values = {"student": network(place, "detect"), "teacher": teacher, "data": data(place, "detect")}
    file = place / f"{name}.yaml"
    file.write_text(text.format(**values, plots=plots))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return run(kdgraph.load(file)).folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def shown(place: Path) -> Path:
    """The folder of a run with plots; `events` in it is what it wrote to TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    with pytest.MonkeyPatch.context() as patch, SummaryWriter(str(place / "events")) as writer:
        # Ultralytics opens none while tests are running
        patch.setattr("ultralytics.utils.callbacks.tensorboard.WRITER", writer, raising=False)
        return ran(place, "true", "shown")


@pytest.mark.filterwarnings("ignore")
def test_a_run_has_maps_of_its_first_and_last_epoch(shown: Path) -> None:
    terms = ("neck.p3", "neck.p4", "cls.head.cls", "ema.p3")
    wanted = {f"{term}.{when}.png" for term in terms for when in ("epoch1", "last")}
    assert {path.name for path in (shown / "maps").iterdir()} == wanted
    for path in [*(shown / "maps").iterdir(), shown / "edge_losses.png", shown / "gradient_shares.png"]:
        assert pixels(path).std() > 10
    first, last = (pixels(shown / "maps" / f"neck.p3.{when}.png") for when in ("epoch1", "last"))
    assert not np.array_equal(first, last), "the student has learnt"
    first, last = (pixels(shown / "maps" / f"ema.p3.{when}.png") for when in ("epoch1", "last"))
    assert np.array_equal(first, last), "its only epoch was the first"


@pytest.mark.filterwarnings("ignore")
def test_edges_that_only_begin_have_a_share_of_the_first_epoch(shown: Path) -> None:
    """The one that warms up has no weight at the epoch's beginning."""
    rows = {row.edge: row for row in read_edges(shown / "edges.csv") if row.epoch == 1}
    for name in ("cls", "ema"):
        assert 0 < rows[name].share < 1
        assert rows[name].gradient > 0


def pixels(file: Any) -> Any:
    return np.asarray(Image.open(file))


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_has_shares_and_maps(shown: Path, place: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(place / "events"))
    events.Reload()
    rows = read_edges(shown / "edges.csv")
    assert [(row.epoch, row.edge) for row in rows] == [
        (1, "neck"), (1, "cls"), (1, "ema"), (1, TASK), (2, "neck"), (2, "cls"), (2, TASK),
    ]  # fmt: skip
    for name in ("neck", "ema", TASK):
        own = [row for row in rows if row.edge == name]
        for kind in ("share", "gradient"):
            found = [(event.step, event.value) for event in events.Scalars(f"kdgraph/{kind}/{name}")]
            assert found == [(row.epoch, pytest.approx(getattr(row, kind), rel=1e-5)) for row in own]
    assert {tag for tag in events.Tags()["images"] if tag.startswith("kdgraph/")} == {
        f"kdgraph/maps/{term}" for term in ("neck.p3", "neck.p4", "cls.head.cls", "ema.p3")
    }
    drawn = events.Images("kdgraph/maps/neck.p4")
    assert [image.step for image in drawn] == [1, 2]
    for image, when in zip(drawn, ("epoch1", "last"), strict=True):
        file = pixels(shown / "maps" / f"neck.p4.{when}.png")
        assert np.array_equal(pixels(BytesIO(image.encoded_image_string)), file)


@pytest.mark.filterwarnings("ignore")
def test_weights_are_the_same_without_plots(shown: Path, place: Path) -> None:
    folder = ran(place, "false", "plain")
    assert not list(folder.rglob("*.png"))
    ours, theirs = (
        torch.load(each / "weights" / "last.pt", weights_only=False)["model"].state_dict()
        for each in (shown, folder)
    )
    assert len(ours) > 50
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert (folder / "edges.csv").read_bytes() == (shown / "edges.csv").read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_no_picture_ends_a_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def blocked(trainer: Distilling, event: str) -> None:
        if event == "on_train_start":
            for name in ("maps", "edge_losses.png"):
                path = trainer.folder.path / name
                path.write_text("") if name == "maps" else path.mkdir()
        original(trainer, event)

    original = Distilling.run_callbacks
    monkeypatch.setattr(Distilling, "run_callbacks", blocked)
    folder = ran(place, "true", "blocked", RUN.replace("epochs: 2", "epochs: 1"))
    assert (folder / "weights" / "best.pt").is_file()
    assert (folder / "gradient_shares.png").is_file()
    told = [message for message in caplog.messages if "could not be written" in message]
    assert len(told) == 9
    assert sum("edge_losses.png" in message for message in told) == 1
