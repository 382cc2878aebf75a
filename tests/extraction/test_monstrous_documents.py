"""Documents that no person writes, through all activities: accepted, and with memory linear in them.

Small enough for every run of the tests; `test_chunking.py` and `test_resolution.py` have the full sizes.
"""

import tracemalloc
from collections.abc import Callable

import pytest

from beep_orchestration.extraction import extract, parse_extraction_input
from beep_orchestration.extraction.model import Graph


def graph_of(text: str) -> Graph:
    return extract(parse_extraction_input({"document_id": "d", "text": text}))


def one_line(size: int) -> str:
    return ("Alan Turing met Ada Lovelace in London. " * size)[:size]


def one_word(size: int) -> str:
    return "x" * size


def distinct_names(size: int) -> str:
    syllables = ["ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "tu"]

    def name(number: int) -> str:
        return "".join(syllables[int(digit)] for digit in f"{number:04}").capitalize()

    return "".join(f"{name(n)} {name(n * 7 + 1)}son met {name(n * 3 + 2)}. " for n in range(size))[:size]


@pytest.mark.parametrize("text_of", [one_line, one_word, distinct_names])
def test_memory_is_linear_in_the_document(text_of: Callable[[int], str]) -> None:
    graph_of(text_of(2_000))  # models, caches and compiled patterns are loaded once
    small, large = (peak_bytes(text_of(size)) for size in (6_000, 18_000))
    assert large < 3.6 * small


def peak_bytes(text: str) -> int:
    """The most that Python held while the graph was made."""
    tracemalloc.start()
    try:
        graph = graph_of(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(text[m.start : m.end] == m.text for entity in graph.entities for m in entity.mentions)
    return peak


def test_a_monstrous_word_is_a_graph_without_names() -> None:
    assert graph_of(one_word(300_000)).entities == ()
