"""What `import kdgraph` gives, and what it does not cost."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import kdgraph
from tests.conftest import command

NAMES = [
    "Criterion",
    "DistillOutput",
    "Distiller",
    "KdgraphError",
    "Spec",
    "compile",
    "criterion",
    "load",
    "register",
    "trace",
]


def test_the_declared_surface() -> None:
    assert kdgraph.__all__ == NAMES
    assert set(dir(kdgraph)) >= {*NAMES, "__version__"}
    for name in NAMES:
        value = getattr(kdgraph, name)
        home = value.__name__ if isinstance(value, ModuleType) else value.__module__
        assert home.startswith("kdgraph.")


def test_a_users_own_components_are_registered_by_a_module() -> None:
    assert isinstance(kdgraph.register, ModuleType)
    assert kdgraph.register.__all__ == ["adapter", "criterion", "mask"]
    assert kdgraph.Criterion.__name__ == "Criterion"


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'kdgraph' has no attribute 'distil'"):
        _ = kdgraph.distil  # type: ignore[attr-defined]


def loaded_by(code: str) -> list[str]:
    """Which heavy packages are imported after `code` ran in a new interpreter."""
    heavy = ("torch", "ultralytics", "numpy", "networkx", "cv2")
    code += f"\nimport sys; print('loaded:', *[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.rpartition("loaded:")[2].split()


def test_importing_kdgraph_imports_nothing_heavy() -> None:
    assert loaded_by("import kdgraph; kdgraph.load; kdgraph.Spec; kdgraph.KdgraphError; dir(kdgraph)") == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kdgraph.cli.app import main\nsys.argv = ['kdgraph', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_by(code) == []


def test_the_command_is_installed() -> None:
    run = subprocess.run([command("kdgraph"), "--help"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0
    assert "explain" in run.stdout
