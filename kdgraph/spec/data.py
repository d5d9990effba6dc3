"""What a dataset's yaml says: its classes and channels, read without its images or Ultralytics' code."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kdgraph.errors import DataError, Diagnostic, Span, closest, quoted

_GLYPHS = ("A", "E", "H", "T", "star", "ring", "triangle", "arrow")

BUILTIN: Mapping[str, tuple[str, ...]] = {
    f"builtin:glyphs{task}": _GLYPHS for task in ("", "-seg", "-pose", "-obb")
}
"""Datasets that kdgraph makes itself, with their classes."""

BUILTIN_KEYPOINTS: Mapping[str, tuple[int, int]] = {"builtin:glyphs-pose": (5, 3)}
"""Those of them that are poses: keypoints, and numbers for each."""

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class DataInfo:
    """A dataset's classes; `path` is its yaml, None for one that kdgraph makes itself.

    kpt_shape: keypoints of each object, and numbers for each keypoint (x and y, or x, y and visibility); None
    for a dataset without them.
    """

    name: str
    nc: int
    names: dict[int, str]
    channels: int
    path: Path | None
    kpt_shape: tuple[int, int] | None = None


def data_info(data: str, base: Path | None = None, *, span: Span | None = None) -> DataInfo:
    """Read what a dataset's yaml says; `base` is the spec's folder, `span` where the spec names the data.

    `data` is a yaml file (from the working directory, else from `base`), the name of one that Ultralytics
    ships (`coco8.yaml` or `coco8`), or a `builtin:` name.

    Raises DataError (KD401 missing, KD402 wrong yaml: all that is wrong with it at once).
    """
    if data.startswith("builtin:"):
        classes = _builtin(data, span)
        keypoints = BUILTIN_KEYPOINTS.get(data)
        name = data.removeprefix("builtin:")
        return DataInfo(name, len(classes), dict(enumerate(classes)), 3, None, keypoints)
    path = find_dataset(data, base, span=span)
    content = read_dataset(path, span=span)
    names, faults = _class_names(content)
    faults += _faults_of_splits(content)
    faults += _faults_of_options(content)
    if faults:
        raise DataError(*(Diagnostic("KD402", f"{path}: {fault}", span, hint) for fault, hint in faults))
    channels, shape = content.get("channels", 3), content.get("kpt_shape")
    return DataInfo(path.stem, len(names), names, channels, path, shape and (shape[0], shape[1]))


def check_task(info: DataInfo, task: str, span: Span | None = None) -> None:
    """Raise DataError (KD405) for data that cannot teach a `task`, as far as is known without its labels."""
    if task == "pose" and info.kpt_shape is None:
        message = f"{info.name} has no keypoints, which a pose student learns from"
        hint = "give it a 'kpt_shape', take a student that detects, or use builtin:glyphs-pose"
        raise DataError(Diagnostic("KD405", message, span, hint))
    needed = {"segment": "glyphs-seg", "obb": "glyphs-obb"}.get(task)
    if info.path is None and needed is not None and info.name != needed:
        message = f"the labels of {info.name} are not those that a student of the task '{task}' learns from"
        raise DataError(Diagnostic("KD405", message, span, f"use builtin:{needed}"))


def find_dataset(data: str, base: Path | None = None, *, span: Span | None = None) -> Path:
    """The absolute path of a dataset's yaml, found as `data_info` says. Raises DataError (KD401, KD402)."""
    written = Path(data).expanduser()
    places = [written] if base is None else [written, base / written]
    for place in places:
        if place.is_dir():
            inside = [each.name for each in sorted(place.glob("*.y*ml"))]
            hint = (
                f"give its yaml: {' or '.join(str(place / each) for each in inside[:3])}"
                if inside
                else _YAML_HINT
            )
            raise DataError(Diagnostic("KD401", f"{place} is a folder, not a dataset yaml", span, hint))
        if place.is_file():
            if place.suffix not in _SUFFIXES:
                raise DataError(Diagnostic("KD402", f"{place} is no yaml file", span, _YAML_HINT))
            return place.absolute()
    shipped = _shipped()
    if data in shipped or f"{data}.yaml" in shipped:
        return shipped[data if data in shipped else f"{data}.yaml"]
    raise DataError(_missing(data, places, [*shipped, *BUILTIN], span))


def read_dataset(path: Path, *, span: Span | None = None) -> dict[str, Any]:
    """The mapping in a dataset's yaml. Raises DataError (KD402) when it is not one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        fault = Diagnostic("KD402", f"{path} is not valid YAML: {reason}", span, "correct it at that place")
        raise DataError(fault) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise DataError(Diagnostic("KD401", message, span, "change its permissions, or copy it")) from error
    if content is None:
        raise DataError(Diagnostic("KD402", f"{path} is empty", span, _YAML_HINT))
    if not isinstance(content, dict):
        fault = Diagnostic(
            "KD402", f"{path} holds a {type(content).__name__}, not a mapping", span, _YAML_HINT
        )
        raise DataError(fault)
    return content


_YAML_HINT = "a dataset yaml has the keys 'train', 'val' and 'names', as Ultralytics' coco8.yaml has"


def _builtin(data: str, span: Span | None) -> tuple[str, ...]:
    if data not in BUILTIN:
        near = closest(data.removeprefix("builtin:"), [name.removeprefix("builtin:") for name in BUILTIN])
        hint = f"did you mean builtin:{near[0]}?" if near else f"there are {', '.join(BUILTIN)}"
        raise DataError(Diagnostic("KD401", f"unknown built-in dataset {quoted(data)}", span, hint))
    return BUILTIN[data]


def _shipped() -> dict[str, Path]:
    """Name -> file of the dataset yamls in the installed Ultralytics; empty without it."""
    found = importlib.util.find_spec("ultralytics")
    roots = [] if found is None else [Path(root) for root in found.submodule_search_locations or ()]
    return {file.name: file for root in roots for file in sorted((root / "cfg" / "datasets").glob("*.yaml"))}


def _missing(data: str, places: list[Path], known: list[str], span: Span | None) -> Diagnostic:
    if "://" in data:
        return Diagnostic(
            "KD401", f"{quoted(data)} is not on this machine", span, "download it, and give its yaml"
        )
    looked = " or ".join(dict.fromkeys(str(place.absolute().parent) for place in places))
    message = f"no dataset {quoted(data)}: not a file in {looked}, not one that Ultralytics ships"
    near = closest(data, known) if len(Path(data).parts) == 1 else []  # a path is no name
    hint = f"did you mean {' or '.join(near)}?" if near else "correct the path; builtin:glyphs needs no files"
    return Diagnostic("KD401", message, span, hint)


def _class_names(content: dict[str, Any]) -> tuple[dict[int, str], list[tuple[str, str]]]:
    """Class index -> name, and what is wrong with 'names' and 'nc', each with its way out."""
    names, count = content.get("names"), content.get("nc")
    if count is not None and not _is_count(count):
        return {}, [
            (f"'nc' is {count!r}", "write the number of classes, or leave 'nc' out: 'names' tells it")
        ]
    if names is None:
        if count is None:
            return {}, [("no 'names'", "list the classes: `names: {0: cat, 1: dog}`")]
        return {index: f"class_{index}" for index in range(count)}, []
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        return {}, [(f"'names' is {names!r}", "list the classes: `names: {0: cat, 1: dog}`")]
    if sorted(map(str, names)) != sorted(map(str, range(len(names)))):
        wanted = f"number the {len(names)} classes from 0 to {len(names) - 1}"
        return {}, [(f"the keys of 'names' are {', '.join(map(str, list(names)[:8]))}", wanted)]
    if count is not None and count != len(names):
        return {}, [
            (f"'nc' is {count}, but 'names' has {len(names)} classes", "leave 'nc' out: 'names' tells it")
        ]
    return {int(index): str(name) for index, name in names.items()}, []


def _faults_of_options(content: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    channels, root, shape = content.get("channels", 3), content.get("path"), content.get("kpt_shape")
    if not _is_count(channels):
        faults.append((f"'channels' is {channels!r}", "write the number of image channels, e.g. 3"))
    if root is not None and not isinstance(root, str):
        faults.append((f"'path' is {root!r}", "write the folder of the dataset, or leave it out"))
    if shape is not None:
        faults += _faults_of_keypoints(shape, content.get("flip_idx"))
    return faults


def _faults_of_keypoints(shape: object, flipped: Any) -> list[tuple[str, str]]:
    if not (isinstance(shape, list) and len(shape) == 2 and _is_count(shape[0]) and shape[1] in (2, 3)):
        hint = "write keypoints and numbers for each (2: x, y; 3: with visibility), e.g. [17, 3]"
        return [(f"'kpt_shape' is {shape!r}", hint)]
    numbers = isinstance(flipped, list) and all(isinstance(each, int) for each in flipped)
    if flipped is None or (numbers and sorted(flipped) == list(range(shape[0]))):
        return []
    hint = f"list for each of the {shape[0]} keypoints the number (from 0) of the one it becomes in a mirror"
    return [(f"'flip_idx' is {flipped!r}", hint)]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _faults_of_splits(content: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    for split, other in (("train", "train"), ("val", "validation")):
        value = content.get(split, content.get(other))
        paths = value if isinstance(value, list) else [value]
        if value is None:
            faults.append((f"no '{split}'", f"say where its images are: `{split}: images/{split}`"))
        elif not paths or not all(isinstance(path, str) and path for path in paths):
            faults.append(
                (f"'{split}' is {value!r}", "write a folder, a .txt file of image paths, or a list of them")
            )
    return faults
