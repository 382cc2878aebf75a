"""Names that a language model gives are found where they stand, and nowhere else."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction.llm.alignment import AlignedText

TEXT = "Ada  Lovelace’s friend José met ADA LOVELACE in Zu\u0308rich, not in Lovelaceville. 東京は日本の首都。"


def found(name: str, text: str = TEXT) -> list[str]:
    return [text[place.start : place.end] for place in AlignedText(text).find(name)]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("Ada Lovelace", ["Ada  Lovelace", "ADA LOVELACE"]),
        ("ADA LOVELACE", ["ADA LOVELACE"]),  # as it is given it stands once, so the other place is not meant
        ("the Ada Lovelace", ["Ada  Lovelace", "ADA LOVELACE"]),
        ("“Ada Lovelace's”", ["Ada  Lovelace", "ADA LOVELACE"]),
        ("Jose", ["José"]),
        ("Zürich", ["Zu\u0308rich"]),
        ("Zurich.", ["Zu\u0308rich"]),
        ("Zu", []),  # would cut a character from its accent
        ("Lovelace", ["Lovelace"]),  # neither the part of a longer word nor, being exact elsewhere, in capitals
        ("日本", ["日本"]),
        ("Charles Babbage", []),
        ("Lovelaces", []),
        ("", []),
        ("  ", []),
        ("'’", []),
        ("\ud800", []),
        ("\x00", []),
    ],
)
def test_a_name_is_found_as_it_stands_in_the_text(name: str, places: list[str]) -> None:
    assert found(name) == places


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("Mike's New Car", "Docter's Mike 's New Car is short.", "Mike 's New Car"),
        ("Hell: Verse", "Bleach: Hell : Verse, a film", "Hell : Verse"),
        ("Hell : Verse", "Bleach: Hell: Verse, a film", "Hell: Verse"),
        ("Face/Off", "see Face / Off .", "Face / Off"),
        ("J.R. Smith", "J. R. Smith", "J. R. Smith"),
        ("U.S.", "the U.S. \u0301 Army", "U.S."),
    ],
)
def test_blanks_beside_punctuation_do_not_count(name: str, text: str, place: str) -> None:
    assert found(name, text) == [place]


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("M113", "Two M113s and", ["M113"]),
        ("4 October 1802", "born 4 October 1802Â in", ["4 October 1802"]),
        ("M113", "M113s", ["M113"]),
        ("M113", "M113s, an M113, M113s", ["M113"]),  # whole words, as there is one
        ("1904", "from 19041995", []),
        ("B8", "the B83", []),
        ("1990", "in the 1990s", []),  # another date
        ("(1990)", "in the 1990s, then in 1990", ["1990"]),
    ],
)
def test_a_word_ends_between_digits_and_letters_if_need_be(name: str, text: str, places: list[str]) -> None:
    assert found(name, text) == places


@pytest.mark.parametrize(("name", "text"), [("Smith", "J.Smithson"), ("Offhand", "Off hand"), ("X Y", "X.Y")])
def test_punctuation_and_blanks_between_words_count(name: str, text: str) -> None:
    assert found(name, text) == []


@given(st.text(), st.text(max_size=8))
def test_places_are_in_the_text_in_order_and_disjoint(text: str, name: str) -> None:
    places = AlignedText(text).find(name)
    ends = [0, *(place.end for place in places)]
    assert all(end <= place.start < place.end <= len(text) for end, place in zip(ends, places, strict=False))
    assert all((text[place.start : place.end] == name) for place in places if place.is_exact)


@given(
    st.lists(st.sampled_from(["Ada", "Löwe", "of", "x-y", "O’Neil", "東京", "ﬁn", "Σίσυφος"]), min_size=1), st.data()
)
def test_a_stretch_of_whole_words_is_found_however_it_is_written(words: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    text, name = " ".join(words), " ".join(words[first:last])
    start = len(" ".join(words[:first])) + (first > 0)
    for written in (name, name.upper().lower(), unicodedata.normalize("NFD", name), name.replace(" ", "\n \t")):
        places = AlignedText(text).find(written)
        assert any(place.start <= start < place.end for place in places)  # a repeated name may overlap itself
