"""The report that `make demo` prints."""

import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from rich.console import Console

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.exports.characters import INVISIBLE
from beep_orchestration.extraction.exports.terminal import to_terminal
from beep_orchestration.extraction.model import Decision, Graph, Provenance, Review, Source
from tests.exports.graphs import FIFTY, documents, graph_of

TEXT = "Ada Lovelace was born\n in London. Paris is far."


def printed(graph: Graph, text: str) -> str:
    console = Console(file=StringIO(), width=160, color_system=None)
    console.print(to_terminal(graph, text))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_types_are_counted_and_a_relation_stands_with_its_sentence() -> None:
    types = {"Ada Lovelace": "Person", "London": "Place", "Paris": "Place"}
    report = printed(graph_of(TEXT, types, [("Ada Lovelace", "born in", "London")]), TEXT)
    assert re.search(r"Place +2 +London, Paris", report)
    assert re.search(r"Person +1 +Ada Lovelace", report)
    assert "Ada Lovelace —born in→ London" in report
    assert "“Ada Lovelace was born in London.”" in report


@pytest.mark.parametrize(
    ("kind", "fact", "read"),
    [
        ("Date", ("Ada", "born on", "1815"), "Ada —born in→ 1815"),
        ("Date", ("Ada", "born on", "10 December 1815"), "Ada —born on→ 10 December 1815"),
        ("Work", ("Ada", "based on", "1815"), "Ada —based on→ 1815"),
    ],
)
def test_a_predicate_is_read_as_its_date_asks(kind: str, fact: tuple[str, str, str], read: str) -> None:
    text = "Ada was born on 10 December 1815."
    assert read in printed(graph_of(text, {"Ada": "Person", fact[2]: kind}, [fact]), text)


def test_the_report_says_who_found_and_who_reviewed_it() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    provenance = Provenance(
        sources=(Source(extractor="names", version="1", activities=("mentions-0",)),),
        reviews=(
            Review(decision=Decision.APPROVED, by="Ann", at=at),
            Review(decision=Decision.REJECTED, by="Ann", at=at),
        ),
    )
    report = printed(graph_of(TEXT, {"London": "Place"}).model_copy(update={"provenance": provenance}), TEXT)
    assert re.search(r"^found by names *$", report, re.MULTILINE)
    assert "reviewed by Ann: 2 decisions" in report


def test_a_sentence_that_states_several_relations_stands_once_below_them() -> None:
    types = {"Ada Lovelace": "Person", "London": "Place", "Paris": "Place"}
    facts = [("Ada Lovelace", "born in", "London"), ("London", "named by", "Ada Lovelace")]
    lines = [line.strip() for line in printed(graph_of(TEXT, types, facts), TEXT).splitlines() if line.strip()]
    assert lines[-1] == "“Ada Lovelace was born in London.”"
    assert [line.rpartition("  ")[0] for line in lines[-3:-1]] == [
        "Ada Lovelace —born in→ London",
        "London —named by→ Ada Lovelace",
    ]


def test_what_does_not_fit_is_counted() -> None:
    names = {f"N{number:02}": "Person" for number in range(30)}
    facts = [(f"N{number:02}", "knows", "N00") for number in range(1, 30)]
    report = printed(graph_of(" ".join(names), names, facts), " ".join(names))
    assert "and 22 more" in report
    assert "and 9 more relations" in report


def test_a_long_sentence_is_cut_between_words() -> None:
    text = "Ada met Babbage " + "in a remarkably crowded room " * 12 + "once."
    report = " ".join(printed(graph_of(text, {"Ada": "Person", "Babbage": "Person"}, [("Ada", "met", "Babbage")])
                              , text).split())  # fmt: skip
    (shown,) = re.findall("“(.+) …”", report)
    assert text.startswith(shown + " ")


@FIFTY
@given(documents())
def test_names_are_shown_and_never_obeyed(case: tuple[Graph, str]) -> None:
    graph, text = case
    assert not INVISIBLE.search(printed(graph, text))


def test_rich_markup_in_a_name_is_text() -> None:
    assert "[red]Ada[/red]" in printed(graph_of("[red]Ada[/red]", {"[red]Ada[/red]": "Person"}), "[red]Ada[/red]")


def test_another_text_than_the_graphs_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="text"):
        to_terminal(graph_of(TEXT, {"London": "Place"}), TEXT + " ")
