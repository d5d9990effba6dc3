from __future__ import annotations

from pathlib import Path

import pytest

import kdgraph.spec.train_args as train_args
from kdgraph.errors import SpecError
from kdgraph.spec import parse
from kdgraph.spec.train_args import arguments, parse_arguments

HEAD = "student: a.pt\nteacher: b.pt\nedges: default\n"


def test_the_lines_of_a_default_yaml() -> None:
    known = parse_arguments(
        "# Title (str) of no argument\n"
        "epochs: 100 # (int) how long\n"
        "time: # (float, optional) hours\n"
        "classes: # (int | list[int], optional) ids, e.g. [0]\n"
        "scale: 0.5 # (float | tuple) gain\n"
        "odd: 1 # (callable) of a type we do not know\n"
        "plain: 1 # no type\n"
    )
    assert {name: (set(a.types), a.optional) for name, a in known.items()} == {
        "epochs": ({"integer"}, False),
        "time": ({"number"}, True),
        "classes": ({"integer", "array"}, True),
        "scale": ({"number", "array"}, False),
        "odd": (set(), False),
    }
    assert known["epochs"].help == "how long"


def test_the_installed_ultralytics_is_understood() -> None:
    known = arguments()
    assert {"epochs", "imgsz", "lr0", "mosaic", "close_mosaic", "optimizer"} <= set(known)
    assert all(argument.types for argument in known.values())


@pytest.mark.parametrize(
    ("written", "value"),
    [("true", True), ("off", False), ("auto", "auto"), ("'auto'", "auto"), ("max-autotune", "max-autotune")],
)
def test_compile_is_kdgraphs_own(written: str, value: object) -> None:
    assert parse(f"{HEAD}train: {{compile: {written}}}\n").train == {"compile": value}


def test_compile_of_a_teacher_is_ultralytics_own() -> None:
    teacher = "{model: b.yaml, train: {compile: some-mode}}"
    spec = parse(f"student: a.pt\nteacher: {teacher}\ndata: d.yaml\nedges: default\n")
    assert spec.teachers["teacher"].train == {"compile": "some-mode"}


def test_defaults_of_the_installed_ultralytics_are_accepted() -> None:
    [folder] = train_args.importlib.util.find_spec("ultralytics").submodule_search_locations  # type: ignore[union-attr]
    lines = Path(folder, "cfg", "default.yaml").read_text(encoding="utf-8").splitlines()
    reserved = train_args.STUDENT
    body = [
        line for line in lines if line.split(":")[0] in arguments() and line.split(":")[0] not in reserved
    ]
    text = HEAD + "train:\n" + "".join(f"  {line}\n" for line in body)
    assert len(parse(text).train) == len(arguments()) - len(reserved)


def test_without_ultralytics_any_argument_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments.cache_clear()
    monkeypatch.setattr(train_args.importlib.util, "find_spec", lambda name: None)
    try:
        assert parse(HEAD + "train: {some_thing: 1}\n").train == {"some_thing": 1}
        with pytest.raises(SpecError, match=r"error\[KD104\] train.compile"):
            parse(HEAD + "train: {compile: fast}\n")
    finally:
        arguments.cache_clear()
