"""Plugins: modules beside the spec or installed ones, and what a spec sees of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from kdgraph.errors import SpecError
from kdgraph.spec import Spec, load, parse, plugins
from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind, Layout
from kdgraph.spec.json_schema import json_schema
from kdgraph.spec.reading.values import plain
from kdgraph.spec.source import read_source

HEAD = "student: yolo11n.pt\nteacher: yolo11m.pt\n"
FEATURES: frozenset[Layout] = frozenset({"features"})
REGISTER = """\
from kdgraph.spec.components import ComponentInfo
from kdgraph.spec.plugins import add

FEATURES = frozenset({{"features"}})
add("{kind}", ComponentInfo("{name}", "{summary}", plugin=__name__, takes=FEATURES, masked=True))
"""


def writes(kind: Kind, name: str, summary: str = "mine") -> str:
    """The text of a module that registers one component."""
    return REGISTER.format(kind=kind, name=name, summary=summary)


def names(kind: Kind, *of: str) -> list[str]:
    """What these plugins add."""
    return [name for name in plugins.known(kind, of) if name not in COMPONENTS[kind]]


def one(criterion: str, plugin: str | None = None) -> str:
    head = HEAD if plugin is None else f"{HEAD}plugins: {plugin}\n"
    return f"{head}edges: {{e: {{taps: neck.*, criterion: {criterion}}}}}\n"


def spec_in(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
    return folder / "spec.yaml"


def said(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own, and no trace of its modules afterwards."""
    monkeypatch.chdir(tmp_path)
    before, search = set(sys.modules), list(sys.path)
    yield tmp_path
    assert sys.path == search
    gone = {name for name in sys.modules if name not in before}
    for name in gone:
        del sys.modules[name]
    plugins._forget(gone)


def test_a_file_beside_the_spec(here: Path) -> None:
    (here / "lab").mkdir()
    (here / "lab" / "my_losses.py").write_text(writes("criterion", "my_l1"))
    spec = load(spec_in(here / "lab", one("my_l1", "my_losses")))
    assert spec.plugins == ("my_losses",)
    assert spec.edges["e"].criterion.name == "my_l1"
    assert plugins.find("criterion", "my_l1").plugin == "my_losses"
    assert names("criterion", "my_losses") == ["my_l1"]
    assert names("criterion") == names("criterion", "my") == []


def test_a_text_without_a_file_takes_plugins_of_the_working_directory(here: Path) -> None:
    (here / "my_losses.py").write_text(writes("mask", "my_half"))
    assert parse(one("{mimic: }, mask: [my_half, top_k]", "my_losses")).edges["e"].mask[0].name == "my_half"


def test_several_plugins_of_all_kinds(here: Path) -> None:
    for kind in COMPONENTS:
        (here / f"my_{kind}.py").write_text(writes(kind, f"own_{kind}"))
    text = f"{HEAD}plugins: [{', '.join(f'my_{kind}' for kind in COMPONENTS)}]\nbalance: own_balance\n"
    edge = "{taps: neck.*, criterion: own_criterion, mask: own_mask, adapter: own_adapter}"
    spec = parse(f"{text}edges: {{e: {edge}}}\n")
    assert spec.plugins == ("my_criterion", "my_mask", "my_adapter", "my_balance")
    assert (spec.edges["e"].adapter.name, spec.balance and spec.balance.name) == (
        "own_adapter",
        "own_balance",
    )


def test_a_package_and_a_module_in_a_folder_without_init(here: Path) -> None:
    (here / "pack").mkdir()
    (here / "pack" / "__init__.py").write_text("from .losses import X\n")
    (here / "pack" / "losses.py").write_text(writes("criterion", "packed") + "X = 1\n")
    (here / "bare").mkdir()
    (here / "bare" / "losses.py").write_text(writes("criterion", "bare_l1"))
    assert parse(one("packed", "pack")).edges["e"].criterion.name == "packed"
    assert parse(one("bare_l1", "bare.losses")).edges["e"].criterion.name == "bare_l1"
    assert parse(one("packed", "pack.losses")).plugins == ("pack.losses",)


def test_an_importable_module(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "site").mkdir()
    (here / "site" / "installed_losses.py").write_text(writes("criterion", "installed"))
    with monkeypatch.context() as patched:
        patched.syspath_prepend(here / "site")
        assert parse(one("installed", "installed_losses")).plugins == ("installed_losses",)


def test_a_file_beside_the_spec_comes_before_an_importable_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "site").mkdir()
    (here / "site" / "both_losses.py").write_text(writes("criterion", "far"))
    (here / "both_losses.py").write_text(writes("criterion", "near"))
    with monkeypatch.context() as patched:
        patched.syspath_prepend(here / "site")
        parse(one("near", "both_losses"))
    assert names("criterion", "both_losses") == ["near"]


def test_it_is_run_once(here: Path) -> None:
    (here / "my_losses.py").write_text(
        writes("criterion", "my_l1") + "with open('runs', 'a') as file:\n    file.write('run ')\n"
    )
    (here / "sub").mkdir()
    for text in (spec_in(here, one("my_l1", "my_losses")), here / "sub" / ".." / "spec.yaml"):
        assert load(text) == load(text)
    assert (here / "runs").read_text(encoding="utf-8") == "run "


def test_it_may_import_its_neighbours(here: Path) -> None:
    (here / "my_losses.py").write_text("import my_base\n")
    (here / "my_base.py").write_text(writes("criterion", "my_l1"))
    parse(one("my_l1", "my_losses"))
    assert plugins.find("criterion", "my_l1").plugin == "my_base"


def test_a_module_of_the_same_name_in_another_folder_takes_its_place(here: Path) -> None:
    """And so do its neighbours: nothing of the first folder is left for the second."""
    for folder in ("a", "b"):
        spec_in(here / folder, one(f"of_{folder}", "my_losses"))
        (here / folder / "my_losses.py").write_text("import my_base\n")
        (here / folder / "my_base.py").write_text(
            writes("criterion", f"of_{folder}") + writes("mask", "shared", folder)
        )
    for folder in ("a", "b", "a"):
        spec = load(here / folder / "spec.yaml")
        assert spec.edges["e"].criterion.name == f"of_{folder}"
        assert names("criterion", "my_losses") == [f"of_{folder}"]
        assert plugins.find("mask", "shared").summary == folder


def test_a_folder_without_it_does_not_get_that_of_another_one(here: Path) -> None:
    spec_in(here / "b", one("my_l1", "my_losses"))
    spec_in(here / "a", one("my_l1", "my_losses"))
    (here / "a" / "my_losses.py").write_text(writes("criterion", "my_l1"))
    load(here / "a" / "spec.yaml")
    with pytest.raises(SpecError, match=r"error\[KD114\] plugins: no module my_losses"):
        load(here / "b" / "spec.yaml")


def test_a_spec_sees_only_its_own_plugins(here: Path) -> None:
    (here / "my_losses.py").write_text(writes("criterion", "my_l1"))
    (here / "others.py").write_text(writes("criterion", "others_l1"))
    parse(one("my_l1", "my_losses"))
    assert "error[KD105] edges.e.criterion: no criterion is named 'my_l1'" in said(one("my_l1", "others"))
    assert "hint: the module my_losses registers it: add `plugins: my_losses`" in said(one("my_l1"))


def test_a_component_of_a_script(here: Path) -> None:
    plugins.add("criterion", ComponentInfo("of_script", "mine", plugin="__main__", takes=FEATURES))
    try:
        assert "hint: a script registers it: move it to a file beside the spec" in said(one("of_script"))
    finally:
        plugins._forget(["__main__"])


def test_what_a_failing_plugin_registered_is_forgotten_and_a_mended_one_is_run(here: Path) -> None:
    (here / "my_losses.py").write_text(writes("criterion", "my_l1") + "1 / 0\n")
    assert "my_losses raises ZeroDivisionError: division by zero, at my_losses.py:6" in said(
        one("my_l1", "my_losses")
    )
    with pytest.raises(KeyError):
        plugins.find("criterion", "my_l1")
    (here / "my_losses.py").write_text(writes("criterion", "my_l1") + "# a file of another length\n")
    assert parse(one("my_l1", "my_losses")).edges["e"].criterion.name == "my_l1"


def test_unknown_names_are_not_told_beside_a_plugin_that_is_missing(here: Path) -> None:
    text = f"{HEAD}plugins: lost\nedges: {{e: {{taps: neck.*, criterion: a, mask: [b, c], weight: no}}}}\n"
    output = said(f"{text}balance: d\n")
    assert output.count("error[") == 2
    assert "error[KD114] plugins: no module lost" in output
    assert "error[KD103] edges.e.weight" in output


def test_the_line_of_a_neighbour_and_of_a_call_into_a_package(here: Path) -> None:
    (here / "my_losses.py").write_text("import my_base\n")
    (here / "my_base.py").write_text("import json\n\njson.loads('no')\n")
    assert "JSONDecodeError: Expecting value" in said(one("mimic", "my_losses"))
    assert "at my_base.py:3\n" in said(one("mimic", "my_losses"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit", "raises SystemExit, at my_losses.py:1"),
        ("import sys; sys.exit('no\\nway')", "raises SystemExit: no way, at my_losses.py:1"),
        ("import not_there_at_all", "raises ModuleNotFoundError: No module named 'not_there_at_all', at"),
        ("raise ValueError('x' * 999)", f"raises ValueError: {'x' * 200}, at my_losses.py:1"),
        (
            "x = '\n",
            "raises SyntaxError: unterminated string literal (detected at line 1), at my_losses.py:1",
        ),
        ("x = b'\\xff\n'", "at my_losses.py:1"),
    ],
)
def test_what_it_raises_is_told(here: Path, body: str, message: str) -> None:
    (here / "my_losses.py").write_text(body)
    output = said(one("mimic", "my_losses"))
    assert f"plugins: my_losses {message}" in output if message.startswith("raises") else message in output
    assert output.count("error[KD114]") == 1


def test_interrupting_it_is_no_fault_of_the_spec(here: Path) -> None:
    (here / "my_losses.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        parse(one("mimic", "my_losses"))


@pytest.mark.parametrize("name", ["json", "queue", "yaml"])
def test_a_file_named_like_another_module(here: Path, name: str) -> None:
    loaded = sys.modules.get(name)
    (here / f"{name}.py").write_text(writes("criterion", "my_l1"))
    output = said(one("my_l1", name))
    assert f"Python has a module {name}" in output or f"Python has loaded another module {name}" in output
    assert "hint: rename the file, and the plugin with it" in output
    assert sys.modules.get(name) is loaded


def test_the_search_path_is_left_as_it_was(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the folder was on it already."""
    (here / "my_losses.py").write_text(writes("criterion", "my_l1"))
    with monkeypatch.context() as patched:
        patched.syspath_prepend(here)
        before = list(sys.path)
        parse(one("my_l1", "my_losses"))
        assert sys.path == before


def test_names_are_taken_once() -> None:
    mine = ComponentInfo("taken_once", "mine", plugin="first", takes=FEATURES)
    try:
        plugins.add("criterion", mine)
        plugins.add("criterion", ComponentInfo("taken_once", "anew", plugin="first"))
        assert plugins.find("criterion", "taken_once").summary == "anew"
        with pytest.raises(ValueError, match="the plugin first has a criterion 'taken_once' already"):
            plugins.add("criterion", ComponentInfo("taken_once", "theirs", plugin="second"))
        plugins.add("mask", ComponentInfo("taken_once", "a mask", plugin="second"))
    finally:
        plugins._forget(["first", "second"])


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (ComponentInfo("cwd", "mine", plugin="p"), "kdgraph has a criterion 'cwd' of its own"),
        (ComponentInfo("my l1", "mine", plugin="p"), "'my l1' cannot name a criterion"),
        (ComponentInfo("my_l1", "mine"), "'my_l1' does not say which plugin it is of"),
        (ComponentInfo("my_l1", "mine", plugin="p", default_mask="x"), "there is no mask 'x' yet"),
        (ComponentInfo("my_l1", "mine", plugin="p", default_adapter="x"), "there is no adapter 'x' yet"),
    ],
)
def test_what_cannot_be_added(info: ComponentInfo, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plugins.add("criterion", info)
    with pytest.raises(KeyError):
        plugins.find("criterion", "my_l1")


def test_built_in_components_are_found() -> None:
    for kind, infos in COMPONENTS.items():
        assert dict(plugins.known(kind)) == infos
        assert all(plugins.find(kind, name) is info for name, info in infos.items())


def test_a_spec_with_plugins_survives_a_round_trip(here: Path) -> None:
    (here / "my_losses.py").write_text(writes("criterion", "my_l1"))
    spec = parse(one("my_l1", "my_losses"))
    assert Spec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_json_schema_takes_any_component_of_a_spec_with_plugins() -> None:
    checker = jsonschema.Draft202012Validator(json_schema())
    texts = ["my_l1", "{my_l1: }", "{my_l1: {a: [1]}}", "cwd", "my_l1, mask: [mine, {his: {a: 1}}]"]
    for text in texts:
        assert checker.is_valid(plain(read_source(one(text, "my_losses"), "").root))
        assert checker.is_valid(plain(read_source(one(text, "[my_losses]"), "").root))
        for none in (None, ""):
            closed = checker.is_valid(plain(read_source(one(text, none), "").root))
            assert closed == (text == "cwd")
    for text in ("{cwd: {tua: 1}}", "{a: , b: }", "[my_l1]", "3", "my l1"):
        assert not checker.is_valid(plain(read_source(one(text, "my_losses"), "").root))


def test_every_process_loads_them_anew_and_none_needs_torch(here: Path) -> None:
    (here / "my_losses.py").write_text(writes("criterion", "my_l1"))
    spec_in(here, one("my_l1", "my_losses"))
    code = "import sys, kdgraph; print(kdgraph.load('spec.yaml').plugins, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('my_losses',) False\n"
