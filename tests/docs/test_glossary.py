"""Each word of the glossary names what it stands for, and that is there."""

import re

import pytest

from tests.docs.pages import page
from tests.docs.test_pages import resolve

ROWS = list(page("glossary").table_rows())


@pytest.mark.parametrize(("word", "meaning", "where"), ROWS, ids=[cells[0] for cells in ROWS])
def test_a_word_has_a_meaning_and_names_code_that_is_there(word: str, meaning: str, where: str) -> None:
    assert word
    assert meaning
    names = re.findall(r"`([^`]+)`", where)
    assert names
    for name in names:
        resolve(name)


def test_every_word_stands_once() -> None:
    words = [cells[0] for cells in ROWS]
    assert len(words) == len(set(words)) > 20
