"""The local extractor's mentions: where they stand, and what is a name."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beep_orchestration.extraction import chunk_text, load_ontology, local_extractors
from beep_orchestration.extraction.local.name_spans import Named
from beep_orchestration.extraction.local.recurrence import KnownNames
from beep_orchestration.extraction.model import ExtractionOptions, Mention
from tests.extraction.test_chunking import PIECES

NAMES = [
    "Ada Lovelace",
    "IBM",
    "the United States Navy",
    "“On Computable Numbers”",
    "(IBM)",
    "New York",
    "10 December 1815",
]
TEXTS = st.lists(
    st.sampled_from([*PIECES, *NAMES, "and", "was born in", "**"]) | st.text(st.characters(codec="utf-8"), max_size=5)
)


def mentions(text: str, **options: int) -> list[Mention]:
    extractor = local_extractors().mentions
    chunks = chunk_text(text, ExtractionOptions.model_validate(options))
    return [found for chunk in chunks for found in extractor.extract_mentions(text, chunk, load_ontology(None))]


def labelled(text: str) -> list[tuple[str, str]]:
    return [(found.text, found.label) for found in mentions(text)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS.map(" ".join))
def test_a_mention_is_exactly_what_stands_at_its_offsets(text: str) -> None:
    found = mentions(text, chunk_size=100_000)
    assert all(text[mention.start : mention.end] == mention.text for mention in found)
    assert all(mention.text.strip() == mention.text != "" for mention in found)
    assert all(left.end <= right.start for left, right in pairwise(found))


@pytest.mark.parametrize(
    "separator",
    ["\r\n", "\u2028", "\x85", " 👨\u200d👩\u200d👧 ", " e\u0301 ", " שלום ", "\u200f ", "<!-- x --> "],
)
def test_offsets_are_code_points_behind_anything(separator: str) -> None:
    text = separator * 3 + "Alan Turing was born in London."
    assert [
        (found.text, text.index(found.text)) for found in mentions(text) if found.text in ("Alan Turing", "London")
    ] == [(name, text.index(name)) for name in ("Alan Turing", "London")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He joined the Royal Society.", ("Royal Society", "ORG")),
        ("Paris's mayor met him.", ("Paris", "GPE")),
        ('He wrote "On Computable Numbers, with Notes".', ("On Computable Numbers, with Notes", "WORK_OF_ART")),
        ("The Government Code and Cypher School (GC&CS) moved.", ("Government Code and Cypher School", "ORG")),
        ("The Government Code and Cypher School (GC&CS) moved.", ("GC&CS", "ORG")),
        ("They ran it on a PDP-7 and an IBM 701.", ("PDP-7", "PRODUCT")),
        ("They ran it on a PDP-7 and an IBM 701.", ("IBM 701", "PRODUCT")),
        ("He described the language C in a book.", ("C", "LANGUAGE")),
        ("The logician Alonzo Church had reached a like result.", ("Alonzo Church", "PERSON")),
        ("The ARPANET itself was built by them.", ("ARPANET", "PRODUCT")),
        ("He published his memoirs, Passages from the Life, in 1864.", ("Passages from the Life", "WORK_OF_ART")),
    ],
)  # fmt: skip
def test_names_are_found_whole(text: str, expected: tuple[str, str]) -> None:
    assert expected in labelled(text)


def test_a_range_of_years_is_two_dates() -> None:
    assert [name for name, label in labelled("He served from 1959 to 1963 in Rome.") if label == "DATE"] == [
        "1959",
        "1963",
    ]


def test_a_name_recognized_once_is_recognized_again() -> None:
    text = "Herman Hollerith was an inventor. Later the machine of Hollerith, and Hollerith himself, were forgotten."
    assert [name for name, label in labelled(text) if label == "PERSON"] == [
        "Herman Hollerith",
        "Hollerith",
        "Hollerith",
    ]


def test_what_has_an_article_once_is_no_person_anywhere() -> None:
    text = "They built the Lisa. Later Lisa was sold, and Ada bought it."
    taken_for_people = [
        Named(text.index(name, start), text.index(name, start) + len(name), "PERSON")
        for name, start in (("Lisa", 0), ("Lisa", 20), ("Ada", 0))
    ]
    found = KnownNames([(text, taken_for_people)]).complete(text, taken_for_people)
    assert [name.label for name in found] == ["PRODUCT", "PRODUCT", "PERSON"]


@pytest.mark.parametrize(
    "text",
    [
        "<!-- Bill Gates lives in Seattle. --> Nothing here.",
        "<script>var owner = 'Bill Gates of Seattle';</script> Nothing here.",
        "See `Bill Gates` there.",
        "```\nBill Gates lives in Seattle.\n```",
        "Read https://example.org/Bill_Gates/Seattle now.",
        "A word: " + "Llanfair" * 200,
    ],
)
def test_markup_comments_code_addresses_and_monsters_are_no_names(text: str) -> None:
    assert labelled(text) == []


def test_a_name_may_hold_markup_and_its_offsets_still_fit() -> None:
    text = "The admiral **Grace** Hopper was born in New York."
    assert ("Grace** Hopper", "PERSON") in labelled(text)


def test_identity_names_model_and_rules_and_differs_by_extractor() -> None:
    extractors = local_extractors()
    identities = {extractors.mentions.identity, extractors.entities.identity, extractors.relations.identity}
    assert len(identities) == 3
    assert all("en-core-web-sm" in identity and "3.8" in identity for identity in identities)
