"""The pages of real models, in a real browser."""

from __future__ import annotations

import time
from html import escape

import pytest
import yaml
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By

from kdgraph.compiler.api import check
from kdgraph.draw.api import html_of
from kdgraph.draw.scene import DETAILS, Detail
from kdgraph.spec.parse import parse
from tests.draw.browsing import (
    Browser,
    Show,
    chosen,
    one,
    overlapping,
    press,
    rects,
    settled,
    shown_yaml,
    sticking_out,
)
from tests.draw.pictures import NECK, diff_scene, model_scene, spec_scene


@pytest.mark.parametrize("detail", DETAILS)
def test_no_two_boxes_overlap(detail: Detail, browser: Browser, show: Show) -> None:
    show(html_of(diff_scene("yolo11n.yaml", "yolo11m.yaml"), detail))
    settled(browser)
    found = rects(browser)
    assert len(found) > {"stages": 30, "layers": 70, "nodes": 500}[detail]
    assert overlapping(found) == []
    assert sticking_out(found) == []


def test_a_newcomer_finds_the_taps_and_pastes_edges_that_fit(browser: Browser, show: Show) -> None:
    """Only with what the page shows: rows called P3 to P5, a column called head, boxes called dfl."""
    show(html_of(diff_scene("yolo11n.yaml", "yolo11m.yaml")))
    edges = {}
    for title in ("16 C3k2", "19 C3k2", "22 C3k2", "dfl p3", "dfl p4", "dfl p5", "cls"):
        press(browser, "0")  # all in view
        for box in titled(browser, title):
            click(browser, box)
        edges.update(yaml.safe_load(shown_yaml(browser))["edges"])
        press(browser, "\ue00c")
        assert chosen(browser) == []
    assert [edge["taps"] for edge in edges.values()] == [
        "neck.p3", "neck.p4", "neck.p5", "head.dfl.p3", "head.dfl.p4", "head.dfl.p5", "head.cls",
    ]  # fmt: skip
    teacher = {"model": "yolo11m.yaml", "train": {"epochs": 1}}
    spec = {"student": "yolo11n.yaml", "teacher": teacher, "data": "coco8.yaml", "edges": edges}
    assert set(check(parse(yaml.safe_dump(spec))).graph.spec.edges) == set(edges)


def titled(browser: Browser, title: str) -> list[object]:
    """The boxes of both models that say this."""
    boxes = browser.find_elements(By.CSS_SELECTOR, "g.box")
    found = [each for each in boxes if title in texts(browser, each)]
    assert len(found) == 2
    return [each.find_element(By.CSS_SELECTOR, ".body") for each in found]


def click(browser: Browser, box: object) -> None:
    """On the box itself, wherever the view is."""
    browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", box)


def texts(browser: Browser, box: object) -> list[str]:
    words = "return [...arguments[0].querySelectorAll(':scope > text')].map((text) => text.textContent)"
    return list(browser.execute_script(words, box))


def test_what_is_tapped_and_what_is_pruned_can_be_told(browser: Browser, show: Show) -> None:
    show(html_of(spec_scene(NECK)))
    keys = ("teacher:model.16", "teacher:model.15", "teacher:model.23.cv3.0", "student:model.23.cv3.0")
    boxes = [one(browser, f'g.box[data-key="{key}"]') for key in keys]
    rings = [len(box.find_elements(By.CSS_SELECTOR, ":scope > .tapped > .ring")) for box in boxes]
    assert rings == [1, 0, 0, 0]
    pruned = ["pruned" in box.get_attribute("class").split() for box in boxes]
    assert pruned == [False, False, True, False]
    assert len(browser.find_elements(By.CSS_SELECTOR, "g.mark")) == 3


def test_a_model_alone_needs_one_click(browser: Browser, show: Show) -> None:
    show(html_of(model_scene("yolo26n.yaml")), "#box=student:model.23.one2one_cv3.1")
    assert yaml.safe_load(shown_yaml(browser))["edges"] == {
        "head_o2o_cls_p4": {"taps": "head.o2o.cls.p4", "criterion": "qfl"}
    }


def test_in_a_report_the_wheel_scrolls_on_until_the_picture_is_clicked(browser: Browser, show: Show) -> None:
    framed = f'<iframe srcdoc="{escape(html_of(model_scene("yolo11n.yaml")))}" width="900" height="500">'
    show(f"<!doctype html>{framed}</iframe><p style='height: 4000px'>more</p>")
    frame = one(browser, "iframe")
    assert turned(browser) > 0
    browser.execute_script("scrollTo(0, 0)")
    ActionChains(browser).move_to_element_with_offset(frame, -200, 100).click().perform()
    assert turned(browser) == 0
    browser.switch_to.frame(frame)
    zoomed = one(browser, "#zoom-level").text
    browser.switch_to.default_content()
    assert turned(browser) == 0
    browser.switch_to.frame(frame)
    assert one(browser, "#zoom-level").text != zoomed
    browser.switch_to.default_content()


def turned(browser: Browser) -> float:
    """How far down the page is after a turn of the wheel over the picture."""
    origin = ScrollOrigin.from_viewport(300, 300)
    ActionChains(browser).scroll_from_origin(origin, 0, 60).perform()
    time.sleep(0.2)  # the browser scrolls in its own time
    return float(browser.execute_script("return scrollY"))
