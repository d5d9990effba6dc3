"""One headless Chromium for all tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kdgraph.draw.page import html
from tests.draw.browsing import Browser, Show, grant
from tests.draw.scenes import scene

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    wanted = "headless=new no-sandbox disable-dev-shm-usage force-device-scale-factor=1 window-size=1440,900"
    for argument in (*wanted.split(), "force-prefers-reduced-motion"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    grant(started, "clipboardReadWrite", "clipboardSanitizedWrite")
    yield started
    started.quit()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens a scene, by default the small one, or a page; afterwards the console must hold no error."""

    def show(made: dict[str, Any] | str | None = None, anchor: str = "") -> None:
        path = tmp_path / "page.html"
        path.write_text(made if isinstance(made, str) else html(made or scene()), encoding="utf-8")
        browser.get("about:blank")  # a new anchor alone would not load the page anew
        browser.get(path.as_uri() + anchor)

    browser.get_log("browser")
    yield show
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
