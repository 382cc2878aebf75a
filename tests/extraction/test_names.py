"""Comparison keys, dates and readable ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction.names import (
    acronym,
    comparison_key,
    date_key,
    is_calendar_date,
    organization_key,
    person_words,
    read_before,
    readable_ids,
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("10 December 1815", "1815-12-10"),
        ("December 10, 1815", "1815-12-10"),
        ("10th of December 1815", "1815-12-10"),
        ("Dec. 10, 1815", "1815-12-10"),
        ("December 1815", "1815-12"),
        ("1815", "1815"),
        ("the 1950s", "1950s"),
        ("the summer of 1936", "summer of 1936"),
    ],
)
def test_dates_are_normalised(text: str, key: str) -> None:
    assert date_key(text) == key


def test_only_calendar_dates_are_dates() -> None:
    assert [is_calendar_date(text) for text in ("1815", "the 1950s", "two years later", "2000 years")] == [
        True,
        True,
        False,
        False,
    ]


def test_names_compare_without_case_article_and_company_suffix() -> None:
    assert comparison_key("The “Analytical Engine”") == comparison_key("analytical engine")
    assert {organization_key(name) for name in ("Acme Ltd", "ACME", "Acme, Inc.", "The Acme Company")} == {"acme"}
    assert person_words("Dr. Ada Lovelace") == ("ada", "lovelace")
    assert person_words("Max Ernst Planck") == ("max", "ernst", "planck")  # 'St' is a title only where it begins
    assert acronym("International Business Machines") == "ibm"
    assert acronym("Association for Computing Machinery") == "acm"


def test_ids_are_readable_and_keep_letters_of_any_script() -> None:
    names = ["Ada Lovelace", "Ada  Lovelace!", "ada-lovelace-2", "Zoë", "Москва", "東京", "!?", "x" * 500]
    assert list(readable_ids(names)) == [
        "ada-lovelace", "ada-lovelace-2", "ada-lovelace-2-2", "zoë", "москва", "東京", "entity", "x" * 80,
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["a", "a 2", "A", "a-2", "a-2-2", "", "é", "e\u0301"])))
def test_ids_are_unique(names: list[str]) -> None:
    ids = list(readable_ids(names))
    assert len(set(ids)) == len(names)


@pytest.mark.parametrize(
    ("predicate", "name", "read"),
    [
        ("born on", "1910", "born in"),
        ("born on", "the year 1910", "born in"),
        ("born on", "March 1910", "born in"),
        ("founded on", "the 1950s", "founded in"),
        ("born on", "10 March 1910", "born on"),
        ("born on", "March 3rd, 1910", "born on"),
        ("born on", "Monday", "born on"),
        ("born in", "1910", "born in"),
        ("director", "1910", "director"),
    ],
)
def test_a_predicate_is_read_as_its_date_asks(predicate: str, name: str, read: str) -> None:
    assert read_before(predicate, name) == read
