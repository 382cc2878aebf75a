"""The judged sample is of what the extractor finds now, and at least eight of ten are true."""

from collections import defaultdict

import pytest

from benchmarks.scores.sample import DOCUMENTS, facts
from tests.docs.pages import page

ROWS = list(page("sample").section("The sample").table_rows())


def _documents() -> dict[str, list[list[str]]]:
    by_document: dict[str, list[list[str]]] = defaultdict(list)
    for row in ROWS:
        by_document[row[0]].append(row)
    return by_document


def test_most_of_the_sample_is_true() -> None:
    verdicts = [row[4] for row in ROWS]
    assert len(verdicts) == 40
    assert set(verdicts) <= {"yes", "no"}
    assert verdicts.count("yes") >= 0.8 * len(verdicts)


@pytest.mark.parametrize("document", sorted(_documents()))
def test_what_was_judged_is_what_is_found(document: str) -> None:
    found = {tuple(fact) for fact in facts(DOCUMENTS / f"{document}.txt")}
    judged = {(row[0], row[1], row[2], row[3], row[5]) for row in _documents()[document]}
    assert judged <= found
