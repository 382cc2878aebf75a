"""Chunks cover the text, stay in size, tear no character apart, and cost linear work."""

import sys
import unicodedata
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction.chunking import LEAD_IN, chunk_text, with_lead_in
from beep_orchestration.extraction.markup import hidden_stretches
from beep_orchestration.extraction.model import Chunk, ExtractionOptions

PIECES = [
    "Ada Lovelace met Charles Babbage. ",
    "\r\n",
    "\n\n",
    "\u2028",
    "\u2029",
    "\x85",
    "e\u0301\u0323",
    "👨\u200d👩\u200d👧\u200d👦",
    "🇫🇷",
    "👍🏽",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "עברית ",
    "العربية. ",
    "한국어",
    "\u1100\u1161\u11a8",
    "x" * 90,
    "<b>bold</b> ",
    "<!-- a comment -->",
    "`code` ",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=300).map("".join)
OPTIONS = st.integers(200, 500).flatmap(
    lambda size: st.builds(ExtractionOptions, chunk_size=st.just(size), chunk_overlap=st.integers(0, size // 2))
)


@given(TEXTS, OPTIONS)
def test_chunks_cover_the_text_within_size_and_overlap(text: str, options: ExtractionOptions) -> None:
    chunks = chunk_text(text, options)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert (chunks[0].start, chunks[-1].end) == (0, len(text)) if text else chunks == []
    assert all(0 < chunk.end - chunk.start <= options.chunk_size for chunk in chunks)
    for left, right in pairwise(chunks):
        assert left.start < right.start <= left.end < right.end
        assert left.end - right.start <= options.chunk_overlap


@given(TEXTS, OPTIONS)
def test_a_chunk_tears_no_visible_character_apart(text: str, options: ExtractionOptions) -> None:
    for chunk in chunk_text(text, options):
        for position in {chunk.start, chunk.end} - {0, len(text)}:
            before, after = text[position - 1], text[position]
            assert before + after != "\r\n"
            assert before != "\u200d"
            assert unicodedata.category(after) not in ("Mn", "Mc", "Me")
            assert not "\U0001f3fb" <= after <= "\U0001f3ff"


@pytest.mark.parametrize("size", range(200, 216))
@pytest.mark.parametrize(
    "character",
    [
        "🇫🇷",
        "👨\u200d👩\u200d👧\u200d👦",
        "👍🏽",
        "e\u0301\u0323",
        "\r\n",
        "\u1100\u1161\u11a8",
        "✈\ufe0f",
        "🏴\U000e0067\U000e0062\U000e007f",
    ],
)
def test_no_visible_character_is_torn_apart_in_a_row_of_them(character: str, size: int) -> None:
    chunks = chunk_text(character * 400, options(size, 50))
    assert all(chunk.start % len(character) == chunk.end % len(character) == 0 for chunk in chunks)


@given(TEXTS, OPTIONS)
def test_hidden_stretches_lie_inside_their_chunk_in_order(text: str, options: ExtractionOptions) -> None:
    for chunk in chunk_text(text, options):
        edges = [edge for span in chunk.hidden for edge in (span.start, span.end)]
        assert edges == sorted(edges)
        assert all(chunk.start <= edge <= chunk.end for edge in edges)


def test_a_comment_is_hidden_in_every_chunk_that_it_spans() -> None:
    text = "Text. <!-- " + "Bill Gates. " * 100 + "--> Text."
    chunks = chunk_text(text, options(300, 50))
    assert len(chunks) > 3
    assert all(chunk.hidden for chunk in chunks)
    inner = chunks[1]
    assert (inner.hidden[0].start, inner.hidden[0].end) == (inner.start, inner.end)


def test_paragraphs_are_preferred_then_sentences_then_words() -> None:
    sentence = "A sentence of some words stands here. "
    assert boundary(sentence * 4 + "\n\n" + sentence * 4).endswith("\n\n")
    assert boundary(sentence * 8).endswith("here. ")
    assert boundary("word " * 80).endswith("word ")
    assert len(boundary("x" * 400)) == 200


@pytest.mark.parametrize("overlap", range(90, 100))
def test_the_overlap_is_as_long_as_whole_words_allow(overlap: int) -> None:
    for left, right in pairwise(chunk_text("x " * 500, options(200, overlap))):
        assert overlap - 2 <= left.end - right.start <= overlap


def boundary(text: str) -> str:
    chunk = chunk_text(text, options(200, 0))[0]
    return text[chunk.start : chunk.end]


def options(size: int, overlap: int) -> ExtractionOptions:
    return ExtractionOptions(chunk_size=size, chunk_overlap=overlap)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(("Alan Turing met Ada Lovelace in London. " * 125_000)[:5_000_000], id="5 MB on one line"),
        pytest.param("x" * 2_000_000, id="a word of 2 MB"),
        pytest.param("e" + "\u0301" * 2_000_000, id="one character of 2 MB"),
        pytest.param("<!--" * 100_000, id="comments that never end"),
        pytest.param("```\n" * 100_000, id="code fences"),
    ],
)
def test_monstrous_texts_are_chunked(text: str) -> None:
    chunks = chunk_text(text, ExtractionOptions())
    assert chunks[-1].end == len(text)
    assert len(chunks) <= 2 * len(text) / 1_000


@pytest.mark.parametrize(
    "piece", ["Alan Turing met Ada. ", "x", "e\u0301", "<!--", "<b>", "| a ", "[a](b) ", "\n", "🇫🇷"]
)
def test_chunking_work_grows_linearly(piece: str) -> None:
    def work(count: int) -> int:
        return calls(lambda: chunk_text(piece * count, ExtractionOptions()))

    assert work(40_000) < 2.2 * work(20_000)


def calls(run: Callable[[], object]) -> int:
    """How many function calls it takes: a measure of work that no machine's speed changes."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return counted


def test_the_lead_in_adds_whole_sentences_before_a_chunk() -> None:
    text = "Ada wrote a note. " * 100
    chunk = chunk_text(text, options(400, 0))[2]
    longer = with_lead_in(text, chunk)
    assert longer.end == chunk.end
    assert chunk.start - LEAD_IN <= longer.start < chunk.start
    assert text[longer.start :].startswith("Ada wrote")
    assert with_lead_in(text, Chunk(start=0, end=400, index=0)).start == 0


def test_what_never_ends_is_searched_for_once() -> None:
    searches = 0

    def count(_frame: object, event: str, called: object) -> None:
        nonlocal searches
        searches += event == "c_call" and getattr(called, "__name__", "") == "find"

    sys.setprofile(count)
    try:
        list(hidden_stretches("<!-- <script> " * 1_000))
    finally:
        sys.setprofile(None)
    assert searches == 2
