from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what is rendered now into tests/spec/cases"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    # Without `tests/spec` on the command line, pytest reads this file too late to know the option.
    return bool(request.config.getoption("--update-golden", default=False))
