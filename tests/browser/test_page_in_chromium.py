"""The page as people meet it: two widths, light and dark, no network, a keyboard, little motion. `make browser`."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from synthetic_page import page_of
from synthetic_samplers import with_samplers
from synthetic_tables import tables

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ALERT = "<img src=x onerror=alert(1)>"
SIZES = [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A page of two arms, with failures, samplers, claims and a hostile name."""
    study = with_samplers(tables(arms=("released", "stabilised"), seeds=2, failing=True, judged=True))
    runs = study.runs.assign(label=study.runs["label"].replace("GAN", ALERT))
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page_of(replace(study, runs=runs), title=f"Title {ALERT}"), "utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed: `make browser`")
    with api.sync_playwright() as playwright:
        program = CHROMIUM or playwright.chromium.executable_path
        if not Path(program).is_file():
            pytest.skip("no Chromium: install the system's, run `playwright install chromium`, or name one in CHROMIUM")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def is_wrong(message) -> bool:
    """An error or a warning, but for the one of a canvas that a test reads."""
    return message.type in ("error", "warning") and "getImageData" not in message.text


def until(page, holds: str, argument: object = None) -> None:
    """Waits for a function to hold. The page's policy forbids playwright's own way, which makes code of text."""
    end = time.monotonic() + 20
    while not page.evaluate(holds, argument):
        assert time.monotonic() < end, holds
        page.wait_for_timeout(20)


@pytest.fixture
def opened(chromium, file):
    """Opens the page offline in a window; what went wrong there is looked at when the test ends."""
    contexts, wrong = [], []

    def window(width: int = 1440, colours: str = "light", motion: str = "no-preference"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=colours, reduced_motion=motion, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append("an alert") or dialog.dismiss())
        asked = lambda request: not request.url.startswith("data:") and request.url != file.as_uri()  # noqa: E731
        page.on("request", lambda request: wrong.append(request.url) if asked(request) else None)
        page.goto(file.as_uri())
        until(page, "() => !!document.querySelector('#chart svg') && !!document.querySelector('#walks canvas')")
        until(page, "() => [...document.querySelectorAll('.pane canvas')].every((canvas) => canvas.height !== 150)")
        return page

    yield window
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.parametrize(("width", "colours"), SIZES)
def test_nothing_is_wrong_wide_or_narrow_light_or_dark(opened, width, colours):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(width, colours)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for details in page.locator("details").all():
        details.evaluate("(element) => { element.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (colours == "light")


def column(page, table: str, at: int) -> list[str]:
    cells = f"#table-{table} tbody tr:not([hidden]) > :nth-child({at + 1})"
    return page.locator(cells).evaluate_all("(cells) => cells.map((cell) => cell.dataset.n)")


def test_tables_sort_and_say_so_and_failures_stay_last(opened):
    page = opened()
    head = page.locator("#table-results thead th").nth(4)
    button = head.get_by_role("button")
    assert button.inner_text().startswith("FID")
    last = page.locator("#table-results tbody tr").nth(-1)
    for wanted in ("ascending", "descending"):
        button.click()
        assert head.get_attribute("aria-sort") == wanted
        assert page.locator("[aria-sort]").count() == 1
        shares = page.locator("#table-results tbody tr").evaluate_all("(rows) => rows.map((r) => +r.dataset.failed)")
        assert shares == sorted(shares) and shares[-1] == 1
        values = [float(value) for value in column(page, "results", 4)[: shares.count(0)]]
        assert values == sorted(values, reverse=wanted == "descending")
        assert "0 of 2" in last.inner_text()


def test_tables_filter(opened):
    page = opened()
    block = page.locator("#table-claims")
    block.get_by_label("Verdict").select_option("undecided")
    verdicts = block.locator("tbody tr:not([hidden]) > :nth-child(2)").all_inner_texts()
    assert verdicts and set(verdicts) == {"undecided"}
    assert block.locator("output").inner_text().startswith(f"{len(verdicts)} of ")
    block.get_by_label("Find").fill("no such words")
    assert block.locator("tbody tr:not([hidden])").count() == 0


def test_curves_follow_the_choice(opened):
    page = opened()
    says, chart = page.locator("#chart-says"), page.locator("#chart svg")
    assert says.inner_text().startswith("28 runs")
    assert chart.locator("path[stroke]:not([stroke='currentColor'])").count() > 20
    page.get_by_role("button", name="None variants").click()
    assert says.inner_text().startswith("0 runs")
    page.locator("#curve-variants").get_by_label("BCE, stabilised").check()
    assert says.inner_text().startswith("2 runs")
    page.locator("#curve-seeds").get_by_label("1", exact=True).uncheck()
    assert says.inner_text().startswith("1 run is")
    page.get_by_label("Show").select_option("accuracy")
    assert page.locator("#chart svg[role=img]").get_attribute("aria-label") == "critic's accuracy over training"
    assert page.locator("#last-values li").count() == 1
    page.mouse.move(*page.locator(LINE).evaluate(MIDDLE))
    until(page, "() => document.querySelector('#chart svg').textContent.includes('BCE, stabilised, seed 0')")


LINE = '#chart svg g[stroke-width="1.5"][stroke-linejoin] > path'
MIDDLE = """(line) => {
  const { x, y } = line.getPointAtLength(line.getTotalLength() / 2).matrixTransform(line.getScreenCTM());
  return [x, y];
}"""


def test_what_a_curve_says_can_be_read_in_the_dark(opened):
    page = opened(colours="dark")
    page.locator("#chart svg").scroll_into_view_if_needed()
    page.mouse.move(*page.locator(LINE).first.evaluate(MIDDLE))
    until(page, "() => !!document.querySelector('#chart svg g[fill=\"var(--plot-background)\"] text')")
    tip = page.locator('#chart svg g[fill="var(--plot-background)"]').first
    assert tip.evaluate("(g) => getComputedStyle(g).fill") == page.evaluate(
        "getComputedStyle(document.body).backgroundColor"
    )


def pixels(page, canvas: str) -> str:
    return page.locator(canvas).first.evaluate("(canvas) => canvas.toDataURL()")


def test_panes_change_and_hold_the_same_latents(opened):
    page = opened()
    panes = page.locator(".pane")
    first = panes.nth(0)
    before = pixels(page, ".pane:nth-child(1) canvas")
    first.locator("select[name=variant]").select_option("Pearson χ², stabilised")
    until(page, "(old) => document.querySelector('.pane canvas').toDataURL() !== old", before)
    assert first.locator("figcaption").inner_text().startswith("Pearson χ², stabilised, seed 0, Prior")
    assert "Pearson" in first.locator("canvas").get_attribute("aria-label")
    first.locator("select[name=seed]").select_option(label="1")
    assert "seed 1" in first.locator("figcaption").inner_text()
    first.locator("select[name=variant]").select_option("BCE, stabilised")
    assert "seed 1" in first.locator("figcaption").inner_text(), "another variant, the same latents"
    first.locator("select[name=variant]").select_option("Real images")
    assert not first.locator("select[name=sampler]").is_visible()


def test_an_accepted_image_lies_where_the_prior_has_it(opened):
    page = opened()
    same = """(at) => {
      const [left, top] = [29 * (at % 8), 29 * Math.floor(at / 8)];
      const part = (canvas) => canvas.getContext("2d").getImageData(left, top, 28, 28).data;
      const [prior, kept] = [...document.querySelectorAll(".pane canvas")].map(part);
      return [prior.every((value, i) => value === kept[i]), kept.every((value) => value === 0)];
    }"""
    assert "13 of the first 40 latents accepted" in page.locator(".pane figcaption").nth(1).inner_text()
    assert page.evaluate(same, 4) == [True, False]
    assert page.evaluate(same, 5) == [False, True]
    before = page.locator(".pane canvas").nth(1).evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_label("leave the places of rejected latents empty").uncheck()
    until(page, "(old) => document.querySelectorAll('.pane canvas')[1].toDataURL() !== old", before)
    assert page.evaluate(same, 5) == [False, False]


def test_the_walk_moves_by_slider_and_by_button_and_not_by_itself(opened):
    page = opened()
    slider, button = page.get_by_label("Place on the walk"), page.get_by_role("button", name="Walk")
    start = pixels(page, "#walks canvas")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1"
    assert pixels(page, "#walks canvas") != start
    page.wait_for_timeout(400)
    assert slider.input_value() == "1"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    until(page, "() => document.querySelector('[name=frame]').value !== '1'")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_who_wants_little_motion_is_offered_none(opened):
    page = opened(motion="reduce")
    assert not page.locator("#walk-play").is_visible()
    assert page.get_by_label("Place on the walk").is_visible()


def test_a_keyboard_reaches_every_control_and_sorts(opened):
    page = opened(390)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    wanted = "main button, main input, main select, main [tabindex='0'], main summary"
    count = page.evaluate(f"[...document.querySelectorAll({wanted!r})].filter((e) => e.checkVisibility()).length")
    reached = set()
    for _ in range(count + 200):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"[...document.querySelectorAll({wanted!r})].indexOf(document.activeElement)"))
    assert len(reached - {-1}) == count
    button = page.locator("#table-runs thead button").nth(2)
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("#table-runs thead th").nth(2).get_attribute("aria-sort") == "ascending"


def test_links_of_the_menu_lead_to_their_sections(opened):
    page = opened(390)
    for link in page.get_by_role("navigation").get_by_role("link").all():
        link.click()
        target = page.locator(link.get_attribute("href"))
        assert target.evaluate("(element) => element.getBoundingClientRect().top") < 900
        assert target.get_by_role("heading", level=2).count() == 1
