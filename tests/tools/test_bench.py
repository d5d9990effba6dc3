"""Whole runs of tools/bench with tiny models; no assertion is about how fast anything is."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

NUMBER = {"type": "number", "exclusiveMinimum": 0}
SPREAD = {
    "type": "object",
    "required": ["value", "low", "high"],
    "properties": {"value": NUMBER, "low": NUMBER, "high": NUMBER},
}
ARM = {
    "type": "object",
    "required": ["median_s", "q25_s", "q75_s", "steps", "seconds", "peak_bytes", "to_builtin", "to_plain"],
    "properties": {
        "median_s": NUMBER,
        "steps": {"const": 3},
        "seconds": {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3},
        "peak_bytes": {"type": "integer", "exclusiveMinimum": 0},
        "to_builtin": {"anyOf": [SPREAD, {"type": "null"}]},
        "to_plain": {"anyOf": [SPREAD, {"type": "null"}]},
    },
}
SCHEMA = {
    "type": "object",
    "required": ["arms", "left_out", "checks", "kdgraph_compile", "machine", "work", "command"],
    "properties": {
        "arms": {"type": "object", "additionalProperties": ARM},
        "left_out": {"type": "object", "additionalProperties": {"type": "string"}},
        "machine": {"type": "object", "required": ["device", "threads", "torch", "ultralytics", "kdgraph"]},
    },
}
Capture = pytest.CaptureFixture[str]


def run(flags: list[str]) -> int:
    from bench_main import main

    return main(flags)


def test_a_run_writes_what_it_prints(models: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    assert run([*models, "--arms", "plain,builtin,eager", *out]) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    jsonschema.validate(result, SCHEMA)
    assert list(result["arms"]) == ["plain", "builtin", "eager"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    for name, arm in result["arms"].items():
        row = next(line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert f"{arm['peak_bytes'] / 2**20:.0f}" in row.split()
        assert arm["seconds"] == pytest.approx(arm["seconds"])
        assert sorted(arm["seconds"])[1] == pytest.approx(arm["median_s"])
        assert math.isfinite(arm["loss"])
    compiled = result["kdgraph_compile"]["first"]
    parts = [compiled[name] for name in ("parse", "trace", "lower", "other")]
    assert sum(parts) + sum(compiled["passes"].values()) == pytest.approx(compiled["total"])
    assert "fold_teacher" in compiled["passes"]
    assert "eager = builtin to rounding" in printed


def test_arms_that_distil_compute_the_same_and_start_from_the_same(setup_of: Any) -> None:
    """Written out here: losses and every gradient of the student, not only their norms."""
    from bench_run import steppers_of

    steppers, left_out = steppers_of(setup_of("--arms", "plain,builtin,eager"))
    assert not left_out
    plain, builtin, eager = (steppers[name] for name in ("plain", "builtin", "eager"))
    for name, weight in builtin.arm.student.named_parameters():
        for other in (plain, eager):
            assert torch.equal(weight, dict(other.arm.student.named_parameters())[name])
    losses = {name: stepper.loss() for name, stepper in steppers.items()}
    torch.testing.assert_close(losses["eager"], losses["builtin"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses["plain"], losses["builtin"][:-1])
    assert losses["builtin"][-1] > 0
    for loss in losses.values():
        loss.sum().backward()
    ours = dict(eager.arm.student.named_parameters())
    for name, weight in builtin.arm.student.named_parameters():
        if weight.grad is not None:
            scale = float(weight.grad.abs().max().clamp(min=1e-6))
            torch.testing.assert_close(ours[name].grad, weight.grad, rtol=1e-3, atol=1e-3 * scale)


def test_a_step_is_that_of_ultralytics_trainer(setup_of: Any) -> None:
    """The same parameters after a step: clipped gradients, SGD with Nesterov, decay of weights only."""
    from bench_run import steppers_of
    from ultralytics.engine.trainer import BaseTrainer

    setup = setup_of("--arms", "plain")
    ours, theirs = (steppers_of(setup)[0]["plain"] for _ in range(2))
    trainer: Any = BaseTrainer.__new__(BaseTrainer)
    model = theirs.arm.student
    optimizer = trainer.build_optimizer(model, name="SGD", lr=0.01, momentum=0.937, decay=5e-4)
    for _ in range(2):
        ours.step()
        model.loss(theirs.batch)[0].sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
        optimizer.step()
        optimizer.zero_grad()
    for (name, mine), other in zip(ours.arm.student.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7, msg=name)


def test_arms_of_different_work_are_not_timed(setup_of: Any) -> None:
    from bench_run import Disagreement, _checked, steppers_of

    setup = setup_of("--arms", "builtin,eager")
    steppers, _ = steppers_of(setup)
    assert [check.rounding for check in _checked(setup, steppers)] == [True]
    adapter = next(iter(steppers["eager"].arm.trained.distiller.adapters.values()))
    with torch.no_grad():
        next(adapter.parameters()).mul_(1.1)
    with pytest.raises(Disagreement, match="eager does not compute what builtin does"):
        _checked(setup, steppers)


def test_arms_that_cannot_be_had_say_why(models: list[str], tmp_path: Path, capsys: Capture) -> None:
    spec = tmp_path / "two.yaml"
    spec.write_text(
        f"student: {models[1]}\nteachers: {{one: {models[3]}, two: {models[3]}}}\n"
        "edges:\n  a: {taps: neck.*, teacher: one, criterion: cwd}\n"
        "  b: {taps: neck.*, teacher: two, criterion: cwd}\n"
    )
    flags = [*models[4:], "--spec", str(spec), "--json", str(tmp_path / "a.json")]
    assert run([*flags, "--arms", "builtin,eager"]) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert list(result["arms"]) == ["eager"]
    assert result["left_out"] == {"builtin": "it takes one teacher, and the spec has 2"}
    assert "builtin is left out: it takes one teacher" in capsys.readouterr().out
    assert run([*flags, "--arms", "builtin"]) == 2
    assert "no arm is left: builtin: it takes one teacher" in capsys.readouterr().err


def test_the_rival_runs_where_it_is_installed_and_else_says_how_to(
    models: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "a.json"
    assert run([*models, "--arms", "builtin,hooks", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    if importlib.util.find_spec("modelopt") is None:
        assert result["left_out"].keys() == {"hooks"}
        assert "pip install 'kdgraph[bench]'" in capsys.readouterr().out
    else:
        assert [(c["arm"], c["base"], c["rounding"]) for c in result["checks"]] == [
            ("hooks", "builtin", True)
        ]


def test_amp_is_checked_in_float32_and_runs(models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    assert run([*models, "--arms", "builtin,eager", "--amp", "bf16", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["work"]["amp"] == "bf16"
    assert result["checks"][0]["gradient"] < 1e-3


@pytest.mark.parametrize(
    ("arm", "regions"),
    [
        ("plain", {"student forward", "task loss", "backward", "optimiser", "rest"}),
        ("builtin", {"student forward", "teacher forward", "task loss", "backward", "optimiser"}),
        ("eager", {"student forward", "teacher forward", "adapters", "criteria", "task loss", "backward"}),
    ],
)
def test_a_profile_names_the_regions(arm: str, regions: set[str], models: list[str], tmp_path: Path) -> None:
    out = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.svg")]
    assert run([*models, "--profile", arm, *out]) == 0
    profile = json.loads((tmp_path / "a.json").read_text())["profile"]
    assert regions <= profile["regions"].keys()
    assert all(seconds > 0 for seconds in profile["regions"].values())
    assert "</svg>" in (tmp_path / "a.svg").read_text()


def test_marks_change_nothing_that_is_computed(setup_of: Any) -> None:
    from bench_profile import Clock, _instrument
    from bench_run import steppers_of

    setup = setup_of("--arms", "eager")
    marked, plain = (steppers_of(setup)[0]["eager"] for _ in range(2))
    _instrument(marked.arm, Clock(torch.device("cpu")))
    assert torch.equal(marked.loss(), plain.loss())


def test_a_clock_puts_time_down_to_the_innermost_region() -> None:
    from time import perf_counter, sleep

    from bench_profile import Clock

    clock = Clock(torch.device("cpu"))
    begin = perf_counter()
    clock.start()
    with clock.region("outer"):
        sleep(0.02)
        with clock.region("inner"):
            sleep(0.05)
        sleep(0.02)
    seconds = clock.read()
    whole = perf_counter() - begin
    assert seconds["outer"] >= 0.04
    assert seconds["inner"] >= 0.05
    assert sum(seconds.values()) <= whole


@pytest.mark.parametrize(("axis", "values"), [("edges", [1, 3]), ("imgsz", [64, 96]), ("batch", [2, 3])])
def test_scaling_measures_each_point(
    axis: str, values: list[int], models: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    flags = ["--scaling", axis, "--values", ",".join(map(str, values)), *out]
    arms = [] if axis == "edges" else ["--arms", "builtin,eager"]
    assert run([*models, *flags, *arms]) == 0
    scaling = json.loads((tmp_path / "a.json").read_text())["scaling"]
    assert [point["value"] for point in scaling["points"]] == values
    expected = {"eager"} if axis == "edges" else {"builtin", "eager"}
    assert all(point["arms"].keys() == expected for point in scaling["points"])
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert set(map(str, values)) <= set(rows)
    if axis == "edges":
        assert scaling["criterion_s"] > 0
    else:  # what is larger needs more memory
        small, large = (point["arms"]["eager"]["step_bytes"] for point in scaling["points"])
        assert small < large


def test_models_scale_by_name_or_by_file(models: list[str], tmp_path: Path) -> None:
    pairs = f"{models[3]}:{models[1]},{models[1]}:{models[3]}"
    flags = ["--scaling", "model", "--values", pairs, "--arms", "plain", "--json", str(tmp_path / "a.json")]
    assert run([*models[4:], *flags]) == 0
    small, large = json.loads((tmp_path / "a.json").read_text())["scaling"]["points"]
    assert small["arms"]["plain"]["resident_bytes"] < large["arms"]["plain"]["resident_bytes"]


def test_the_part_of_the_teacher_is_what_edges_read(setup_of: Any) -> None:
    """Its tensors are the teacher's own neck features; compiled and without gradients they stay that."""
    from bench_arms import distiller_of
    from bench_limit import TeacherForward, teacher_part

    setup = setup_of()
    teacher = setup.teachers["teacher"].eval()
    features: list[torch.Tensor] = []
    for layer in teacher.model[-1].f:
        teacher.model[layer].register_forward_hook(lambda module, inputs, out: features.append(out.detach()))
    with torch.no_grad():
        teacher(setup.batch["img"])
    part = teacher_part(distiller_of(setup, setup.student)[0])
    forward = TeacherForward(part, {"backend": "eager", "fullgraph": True})
    outputs = forward(setup.batch["img"])
    assert not any(out.requires_grad for out in outputs)
    for feature in features[:2]:
        same = [out for out in outputs if out.shape == feature.shape]
        assert any(torch.allclose(out, feature, rtol=1e-3, atol=1e-4) for out in same)
    assert not any("student" in str(node.target) for node in part.graph.nodes)


@pytest.mark.slow
def test_what_inductor_compiles_computes_the_same(models: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = ["--json", str(tmp_path / "a.json")]
    assert run([*models, "--arms", "plain,eager,compiled,limit", *out]) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    pairs = {(check["arm"], check["base"]) for check in result["checks"] if check["rounding"]}
    assert {("compiled", "eager"), ("limit", "plain")} <= pairs
    waits = {name: arm["inductor_s"] for name, arm in result["arms"].items()}
    assert waits["plain"] is waits["eager"] is None
    assert waits["compiled"] > 0
    assert "Inductor compiles first" in capsys.readouterr().err


def test_an_ablation_leaves_out_each_optional_pass(
    models: list[str], tmp_path: Path, capsys: Capture
) -> None:
    from bench_ablation import ALL, optional

    from kdgraph.compiler.pipeline import PIPELINE

    out = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    before = PIPELINE
    assert run([*models, "--ablate", *out]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["ablation"]
    assert [row["passes"] for row in rows] == [ALL, *(f"without {name}" for name in optional())]
    assert {"fold_teacher", "fuse_student", "place"} <= {*optional()}
    printed = capsys.readouterr().out
    assert all(any(line.startswith(row["passes"]) for line in printed.splitlines()) for row in rows)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    from kdgraph.compiler import pipeline

    assert before is pipeline.PIPELINE


def test_what_an_ablation_leaves_out_is_not_in_the_graph(setup_of: Any) -> None:
    from bench_ablation import _stepper

    setup = setup_of("--arms", "eager")
    whole, less = (_stepper(setup, name).arm.trained.distiller.code for name in (None, "fuse_student"))
    assert "norm_silu" in whole
    assert "norm_silu" not in less
