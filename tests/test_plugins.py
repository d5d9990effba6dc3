"""A user's own components, from outside the package: a file beside a spec, checked, compiled and trained."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import kdgraph
from kdgraph.errors import SpecError
from tests.conftest import command
from tests.toys import batch, toy

PLUGIN = '''\
from typing import Annotated, Literal

import kdgraph
import torch
from pydantic import Field
from torch import nn


@kdgraph.register.criterion("outside_l1", takes=["features"], masked=True, source="nobody 2025")
class Absolute(kdgraph.Criterion):
    """Mean absolute difference."""

    def __init__(
        self,
        power: Annotated[float, Field(gt=0, le=4, description="of the difference")] = 1.0,
        side: Literal["both", "above"] = "both",
    ) -> None:
        super().__init__()
        self.power, self.side = power, side

    def compare(self, student, teacher, mask):
        error = student - teacher
        error = (error.clamp(min=0) if self.side == "above" else error.abs()) ** self.power
        return error.mean() if mask is None else (error * mask).sum() / (mask.sum() * error.shape[1] + 1e-9)


@kdgraph.register.criterion(
    "outside_bins", takes=["dfl"], masked=False, reads=["label"], wires=["bins"], default_adapter="identity"
)
class Labelled(kdgraph.Criterion):
    """Absolute difference of the bins where there is an object."""

    def __init__(self, bins: int | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.bins, self.scale = bins, scale

    def compare(self, student, teacher, mask, *, label):
        error = (student - teacher).abs() * (label >= 0)
        return self.scale * error.unflatten(1, (4, self.bins)).sum(2).mean()


@kdgraph.register.mask("outside_sure", reads=["teacher_cls"])
class Sure(nn.Module):
    """Cells where the teacher is sure."""

    def __init__(self, above: float = 0.5) -> None:
        super().__init__()
        self.above = above

    def forward(self, *, teacher_cls):
        best = teacher_cls.sigmoid().amax(1, keepdim=True) > self.above
        return (best if best.ndim == 4 else best[:, 0]).float()


@kdgraph.register.mask("outside_checks", reads=["maps"])
class Checks(nn.Module):
    """Every other column."""

    def forward(self, *, maps, anchors):
        columns = [torch.arange(m.shape[-1], device=m.device) % 2 for m in maps]
        if not anchors:
            return columns[0].float().expand_as(maps[0][:, :1])
        flat = [c.float().expand(m.shape[0], *m.shape[2:]).flatten(1) for c, m in zip(columns, maps)]
        return torch.cat(flat, 1)


@kdgraph.register.adapter("outside_grouped")
class Grouped(nn.Module):
    """A grouped convolution."""

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, groups=groups)

    def forward(self, student, teacher):
        return self.conv(student)
'''

SPEC = """\
student: yolo11n.yaml
teacher: yolo11s.pt
plugins: [losses_of_mine]
outputs: [taps, teacher]
edges:
  neck:
    taps: neck.*
    criterion: {outside_l1: {power: 2.0}}
    mask: [{outside_sure: {above: 0.4}}, outside_checks]
    adapter: {outside_grouped: {groups: 2}}
  boxes: {taps: head.dfl.*, criterion: outside_bins, weight: 0.5}
train: {imgsz: 64, epochs: 2}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec of a user, with the plugin beside it."""
    (tmp_path / "losses_of_mine.py").write_text(PLUGIN)
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    return file


def compiled(spec: Path) -> Any:
    return kdgraph.compile(kdgraph.load(spec), student=toy(), teacher=toy(16, seed=1))


def test_a_step_trains_the_student_and_the_adapter(spec: Path) -> None:
    distiller = compiled(spec)
    before = [p.clone() for p in distiller.parameters()]
    adapters = list(distiller.adapters.parameters())
    assert {a.conv.groups for a in distiller.adapters.values()} == {2}
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1)
    out = distiller(batch())
    assert set(out.losses) == {"neck", "boxes"}
    assert all(loss > 0 for loss in out.losses.values())
    (out.loss * 2).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapters)
    optimizer.step()
    changed = [not torch.equal(b, p) for b, p in zip(before, distiller.parameters(), strict=True)]
    assert sum(changed) > len(adapters)


def test_the_losses_are_what_the_classes_compute(spec: Path) -> None:
    distiller, given = compiled(spec), batch()
    with torch.no_grad():
        out = distiller(given)
    expected = torch.zeros(())
    for level, adapter, best in zip(
        ("p3", "p4"), distiller.adapters.values(), _levels(out.teacher["scores"], given["img"]), strict=True
    ):
        ours, theirs = out.taps[f"neck.{level}"]
        columns = torch.arange(ours.shape[-1]) % 2
        mask = (best.sigmoid().amax(1, keepdim=True) > 0.4) * columns
        error = (adapter(ours, theirs) - theirs).square() * mask
        expected = expected + error.sum() / (mask.sum() * theirs.shape[1] + 1e-9)
    torch.testing.assert_close(out.raw["neck"], expected, rtol=1e-4, atol=1e-6)


def _levels(scores: torch.Tensor, images: torch.Tensor) -> list[torch.Tensor]:
    """Class logits `[B,nc,A]` by level, as maps."""
    sizes = [(images.shape[-2] // stride, images.shape[-1] // stride) for stride in (8, 16)]
    parts = scores.split([h * w for h, w in sizes], -1)
    return [part.unflatten(-1, size) for part, size in zip(parts, sizes, strict=True)]


def test_signals_and_wires_reach_the_criterion(spec: Path) -> None:
    distiller = compiled(spec)
    assert {c.bins for name, e in distiller.edges.items() if "boxes" in name for c in e.criteria} == {16}
    empty = {**batch(), "batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
    assert distiller(empty).raw["boxes"].item() == 0  # no label anywhere
    assert distiller(batch()).raw["boxes"].item() > 0


def test_it_compiles_without_graph_breaks(spec: Path) -> None:
    distiller = compiled(spec)
    eager = distiller(batch()).loss
    torch._dynamo.reset()
    forward = torch.compile(distiller._graph[0], backend="aot_eager", fullgraph=True)
    given = batch()
    result = forward(given["img"], *distiller._take_labels(given))
    torch.testing.assert_close(sum(weighted for _, weighted in result["losses"].values()), eager)


def test_the_command_checks_it(spec: Path, user_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [command("kdgraph"), "check", str(spec)], env=user_environment, capture_output=True, text=True
    )
    assert (done.stderr, done.stdout) == (
        "",
        f"{spec}: 2 edges, 6 terms, all fit\nlabels are read by boxes\n",
    )


def test_the_command_tells_mistakes_as_for_a_built_in(spec: Path, user_environment: dict[str, str]) -> None:
    spec.write_text(SPEC.replace("power: 2.0", "power: 9").replace("groups: 2", "gruops: 2"))
    done = subprocess.run(
        [command("kdgraph"), "check", str(spec)], env=user_environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "error[KD104] edges.neck.criterion.outside_l1.power: must be a number above 0" in done.stderr
    assert "got the number 9\n" in done.stderr
    assert "hint: power: of the difference" in done.stderr
    assert (
        "error[KD106] edges.neck.adapter.outside_grouped: outside_grouped has no option 'gruops'"
        in done.stderr
    )
    assert "did you mean 'groups'?" in done.stderr


def test_a_choice_of_a_plugin_is_suggested(spec: Path) -> None:
    spec.write_text(SPEC.replace("power: 2.0", "side: abov"))
    with pytest.raises(SpecError, match="must be both or above; got the text 'abov'") as caught:
        kdgraph.load(spec)
    assert "did you mean 'above'? side: both unless the spec says otherwise" in str(caught.value)


def test_a_spec_sees_only_the_plugins_that_it_names(spec: Path) -> None:
    kdgraph.load(spec)
    assert kdgraph.criterion("outside_l1", power=3.0).power == 3.0  # in Python all names are there
    spec.write_text(SPEC.replace("plugins: [losses_of_mine]\n", ""))
    with pytest.raises(SpecError, match="KD105"):
        kdgraph.load(spec)


def test_the_layouts_and_masks_that_it_takes_are_held_to(spec: Path) -> None:
    spec.write_text(SPEC.replace("taps: head.dfl.*", "taps: head.cls.*"))
    with pytest.raises(kdgraph.KdgraphError, match="'outside_bins' does not compare class logits"):
        compiled(spec)
    spec.write_text(SPEC.replace("weight: 0.5", "mask: outside_sure"))
    with pytest.raises(SpecError, match="outside_bins takes no mask"):
        kdgraph.load(spec)


def test_wrong_use_of_the_decorator_is_told_at_the_plugins_line(spec: Path) -> None:
    (spec.parent / "losses_of_mine.py").write_text(PLUGIN.replace('takes=["dfl"]', 'takes=["dlf"]'))
    with pytest.raises(SpecError) as caught:
        kdgraph.load(spec)
    told = str(caught.value)
    line = PLUGIN[: PLUGIN.index('"outside_bins"')].count("\n")
    assert f"{spec}:3:" in told
    assert "error[KD114]" in told
    assert "takes has 'dlf', which is none of features, cls, dfl, box, mask, kpt, angle: write" in told
    assert any(f"losses_of_mine.py:{near}" in told for near in range(line, line + 4))


def test_a_copy_of_the_folder_is_loaded_anew(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    kdgraph.load(spec)
    other = tmp_path_factory.mktemp("copy")
    (other / "losses_of_mine.py").write_text(
        PLUGIN.replace("power: Annotated", "exponent: Annotated").replace(
            "self.power, self.side = power", "self.power, self.side = exponent"
        )
    )
    (other / "spec.yaml").write_text(SPEC.replace("power: 2.0", "exponent: 3.0"))
    distiller = compiled(other / "spec.yaml")
    assert {c.power for name, e in distiller.edges.items() if "neck" in name for c in e.criteria} == {3.0}


def test_a_module_that_is_installed_may_be_named(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path_factory.mktemp("site")
    (site / "installed_losses").mkdir()
    (site / "installed_losses" / "__init__.py").write_text("")
    (site / "installed_losses" / "mine.py").write_text(PLUGIN.replace("outside_", "installed_"))
    monkeypatch.syspath_prepend(site)
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC.replace("outside_", "installed_").replace("losses_of_mine", "installed_losses.mine"))
    assert set(compiled(file)(batch()).losses) == {"neck", "boxes"}
