"""The HTML page in a real browser."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from beep_orchestration.extraction.exports.page import to_html
from beep_orchestration.extraction.model import Decision, Graph, Provenance, Review, Source, Triple
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
PLACE = "(({x, y}) => [picture.sx(x), picture.sy(y)])"
"""Where a node is on the canvas."""
HACK = "document.body.dataset.hacked = 1"
HOSTILE = f"</script><img src=x onerror='{HACK}'><script>{HACK}</script>"

MOST_ROUNDS = 300
"""Of the layout, whatever the size: its time is bounded by these and is n log n in each."""

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
    middle = page.run(f"picture.curve(edges[{edge}])")
    page.click_canvas(middle["x"], middle["y"])
    page.until(lambda: page.texts("mark.evidence"))
    assert "".join(page.texts("mark.evidence")) == sentence
    assert page.texts("mark.subject") == [FACTS[edge][0]]
    assert page.listed() == [sentence]


def test_a_click_on_a_node_lists_and_marks_its_mentions(page: Page) -> None:
    place = page.run(PLACE + "(nodes.find((node) => node.name === 'Ada Lovelace'))")
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


def test_a_type_can_be_hidden_and_one_shown_alone(page: Page) -> None:
    page.one("#types label").click()
    page.until(lambda: sorted(page.listed()) == ["London", "Zürich"])
    assert page.run("nodes.filter(isShown).length") == 2
    page.run("document.querySelector('.only').click()")
    page.until(lambda: sorted(page.listed()) == ["Ada Lovelace", "تشارلز"])
    page.one("#every").click()
    page.until(lambda: len(page.listed()) == len(TYPES))
    assert not page.one("#every").is_displayed()


def test_a_fact_says_who_found_it_and_who_decided(open_page: Open) -> None:
    graph = graph_of(TEXT, TYPES, FACTS)
    fact = graph.relations[0]
    about = Triple(subject=fact.subject, predicate=fact.predicate, object=fact.object)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    provenance = Provenance(
        sources=(Source(extractor=HOSTILE, version="1", activities=("relations-0", "relations-1")),),
        reviews=(Review(decision=Decision.APPROVED, by=HOSTILE, at=at, relation=about, note="seen"),),
    )
    found = (fact.model_copy(update={"found_by": ("relations-1",)}), *graph.relations[1:])
    page = open_page(graph.model_copy(update={"relations": found, "provenance": provenance}), TEXT)
    page.run("select(edges[0])")
    assert page.texts("#panel p.soft")[1:] == [
        f"approved by {HOSTILE} on 2026-03-01: seen",
        f"Found by {HOSTILE} in relations-1",
    ]
    page.run("select(edges[1])")
    assert len(page.texts("#panel p.soft")) == 1
    assert page.run("document.body.dataset.hacked") is None


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://example.org/a?b=1", True),
        ("javascript:document.body.dataset.hacked=1", False),
        (" JaVaScRiPt:document.body.dataset.hacked=1", False),
        ("data:text/html,<script>1</script>", False),
        ("file:///etc/passwd", False),
        ("no address", False),
    ],
)
def test_only_an_address_of_the_web_is_a_link(open_page: Open, address: str, is_link: bool) -> None:  # noqa: FBT001
    page = open_page(graph_of(TEXT, TYPES).model_copy(update={"source_uri": address}), TEXT)
    assert address in page.one("#counts").text or address.strip() in page.one("#counts").text
    links = page.browser.find_elements(By.TAG_NAME, "a")
    assert [link.get_attribute("href") for link in links] == ([address] if is_link else [])


def test_on_a_phone_list_and_document_take_turns_below_the_picture(browser: Chrome, open_page: Open) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page = open_page(graph_of(TEXT, TYPES, FACTS), TEXT)
        assert page.run("document.documentElement.scrollWidth") <= size["width"]
        page.until(lambda: all_in_view(page))
        assert (page.one("#panel").is_displayed(), page.one("#document").is_displayed()) == (True, False)
        page.run("select(edges[2])")
        page.one("#panel li button").click()
        assert (page.one("#panel").is_displayed(), page.one("#document").is_displayed()) == (False, True)
        place = "document.querySelector('.here').getBoundingClientRect()"
        page.until(lambda: page.run(f"{place}.top > 0 && {place}.bottom < innerHeight"))
        page.one("#to-list").click()
        assert page.one("#panel").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.run("document.querySelector('#panel li button').focus()")
    page.press(Keys.ENTER)
    page.until(lambda: page.texts("#panel h2"))
    page.run("canvas.focus()")
    before = page.run("[picture.view.scale, picture.view.x]")
    page.press("+", Keys.ARROW_LEFT)
    page.until(lambda: page.run("picture.view.scale") > before[0] and page.run("picture.view.x") != before[1])
    page.press("0")
    page.until(lambda: all_in_view(page))
    order = [page.run("document.activeElement.id")]
    while order[-1] != "document":
        page.press(Keys.TAB)
        order.append(page.run("document.activeElement.id"))
    assert order == ["canvas", "grouping", "closer", "farther", "fit", "document"]


def all_in_view(page: Page) -> bool:
    places = page.run(f"nodes.map({PLACE})")
    width, height = page.run("[picture.view.width, picture.view.height]")
    return all(0 < x < width and 0 < y < height for x, y in places)


def test_arrows_go_from_the_search_along_the_list(page: Page) -> None:
    page.press("/", Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    first = page.listed()[1]
    assert page.run("document.activeElement.querySelector('bdi').textContent") == first
    page.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert page.run("document.activeElement.id") == "search"


def test_by_type_every_entity_stands_in_the_block_of_its_type(page: Page) -> None:
    page.press("g")
    page.until(lambda: page.run("picture.layout.settled && picture.layout.blocks.length") == len(set(TYPES.values())))
    found = page.run("picture.layout.blocks.map((one) => [one.type, one.nodes.map((node) => node.name).sort()])")
    assert sorted(found) == [
        [kind, sorted(name for name in TYPES if TYPES[name] == kind)] for kind in sorted(set(TYPES.values()))
    ]
    lefts = page.run(
        "picture.layout.blocks.map((one) => [one.type, one.x, one.x + one.width, one.y, one.y + one.height])"
    )
    for kind, left, right, top, bottom in lefts:
        inside = f"n.x > {left} && n.x < {right} && n.y > {top} && n.y < {bottom}"
        assert set(page.run(f"nodes.filter((n) => {inside}).map((n) => n.type)")) == {kind}
    page.press("g")
    page.until(lambda: page.run("picture.layout.settled && !picture.byType"))


def test_what_is_in_no_relation_stands_apart_in_blocks(open_page: Open) -> None:
    page = open_page(graph_of(TEXT, TYPES, FACTS[:1]), TEXT)
    assert page.run("picture.layout.blocks.map((one) => one.type).sort()") == ["Person", "Place"]
    assert page.run("nodes.filter((node) => node.listed).map((node) => node.name).sort()") == ["Zürich", "تشارلز"]


def test_the_same_graph_gets_the_same_picture_and_a_larger_degree_a_larger_node(open_page: Open) -> None:
    graph = graph_of(TEXT, TYPES, FACTS)
    first = open_page(graph, TEXT).run("nodes.map(({x, y}) => [x, y])")
    page = open_page(graph, TEXT)
    assert page.run("nodes.map(({x, y}) => [x, y])") == first
    sizes = page.run("nodes.map((node) => [node.edges.length, picture.sizeOf(node)])")
    assert sizes == sorted(sizes, reverse=True)
    assert len({size for _, size in sizes}) == len({degree for degree, _ in sizes}) > 1


def test_a_graph_that_grows_keeps_its_places(page: Page) -> None:
    placed = "new Map(picture.nodes.filter((node) => node.edges.length).map(({id, x, y}) => [id, `${x} ${y}`]))"
    page.run("[picture.show({...data, relations: data.relations.slice(0, 1)})]")
    page.until(lambda: page.run("picture.layout.settled"))
    before = dict(page.run(f"[...{placed}]"))
    after = dict(page.run(f"(() => {{ picture.show(data); return [...{placed}]; }})()"))
    assert {one: after[one] for one in before} == before
    assert len(after) > len(before)


def test_drag_pans_and_wheel_zooms(page: Page) -> None:
    canvas = page.one("#canvas")
    before = page.run("[picture.view.x, picture.view.scale]")
    ActionChains(page.browser).move_to_element_with_offset(canvas, -300, -300).click_and_hold().move_by_offset(
        40, 0
    ).release().perform()
    page.until(lambda: page.run("picture.view.x") == before[0] + 40)
    ActionChains(page.browser).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, -120).perform()
    page.until(lambda: page.run("picture.view.scale") > before[1])


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


def test_two_thousand_nodes_and_five_thousand_edges_settle_and_stay_usable(open_page: Open, browser: Chrome) -> None:
    graph, text = large_graph(2_000, 5_000)
    console(browser)
    page = open_page(graph, text)
    rounds = "((layout) => { let made = 0; while (!layout.settled) { layout.step(); made += 1; } return made; })"
    assert page.run(f"{rounds}(new Layout(nodes, edges, false, 800, 600))") < MOST_ROUNDS
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
    assert (_luminance(page.run("picture.colours.back")) > 0.5) == (scheme == "light")
    for ink in ("ink", "soft"):
        assert _contrast(page.run(f"picture.colours.{ink}"), page.run("picture.colours.back")) >= READABLE


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
