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


def said(spec: bytes) -> str:
    """What is said of a file `spec.yaml` in the working directory with these bytes."""
    Path("spec.yaml").write_bytes(spec)
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
    assert len(CASES) >= 65
    assert [code for code in CODES if code < "KD2" and f"[{code}]" not in outputs] == ["KD001"]
