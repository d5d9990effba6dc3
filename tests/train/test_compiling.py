"""`train: {compile: …}`: which steps are compiled, that they compute the same, and what happens where not."""

from __future__ import annotations

import functools
import logging
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.utils import LOGGER

import kdgraph
from kdgraph.compiler.api import compile
from kdgraph.compiler.distiller import Distiller
from kdgraph.errors import RunError
from kdgraph.train import compile_choice, compiling
from kdgraph.train.compiling import CompiledStep, keep_gradients
from kdgraph.train.distilling import Distilling
from kdgraph.train.edge_log import read_edges
from kdgraph.train.folder import RunFolder
from kdgraph.train.run import run
from kdgraph.train.trainer import DistillTrainer
from kdgraph.train.training_model import TrainingModel
from tests.toys import batch, spec, tensors, toy
from tests.train.runs import Killed, killed, seen_at
from tests.train.tiny import data, network

NECK = "  neck: {taps: {student: backbone.p3, teacher: neck.p3}, criterion: mimic"
LABELS = NECK + ", mask: foreground}"
ENDING = NECK.replace("neck:", "ended:") + ", until: 10}\n" + NECK + "}"
NECK += "}"


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What Ultralytics' logger is told; it hands nothing on to others."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname} {record.getMessage()}")

    listener = Listener()
    LOGGER.addHandler(listener)
    yield lines
    LOGGER.removeHandler(listener)


def distiller(edges: str = LABELS) -> Distiller:
    """One without a teacher, the same each time: its layers teach each other, and half is to be compiled."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return compile(spec(edges, teacher="student"), student=toy())


def crowd(objects: int, images: int = 2, size: tuple[int, int] = (64, 96)) -> dict[str, Tensor]:
    given = batch(images, size)
    rows = torch.arange(objects) % 3
    return {**given, **{name: given[name][rows] for name in ("batch_idx", "cls", "bboxes")}}


def same(found: Any, wanted: Any) -> None:
    assert list(found.losses) == list(wanted.losses)
    for name, loss in wanted.losses.items():
        torch.testing.assert_close(found.losses[name], loss, rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-4, atol=1e-6)


def test_steps_of_one_shape_are_compiled_once_and_others_run_as_they_are() -> None:
    model, counter = distiller(), CompileCounterWithBackend("eager")
    step = CompiledStep(model, True, backend=counter)
    step(crowd(5), measured=True)
    assert counter.frame_count == 0, "measured"
    for number, given in enumerate((crowd(5), crowd(2), crowd(40), crowd(3))):
        before = counter.frame_count
        same(step(given), model(given))
        assert (before, counter.frame_count) == (min(number, 1), 1)
    calls = []
    step._forward = calls.append  # type: ignore[assignment]
    for given in (crowd(5, images=3), crowd(5, size=(96, 64)), crowd(1), crowd(0)):
        same(step(given), model(given))
    step(crowd(5), measured=True)
    assert calls == []
    step(crowd(5))
    assert [list(inputs) for inputs in calls] == [["img", "batch_idx", "cls", "bboxes"]]


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes of what was compiled since; compiling itself takes seconds and is left out."""
    modes: list[str] = []

    def compiled(forward: Any, mode: str, backend: Any, growing: Any) -> Any:
        modes.append(mode)
        return forward

    monkeypatch.setattr(compiling, "compiled", compiled)
    return modes


def test_where_no_label_is_read_their_number_does_not_count(compilations: list[str]) -> None:
    step = CompiledStep(distiller(NECK), True)
    step({"img": batch()["img"]})
    assert compilations == ["default"]


@pytest.mark.parametrize("how", ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"])
def test_a_mode_is_handed_on(how: str, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[int] = []
    monkeypatch.setattr("torch.compiler.cudagraph_mark_step_begin", lambda: marks.append(1))
    step = CompiledStep(distiller(NECK), how)
    step(batch())
    step(batch())
    assert compilations == [how]
    assert len(marks) == (2 if how in ("reduce-overhead", "max-autotune") else 0)


@pytest.mark.parametrize("how", [False, "auto"])
def test_nothing_is_compiled_unasked(how: bool | str, compilations: list[str]) -> None:
    model = distiller()
    step = CompiledStep(model, how)
    same(step(crowd(5)), model(crowd(5)))
    assert compilations == []


def test_a_batch_without_labels_is_the_same_error(said: list[str]) -> None:
    with pytest.raises(RunError, match=r"error\[KD504\] edge 'neck' needs labels"):
        CompiledStep(distiller(), True, backend="eager")({"img": batch()["img"]})
    assert said == []


def test_after_an_edge_has_ended_the_rest_is_compiled_anew() -> None:
    model, counter = distiller(ENDING), CompileCounterWithBackend("eager")
    step = CompiledStep(model, True, backend=counter)
    step(batch())
    assert model.retire(10) == ("ended",)
    step.anew()
    out = step(batch())
    same(out, model(batch()))
    assert list(out.losses) == ["neck"]
    assert counter.frame_count == 2


def test_when_ultralytics_halves_the_batch_its_new_shape_is_compiled(compilations: list[str]) -> None:
    step = CompiledStep(distiller(NECK), True)
    for size, times in ((4, 1), (4, 1), (2, 2)):
        step.begin(10, math.inf, size)
        step(batch(images=size))
        assert len(compilations) == times


def test_auto_times_decides_and_decides_again(
    compilations: list[str], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_choice, "_TIMED", 2)
    monkeypatch.setattr(compile_choice, "_SKIPPED", 1)
    now = 0.0
    model = distiller(NECK)
    step = CompiledStep(model, "auto", clock=lambda: now)
    step.begin(10**5, math.inf, 2)
    for seconds in (1.0, 1.0, 1.0, 0.9, 0.9, 0.9, 0.9):
        step(batch())
        now += seconds
    first, done, last = said
    assert "auto: compiling: about 27.8 h are left" in first
    assert "compiled in" in done
    assert "auto: stays compiled: a step takes 900 ms compiled and 1000 ms eager" in last
    assert compilations == ["default"]
    step.anew()  # an edge has ended: the question is a new one
    for _ in range(8):
        step(batch())
        now += 1.0
    assert "back to eager: a step takes 1000 ms compiled and 1000 ms eager" in said[-1]
    step.anew()  # and now it is settled
    for _ in range(8):
        step(batch())
    assert compilations == ["default"] * 2


def test_what_speaks_against_auto_is_said_at_once(said: list[str], compilations: list[str]) -> None:
    step = CompiledStep(distiller(NECK), "auto", obstacle="multi_scale gives every batch another size")
    step(batch())
    step(batch())
    assert said == ["INFO kdgraph: compile: auto: not compiled: multi_scale gives every batch another size"]
    assert compilations == []


# -- where it cannot be compiled --


def broken(module: nn.Module, examples: Any) -> Any:
    raise ValueError("this compiler\nis broken")


def test_where_compiling_fails_the_step_is_as_without(said: list[str]) -> None:
    """Even where it is the backward that cannot be compiled."""
    model, alone = distiller(), distiller()
    backend = aot_autograd(fw_compiler=lambda module, examples: module, bw_compiler=broken)
    step = CompiledStep(model, True, backend=backend)
    for _ in range(2):
        found, wanted = step(crowd(5)), alone(crowd(5))
        assert torch.equal(found.loss, wanted.loss)
        found.loss.backward()
        wanted.loss.backward()
        step.anew()
    for (name, ours), theirs in zip(model.named_buffers(), alone.buffers(), strict=True):
        assert torch.equal(ours, theirs), f"{name}: batch-norm statistics moved twice"
    for (name, ours), theirs in zip(model.named_parameters(), alone.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad), name
    warnings = [line for line in said if line.startswith("WARNING")]
    assert len(warnings) == 1
    assert warnings[0].endswith("kdgraph: compile: the run goes on without: ValueError: this compiler")


def test_gradients_that_are_added_up_get_memory_of_their_own() -> None:
    model = nn.Linear(2, 2)
    model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad is not None
    first, place = model.weight.grad.clone(), model.weight.grad.data_ptr()
    model.bias.grad = None
    kept = model.weight.grad
    keep_gradients(model)
    kept.zero_()  # what the replay of a CUDA graph does
    model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad.data_ptr() != place
    assert torch.equal(model.weight.grad, 2 * first)


@pytest.mark.slow
def test_inductor_computes_the_same() -> None:
    model, alone = distiller(), distiller()
    step = CompiledStep(model, True)
    for objects in (5, 9):
        out, wanted = step(crowd(objects)), alone(crowd(objects))
        same(out, wanted)
        for found in (out, wanted):
            task = sum(tensor.float().square().mean() for tensor in tensors(found.predictions))
            (found.loss + task).backward()
    assert step._forward is not None, "it was compiled"
    gradients = [(p.grad, q.grad) for p, q in zip(model.parameters(), alone.parameters(), strict=True)]
    assert sum(ours is not None for ours, _ in gradients) > 50
    for ours, theirs in gradients:
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


# -- whole runs --

RUN = """\
student: {student}
teacher: {teacher}
data: {data}
edges:
  neck: {{taps: neck.*, criterion: mimic, until: 1}}
  cls: {{taps: head.cls, criterion: bce, mask: foreground}}
balance: {{gradient_norm: {{every: 4}}}}
train: {{epochs: 2, imgsz: 64, batch: 4, nbs: 8, optimizer: AdamW, lr0: 0.001, val: false, plots: false,
  compile: {compile}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiling")


def finished(place: Path, compile: str, **backend: Any) -> Any:
    """What a run with this `compile:` comes to; all have the same seed, models and pictures."""
    folder, teacher = place / f"{compile}-{len(list(place.iterdir()))}", place / "teacher.pt"
    folder.mkdir()
    if not teacher.is_file():
        YOLO(network(place, "detect", 16)).save(teacher)
    models = {"student": network(place, "detect"), "teacher": teacher}
    pictures = data(place, "detect", train=18)  # five batches, the last one short
    (folder / "spec.yaml").write_text(RUN.format(**models, data=pictures, compile=compile))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if backend:
            patch.setattr("kdgraph.train.distilling.CompiledStep", functools.partial(CompiledStep, **backend))
        return run(kdgraph.load("spec.yaml"))


@pytest.mark.filterwarnings("ignore")  # Ultralytics and its plotting warn at will
def test_a_compiled_run_learns_what_an_eager_one_does(place: Path, said: list[str]) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    eager, compiled = finished(place, "false"), finished(place, "true", backend=counter)
    assert counter.frame_count == 3, "all edges, those that are left, and the task's loss"
    assert len([line for line in said if "compiled in" in line]) == 2
    assert compiled.spec.train["compile"] is True
    assert "compile: false" in (compiled.folder / "args.yaml").read_text(), "Ultralytics would compile too"
    ours, theirs = (torch.load(r.best, weights_only=False)["model"].state_dict() for r in (compiled, eager))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor.float(), theirs[name].float(), rtol=1e-2, atol=1e-3, msg=name)
    for found, wanted in zip(*(read_edges(r.folder / "edges.csv") for r in (compiled, eager)), strict=True):
        assert found[:2] == wanted[:2]
        assert found[2:] == pytest.approx(wanted[2:], rel=1e-3, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_run_decides_for_itself(place: Path, said: list[str]) -> None:
    finished(place, "auto")
    assert [line for line in said if "compile:" in line] == [
        "INFO kdgraph: compile: auto: not compiled: 10 steps are too few to time them"
    ]


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_gains_by_it_compiles_on_its_way(
    place: Path, said: list[str], compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_choice, "_SECONDS_PER_NODE", {"cpu": 1e-9})
    monkeypatch.setattr(compile_choice, "_SKIPPED", 0)
    monkeypatch.setattr(compile_choice, "_TIMED", 1)
    finished(place, "auto")
    lines = [line.partition("compile: ")[2] for line in said if "compile: " in line]
    assert lines[0].startswith("auto: compiling: about ")
    assert lines[1].startswith("compiled in ")
    assert lines[2].startswith(("auto: stays compiled: a step takes ", "auto: back to eager: a step takes "))
    assert compilations


def test_a_process_of_a_multi_gpu_run_finds_it_in_the_runs_folder(place: Path) -> None:
    """It gets the trainer's arguments, in which Ultralytics' own `compile` is off."""
    written = place / "written.yaml"
    models = {"student": network(place, "detect"), "teacher": network(place, "detect", 16)}
    pictures = data(place, "detect")
    written.write_text(RUN.format(**models, data=pictures, compile="auto"))
    folder = RunFolder(place / "folder")
    folder.write(kdgraph.load(written), {}, str(pictures))
    arguments = {"data": str(pictures), "model": str(models["student"]), "save_dir": str(place / "process")}
    trainer = DistillTrainer(overrides={**arguments, "compile": "auto", "kdgraph": folder.notes()})
    assert trainer.args.compile is False
    trainer.setup_model()
    trainer.set_model_attributes()
    assert trainer.model.step._auto is not None


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_is_resumed_asks_again(tmp_path: Path) -> None:
    def kill(running: Distilling) -> None:
        if running.epoch == 1:
            raise Killed

    models = str(network(tmp_path, "detect")), str(network(tmp_path, "detect", 16))
    killed(RUN.replace("{compile}", "auto"), tmp_path, data(tmp_path, "detect"), kill, models)
    step = seen_at("on_train_start", lambda running: running.model.step._auto, tmp_path / "run")
    assert step is not None


# -- several processes --


def _train(rank: int, folder: str, compiled: bool) -> None:
    """Steps of one of two processes, of which the first compiles; leaves its gradients in `folder`."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # this process is not pytest's: nothing here is under test but the result
    dist.init_process_group("gloo", init_method=f"file://{folder}/{compiled}", rank=rank, world_size=2)
    distilling = distiller(ENDING)
    distilling.student.args = get_cfg(overrides={"task": "detect"})
    step = CompiledStep(distilling, compiled and rank == 0, backend="aot_eager")
    model = TrainingModel(distilling, step).train()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)  # as Ultralytics wraps its model
    for epoch in (8, 9, 10, 11):
        if distilling.retire(epoch):
            model.watch.forget(["ended"])
            step.anew()
        model.log.begin(4)  # so that no step is its middle
        wrapped.zero_grad()
        wrapped(batch(seed=rank))[0].sum().backward()
    assert (step._forward is not None) == (compiled and rank == 0)
    torch.save({n: p.grad for n, p in model.named_parameters()}, Path(folder) / f"{compiled}-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch is built without distributed")
def test_a_process_that_compiles_agrees_with_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    for compiled in (False, True):
        mp.spawn(_train, (str(tmp_path), compiled), nprocs=2)
    one, other, eager, _ = (torch.load(tmp_path / f"{c}-{r}.pt") for c in (True, False) for r in (0, 1))
    assert one.keys() == eager.keys()
    for name, gradient in one.items():
        assert (gradient is None) == (eager[name] is None), name
        if gradient is not None:
            assert torch.equal(gradient, other[name]), name
            torch.testing.assert_close(gradient, eager[name], rtol=1e-3, atol=1e-5, msg=name)
