"""Text -> Spec, or every fault of the text at once."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from kdgraph.errors import Diagnostic, Span, SpecError, closest, quoted
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.places import Places
from kdgraph.spec.reading.components import read_component
from kdgraph.spec.reading.edges import read_edges
from kdgraph.spec.reading.faults import Faults, Reader, spans_of
from kdgraph.spec.reading.functions import named_module
from kdgraph.spec.reading.models import read_student
from kdgraph.spec.reading.names import check_name
from kdgraph.spec.reading.phases import check_phases, read_phases
from kdgraph.spec.reading.plugins import read_plugins
from kdgraph.spec.reading.recipes import edge_places, recipe_of
from kdgraph.spec.reading.roles import check_teachers, join_teachers, role_names
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.taps import read_taps
from kdgraph.spec.reading.teachers import read_teacher, read_teachers
from kdgraph.spec.reading.values import as_map, expected, fail, is_null, plain, text
from kdgraph.spec.schema import VERSION, Output, Spec, TapSpec, located
from kdgraph.spec.source import SMALLEST, read_source
from kdgraph.spec.train_args import EPOCHS, OWN, STUDENT, read_train

NULLABLE = ("data", "plugins", "taps", "balance", "phases", "train", "outputs")
OUTPUTS: tuple[Output, ...] = ("taps", "teacher")


def load(path: str | os.PathLike[str]) -> Spec:
    """The spec in a file. Raises SpecError, with all faults at once."""
    file = Path(path)
    return parse(_text_of(file), str(path)).model_copy(update={"path": file})


def parse(source: str, file: str = "<string>") -> Spec:
    """The spec in a text; `file` is what messages call it, and its plugins are looked for beside that.

    Raises SpecError, with all faults at once.
    """
    read = read_source(source, file)
    faults = Faults()
    faults.found += read.faults
    with faults.gathered():
        spec = _spec(read.root, Path(file).parent)
    faults.check()
    return spec


def _text_of(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise SpecError(Diagnostic("KD001", f"no such file: {file}", hint=_beside(file))) from None
    except UnicodeDecodeError as error:
        raise SpecError(_not_utf8(error, file)) from None
    except OSError as error:
        folder = isinstance(error, IsADirectoryError)
        hint = "name a file in it, not the folder" if folder else "check the path, and who may read it"
        reason = (error.strerror or str(error)).lower()
        raise SpecError(Diagnostic("KD001", f"{file} cannot be read: {reason}", hint=hint)) from None
    except ValueError as error:  # a NUL in the path
        raise SpecError(Diagnostic("KD001", f"{quoted(str(file))} is not a path: {error}")) from None


def _spec(root: Node, folder: Path) -> Spec:
    if is_null(root):
        raise fail("KD003", root, "the spec is empty", SMALLEST)
    mapping = as_map(root, "a map with the keys student, teacher, data and edges", SMALLEST)
    faults = Faults()
    scope = _scope(mapping, folder)
    places = edge_places(mapping.get("edges"))
    readers: dict[str, Reader] = {
        "kdgraph": _version,
        "student": partial(read_student, holder=_holder(mapping, "student")),
        "teacher": partial(read_teacher, holder=_holder(mapping, "teacher"), scope=scope),
        "teachers": partial(read_teachers, scope=scope),
        "data": lambda node: text(node, "the name of a dataset yaml", "write coco8.yaml, or builtin:glyphs"),
        "plugins": lambda node: _loaded(scope),
        "taps": _taps,
        "edges": lambda node: read_edges(node, scope),
        "balance": partial(read_component, "balance", scope=scope),
        "phases": lambda node: read_phases(node, places, scope.epochs),
        "train": lambda node: read_train(node, STUDENT, OWN),
        "outputs": _outputs,
    }
    one = scope.teachers_known and "teachers" not in mapping.entries
    required = ["student", *(["teacher"] if one else []), "edges"]
    values = faults.fields(mapping, "a spec", readers, required, NULLABLE, _start(mapping))
    with faults.gathered():
        join_teachers(mapping, values)
    with faults.gathered():
        check_teachers(mapping, values)
    with faults.gathered():
        if places and "edges" in values and values.get("phases"):
            check_phases(values["phases"], values["edges"], places, scope.epochs)
    faults.check()
    return located(Spec(**values, recipe=recipe_of(mapping.get("edges"))), spans_of(mapping))


def _scope(mapping: Map, folder: Path) -> Scope:
    """What edges may refer to; plugins are loaded for that."""
    written = mapping.get("plugins")
    scope = Scope(_named(mapping.get("taps")), _epochs(mapping))
    names = role_names(mapping)
    scope = replace(scope, teachers_known=False) if names is None else replace(scope, teachers=names)
    if written is None or is_null(written):
        return scope
    try:
        return replace(scope, plugins=read_plugins(written, folder, _with_models(mapping)))
    except SpecError as error:
        return replace(scope, lost=error.diagnostics)


def _with_models(mapping: Map) -> set[str]:
    """The modules that teachers come from."""
    several = mapping.get("teachers")
    teachers = [mapping.get("teacher"), *_named(several).values()]
    return {named_module(teacher.get("python")) for teacher in teachers if isinstance(teacher, Map)}


def _loaded(scope: Scope) -> tuple[str, ...]:
    if scope.lost:
        raise SpecError(*scope.lost)
    return scope.plugins


def _version(node: Node) -> int:
    version = plain(node)
    if isinstance(version, bool) or not isinstance(version, int):
        raise expected(node, "the version of the spec language", f"write {VERSION}, or delete the key")
    if version != VERSION:
        hint = f"upgrade kdgraph, or write the spec in version {VERSION}"
        raise fail("KD104", node, f"this kdgraph reads version {VERSION} of the spec language", hint)
    return version


def _taps(node: Node) -> dict[str, TapSpec]:
    mapping = as_map(node, "a map from names to taps", "write {deep: model.10}")
    faults = Faults()
    taps: dict[str, TapSpec] = {}
    for name, entry in mapping.entries.items():
        with faults.gathered():
            check_name(entry.key, "a tap")
        with faults.gathered():
            taps[name] = read_taps(entry.value, {})
    faults.check()
    return taps


def _outputs(node: Node) -> tuple[Output, ...]:
    items = node.items if isinstance(node, Items) else [node]
    faults = Faults()
    chosen: list[Output] = []
    for item in items:
        with faults.gathered():
            chosen.append(_output(item))
    faults.check()
    return tuple(dict.fromkeys(chosen))


def _output(node: Node) -> Output:
    name = text(node, "taps or teacher", "choose among taps and teacher, or delete `outputs`")
    for output in OUTPUTS:
        if name == output:
            return output
    matches = closest(name, OUTPUTS)
    hint = f"did you mean '{matches[0]}'?" if matches else "choose among taps and teacher"
    raise fail("KD104", node, f"{quoted(name)} is nothing a forward can return", hint)


def _epochs(mapping: Map) -> int:
    """How long the run is, as far as it can be known: faults of `train:` are told where that is read."""
    train = mapping.get("train")
    written = train.get("epochs") if isinstance(train, Map) else None
    epochs = plain(written) if isinstance(written, Text) else None
    return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0 else EPOCHS


def _named(node: Node | None) -> dict[str, Node]:
    return {name: entry.value for name, entry in node.entries.items()} if isinstance(node, Map) else {}


def _start(mapping: Map) -> Span:
    first = next(iter(mapping.entries.values()), None)
    return first.key.span if first else mapping.span


def _holder(mapping: Map, key: str) -> Span:
    entry = mapping.entries.get(key)
    return entry.key.span if entry else mapping.span


def _not_utf8(error: UnicodeDecodeError, file: Path) -> Diagnostic:
    before = error.object[: error.start].decode("utf-8")
    span = Places.of_text(str(file), error.object.decode("utf-8", "replace")).index(before, len(before))
    message = f"the byte {error.object[error.start]:#04x} is not UTF-8"
    return Diagnostic(
        "KD002", message, span, "save the file as UTF-8, with the encoding setting of the editor"
    )


def _beside(file: Path) -> str | None:
    """Specs in the same folder that the path may have meant."""
    try:
        names = [path.name for path in file.parent.iterdir() if path.suffix in (".yaml", ".yml")]
    except OSError:
        return f"there is no folder {file.parent} either"
    matches = closest(file.name, names)
    return f"did you mean {' or '.join(str(file.with_name(name)) for name in matches)}?" if matches else None
