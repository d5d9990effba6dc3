"""Broken specs and exactly what is said of each: one file a case, the spec above a line and the output below.

A new case is a new file in `cases/` with the spec and the line. The outputs are written anew by
`pytest tests/spec/test_cases.py --update-golden`: read the diff as a user would before committing it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kdgraph.errors import CODES, SpecError
from kdgraph.spec import load

CASES = sorted(Path(__file__).with_name("cases").glob("*.case"))
LINE = b"\n======== what kdgraph says ========\n"

_IMPORTS = """\
from pydantic import Field

from kdgraph.spec.components import ComponentInfo, Options
from kdgraph.spec.plugins import add
"""
BESIDE = {
    "my_losses.py": f"""{_IMPORTS}

class Huber(Options):
    delta: float = Field(1.0, gt=0, lt=9, description="where it becomes linear")
    rate: int = Field(description="of nothing; it has no default")


add("criterion", ComponentInfo("huber", "Huber", Huber, plugin=__name__, takes=frozenset({{"features"}})))
""",
    "raising.py": "def scale():\n    return 1 / 0\n\n\nSCALE = scale()\n",
    "broken.py": "class Huber(:\n    pass\n",
    "silent.py": "X = 1\n",
    "my_models.py": "SIZE = 50\n\n\ndef resnet():\n    raise RuntimeError('reading calls no function')\n",
    "taken.py": f'{_IMPORTS}\nadd("mask", ComponentInfo("boxes", "", plugin=__name__))\n',
}
"""Files beside each spec, for its plugins."""


def said(spec: bytes) -> str:
    """What is said of a file `spec.yaml` in the working directory with these bytes."""
    Path("spec.yaml").write_bytes(spec)
    for name, text in BESIDE.items():
        Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load("spec.yaml")
    return str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    monkeypatch.chdir(tmp_path)
    spec, _, expected = case.read_bytes().partition(LINE)
    output = said(spec)
    if update_golden:
        case.write_bytes(spec + LINE + output.encode() + b"\n")
    else:
        assert output + "\n" == expected.decode()


def test_there_are_many_and_they_cover_every_code_of_the_spec() -> None:
    outputs = "".join(case.read_bytes().partition(LINE)[2].decode() for case in CASES)
    assert len(CASES) >= 240
    assert [code for code in CODES if code < "KD2" and f"[{code}]" not in outputs] == ["KD001"]
