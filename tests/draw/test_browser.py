"""The page in a real browser: headless Chromium, opened from a file, used as a person would."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.draw.browsing import (
    Browser,
    Show,
    box,
    chosen,
    detail,
    grant,
    one,
    overlapping,
    press,
    rects,
    settled,
    shown,
    shown_yaml,
    sticking_out,
)
from tests.draw.scenes import scene

OURS, THEIRS = "student:model.neck.p3", "teacher:model.neck.p3"
INNER = "student:node:model.neck.p4.a_rather_long_block_name.3.attention.projection.conv"


def corner(browser: Browser, key: str = OURS) -> tuple[float, float]:
    settled(browser)
    rect = browser.execute_script(
        "const r = arguments[0].getBoundingClientRect(); return [r.x, r.y]", box(browser, key)
    )
    return rect[0], rect[1]


# ---- it opens


def test_it_opens_without_an_error(browser: Browser, show: Show) -> None:
    show()
    assert browser.title == scene()["title"]
    assert one(browser, "#title").text == scene()["title"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "g.box")) == 8
    assert detail(browser) == "layers"
    everything = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert everything == []  # nothing was loaded but the file


@pytest.mark.parametrize("level", ["stages", "layers", "nodes"])
def test_it_opens_at_the_detail_of_the_scene(browser: Browser, show: Show, level: str) -> None:
    show({**scene(), "detail": level})
    assert detail(browser) == level
    assert shown(browser, INNER) == (level == "nodes")
    assert shown(browser, "student:stage.neck.p3") == (level == "stages")


def test_all_words_stay_in_their_boxes(browser: Browser, show: Show) -> None:
    made = scene()
    made["boxes"][OURS]["title"] = "16 AnExtraordinarilyLongLayerNameThatNoBoxCanHold"
    made["boxes"][OURS]["names"][0] = "neck.p3." + "very." * 20 + "long"
    show({**made, "detail": "nodes"})
    one(browser, "#zoom-level").click()
    settled(browser)
    outside = browser.execute_script("""
      return [...document.querySelectorAll("g.box, g.mark")].flatMap((group) => {
        const edge = group.querySelector(":scope > .body").getBoundingClientRect();
        return [...group.querySelectorAll(":scope > text")].filter((text) => {
          const words = text.getBoundingClientRect();
          const beside = Math.max(edge.left - words.left, words.right - edge.right);
          return words.width && Math.max(beside, words.bottom - edge.bottom) > 1;
        }).map((text) => text.textContent);
      });""")
    assert outside == []


# ---- folding


def test_whatever_is_unfolded_no_two_boxes_overlap(browser: Browser, show: Show) -> None:
    made = scene(nodes=20)
    show(made)
    dice = random.Random(0)
    for _ in range(16):
        key = dice.choice(sorted(made["insides"]))
        browser.execute_script(f"kdgraph.{dice.choice(['fold', 'unfold', 'unfold'])}(arguments[0])", key)
        settled(browser)
        found = rects(browser)
        assert overlapping(found) == []
        assert sticking_out(found) == []
        opened = {each["inside"] for each in found} - {None}
        expanded = browser.find_elements(By.CSS_SELECTOR, 'g.box[aria-expanded="true"]')
        assert opened == {element.get_attribute("data-key") for element in expanded}


def test_wires_end_on_the_borders_of_their_boxes(browser: Browser, show: Show) -> None:
    made = scene(nodes=20)
    show(made)
    for key in (OURS, "student:model.cls.p3", "teacher:model.neck.p4", "student:model.neck.p4"):
        browser.execute_script("kdgraph.unfold(arguments[0])", key)
        settled(browser)
        paths = browser.execute_script(
            "return [...document.querySelectorAll('#world > .wire')].map((path) => path.getAttribute('d'))"
        )
        placed = placed_boxes(browser)
        for wire, path in zip(made["views"]["layers"]["wires"], paths, strict=True):
            points = [tuple(map(float, point)) for point in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]
            assert on_border(points[0], placed[wire["from"]])
            assert on_border(points[-2], placed[wire["to"]])  # the arrow head goes round its tip


def placed_boxes(browser: Browser) -> dict[str, tuple[float, float, float, float]]:
    rows = browser.execute_script("""
      return [...document.querySelectorAll("#world > g.box")].map((group) => {
        const body = group.querySelector(":scope > .body");
        const [x, y] = group.getAttribute("transform").match(/-?[\\d.]+/g).map(Number);
        return [group.dataset.key, x, y, +body.getAttribute("width"), +body.getAttribute("height")];
      });""")
    return {key: (x, y, w, h) for key, x, y, w, h in rows}


def on_border(point: tuple[float, ...], rect: tuple[float, float, float, float]) -> bool:
    (px, py), (x, y, w, h) = point, rect
    within = x - 0.1 <= px <= x + w + 0.1 and y - 0.1 <= py <= y + h + 0.1
    return within and min(abs(px - x), abs(px - x - w), abs(py - y), abs(py - y - h)) < 0.1


def test_the_arrow_of_a_layer_unfolds_it_where_it_stands(browser: Browser, show: Show) -> None:
    show()
    one(browser, "#zoom-level").click()
    before = corner(browser)
    one(browser, f'g.box[data-key="{OURS}"] > .toggle rect').click()
    assert shown(browser, INNER.replace("p4", "p3"))
    assert corner(browser) == pytest.approx(before, abs=1)
    one(browser, f'g.box[data-key="{OURS}"] > .toggle rect').click()
    assert not shown(browser, INNER.replace("p4", "p3"))
    assert corner(browser) == pytest.approx(before, abs=1)


def test_folding_glides_where_motion_is_welcome(browser: Browser, show: Show) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-reduced-motion", "value": "no-preference"}]},
    )
    try:
        show()
        widths = browser.execute_async_script(
            """
          const [key, done] = arguments, seen = [];
          const body = document.querySelector(`g.box[data-key="${key}"] > .body`);
          kdgraph.unfold(key);
          const look = () => {
            seen.push(+body.getAttribute("width"));
            seen.at(-1) === kdgraph.scene.insides[key].width + 28 ? done(seen) : requestAnimationFrame(look);
          };
          look();""",
            OURS,
        )
        assert widths == sorted(widths)
        assert widths[0] < widths[-1]
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


# ---- finding


def test_search_jumps_and_unfolds(browser: Browser, show: Show) -> None:
    show()
    press(browser, "/", "neck.p4.a_rather_long_block_name.3")
    matches = browser.find_elements(By.CSS_SELECTOR, "#matches .match")
    assert [each.get_attribute("data-key") for each in matches] == [
        INNER,
        INNER.replace("student", "teacher"),
    ]
    assert not shown(browser, INNER)
    press(browser, Keys.ENTER)
    assert chosen(browser) == [INNER]
    settled(browser)
    assert visible_in_window(browser, INNER)
    press(browser, Keys.ENTER)
    assert INNER.replace("student", "teacher") in chosen(browser)
    press(browser, Keys.ESCAPE)
    assert not one(browser, "#matches").is_displayed()
    assert browser.switch_to.active_element.get_attribute("id") != "search"


def visible_in_window(browser: Browser, key: str) -> bool:
    script = """
      const inner = arguments[0].getBoundingClientRect();
      const outer = document.getElementById("stage").getBoundingClientRect();
      const beside = inner.left >= outer.left && inner.right <= outer.right;
      return beside && inner.top >= outer.top + 52 && inner.bottom <= outer.bottom;"""
    return bool(browser.execute_script(script, box(browser, key)))


def test_search_puts_whole_names_first_and_lists_twelve(browser: Browser, show: Show) -> None:
    show(scene(nodes=20))
    one(browser, "#search").send_keys("NECK.P3")
    matches = browser.find_elements(By.CSS_SELECTOR, "#matches .match")
    assert [each.get_attribute("data-key") for each in matches[:2]] == [OURS, THEIRS]
    assert len(matches) == 12
    press(browser, Keys.ARROW_DOWN, Keys.ENTER)
    assert chosen(browser) == [THEIRS]
    press(browser, *[Keys.ARROW_DOWN] * 14)
    assert one(browser, '#matches [aria-selected="true"]').is_displayed()
    one(browser, "#search").clear()
    one(browser, "#search").send_keys("no such box")
    assert browser.find_elements(By.CSS_SELECTOR, "#matches .match") == []


# ---- edges


YAML = "edges:\n  neck_p3:\n    taps: neck.p3\n    criterion: {cwd: {norm: batch}}\n"


def test_two_clicks_give_the_yaml_of_an_edge(browser: Browser, show: Show) -> None:
    show()
    box(browser, OURS).click()
    assert browser.find_elements(By.ID, "yaml") == []
    box(browser, THEIRS).click()
    assert shown_yaml(browser) == YAML
    assert one(browser, "#fits").text == "The adapter auto brings 64×80×80 to 256×80×80."
    box(browser, "student:model.neck.p4").click()
    edge = yaml.safe_load(shown_yaml(browser))["edges"]["neck_p4"]
    assert edge == {
        "taps": {"student": "neck.p4", "teacher": "neck.p3"},
        "criterion": {"cwd": {"norm": "batch"}},
    }
    assert chosen(browser) == ["student:model.neck.p4", THEIRS]


def test_equal_shapes_need_no_adapter(browser: Browser, show: Show) -> None:
    show()
    for role in ("teacher", "student"):
        box(browser, f"{role}:model.cls.p3").click()
    assert yaml.safe_load(shown_yaml(browser)) == {
        "edges": {"cls_p3": {"taps": "cls.p3", "criterion": "qfl"}}
    }
    assert "no adapter" in one(browser, "#fits").text


def test_what_cannot_be_compared_gets_words_and_no_yaml(browser: Browser, show: Show) -> None:
    show()
    box(browser, OURS).click()
    box(browser, "teacher:model.cls.p3").click()
    assert browser.find_elements(By.ID, "yaml") == []
    assert one(browser, "#fits").text == "Features and class logits cannot be compared"


def test_one_model_needs_one_click(browser: Browser, show: Show) -> None:
    show(scene(roles=("student",)))
    box(browser, OURS).click()
    assert shown_yaml(browser) == YAML


def test_of_several_teachers_the_yaml_names_the_one(browser: Browser, show: Show) -> None:
    show(scene(roles=("student", "large", "wide")))
    box(browser, OURS).click()
    for role in ("large", "wide"):  # the second takes the first one's place
        box(browser, f"{role}:model.neck.p3").click()
        assert yaml.safe_load(shown_yaml(browser))["edges"]["neck_p3"]["teacher"] == role
    assert chosen(browser) == [OURS, "wide:model.neck.p3"]


@pytest.mark.parametrize(
    ("tap", "name"), [("0.weird tap!", "edge_0_weird_tap"), ("model.16.cv2", "model_16_cv2")]
)
def test_the_name_of_an_edge_is_one_that_a_spec_takes(
    browser: Browser, show: Show, tap: str, name: str
) -> None:
    made = scene(roles=("student",))
    made["boxes"][OURS]["names"] = [tap]
    show(made)
    box(browser, OURS).click()
    assert yaml.safe_load(shown_yaml(browser))["edges"] == {
        name: {"taps": tap, "criterion": {"cwd": {"norm": "batch"}}}
    }


def test_copy_fills_the_clipboard(browser: Browser, show: Show) -> None:
    show()
    box(browser, OURS).click()
    box(browser, THEIRS).click()
    one(browser, "#copy-yaml").click()
    assert clipboard(browser) == YAML
    one(browser, '.copy[title="Copy model.neck.p3"]').click()
    assert clipboard(browser) == "model.neck.p3"
    one(browser, "#copy-yaml").click()
    browser.execute_script("arguments[0].blur()", one(browser, "#copy-yaml"))
    one(browser, '.copy[title="Copy model.neck.p3"]').click()
    browser.execute_script("document.activeElement.blur()")
    press(browser, "c")
    assert clipboard(browser) == YAML
    assert one(browser, "#toast").text == "Copied"


def clipboard(browser: Browser) -> str:
    script = """
      const done = arguments[0];
      const refused = (error) => done(`refused: ${error}`);
      setTimeout(() => navigator.clipboard.readText().then(done, refused), 60);"""
    return str(browser.execute_async_script(script))


def test_copy_works_where_the_clipboard_is_refused(browser: Browser, show: Show) -> None:
    browser.execute_cdp_cmd("Browser.resetPermissions", {})
    for name in ("clipboard-write", "clipboard-sanitized-write"):
        setting = {"permission": {"name": name.replace("-sanitized", "")}, "setting": "denied"}
        browser.execute_cdp_cmd("Browser.setPermission", setting)
    try:
        show()
        refused = (
            "navigator.clipboard.writeText('x').then(() => arguments[0](false), () => arguments[0](true))"
        )
        assert browser.execute_async_script(refused)
        box(browser, OURS).click()
        box(browser, THEIRS).click()
        one(browser, "#copy-yaml").click()
        settled(browser)
        assert one(browser, "#toast").text == "Copied"
    finally:
        browser.execute_cdp_cmd("Browser.resetPermissions", {})
        grant(browser, "clipboardReadWrite", "clipboardSanitizedWrite")
    assert clipboard(browser) == YAML


def test_a_mark_shows_its_term_and_lights_what_it_taps(browser: Browser, show: Show) -> None:
    show()
    one(browser, 'g.mark[data-term="neck.p3"] > .body').click()
    words = one(browser, "#panel").text
    for part in ("neck.p3", "cwd", "norm: batch", "0.4", "foreground", "conv1x1 64 → 256", "106 MFLOPs"):
        assert part in words
    lit = browser.find_elements(By.CSS_SELECTOR, "g.box.lit")
    assert {element.get_attribute("data-key") for element in lit} == {OURS, THEIRS}
    press(browser, Keys.ESCAPE)
    assert browser.find_elements(By.CSS_SELECTOR, ".lit, .selected") == []
    one(browser, '#panel .item[data-term="neck.p3"]').click()
    assert len(browser.find_elements(By.CSS_SELECTOR, "g.box.lit")) == 2


def test_a_candidate_pair_selects_both(browser: Browser, show: Show) -> None:
    made = scene()
    pair = {"name": "neck.p3", "student": OURS, "teacher": THEIRS, "level": "p3", "stride": 8}
    pairs = [{**pair, "channels": [64, 256], "taps": ["neck.p3", "neck.p3"]}]
    made.update(kind="diff", terms={}, legend=[], pairs=pairs)
    for each in made["boxes"].values():
        each["terms"] = []
    show(made)
    one(browser, ".item.pair").click()
    assert shown_yaml(browser) == YAML
    press(browser, Keys.ESCAPE)
    one(browser, 'g.mark[data-term="neck.p3"] > .body').click()
    assert chosen(browser) == [OURS, THEIRS]


def test_a_model_that_teaches_itself_is_tapped_twice(browser: Browser, show: Show) -> None:
    made = scene(roles=("student",))
    deep, shallow = "student:model.neck.p4", OURS
    term = scene()["terms"]["neck.p3"]
    made["terms"]["deep"] = {**term, "boxes": [shallow, deep], "taps": ["neck.p3", "neck.p4"]}
    view = made["views"]["layers"]
    view["marks"] = [{"term": "deep", "x": 580, "y": 190, "w": 150, "h": 50}]
    lines = [[[198, 80], [450, 80], [450, 180], [505, 180]], [[198, 320], [450, 320], [450, 200], [505, 200]]]
    view["edges"] = [{"term": "deep", "side": "student", "points": points} for points in lines]
    show(made)
    paths = [path.get_attribute("d") for path in browser.find_elements(By.CSS_SELECTOR, ".edge .line")]
    placed = placed_boxes(browser)
    for path, key in zip(paths, (shallow, deep), strict=True):
        start = tuple(map(float, re.findall(r"-?[\d.]+", path)[:2]))
        assert on_border(start, placed[key])
    one(browser, 'g.mark[data-term="deep"] > .body').click()
    headings = browser.find_elements(By.CSS_SELECTOR, "#panel h3")
    assert [each.text for each in headings] == ["student tap", "teacher tap"]


# ---- keyboard


def test_keys_move_unfold_and_clear(browser: Browser, show: Show) -> None:
    show()
    box(browser, OURS).click()
    press(browser, Keys.ARROW_RIGHT)
    assert chosen(browser) == ["student:model.cls.p3"]
    press(browser, Keys.ARROW_DOWN)
    assert chosen(browser) == ["student:model.cls.p4"]
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert chosen(browser) == [OURS]
    press(browser, Keys.TAB)
    assert chosen(browser) == ["student:model.cls.p3"]
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    assert chosen(browser) == [OURS]
    assert browser.switch_to.active_element.get_attribute("data-key") == OURS
    press(browser, Keys.ENTER)
    assert shown(browser, INNER.replace("p4", "p3"))
    press(browser, Keys.ENTER)
    assert not shown(browser, INNER.replace("p4", "p3"))
    press(browser, "x")
    assert chosen(browser) == [OURS, THEIRS]
    press(browser, Keys.ESCAPE)
    assert chosen(browser) == []


def test_keys_change_detail_and_zoom(browser: Browser, show: Show) -> None:
    show()
    for key, name in (("1", "stages"), ("3", "nodes"), ("2", "layers")):
        press(browser, key)
        assert detail(browser) == name
    settled(browser)
    fitted = one(browser, "#zoom-level").text
    press(browser, "+", "+", "-", "+")
    settled(browser)
    assert one(browser, "#zoom-level").text != fitted
    press(browser, "0")
    settled(browser)
    assert one(browser, "#zoom-level").text == fitted
    press(browser, "?")
    assert one(browser, "#help").is_displayed()
    press(browser, Keys.ESCAPE)
    assert not one(browser, "#help").is_displayed()


def test_tab_reaches_the_boxes_and_leaves_them(browser: Browser, show: Show) -> None:
    show()
    seen: list[str] = []
    for _ in range(60):
        press(browser, Keys.TAB)
        active = browser.switch_to.active_element
        seen.append(active.get_attribute("data-key") or active.get_attribute("id") or active.tag_name)
    assert {key for key in seen if key.startswith("student:")} == {
        f"student:model.{n}.{p}" for n in ("neck", "cls") for p in ("p3", "p4")
    }
    assert "zoom-out" in seen[max(i for i, key in enumerate(seen) if key.startswith("teacher:")) :]


def test_boxes_speak_to_a_screen_reader(browser: Browser, show: Show) -> None:
    show()
    element = one(browser, f'g.box[data-key="{OURS}"]')
    assert element.get_attribute("role") == "button"
    assert (
        element.get_attribute("aria-label")
        == "student, 16 neck.p3, neck.p3, 64×80×80, stride 8, tapped by neck.p3"
    )
    assert element.get_attribute("aria-expanded") == "false"


# ---- themes, address, print


def ground(browser: Browser) -> str:
    return str(
        browser.execute_script("return getComputedStyle(document.getElementById('stage')).backgroundColor")
    )


def test_themes_follow_the_system_until_one_is_chosen(browser: Browser, show: Show) -> None:
    scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    try:
        show()
        dark = ground(browser)
        one(browser, "#theme").click()  # auto -> light
        light = ground(browser)
        assert light != dark
        one(browser, "#theme").click()  # light -> dark
        assert ground(browser) == dark
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{**scheme["features"][0], "value": "light"}]}
        )
        assert ground(browser) == dark
        one(browser, "#theme").click()  # dark -> auto
        assert ground(browser) == light
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_address_keeps_what_is_shown(browser: Browser, show: Show) -> None:
    show()
    browser.execute_script("kdgraph.select(arguments[0])", INNER)
    press(browser, "0")
    settled(browser)
    box(browser, THEIRS).click()
    address = browser.current_url
    anchor = address.split("#", 1)[1]
    assert anchor == f"detail=layers&box={INNER}&box={THEIRS}"
    show(anchor=f"#{anchor}")
    assert chosen(browser) == [INNER, THEIRS]
    press(browser, "1")
    assert browser.current_url.split("#", 1)[1].startswith("detail=stages")
    show(anchor="#detail=nodes&term=neck.p3")
    assert detail(browser) == "nodes"
    assert one(browser, 'g.mark[data-term="neck.p3"]').get_attribute("aria-pressed") == "true"
    show(anchor="#detail=nonsense&box=no:such.box&term=toString")
    assert (detail(browser), chosen(browser)) == ("layers", [])


def test_the_view_prints_whole_and_comes_back(browser: Browser, show: Show) -> None:
    show({**scene(nodes=20), "detail": "nodes"})
    browser.execute_script("kdgraph.select(arguments[0])", INNER)
    before = corner(browser)
    browser.execute_script(
        "const drawing = document.getElementById('drawing');"
        "addEventListener('beforeprint', () => (window.printed = drawing.getAttribute('viewBox')));"
    )
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    width = float(browser.execute_script("return window.printed").split()[2])
    assert len(pdf) > 10_000
    assert width > 1440  # all of it, not the window's part
    assert corner(browser) == pytest.approx(before, abs=1)
    assert not one(browser, "#drawing").get_attribute("viewBox")


# ---- many boxes


FRAMES = """
  const done = arguments[0], times = [], start = performance.now();
  const step = (now) => {
    times.push(now);
    now - start < 700 ? requestAnimationFrame(step) : done(times.length / 0.7);
  };
  requestAnimationFrame(step);
"""


def test_two_thousand_boxes_are_dragged_and_zoomed(
    browser: Browser, show: Show, record_property: Callable[[str, object], None]
) -> None:
    made = {**scene(nodes=250), "detail": "nodes"}
    show(made)
    assert len(browser.find_elements(By.CSS_SELECTOR, "g.box")) == 8 * 251
    assert overlapping(rects(browser)) == []
    (x, y), texts = corner(browser), "return document.querySelectorAll('#drawing text').length"
    count = browser.execute_script(texts)
    stage = one(browser, "#stage")
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(-40, 30).move_by_offset(
        -20, 10
    ).perform()
    record_property("frames in a second", browser.execute_async_script(FRAMES))
    ActionChains(browser).release().perform()
    assert corner(browser) == pytest.approx((x - 60, y + 40), abs=1)
    assert chosen(browser) == []  # a drag is no click
    zoom = one(browser, "#zoom-level").text
    ActionChains(browser).scroll_from_origin(origin_of(stage), 0, -300).perform()
    settled(browser)
    assert one(browser, "#zoom-level").text != zoom
    assert browser.execute_script(texts) == count  # panning and zooming make no element anew


def origin_of(element: Any) -> Any:
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    return ScrollOrigin.from_element(element)


def test_the_wheel_keeps_what_is_under_the_pointer(browser: Browser, show: Show) -> None:
    show()
    body = box(browser, OURS)
    middle = "const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
    settled(browser)
    before = browser.execute_script(middle, body)
    ActionChains(browser).scroll_from_origin(origin_of(body), 0, -120).perform()
    settled(browser)
    assert browser.execute_script(middle, body) == pytest.approx(before, abs=1.5)


def test_a_small_window_keeps_drawing_and_panel(browser: Browser, show: Show) -> None:
    size = {"width": 420, "height": 760, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        show()
        box(browser, OURS).click()
        box(browser, THEIRS).click()
        assert one(browser, "#copy-yaml").is_displayed()
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 420
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
