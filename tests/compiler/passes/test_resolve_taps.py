# ruff: noqa: E501 - rows of tables, with specs and texts as users write and see them
from __future__ import annotations

import pytest
import torch

from kdgraph.compiler.api import plan
from kdgraph.compiler.passes.infer_shapes import InferShapes
from kdgraph.compiler.passes.resolve_taps import ResolveTaps
from kdgraph.graph.ir import DistillGraph, Signal, Tap, Term, op_key
from tests.compiler.passes.helpers import applied, faults, marked, until
from tests.toys import batch, graph, spec, toy


@pytest.fixture(scope="module")
def fresh() -> DistillGraph:
    """A graph with shapes; `resolved` gives it other edges."""
    return until(ResolveTaps, graph("  neck: {taps: neck.*, criterion: cwd}"))


def resolved(fresh: DistillGraph, edges: str, **top: str) -> DistillGraph:
    twin = fresh.copy()
    twin.spec = spec(edges, **top)
    result = applied(ResolveTaps(), twin)
    assert result.diagnostics == ()
    return result.graph


def pairs(graph: DistillGraph) -> dict[str, tuple[str, str]]:
    """Each term's student and teacher taps: `path of the node`."""
    return {
        term.name: tuple(graph.tapped(graph.source(key, role) or "").path for role in ("student", "teacher"))  # type: ignore[misc]
        for key, term in graph.of(Term).items()
    }


def test_a_glob_gives_a_term_for_each_level(fresh: DistillGraph) -> None:
    found = resolved(fresh, "  neck: {taps: neck.*, criterion: cwd}")
    assert pairs(found) == {
        "neck.p3": ("model.7.cv2.act", "model.7.cv2.act"),
        "neck.p4": ("model.10.cv2.act", "model.10.cv2.act"),
    }
    assert [(t.role, t.name, t.layout, t.level) for t in found.of(Tap).values()] == [
        ("student", "neck.p3", "features", "p3"), ("teacher", "neck.p3", "features", "p3"),
        ("student", "neck.p4", "features", "p4"), ("teacher", "neck.p4", "features", "p4"),
    ]  # fmt: skip


def test_a_graph_without_terms_gets_them_and_says_so(fresh: DistillGraph) -> None:
    assert not fresh.of(Term)
    twin = fresh.copy()
    twin.spec = spec(
        "  neck: {taps: neck.*, criterion: cwd}\n  raw: {taps: {student: model.7, teacher: neck.p3}, criterion: cwd}"
    )
    assert applied(ResolveTaps(), twin).notes == ("neck: neck.p3, neck.p4", "raw: model.7 ↔ neck.p3")


@pytest.mark.parametrize(
    ("taps", "terms"),
    [
        ("neck.p4", ["e.p4"]),
        ("[neck.p4, neck.p3]", ["e.p3", "e.p4"]),
        ("[neck.p4, 'neck.*']", ["e.p3", "e.p4"]),
        ("head.cls.*.0", ["e.p3", "e.p4"]),
        ("model.11.cv2.*.1.act", ["e.p3", "e.p4"]),
        ("backbone.*", ["e.p1", "e.p2", "e.p3", "e.p4"]),
        ("[backbone.p3, neck.p3]", ["e.backbone.p3", "e.neck.p3"]),
        ("[backbone.p3, neck.p3, neck.p4]", ["e.backbone.p3", "e.neck.p3", "e.p4"]),
        ("model.0.conv", ["e.p1"]),
    ],
)
def test_names_lists_and_globs(fresh: DistillGraph, taps: str, terms: list[str]) -> None:
    assert list(pairs(resolved(fresh, f"  e: {{taps: {taps}, criterion: mimic}}"))) == terms


def test_two_taps_at_one_level_are_compared_in_their_order(fresh: DistillGraph) -> None:
    found = resolved(fresh, "  e: {taps: [neck.p3, backbone.p3], criterion: mimic}")
    assert pairs(found) == {
        "e.neck.p3": ("model.7.cv2.act", "model.7.cv2.act"),
        "e.backbone.p3": ("model.3.cv2.act", "model.3.cv2.act"),
    }


def test_two_taps_at_one_level_can_be_trained(fresh: DistillGraph) -> None:
    edges = "  e: {taps: [neck.p3, backbone.p3], criterion: mimic, weight: [1, 0.5]}"
    distiller = plan(spec(edges), student=toy(), teacher=toy(16, seed=1)).lower()
    out = distiller(batch())
    assert len(distiller.adapters) == 2
    assert 0 < out.losses["e"].item() < out.raw["e"].item()


def test_levels_match_across_models_and_levels_select(fresh: DistillGraph) -> None:
    found = resolved(
        fresh, "  e: {taps: {student: neck.*, teacher: backbone.*}, level: [p4, p3], criterion: cwd}"
    )
    assert pairs(found) == {
        "e.p3": ("model.7.cv2.act", "model.3.cv2.act"),
        "e.p4": ("model.10.cv2.act", "model.4.act"),
    }


def test_different_levels_on_purpose(fresh: DistillGraph) -> None:
    twin = fresh.copy()
    twin.spec = spec(
        "  e: {taps: {student: [neck.p3, backbone.p3], teacher: [neck.p4, backbone.p4]}, criterion: cwd}"
    )
    assert list(pairs(applied(ResolveTaps(), twin).graph)) == ["e.neck.p3", "e.backbone.p3"]


def test_outputs_over_all_anchors_have_no_level(fresh: DistillGraph) -> None:
    found = resolved(fresh, "  e: {taps: head.cls, criterion: qfl}")
    assert pairs(found) == {"e.head.cls": ("model.11.cat_1", "model.11.cat_1")}
    assert [term.level for term in found.of(Term).values()] == [None]


def test_named_taps_of_the_spec(fresh: DistillGraph) -> None:
    found = resolved(
        fresh, "  e: {taps: deep, criterion: cwd}", taps="{deep: {student: model.4, teacher: model.4.act}}"
    )
    assert pairs(found) == {"e.p4": ("model.4.act", "model.4.act")}


def assigned(graph: DistillGraph, *keys: str) -> list[str]:
    """Whose scores the assignments go by: all of them, or those named."""
    found = keys or [key for key, s in graph.of(Signal).items() if s.kind == "assign"]
    return [graph[graph.source(key, "scores") or ""].role for key in found]  # type: ignore[union-attr]


def output(graph: DistillGraph, role: str, name: str) -> str:
    return op_key(role, graph.models[role].names[name])


def topk(graph: DistillGraph, key: str) -> int:
    return dict(graph[key].options)["topk"]  # type: ignore[union-attr, no-any-return]


def test_masks_are_connected_by_level_or_along_the_anchors(fresh: DistillGraph) -> None:
    found = resolved(
        fresh,
        "  maps: {taps: neck.*, criterion: mimic, mask: foreground}\n"
        "  all: {taps: head.cls, criterion: qfl, mask: {foreground: {of: teacher, topk: 5}}}\n"
        "  score: {taps: head.dfl.*, criterion: kl, mask: {teacher_score: {power: 2}}}",
    )
    head = {"nc": 3, "reg_max": 16, "rotated": False}
    signals = {key: (s.cells, dict(s.options)) for key, s in found.of(Signal).items()}
    assert signals == {
        "foreground:maps.p3": ((8, 12), {"of": "student", "topk": 10}),
        "assign:maps.p3": ((120,), {**head, "topk": 10}),
        "level:maps.p3": ((8, 12), {"index": 0}),
        "foreground:maps.p4": ((4, 6), {"of": "student", "topk": 10}),
        "assign:maps.p4": ((120,), {**head, "topk": 10}),
        "level:maps.p4": ((4, 6), {"index": 1}),
        "foreground:all.head.cls": ((120,), {"of": "teacher", "topk": 5}),
        "assign:all.head.cls": ((120,), {**head, "topk": 5}),
        "teacher_score:score.p3": ((8, 12), {"power": 2}),
        "teacher_score:score.p4": ((4, 6), {"power": 2}),
    }
    assert found.source("assign:maps.p3", "scores") == output(found, "student", "head.cls")
    assert found.source("assign:all.head.cls", "scores") == output(found, "teacher", "head.cls")
    ports = [port for port, _ in found.inputs("assign:maps.p3")]
    assert ports == ["boxes", "scores", "feats", "feats", "batch_idx", "cls", "bboxes"]
    assert found.inputs("foreground:maps.p3") == [("target", "level:maps.p3")]
    assert found.inputs("teacher_score:score.p3") == [("teacher_branches", "teacher:model_11_cv3_0_2")]


def test_a_list_of_masks_is_their_product(fresh: DistillGraph) -> None:
    found = resolved(
        fresh,
        "  e: {taps: head.cls, criterion: bce, mask: [{foreground: {of: teacher}}, teacher_score, boxes]}",
    )
    assert found.source("term:e.head.cls", "mask") == "product:e.head.cls"
    masks = ["foreground:e.head.cls", "teacher_score:e.head.cls", "boxes:e.head.cls"]
    assert found.sources("product:e.head.cls", "masks") == masks
    assert found.sources("boxes:e.head.cls", "objects") == ["batch:batch_idx", "batch:cls", "batch:bboxes"]


def test_a_mask_over_all_levels_is_cut_to_the_term_s(fresh: DistillGraph) -> None:
    found = resolved(fresh, "  e: {taps: neck.p4, criterion: mimic, mask: pyramid}")
    mask = found.source("term:e.p4", "mask") or ""
    assert found.sources(mask, "values") == ["pyramid:e.p4"]
    assert (found[mask].cells, found["pyramid:e.p4"].cells) == ((4, 6), (120,))  # type: ignore[union-attr]
    maps = ["student:model_11_cv3_0_2", "student:model_11_cv3_1_2"]
    assert found.sources("pyramid:e.p4", "maps") == maps, "the levels of the assignment, finest first"


def test_criteria_read_their_signals_by_name(fresh: DistillGraph) -> None:
    found = resolved(fresh, "  e: {taps: head.dfl.p3, criterion: {ddf: {of: teacher}}}")
    ports = dict(found.inputs("term:e.p3"))
    assert ports.keys() == {"student", "teacher", "teacher_cls", "target", "target_box"}
    assert ports["teacher_cls"] == "teacher:model_11_cv3_0_2"
    assert assigned(found) == ["teacher", "teacher"]


def test_a_criterion_that_names_an_assignment_keeps_it_beside_a_mask_of_another(fresh: DistillGraph) -> None:
    found = resolved(
        fresh, "  e: {taps: head.dfl, criterion: {ddf: {of: teacher, topk: 3}}, mask: foreground}"
    )
    [target] = found.sources("term:e.head.dfl", "target")
    assert (assigned(found, target), topk(found, target)) == (["teacher"], 3)
    [weighed] = found.sources("foreground:e.head.dfl", "target")
    assert (assigned(found, weighed), topk(found, weighed)) == (["student"], 10)


def test_two_masks_of_one_kind_have_their_own_options(fresh: DistillGraph) -> None:
    masks = "[{gi: {count: 1}}, {gi: {count: 5}}]"
    found = resolved(fresh, f"  e: {{taps: head.cls, criterion: bce, mask: {masks}}}")
    counts = [dict(s.options)["count"] for s in found.of(Signal).values() if s.kind == "instances"]
    assert counts == [1, 5]


def test_a_labelled_criterion_goes_by_the_assignment_of_its_mask(fresh: DistillGraph) -> None:
    found = resolved(
        fresh, "  e: {taps: head.cls, criterion: dkd, mask: {foreground: {of: teacher, topk: 3}}}"
    )
    keys = [key for key, s in found.of(Signal).items() if s.kind == "assign"]
    assert {(*assigned(found, key), topk(found, key)) for key in keys} == {("teacher", 3)}


def test_both_branches_of_an_end_to_end_teacher_are_its_score() -> None:
    pair = graph("  sl2: {taps: neck.p3, criterion: sl2}", teacher=toy(end2end=True, reg_max=1))
    found = applied(ResolveTaps(), applied(InferShapes(), pair).graph).graph
    logits = found.sources("teacher_score:sl2.p3", "teacher_branches")
    assert logits == ["teacher:model_11_cv3_0_2", "teacher:model_11_one2one_cv3_0_2"]


# -- what cannot be resolved --


@pytest.mark.parametrize(
    ("edge", "code", "message", "mark", "hint"),
    [
        (
            "{taps: neck.p33, criterion: cwd}", "KD201", "edge 'e': unknown tap 'neck.p33'", "neck.p33",
            "did you mean 'neck.p3'? this model has neck.p3, neck.p4",
        ),
        (
            "{taps: {student: neck.p3, teacher: nekc.p3}, criterion: cwd}", "KD201",
            "edge 'e': unknown tap 'teacher.nekc.p3'", "nekc.p3",
            "did you mean 'neck.p3'? `kdgraph nodes MODEL` lists every name",
        ),
        (
            "{taps: {student: neck.p3, teacher: model.7.cv2.cnv}, criterion: cwd}", "KD201",
            "edge 'e': unknown tap 'teacher.model.7.cv2.cnv'", "model.7.cv2.cnv",
            "did you mean 'model.7.cv2.conv', 'model.7.cv1.conv', 'model.3.cv2.conv'? "
            "`kdgraph nodes MODEL` lists every name",
        ),
        (
            "{taps: head.zzz.*, criterion: cwd}", "KD201", "edge 'e': unknown tap 'head.zzz.*'", "head.zzz.*",
            "this model has head.box, head.box.p3, head.box.p4, head.cls, head.cls.p3, head.cls.p4, head.dfl, "
            "head.dfl.p3, head.dfl.p4",
        ),
        (
            "{taps: neck.*, level: [p3, p6], criterion: cwd}", "KD202", "edge 'e': no tap at level 'p6'", "[p3, p6]",
            "its taps have p3, p4",
        ),
        (
            "{taps: head.cls, level: [p3], criterion: qfl}", "KD202", "edge 'e': no tap at level 'p3'", "[p3]",
            "its taps have no levels",
        ),
        (
            "{taps: {student: [neck.p3, neck.p4], teacher: neck.p4}, criterion: cwd}", "KD202",
            "edge 'e': the student has neck.p3 (p3), neck.p4 (p4), the teacher neck.p4 (p4)",
            "{student: [neck.p3, neck.p4], teacher: neck.p4}",
            "name taps of the same levels on both sides, or pick levels with `level: [p3, p4]`",
        ),
        (
            "{taps: {student: [head.cls, head.dfl], teacher: head.cls}, criterion: mimic}", "KD202",
            "edge 'e': the student has head.cls, head.dfl, the teacher head.cls",
            "{student: [head.cls, head.dfl], teacher: head.cls}",
            "name taps of the same levels on both sides, or pick levels with `level: [p3, p4]`",
        ),
        (
            "{taps: model.0, criterion: mimic, mask: foreground}", "KD203",
            "edge 'e': mask 'foreground' is given for p3, p4, and this edge has a tap at p1", "foreground",
            "use `mask: all`, or tap levels that the heads have",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved(edge: str, code: str, message: str, mark: str, hint: str) -> None:
    (fault, *_) = faults(f"  e: {edge}")
    assert (fault.code, fault.message) == (code, message)
    assert marked(fault) == mark
    assert fault.hint == hint


def test_a_glob_means_the_levels_that_both_have() -> None:
    pair = graph("  e: {taps: neck.*, criterion: cwd}", teacher=toy(16, p5=True))
    result = applied(ResolveTaps(), applied(InferShapes(), pair).graph)
    assert list(pairs(result.graph)) == ["e.p3", "e.p4"]
    told = "edge 'e': the teacher's neck.p5 left out, without a counterpart"
    assert result.graph.left_out == (told,)
    assert told in result.notes


def test_one_tap_of_the_teacher_can_teach_several_of_the_student() -> None:
    edges = (
        "  all: {taps: {student: [head.cls, head.o2o.cls], teacher: head.cls}, criterion: qfl}\n"
        "  level: {taps: {student: [head.cls.*, head.o2o.cls.*], teacher: head.cls.*}, criterion: qfl}"
    )
    pair = graph(edges, student=toy(end2end=True))
    found = applied(ResolveTaps(), applied(InferShapes(), pair).graph).graph
    assert {name: taps[1] for name, taps in pairs(found).items()} == {
        "all.head.cls": "model.11.cat_1", "all.head.o2o.cls": "model.11.cat_1",
        "level.head.cls.p3": "model.11.cv3.0.2", "level.head.o2o.cls.p3": "model.11.cv3.0.2",
        "level.head.cls.p4": "model.11.cv3.1.2", "level.head.o2o.cls.p4": "model.11.cv3.1.2",
    }  # fmt: skip


def test_signals_are_of_the_branch_that_is_tapped() -> None:
    twins = {"student": toy(end2end=True), "teacher": toy(16, end2end=True, seed=1)}
    taps = "[head.cls, head.o2o.cls]"
    pair = graph(f"  e: {{taps: {taps}, criterion: dkd, mask: score_gap}}", **twins)
    found = applied(ResolveTaps(), applied(InferShapes(), pair).graph).graph
    for branch in ("head.cls", "head.o2o.cls"):
        assert found.source(f"score_gap:e.{branch}", "student_cls") == output(found, "student", branch)
        assert found.source(f"score_gap:e.{branch}", "teacher_cls") == output(found, "teacher", branch)
        assert found.source(f"assign:e.{branch}", "scores") == output(found, "student", branch)


def test_a_mask_by_level_on_a_tap_without_one() -> None:
    found = faults("  e: {taps: model.3.chunk, criterion: mimic, mask: teacher_score}")
    assert [f.message for f in found if "mask" in f.message] == [
        "edge 'e': mask 'teacher_score' is given for p3, p4, and this edge has a tap that is no level"
    ]


def test_both_sides_and_all_edges_are_told_at_once() -> None:
    found = faults(
        "  a: {taps: neck.p9, criterion: cwd}\n"
        "  fine: {taps: neck.*, criterion: cwd}\n"
        "  b: {taps: [neck.p8, head.boxes], criterion: cwd}\n"
        "  c: {taps: neck.*, criterion: cwd, level: [p7]}\n"
        "  d: {taps: head.cls.*, criterion: cwd, weight: [1, 2, 3]}"
    )
    assert sorted((f.code, f.message.split(":")[0]) for f in found) == [
        ("KD201", "edge 'a'"), ("KD201", "edge 'b'"), ("KD201", "edge 'b'"),
        ("KD202", "edge 'c'"), ("KD202", "edge 'd'"),
    ]  # fmt: skip


def test_a_tap_that_is_overwritten_in_place_is_the_user_s_to_move() -> None:
    class Overwriting(torch.nn.Module):
        """A layer that writes to what it is given, as an Ultralytics layer."""

        def __init__(self, like: torch.nn.Module) -> None:
            super().__init__()
            self.i, self.f, self.type, self.np = like.i, like.f, like.type, like.np

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mul_(2)

    teacher = toy(16)
    teacher.model[1] = Overwriting(teacher.model[1])
    teacher.model[2] = torch.nn.Sequential(torch.nn.Conv2d(16, 32, 3, 4, 1))
    teacher.model[2].i, teacher.model[2].f = 2, -1
    (fault,) = faults("  e: {taps: model.0, criterion: mimic}", teacher=teacher)
    assert fault.code == "KD203"
    assert fault.message == "edge 'e': the teacher overwrites 'model.0' in place right after computing it"
