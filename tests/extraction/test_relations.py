"""The local extractor's facts: stated ones, the right way round, between fitting types; nothing denied or supposed."""

import pytest

from beep_orchestration.extraction import chunk_text, extract, load_ontology, local_extractors
from beep_orchestration.extraction.model import Chunk, Entity, ExtractionInput, ExtractionOptions, Mention, Relation

Fact = tuple[str, str, str]


def facts(text: str, ontology: str | None = None) -> set[Fact]:
    graph = extract(ExtractionInput(document_id="d", text=text, ontology=ontology))
    names = {entity.id: entity.name for entity in graph.entities}
    return {(names[fact.subject], fact.predicate, names[fact.object]) for fact in graph.relations}


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Alan Turing was born in London.", ("Alan Turing", "born in", "London")),
        ("Alan Turing was born in London on 23 June 1912.", ("Alan Turing", "born on", "23 June 1912")),
        ("Ada Lovelace (10 December 1815 – 27 November 1852).", ("Ada Lovelace", "died on", "27 November 1852")),
        ("Robert Noyce and Gordon Moore founded Intel in 1968.", ("Gordon Moore", "founded", "Intel")),
        ("Robert Noyce and Gordon Moore founded Intel in 1968.", ("Intel", "founded on", "1968")),
        ("Intel was founded by Robert Noyce in California.", ("Robert Noyce", "founded", "Intel")),
        ("Microsoft acquired GitHub in 2018.", ("Microsoft", "acquired", "GitHub")),
        ("GitHub was acquired by Microsoft in 2018.", ("Microsoft", "acquired", "GitHub")),
        ("GitHub, which was bought by Microsoft, is in California.", ("Microsoft", "acquired", "GitHub")),
        ("Thomas Watson, the president of IBM, retired.", ("Thomas Watson", "worked for", "IBM")),
        ("Grace Hopper was elected president of IBM.", ("Grace Hopper", "worked for", "IBM")),
        ("Grace Hopper went on to join Microsoft.", ("Grace Hopper", "worked for", "Microsoft")),
        ("Grace Hopper studied mathematics at Yale University.", ("Grace Hopper", "studied at", "Yale University")),
        ("Grace Hopper received a doctorate from Yale University.", ("Grace Hopper", "studied at", "Yale University")),
        ("Dennis Ritchie received the Turing Award in 1983.", ("Dennis Ritchie", "received", "Turing Award")),
        ("Annabella Milbanke married Lord Byron.", ("Annabella Milbanke", "married to", "Lord Byron")),
        ("The American mathematician Claude Shannon juggled.", ("Claude Shannon", "nationality", "American")),
        ("He lived in Murray Hill, New Jersey, for years.", ("Murray Hill", "located in", "New Jersey")),
        ("Alan Turing was a mathematician. He was born in London.", ("Alan Turing", "born in", "London")),
        ("Alan Turing would later join the Royal Society.", ("Alan Turing", "worked for", "Royal Society")),
        ("Ada Lovelace wrote “Notes on Engines” in 1843.", ("Ada Lovelace", "author of", "Notes on Engines")),
    ],
)  # fmt: skip
def test_stated_facts_are_found_the_right_way_round(text: str, fact: Fact) -> None:
    found = facts(text)
    assert fact in found
    assert (fact[2], fact[1], fact[0]) not in found


@pytest.mark.parametrize(
    "text",
    [
        "Microsoft did not acquire GitHub.",
        "Microsoft never acquired GitHub.",
        "Microsoft has not yet acquired GitHub.",
        "Microsoft may acquire GitHub.",
        "Microsoft might have acquired GitHub.",
        "Microsoft will acquire GitHub.",
        "Microsoft would acquire GitHub.",
        "Microsoft wants to acquire GitHub.",
        "Microsoft planned to acquire GitHub.",
        "Microsoft failed to acquire GitHub.",
        "Microsoft is about to acquire GitHub.",
        "Microsoft denied that it had acquired GitHub.",
        "Microsoft denied having acquired GitHub.",
        "Did Microsoft acquire GitHub?",
        "Microsoft acquired GitHub?",
        "If Microsoft acquired GitHub, prices would rise.",
        "Unless Microsoft acquired GitHub, prices would rise.",
        "Reports that Microsoft acquired GitHub are false.",
        "It is not true that Microsoft acquired GitHub.",
        "It is unlikely that Microsoft acquired GitHub.",
        "It was rumored that Microsoft acquired GitHub.",
        "Microsoft reportedly acquired GitHub.",
        "Microsoft allegedly acquired GitHub in 2018.",
        "GitHub was not acquired by Microsoft.",
        "GitHub, formerly owned by Microsoft, is independent.",
        "Neither Microsoft nor Google acquired GitHub.",
        "Microsoft offered to acquire GitHub.",
        "Microsoft sold its shares without acquiring GitHub.",
        "Microsoft did not sue or acquire GitHub.",
        "Microsoft may sue Google and acquire GitHub.",
        "A plan by Microsoft to acquire GitHub was dropped.",
    ],
)
def test_what_is_denied_asked_or_supposed_is_no_fact(text: str) -> None:
    assert {fact for fact in facts(text) if fact[1] == "acquired"} == set()


def test_the_sentence_that_would_state_them_is_a_fact() -> None:
    """So that the sentences above are empty for their negation, and not because nothing is ever found."""
    assert facts("Microsoft acquired GitHub.") == {("Microsoft", "acquired", "GitHub")}


@pytest.mark.parametrize(
    "text",
    [
        "Ada Lovelace was the alleged founder of IBM.",
        "No founder of IBM was Ada Lovelace.",
        "Ada Lovelace was not the founder of IBM.",
        "Ada Lovelace, supposedly born in Paris, came.",
    ],
)
def test_doubtful_descriptions_are_no_facts(text: str) -> None:
    assert facts(text) == set()


def test_a_year_in_brackets_is_a_birth_only_if_a_death_follows_or_the_text_says_so() -> None:
    assert facts("Ada Lovelace (1815-1852) wrote notes.") == {
        ("Ada Lovelace", "born on", "1815"),
        ("Ada Lovelace", "died on", "1852"),
    }
    assert ("Ada Lovelace", "born on", "1815") in facts("Ada Lovelace (born 1815) wrote notes.")
    assert facts("Ada Lovelace (1842) wrote notes.") == set()


def test_a_pronoun_that_could_be_either_is_not_guessed() -> None:
    text = "Alan Turing and Claude Shannon talked. He was born in London."
    assert {fact for fact in facts(text) if fact[1] == "born in"} == set()


def test_an_object_pronoun_is_not_the_subject_of_its_verb() -> None:
    text = "Grace Hopper retired. In 2016 President Barack Obama awarded her the Turing Award."
    assert facts(text) == {("Grace Hopper", "received", "Turing Award")}


def test_evidence_is_the_sentence_in_the_document() -> None:
    text = "<p>First this.</p>\r\n<p>**Alan Turing** was born in London.</p> Then that."
    (relation,) = extract(ExtractionInput(document_id="d", text=text)).relations
    (span,) = relation.evidence
    assert text[span.start : span.end].strip("*") == "Alan Turing** was born in London."


def test_a_fact_needs_the_types_of_its_domain_and_range() -> None:
    text = "Microsoft acquired GitHub."
    chunk = Chunk(start=0, end=len(text), index=0)

    def stated(subject_type: str, object_type: str) -> list[Relation]:
        ends = [typed(text, "Microsoft", subject_type), typed(text, "GitHub", object_type)]
        return local_extractors().relations.extract_relations(text, chunk, ends, load_ontology(None))

    assert [fact.predicate for fact in stated("Organization", "Organization")] == ["acquired"]
    assert stated("Organization", "Person") == stated("Person", "Organization") == stated("Thing", "Thing") == []


def typed(text: str, name: str, kind: str) -> Entity:
    start = text.index(name)
    mention = Mention(start=start, end=start + len(name), text=name, label="ORG", confidence=1)
    return Entity(id=name, name=name, type=kind, aliases=(), mentions=(mention,), confidence=1)


def test_a_pronoun_finds_its_name_in_the_chunk_before() -> None:
    text = (
        "It rained on that day, as it often does. " * 3 + "Alan Turing was a mathematician.\n\nHe was born in London."
    )
    text += " The weather was mild that year, and the roads were dry." * 3
    options = ExtractionOptions(chunk_size=200, chunk_overlap=0)
    assert [text[chunk.start :][:6] for chunk in chunk_text(text, options)][1] == "He was"
    graph = extract(ExtractionInput(document_id="d", text=text, options=options))
    assert [(fact.subject, fact.predicate, fact.object) for fact in graph.relations] == [
        ("alan-turing", "born in", "london")
    ]


FILMS = """@prefix : <http://example.org/#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix beep: <urn:beep-orchestration:vocabulary#> .
:f a owl:Class ; rdfs:label "film" . :h a owl:Class ; rdfs:label "human" .
:d a owl:ObjectProperty ; rdfs:label "director" ; rdfs:domain :f ; rdfs:range :h .
:s a owl:ObjectProperty ; rdfs:label "cast member" ; rdfs:domain :f ; rdfs:range :h ; skos:altLabel "star" .
:r a owl:ObjectProperty ; rdfs:label "reviewed" ; rdfs:domain :h ; rdfs:range :f ; beep:inverseLabel "impress" ."""


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("“Spirited Away” is a film directed by Hayao Miyazaki.", ("Spirited Away", "director", "Hayao Miyazaki")),
        ("Hayao Miyazaki was the director of “Spirited Away”.", ("Spirited Away", "director", "Hayao Miyazaki")),
        ("“Spirited Away” is a film that stars Rumi Hiiragi.", ("Spirited Away", "cast member", "Rumi Hiiragi")),
        ("“Spirited Away” is a film that impressed Roger Ebert.", ("Roger Ebert", "reviewed", "Spirited Away")),
    ],
)
def test_phrases_of_a_foreign_ontology_state_its_relations(text: str, fact: Fact) -> None:
    assert fact in facts(text, FILMS)
