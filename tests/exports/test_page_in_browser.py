"""The HTML page in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from beep_orchestration.extraction.exports.page import to_html
from beep_orchestration.extraction.model import Graph
from tests.browser import console
from tests.exports.graphs import graph_of, large_graph

pytestmark = pytest.mark.browser

TEXT = (
    "👩🏽‍💻 Ada Lovelace was born in London.\r\n\r\nتشارلز met Ada Lovelace in London. "
    + "Filler 😀 text.\n" * 900
    + "تشارلز liked Zürich."
)
TYPES = {"Ada Lovelace": "Person", "تشارلز": "Person", "London": "Place", "Zürich": "Place"}
FACTS = [("Ada Lovelace", "born in", "London"), ("تشارلز", "met", "Ada Lovelace"), ("تشارلز", "liked", "Zürich")]
HACK = "document.body.dataset.hacked = 1"
HOSTILE = f"</script><img src=x onerror='{HACK}'><script>{HACK}</script>"

READABLE = 4.5
"""The contrast that WCAG 2.2 asks of text at level AA."""

Open = Callable[[Graph, str], "Page"]


class Page:
    """The page as a reader uses it."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def run(self, script: str) -> Any:
        return self.browser.execute_script(f"return {script}")

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.browser, 30, poll_frequency=0.05).until(lambda _: condition())

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [found.get_property("textContent") for found in self.browser.find_elements(By.CSS_SELECTOR, selector)]  # type: ignore[misc]

    def listed(self) -> list[str]:
        return self.texts("#panel li bdi")

    def click_canvas(self, x: float, y: float) -> None:
        canvas = self.one("#canvas")
        dx, dy = round(x - canvas.size["width"] / 2), round(y - canvas.size["height"] / 2)
        ActionChains(self.browser).move_to_element_with_offset(canvas, dx, dy).click().perform()

    def press(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()


@pytest.fixture
def open_page(browser: Chrome, tmp_path: Path) -> Open:
    def opened(graph: Graph, text: str) -> Page:
        file = tmp_path / "graph.html"
        file.write_text(to_html(graph, text), encoding="utf-8", newline="")
        browser.get(file.as_uri())
        page = Page(browser)
        page.until(lambda: page.one("#canvas").get_attribute("data-layout") == "settled")
        return page

    return opened


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page(graph_of(TEXT, TYPES, FACTS), TEXT)


@pytest.mark.parametrize(
    ("edge", "sentence"),
    [(0, "👩🏽‍💻 Ada Lovelace was born in London."), (1, "تشارلز met Ada Lovelace in London.")],
)
def test_a_click_on_an_edge_marks_exactly_its_sentence(page: Page, edge: int, sentence: str) -> None:
    middle = page.run(f"curve(edges[{edge}])")
    page.click_canvas(middle["x"], middle["y"])
    page.until(lambda: page.texts("mark.evidence"))
    assert "".join(page.texts("mark.evidence")) == sentence
    assert page.texts("mark.subject") == [FACTS[edge][0]]
    assert page.listed() == [sentence]


def test_a_click_on_a_node_lists_and_marks_its_mentions(page: Page) -> None:
    place = page.run("(({x, y}) => [sx(x), sy(y)])(nodes.find((node) => node.name === 'Ada Lovelace'))")
    page.click_canvas(*place)
    page.until(lambda: page.texts("mark") == ["Ada Lovelace", "Ada Lovelace"])
    assert page.texts("#panel li strong") == ["Ada Lovelace", "Ada Lovelace"]


def test_the_sentence_is_scrolled_into_view_however_far_down(page: Page) -> None:
    page.run("select(edges[2])")
    place = "document.querySelector('.here').getBoundingClientRect()"
    page.until(lambda: page.run(f"{place}.top > 0 && {place}.bottom < innerHeight"))
    assert page.texts("mark.object") == ["Zürich"]


def test_the_document_is_shown_unchanged_after_marks_are_taken_away(page: Page) -> None:
    page.run("select(edges[0])")
    page.run("select(null)")
    assert page.run("document.getElementById('text').textContent") == TEXT
    assert page.texts("mark") == []


def test_search_ignores_case_and_accents_and_enter_selects(page: Page) -> None:
    page.press("/", "zurich")
    page.until(lambda: page.listed() == ["Zürich"])
    page.press(Keys.ENTER)
    page.until(lambda: page.texts("#panel h2") == ["Zürich"])
    page.press(Keys.ESCAPE)
    page.until(lambda: len(page.listed()) == len(TYPES))


def test_a_type_can_be_hidden(page: Page) -> None:
    page.one("#types label").click()
    page.until(lambda: sorted(page.listed()) == ["London", "Zürich"])
    assert page.run("nodes.filter(isShown).length") == 2


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.run("document.querySelector('#panel li button').focus()")
    page.press(Keys.ENTER)
    page.until(lambda: page.texts("#panel h2"))
    page.run("canvas.focus()")
    before = page.run("[view.scale, view.x]")
    page.press("+", Keys.ARROW_LEFT)
    page.until(lambda: page.run("view.scale") > before[0] and page.run("view.x") != before[1])
    page.press("0")
    page.until(
        lambda: page.run(
            "nodes.every((n) => sx(n.x) > 0 && sx(n.x) < view.width && sy(n.y) > 0 && sy(n.y) < view.height)"
        )
    )
    order = [page.run("document.activeElement.id")]
    while order[-1] != "document":
        page.press(Keys.TAB)
        order.append(page.run("document.activeElement.id"))
    assert order == ["canvas", "closer", "farther", "fit", "document"]


def test_drag_pans_and_wheel_zooms(page: Page) -> None:
    canvas = page.one("#canvas")
    before = page.run("[view.x, view.scale]")
    ActionChains(page.browser).move_to_element_with_offset(canvas, -300, -300).click_and_hold().move_by_offset(
        40, 0
    ).release().perform()
    page.until(lambda: page.run("view.x") == before[0] + 40)
    ActionChains(page.browser).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, -120).perform()
    page.until(lambda: page.run("view.scale") > before[1])


def test_hostile_names_do_nothing_but_appear(open_page: Open) -> None:
    text = f"{HOSTILE} met {{{{script}}}} and <!--."
    graph = graph_of(
        text,
        {HOSTILE: "Person", "{{script}}": "<b>type</b>", "__proto__": "constructor"},
        [(HOSTILE, HOSTILE, "{{script}}")],
        title=HOSTILE,
    )
    page = open_page(graph, text)
    assert sorted(page.listed()) == sorted([HOSTILE, "{{script}}", "__proto__"])
    page.run("select(edges[0])")
    assert page.browser.title == HOSTILE
    assert page.run("document.body.dataset.hacked") is None
    assert page.run("document.querySelectorAll('img, b').length") == 0


def test_injected_script_is_refused_by_the_policy(page: Page) -> None:
    console(page.browser)
    page.run(f"document.body.append(element('script', {{ textContent: '{HACK}' }}))")
    page.until(lambda: any("Content Security Policy" in entry["message"] for entry in console(page.browser)))
    assert page.run("document.body.dataset.hacked") is None


def test_two_thousand_nodes_settle_and_stay_usable(open_page: Open, browser: Chrome) -> None:
    graph, text = large_graph(2_000)
    console(browser)
    page = open_page(graph, text)
    still = page.run("nodes.map((node) => node.x)")
    page.run("select(edges[edges.length - 1])")
    span = graph.relations[-1].evidence[0]
    assert "".join(page.texts("mark.evidence")) == text[span.start : span.end]
    page.press("/", graph.entities[1_500].name)
    page.until(lambda: page.listed() == [graph.entities[1_500].name])
    assert page.run("nodes.map((node) => node.x)") == still
    assert console(browser) == []


@pytest.fixture(params=["light", "dark"])
def scheme(browser: Chrome, request: pytest.FixtureRequest) -> Iterator[str]:
    emulate(browser, request.param)
    yield request.param
    emulate(browser, "")


def emulate(browser: Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_text_stands_out_from_its_ground_in_light_and_dark(scheme: str, page: Page) -> None:
    assert (_luminance(page.run("colours.back")) > 0.5) == (scheme == "light")
    for ink in ("ink", "soft"):
        assert _contrast(page.run(f"colours.{ink}"), page.run("colours.back")) >= READABLE


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_an_empty_graph_says_so(open_page: Open) -> None:
    assert open_page(graph_of(" ", {}), " ").one("#empty").is_displayed()
