"""The HTML page as a file: data stay data, and nothing is fetched."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.exports.page import to_html
from beep_orchestration.extraction.model import Graph
from tests.exports.graphs import FIFTY, documents, graph_of


class Elements(HTMLParser):
    """Collects the start tags, and the text of the JSON block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][1].get("id") == "data" and not self.data:
            self.data = data


BARE = [tag for tag, _ in Elements(to_html(graph_of("x", {}), "x")).tags]


@FIFTY
@given(documents())
def test_no_name_adds_an_element_and_the_json_holds_graph_and_text(case: tuple[Graph, str]) -> None:
    graph, text = case
    page = Elements(to_html(graph, text))
    assert [tag for tag, _ in page.tags] == BARE
    content = json.loads(page.data)
    assert content.pop("text") == text
    assert Graph.model_validate({**content.pop("document"), **content}) == graph


def test_nothing_is_fetched() -> None:
    page = to_html(graph_of("x", {"x": "Person"}), "x")
    assert not [
        tag for tag, attributes in Elements(page).tags if {"src", "href", "srcset", "style"} & attributes.keys()
    ]
    assert not re.search(r"\b(?:fetch|import|XMLHttpRequest|WebSocket|innerHTML|eval)\b|url\(|@import|https?:", page)


def test_another_text_than_the_graphs_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="text"):
        to_html(graph_of("Ada", {"Ada": "Person"}), "Bob")
