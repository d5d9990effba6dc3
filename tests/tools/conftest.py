"""Makes the modules of tools/ importable, and holds a pair of models that train in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
MODEL = """\
nc: 3
backbone:
  - [-1, 1, Conv, [{0}, 3, 2]]
  - [-1, 1, Conv, [{0}, 3, 2]]
  - [-1, 1, Conv, [{1}, 3, 2]]
  - [-1, 1, C2f, [{1}, True]]
  - [-1, 1, Conv, [{2}, 3, 2]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 3], 1, Concat, [1]]
  - [-1, 1, C2f, [{1}]]
  - [-1, 1, Conv, [{1}, 3, 2]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 1, C2f, [{2}]]
  - [[7, 10], 1, Detect, [nc]]
"""


@pytest.fixture(scope="session", autouse=True)
def tools_are_importable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags that name a student and a teacher of two levels, and small images."""
    folder = tmp_path_factory.mktemp("models")
    for name, width in (("student", 8), ("teacher", 16)):
        (folder / f"{name}.yaml").write_text(MODEL.format(width, 2 * width, 4 * width))
    pair = ["--student", str(folder / "student.yaml"), "--teacher", str(folder / "teacher.yaml")]
    return [*pair, "--imgsz", "64", "--batch", "2", "--steps", "3", "--warmup", "0"]


@pytest.fixture
def setup_of(models: list[str]) -> Any:
    """Builds the setup of some more flags."""

    def build(*flags: str) -> Any:
        from bench_models import built
        from bench_options import parsed

        return built(parsed([*models, *flags]))

    return build
