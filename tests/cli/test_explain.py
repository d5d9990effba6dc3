"""`kdgraph explain`: a tree of the passes and tables on a terminal, plain lines when piped.

`pytest tests/cli/test_explain.py --update-golden` writes what is seen anew: read the diff before committing.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kdgraph.cli.explain import print_plan
from kdgraph.cli.explained import edges_of, sizes_of, terms_of
from kdgraph.compiler.api import Plan, plan
from kdgraph.compiler.pipeline import PIPELINE
from kdgraph.draw.terms import marks_of
from kdgraph.spec.parse import load
from tests.cli.screens import Screen, check_golden
from tests.cli.test_app import call

SPECS = Path(__file__).parents[2] / "specs"
SHOWN = ("minimal.yaml", "methods/crosskd-pkd.yaml", "methods/attention.yaml", "self-teaching.yaml")


@functools.cache
def planned(spec: str) -> Plan:
    return plan(load(SPECS / spec), weights=False)


def shown(spec: str, width: int = 80) -> Screen:
    screen, marks = Screen(width), marks_of(planned(spec).graph)
    listings = (edges_of(marks), terms_of(marks), sizes_of(planned(spec)))
    print_plan(screen, f"specs/{spec}", planned(spec), listings)
    return screen


def test_what_is_seen_reads_as_it_did(update_golden: bool) -> None:
    golden = Path(__file__).with_name("explain_minimal.txt")
    check_golden(shown("minimal.yaml").lines, golden, update_golden)


@pytest.mark.parametrize("spec", SHOWN)
def test_it_fits_80_columns(spec: str) -> None:
    assert 60 < shown(spec).widest <= 80


@pytest.mark.parametrize("spec", SHOWN)
def test_it_tells_all_that_the_passes_did(spec: str) -> None:
    told = " ".join(re.sub("[│├└]", " ", " ".join(shown(spec).lines)).split())
    place = 0
    for number, account in enumerate(planned(spec).accounts, 1):
        for text in (f"{number} {account.name} {account.summary}", *account.notes):
            place = told.index(" ".join(text.split()), place)


@pytest.mark.parametrize("spec", SHOWN)
def test_every_tap_is_in_the_table_whole(spec: str) -> None:
    words = " ".join(shown(spec).lines).split()
    for mark in marks_of(planned(spec).graph):
        assert {tap.name for tap in mark.taps} <= set(words)


def test_long_taps_stand_below_each_other() -> None:
    tap = "model.10.m.0.attn.proj.conv"
    mark = marks_of(planned("minimal.yaml").graph)[0]
    ours, theirs = mark.taps
    taps = (replace(ours, name=tap), replace(theirs, name=f"{tap}.long"))
    long = replace(mark, edge="attention", taps=taps)
    screen = Screen()
    screen.print(terms_of([long]).table(), soft_wrap=False)
    assert screen.lines[2].split()[:3] == ["attention", tap, "conv1x1"]
    assert screen.lines[3].split() == ["↔", f"{tap}.long"]
    longest = replace(long, taps=(replace(ours, name="stages." * 12 + "conv"),))
    screen = Screen()
    screen.print(terms_of([longest]).table(), soft_wrap=False)
    assert screen.widest <= 80
    start, end = (screen.lines[0].index(name) for name in ("taps", "adapter"))
    assert "".join(line[start:end].strip() for line in screen.lines[2:]) == "stages." * 12 + "conv"


def test_weights_by_level_are_told_by_level() -> None:
    edges = edges_of(marks_of(planned("methods/attention.yaml").graph))
    assert [row[3] for row in edges.rows] == ["p3: 0.156, p4: 0.625, p5: 2.5"]


def test_what_is_saved_is_a_share_of_what_was_traced() -> None:
    sizes = sizes_of(planned("minimal.yaml"))
    student, teacher = planned("minimal.yaml").graph.models.values()
    assert [row[0] for row in sizes.rows] == ["student", "teacher"]
    for row, model in zip(sizes.rows, (student, teacher), strict=True):
        before, after = map(int, row[1].split(" → "))
        assert before == len([n for n in model.module.graph.nodes if n.op not in ("placeholder", "output")])
        assert row[2] == f"{100 - 100 * after / before:.0f} %"
    assert sizes.rows[1][4] == "<1 %", "folding leaves out the batch norms' numbers"


def test_piped_it_is_plain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert call(monkeypatch, "explain", SPECS / "methods" / "crosskd-pkd.yaml") == 0
    printed = capsys.readouterr().out
    places = [printed.index(f"{i}. {step.name}  {step.__doc__.splitlines()[0]}\n") for i, step in PASSES]
    assert places == sorted(places)
    assert "   teacher: 81 batch norms folded into convolutions\n" in printed
    assert not re.search("[│├└─\x1b]", printed)
    *_, edges, terms, sizes = (part.splitlines() for part in printed.split("\n\n"))
    assert edges[2] == "reg   kl (temperature: 1)  teacher_score (power: 1)  4"
    assert terms[1].split()[:4] == ["cls", "head.cls.p3.0", "↔", "head.cls.p3"]
    assert len(terms) == 1 + 9
    assert [line.split()[0] for line in sizes] == ["model", "student", "teacher"]


PASSES = [(number, type(step)) for number, step in enumerate(PIPELINE, 1)]


def test_code_is_the_forward(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "explain", "--code", SPECS / "minimal.yaml") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("def forward(self, images):")
    assert "self.adapters.adapter_neck_p3_conv1x1(" in printed
    compile(printed.replace("def forward", "def f", 1), "<code>", "exec")
