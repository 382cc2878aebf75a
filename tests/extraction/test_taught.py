"""The local extractor learns from examples: the same from the same, inside domain and range, and invents no name."""

import pytest

from beep_orchestration.errors import InvalidDocumentError, InvalidInputError, InvalidOntologyError
from beep_orchestration.extraction import (
    extract,
    extractors_for,
    load_ontology,
    parse_extraction_input,
    taught_extractors,
)
from beep_orchestration.extraction.model import Example, ExampleTriple, ExtractionInput, ExtractionOptions, Graph
from beep_orchestration.extraction.taught import learning
from tests.extraction.films import ONTOLOGY, films

TEXT = (
    "The Night of the Hunter is a 1955 thriller film directed by Charles Laughton. "
    "Double Indemnity was directed by Billy Wilder, and was released in 1944 as a drama film."
)


def _document(text: str = TEXT, **given: object) -> ExtractionInput:
    return ExtractionInput.model_validate(
        {"document_id": "films", "text": text, "ontology": ONTOLOGY, "examples": tuple(films()), **given}
    )


def _facts(graph: Graph) -> set[tuple[str, str, str]]:
    names = {entity.id: entity.name for entity in graph.entities}
    return {(names[found.subject], found.predicate, names[found.object]) for found in graph.relations}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return extract(_document())


def test_what_the_examples_show_is_found_in_other_sentences(graph: Graph) -> None:
    assert _facts(graph) >= {
        ("The Night of the Hunter", "film maker", "Charles Laughton"),
        ("The Night of the Hunter", "publication date", "1955"),
        ("Double Indemnity", "film maker", "Billy Wilder"),
        ("Double Indemnity", "kind of film", "drama"),
    }


def test_without_examples_nothing_is_found() -> None:
    assert not extract(_document(examples=())).relations


def test_domain_and_range_hold(graph: Graph) -> None:
    ontology = load_ontology(ONTOLOGY)
    relations = {relation.name: relation for relation in ontology.relations}
    types = {entity.id: entity.type for entity in graph.entities}
    assert all(
        ontology.allows(relations[found.predicate], types[found.subject], types[found.object])
        for found in graph.relations
    )


def test_every_name_stands_in_the_text(graph: Graph) -> None:
    mentions = [mention for entity in graph.entities for mention in entity.mentions]
    assert all(TEXT[mention.start : mention.end] == mention.text for mention in mentions)
    assert {entity.name for entity in graph.entities} <= {mention.text for mention in mentions}


def test_the_same_is_learned_from_the_same_examples(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning.Pupil, "_kept", type(learning.Pupil._kept)())
    assert extract(_document()).model_dump_json() == graph.model_dump_json()


def test_what_is_denied_asked_or_supposed_is_no_fact() -> None:
    text = (
        "Rear Window was not directed by Fritz Lang. Was Rear Window directed by John Ford? "
        "Rear Window may have been directed by Carol Reed."
    )
    assert not {fact for fact in _facts(extract(_document(text))) if fact[1] == "film maker"}


def test_learning_happens_once_however_many_chunks_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = []
    learn = learning._learn
    monkeypatch.setattr(learning.Pupil, "_kept", type(learning.Pupil._kept)())
    monkeypatch.setattr(learning, "_learn", lambda *given: learned.append(1) or learn(*given))
    options = ExtractionOptions(chunk_size=200, chunk_overlap=0, batch_size=1)
    document = _document(TEXT * 3, options=options)
    extract(document)
    extract(document)  # another run's extractors
    assert len(learned) == 1


def test_the_identity_tells_what_was_learned_from_without_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_learn", lambda *_: pytest.fail("learned"))
    for kind in ("mentions", "entities", "relations"):
        all_films, some_films = taught_extractors(films()), taught_extractors(films()[1:])
        assert getattr(all_films, kind).identity == getattr(taught_extractors(films()), kind).identity
        assert getattr(all_films, kind).identity != getattr(some_films, kind).identity


def test_the_graph_says_from_which_examples_its_extractor_learned(graph: Graph) -> None:
    digest = learning.Pupil(films()).digest
    assert {source.extractor for source in graph.provenance.sources} == {
        "taught-mentions",
        "taught-entities",
        "taught-relations",
    }
    assert all(f"examples-{digest[:12]}" in source.version for source in graph.provenance.sources)


def test_examples_may_stand_in_the_ontology() -> None:
    stated = "\n".join(
        f':{name} beep:example [ beep:text "{example.text}" ; beep:subject "{triple.subject}" ; '
        f'beep:object "{triple.object}" ] .'
        for example in films()
        for name, triple in zip(("director", "genre", "published"), example.triples, strict=True)
    )
    ontology = load_ontology(ONTOLOGY + stated)
    assert len(ontology.examples) == len(films())
    assert {len(example.triples) for example in ontology.examples} == {3}
    found = extract(ExtractionInput(document_id="films", text=TEXT, ontology=ONTOLOGY + stated))
    assert ("Double Indemnity", "film maker", "Billy Wilder") in _facts(found)


def test_half_an_example_in_the_ontology_is_refused() -> None:
    with pytest.raises(InvalidOntologyError, match="incomplete example of 'film maker'"):
        load_ontology(
            ONTOLOGY + ':director beep:example [ beep:text "Jaws by Steven Spielberg" ; beep:subject "Jaws" ] .'
        )


@pytest.mark.parametrize(
    "examples",
    [
        [Example(text="Nothing to learn here.")],
        [
            Example(
                text="It was well received.",
                triples=(ExampleTriple(subject="Jaws", relation="film maker", object="Steven Spielberg"),),
            )
        ],
    ],
)
def test_examples_that_teach_nothing_do_no_harm(examples: list[Example]) -> None:
    taught = extract(_document(examples=tuple(examples)))
    assert [entity.name for entity in taught.entities] == [e.name for e in extract(_document(examples=())).entities]


def test_a_relation_that_the_ontology_has_not_is_refused_by_its_place() -> None:
    triple = {"subject": "Jaws", "relation": "composer", "object": "John Williams"}
    raw = {"document_id": "x", "text": TEXT, "ontology": ONTOLOGY, "examples": [{"text": "Jaws", "triples": [triple]}]}
    with pytest.raises(InvalidInputError) as refused:
        parse_extraction_input(raw)
    assert refused.value.field == "examples.0.triples.0.relation"
    assert "film maker" in refused.value.remedy


def test_text_that_cannot_be_stored_is_refused_in_examples_too() -> None:
    raw = {"document_id": "x", "text": TEXT, "examples": [{"text": "a\x00b", "triples": []}]}
    with pytest.raises(InvalidDocumentError) as refused:
        parse_extraction_input(raw)
    assert refused.value.field == "examples.0.text"


def test_without_examples_the_local_extractors_are_chosen() -> None:
    assert extractors_for(_document(examples=())).mentions.identity.startswith("local-mentions ")
    assert extractors_for(_document()).mentions.identity.startswith("taught-mentions ")
