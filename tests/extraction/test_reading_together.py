"""Threads that wait for the model have their texts read in one batch, and get what they would get alone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from spacy.tokens import Doc

from beep_orchestration.extraction import chunk_text, decode_document
from beep_orchestration.extraction.local import language_model
from beep_orchestration.extraction.local.language_model import Analysis, read
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.extraction.prose import blocks
from beep_orchestration.threads import AbandonedError
from tests.waiting import wait_until

ARTICLE = Path(__file__).parents[2] / "examples" / "documents" / "bell_labs.txt"


def chunks_of_text() -> list[list[str]]:
    text = decode_document(ARTICLE.read_bytes())
    return [[block.text for block in blocks(text, chunk)] for chunk in chunk_text(text, ExtractionOptions())]


def all_that_is_found(docs: Sequence[Doc]) -> list[Any]:
    return [
        [
            [(token.text, token.tag_, token.pos_, token.lemma_, token.dep_, token.head.i) for token in doc],
            [(entity.start, entity.end, entity.label_) for entity in doc.ents],
            doc.tensor.tobytes(),
        ]
        for doc in docs
    ]


Call = Callable[[Sequence[Doc]], Any]


@contextmanager
def queued(analysis: Analysis, calls: Sequence[tuple[list[str], Call]]) -> Iterator[list[Future[Any]]]:
    """Ask from as many threads while the model is taken; when the block is left, all have got in line together."""
    with ThreadPoolExecutor(len(calls)) as pool:
        with language_model._lock:
            asked = [pool.submit(read, analysis, texts, call) for texts, call in calls]
            wait_until(lambda: len(language_model._waiting[analysis]) == len(calls))
        yield asked


@pytest.mark.parametrize("analysis", Analysis)
def test_what_is_found_is_the_same_to_the_last_bit_whatever_is_read_with_it(analysis: Analysis) -> None:
    chunks = chunks_of_text()
    alone = [read(analysis, texts, all_that_is_found) for texts in chunks]
    assert any(found for found in alone)
    for order in (range(len(chunks)), range(len(chunks) - 1, -1, -1), (1, 0), (0, 2, 1)):
        with queued(analysis, [(chunks[index], all_that_is_found) for index in order]) as asked:
            assert [answer.result() for answer in asked] == [alone[index] for index in order]


def test_what_waits_is_read_by_one_thread_at_once() -> None:
    with queued(Analysis.NAMES, [(["Ada came."], lambda _: threading.get_ident())] * 5) as asked:
        assert len({answer.result() for answer in asked}) == 1


def test_no_more_is_read_at_once_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "_MOST_CHARACTERS", 20)
    with queued(Analysis.NAMES, [(["Ada came."], lambda _: threading.get_ident())] * 5) as asked:
        readers = [answer.result() for answer in asked]
    assert max(map(readers.count, readers)) == 2


def test_an_error_belongs_to_who_asked() -> None:
    def fail(_: Sequence[Doc]) -> str:
        raise ValueError("no")

    with queued(Analysis.NAMES, [(["Ada came."], len), (["Bob came."], fail), ([], len)]) as (ada, bob, nothing):
        assert (ada.result(), nothing.result()) == (1, 0)
        with pytest.raises(ValueError, match="no"):
            bob.result()


def test_who_is_given_up_while_reading_for_others_leaves_them_to_the_next() -> None:
    interrupted = threading.Event()

    def interrupt_once(docs: Sequence[Doc]) -> int:
        if not interrupted.is_set():
            interrupted.set()
            raise AbandonedError
        return len(docs)

    with queued(Analysis.NAMES, [(["Ada came."], interrupt_once)] * 4) as asked:
        outcomes = [answer.exception() or answer.result() for answer in asked]
    assert sorted(map(str, outcomes)) == ["", "1", "1", "1"]
    assert language_model._waiting[Analysis.NAMES] == []
