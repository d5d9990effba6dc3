"""What a person sees of a page, and does with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

Browser = Any
Show = Callable[..., None]


def grant(browser: Browser, *permissions: str) -> None:
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": list(permissions)})


def one(browser: Browser, css: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, css)


def box(browser: Browser, key: str) -> Any:
    return one(browser, f'g.box[data-key="{key}"] > .body')


def shown(browser: Browser, key: str) -> bool:
    return bool(browser.find_elements(By.CSS_SELECTOR, f'g.box[data-key="{key}"]'))


def press(browser: Browser, *keys: str) -> None:
    chain = ActionChains(browser)
    for key in keys:
        chain.send_keys(key)
    chain.perform()


def chosen(browser: Browser) -> list[str]:
    pressed = browser.find_elements(By.CSS_SELECTOR, 'g.box[aria-pressed="true"]')
    return sorted(element.get_attribute("data-key") for element in pressed)


def detail(browser: Browser) -> str:
    return str(one(browser, '#detail [aria-checked="true"]').get_attribute("data-detail"))


def settled(browser: Browser) -> None:
    """Waits until what was asked for has been drawn."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def rects(browser: Browser) -> list[dict[str, Any]]:
    return list(
        browser.execute_script("""
      return [...document.querySelectorAll("g.box, g.mark")].map((group) => {
        const rect = group.querySelector(":scope > .body").getBoundingClientRect();
        const outer = group.parentNode.closest("g.box");
        return {key: group.dataset.key ?? group.dataset.term, inside: outer?.dataset.key ?? null,
                left: rect.left, top: rect.top, right: rect.right, bottom: rect.bottom};
      });""")
    )


def overlapping(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Boxes of one layer that share more than half a pixel."""
    return [
        (a["key"], b["key"])
        for i, a in enumerate(found)
        for b in found[:i]
        if a["inside"] == b["inside"]
        and min(a["right"], b["right"]) - max(a["left"], b["left"]) > 0.5
        and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 0.5
    ]


def sticking_out(found: list[dict[str, Any]]) -> list[str]:
    at = {each["key"]: each for each in found}
    inner = [each for each in found if each["inside"]]
    return [
        each["key"]
        for each in inner
        if each["left"] < at[each["inside"]]["left"]
        or each["right"] > at[each["inside"]]["right"]
        or each["top"] < at[each["inside"]]["top"]
        or each["bottom"] > at[each["inside"]]["bottom"]
    ]


def shown_yaml(browser: Browser) -> str:
    return str(one(browser, "#yaml").get_attribute("textContent"))
