"""Every test runs with its own Ultralytics settings and kdgraph cache, and looks at no network."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports ultralytics, which reads and writes its settings on import.
_SCRATCH = Path(tempfile.mkdtemp(prefix="kdgraph-tests-"))
os.environ["YOLO_CONFIG_DIR"] = str(_SCRATCH)
os.environ["KDGRAPH_CACHE"] = str(_SCRATCH / "cache")
os.environ["YOLO_OFFLINE"] = "true"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


def command(name: str) -> str:
    """The path of an installed command, also when its environment is not activated."""
    return str(Path(sys.executable).with_name(name))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small tensors on one thread: threads that wait for each other cost tenfold on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def user_environment() -> dict[str, str]:
    """The environment of a command that a user starts: nothing tells it that tests are running."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of twelve pictures with one bright square or bar each; returns its yaml."""
    import cv2
    import numpy as np

    root = tmp_path_factory.mktemp("squares")
    noise = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for number in range(count):
            image = noise.integers(0, 90, (96, 96, 3), dtype=np.uint8)
            kind, left, top = number % 2, int(noise.integers(8, 40)), int(noise.integers(8, 40))
            width, height = (40, 40) if kind == 0 else (48, 20)
            image[top : top + height, left : left + width] = (40, 200, 240) if kind == 0 else (230, 60, 60)
            cv2.imwrite(str(root / "images" / split / f"{number}.png"), image)
            box = [(left + width / 2) / 96, (top + height / 2) / 96, width / 96, height / 96]
            (root / "labels" / split / f"{number}.txt").write_text(" ".join(map(str, [kind, *box])) + "\n")
    names = {0: "square", 1: "bar"}
    (root / "data.yaml").write_text(
        f"path: {root}\ntrain: images/train\nval: images/val\nnames: {json.dumps(list(names.values()))}\n"
    )
    return root / "data.yaml"
