"""The local extractor's types: by name, by what the text calls a thing, by label, for any ontology."""

import pytest

from beep_orchestration.extraction import load_ontology, local_extractors
from beep_orchestration.extraction.model import Candidate, Mention

FILMS = """@prefix : <http://example.org/#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:f a owl:Class ; rdfs:label "film" . :h a owl:Class ; rdfs:label "human" . :o a owl:Class ; rdfs:label "film company" .
:g a owl:Class ; rdfs:label "film award" . :c a owl:Class ; rdfs:label "country" ."""


def type_of(text: str, name: str, label: str, ontology: str | None = None) -> str | None:
    start = text.index(name)
    mention = Mention(start=start, end=start + len(name), text=name, label=label, confidence=0.8)
    candidate = Candidate(key="k", name=name, aliases=(), mentions=(mention,))
    found = local_extractors().entities.classify_entities(text, [candidate], load_ontology(ontology))
    assert all(entity.id == "k" and entity.mentions == (mention,) for entity in found)
    return found[0].type if found else None


@pytest.mark.parametrize(
    ("text", "name", "label", "expected"),
    [
        ("Ada Lovelace wrote.", "Ada Lovelace", "PERSON", "Person"),
        ("It is in London.", "London", "GPE", "Place"),
        ("The British came.", "British", "NORP", "Group"),
        ("On 3 May 1999.", "3 May 1999", "DATE", "Date"),
        ("The University of Manchester.", "University of Manchester", "GPE", "Organization"),
        ("He won the Nobel Prize in Physics.", "Nobel Prize in Physics", "WORK_OF_ART", "Award"),
        ("Colossus was designed by Flowers.", "Colossus", "PERSON", "Product"),
        ("COBOL is a programming language for business.", "COBOL", "ORG", "Language"),
        ("the language FLOW-MATIC", "FLOW-MATIC", "NAME", "Language"),
        ("Ferranti, a company in Manchester,", "Ferranti", "PERSON", "Organization"),
        ("Dwight D. Eisenhower came.", "Dwight D. Eisenhower", "ORG", "Person"),
        ("Acme Ltd was bought by Globex in 2020.", "Globex", "PRODUCT", "Organization"),
        ("He died at Wilmslow, Cheshire.", "Cheshire", "PERSON", "Place"),
        ("In the same year Marc Andreessen released it.", "Marc Andreessen", "PERSON", "Person"),
        ("It merged with the French company.", "French", "NORP", "Group"),
        ("It was the Soviet Union.", "Soviet Union", "GPE", "Place"),
        ("She was born Augusta Ada Byron in London.", "Augusta Ada Byron", "ORG", "Person"),
        ("They launched Sputnik, the first artificial satellite.", "Sputnik", "PERSON", "Product"),
    ],
)
def test_the_built_in_types(text: str, name: str, label: str, expected: str) -> None:
    assert type_of(text, name, label) == expected


def test_what_a_surname_by_itself_is_taken_for_says_nothing_of_the_person() -> None:
    text = "Charles Thacker came. Then Thacker left, and Thacker slept."
    labels = {0: "PERSON", 27: "ORG", 45: "ORG"}
    mentions = tuple(
        Mention(start=start, end=start + len(name), text=name, label=label, confidence=0.8)
        for (start, label), name in zip(labels.items(), ("Charles Thacker", "Thacker", "Thacker"), strict=True)
    )
    assert [text[mention.start : mention.end] for mention in mentions] == [mention.text for mention in mentions]
    candidate = Candidate(key="k", name="Charles Thacker", aliases=("Thacker",), mentions=mentions)
    (found,) = local_extractors().entities.classify_entities(text, [candidate], load_ontology(None))
    assert found.type == "Person"


@pytest.mark.parametrize(
    ("name", "label"), [("two years later", "DATE"), ("17", "CARDINAL"), ("90 percent", "PERCENT")]
)
def test_numbers_and_spans_of_time_are_no_things(name: str, label: str) -> None:
    assert type_of(f"It was {name}.", name, label) is None


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("Bleach", "WORK_OF_ART", "film"),
        ("Ada", "PERSON", "human"),
        ("Studio Ghibli", "ORG", "film company"),
        ("Japan", "GPE", "country"),
        ("British", "NORP", "Thing"),
        ("3 May 1999", "DATE", "Thing"),
    ],
)
def test_a_foreign_ontology_is_matched_by_its_labels(name: str, label: str, expected: str) -> None:
    assert type_of(f"Then {name} came.", name, label, FILMS) == expected


def test_what_the_text_calls_a_thing_decides_between_foreign_classes() -> None:
    assert type_of("The Oscar, a film award, came.", "Oscar", "PERSON", FILMS) == "film award"
