"""The activities together: the same as in memory, deterministic, sensible on real and on nasty documents."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import TypeAdapter

from beep_orchestration.errors import InvalidDocumentError
from beep_orchestration.extraction import (
    assemble,
    attributed,
    batches,
    chunk_text,
    decode_document,
    entities_by_chunk,
    extract,
    load_ontology,
    local_extractors,
    parse_extraction_input,
    resolve,
    united,
)
from beep_orchestration.extraction.chunking import LEAD_IN
from beep_orchestration.extraction.model import Candidate, Chunk, Entity, ExtractionInput, Graph, Mention, Relation
from tests.extraction.test_mentions import TEXTS

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
ARTICLES = sorted((ROOT / "examples" / "documents").glob("*.txt"))
NASTY = SHARED / "documents" / "nasty"
TEXT = (
    "Alan Turing was born in London. He joined the National Physical Laboratory (NPL). The NPL is in Teddington. "
    "Grace Hopper worked for Remington Rand. Remington Rand is an American company. "
) * 8

T = TypeVar("T")


def document(text: str = TEXT, **options: Any) -> ExtractionInput:
    return parse_extraction_input({"document_id": "d", "text": text, "options": options})


def through_json(kind: type[T], value: T) -> T:
    adapter = TypeAdapter(kind)
    return adapter.validate_json(adapter.dump_json(value))


def staged(given: ExtractionInput) -> Graph:
    """What the workflow does: each activity's input and output is stored as JSON, and they may run in any order."""
    extractors, ontology = local_extractors(), load_ontology(given.ontology)
    chunks = through_json(list[Chunk], chunk_text(given.text, given.options))
    mentions = [
        through_json(list[Mention], extractors.mentions.extract_mentions(given.text, chunk, ontology))
        for chunk in chunks
    ]
    found = attributed("mentions", mentions)
    candidates = through_json(list[Candidate], resolve(reversed(found)))
    typed = [
        through_json(list[Entity], extractors.entities.classify_entities(given.text, batch, ontology))
        for batch in batches(candidates, given.options.batch_size)
    ]
    entities = united(attributed("entities", typed))
    relations = [
        through_json(list[Relation], extractors.relations.extract_relations(given.text, chunk, present, ontology))
        for chunk, present in zip(chunks, entities_by_chunk(entities, chunks), strict=True)
    ]
    identities = {
        **{f"mentions-{number}": extractors.mentions.identity for number in range(len(mentions))},
        **{f"entities-{number}": extractors.entities.identity for number in range(len(typed))},
        **{f"relations-{number}": extractors.relations.identity for number in range(len(relations))},
    }
    facts = attributed("relations", relations)
    return assemble(given, chunks, entities, list(reversed(facts)), identities=identities)


@pytest.mark.parametrize("options", [{}, {"chunk_size": 300, "chunk_overlap": 100, "batch_size": 1}])
def test_activities_by_way_of_json_give_the_graph_of_extract(options: dict[str, Any]) -> None:
    given = document(**options)
    assert staged(given).model_dump_json() == extract(given).model_dump_json()


def test_mentions_in_overlaps_are_counted_once() -> None:
    once, overlapping = (
        extract(document(chunk_size=size, chunk_overlap=over)) for size, over in ((100_000, 0), (400, 200))
    )
    assert overlapping.stats.chunks > 3
    expected = {e.name: [m.start for m in e.mentions] for e in once.entities}
    assert {e.name: [m.start for m in e.mentions] for e in overlapping.entities} == expected


def test_threads_share_one_model_and_get_the_same_graph() -> None:
    with ThreadPoolExecutor(4) as pool:
        graphs = list(pool.map(lambda _: extract(document()).model_dump_json(), range(8)))
    assert set(graphs) == {extract(document()).model_dump_json()}


def test_importing_the_package_loads_no_model_library() -> None:
    code = (
        "import sys, beep_orchestration.extraction as e; e.local_extractors().mentions.identity;"
        "sys.exit('spacy' in sys.modules or 'rdflib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_entities_of_a_chunk_are_those_mentioned_in_it_or_in_its_lead_in() -> None:
    chunks = [
        Chunk(start=0, end=1_000, index=0),
        Chunk(start=900, end=3_000, index=1),
        Chunk(start=3_000, end=4_000, index=2),
    ]

    def at(key: str, *starts: int) -> Entity:
        found = tuple(Mention(start=s, end=s + 3, text="Ada", label="PERSON", confidence=1) for s in starts)
        return Entity(id=key, name=key, type="Person", aliases=(), mentions=found, confidence=1)

    entities = [at("first", 0), at("overlap", 950), at("lead", 3_000 - LEAD_IN), at("edge", 997, 3_000)]
    found = [
        {entity.id: [m.start for m in entity.mentions] for entity in part}
        for part in entities_by_chunk(entities, chunks)
    ]
    assert found == [
        {"first": [0], "overlap": [950], "edge": [997]},
        {"overlap": [950], "lead": [2_400], "edge": [997]} if LEAD_IN < 900 else {},
        {"lead": [2_400], "edge": [3_000]},
    ]


def test_batches_keep_order_and_size() -> None:
    candidates = resolve(
        Mention(start=i * 9, end=i * 9 + 4, text=f"N{i:03}", label="PERSON", confidence=1) for i in range(7)
    )
    parts = batches(candidates, 3)
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [candidate for part in parts for candidate in part] == candidates
    assert batches([], 3) == []


@pytest.mark.parametrize("article", ARTICLES, ids=lambda path: path.stem)
def test_example_documents_give_consistent_graphs(article: Path) -> None:
    text = article.read_text(encoding="utf-8")[:12_000]
    graph = extract(document(text))
    ids = [entity.id for entity in graph.entities]
    assert len(set(ids)) == len(ids)
    assert {end for fact in graph.relations for end in (fact.subject, fact.object)} <= set(ids)
    assert all(text[m.start : m.end] == m.text for entity in graph.entities for m in entity.mentions)
    builtin = load_ontology(None)
    types = {entity.id: entity.type for entity in graph.entities}
    predicates = {relation.name: relation for relation in builtin.relations}
    assert all(
        builtin.allows(predicates[fact.predicate], types[fact.subject], types[fact.object]) for fact in graph.relations
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS.map("".join).filter(lambda text: any(character.isalnum() for character in text)))
def test_any_text_gives_a_graph_with_true_offsets(text: str) -> None:
    try:
        given_document = document(text, chunk_size=200, chunk_overlap=100)
    except InvalidDocumentError:
        assert "\x00" in text
        return
    graph = extract(given_document)
    assert all(text[m.start : m.end] == m.text for entity in graph.entities for m in entity.mentions)
    assert all(0 <= span.start < span.end <= len(text) for fact in graph.relations for span in fact.evidence)
    assert extract(given_document) == graph


nasty = pytest.mark.skipif(not NASTY.exists(), reason=f"{NASTY} is not here")


def names(file: str) -> set[str]:
    graph = extract(document(decode_document((NASTY / file).read_bytes())))
    return {entity.name for entity in graph.entities}


def facts(file: str) -> set[tuple[str, str, str]]:
    graph = extract(document(decode_document((NASTY / file).read_bytes())))
    return {(fact.subject, fact.predicate, fact.object) for fact in graph.relations}


@nasty
@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("empty.txt", "is blank"),
        ("whitespace.txt", "is blank"),
        ("nul_bytes.txt", "NUL character .* at character 5"),
        ("invalid_utf8.txt", "not valid UTF-8 at byte 3"),
    ],
)
def test_nasty_documents_are_refused(file: str, problem: str) -> None:
    with pytest.raises(InvalidDocumentError, match=problem):
        document(decode_document((NASTY / file).read_bytes()))


@nasty
@pytest.mark.parametrize(
    "file",
    [
        "crlf_mixed.txt",
        "long_words.txt",
        "mixed_rtl_emoji_combining.txt",
        "utf16le_bom.txt",
        "page.html",
        "tables.md",
        "sql_and_rdf_meta.txt",
        "same_name_different_things.txt",
    ],
)
def test_nasty_documents_are_accepted_with_true_offsets(file: str) -> None:
    text = decode_document((NASTY / file).read_bytes())
    graph = extract(document(text))
    assert graph.entities
    assert all(text[m.start : m.end] == m.text for entity in graph.entities for m in entity.mentions)


@nasty
def test_a_lone_surrogate_in_json_is_refused() -> None:
    raw = TypeAdapter(dict[str, str]).validate_python(json.loads((NASTY / "lone_surrogate.json").read_text()))
    with pytest.raises(InvalidDocumentError, match=r"U\+D800"):
        parse_extraction_input({"document_id": "d", **raw})


@nasty
def test_negation_and_hypotheticals_give_no_fact() -> None:
    assert facts("negation_hypothetical.txt") == set()


@nasty
def test_instructions_in_a_document_are_text() -> None:
    assert facts("prompt_injection.txt") == {("globex", "acquired", "acme-ltd")}
    assert names("prompt_injection.txt") == {"Acme Ltd", "Globex", "2020"}


@nasty
def test_markup_holds_no_names() -> None:
    assert names("page.html").isdisjoint({"Bill Gates", "Microsoft", "Sorbonne"})
    assert {"Marie Curie", "University of Paris", "Ada Lovelace", "Albert Einstein"} <= names("page.html")
    assert names("tables.md").isdisjoint({"Berlin", "Paris"})
    assert {"Ada Lovelace", "Grace Hopper", "Niels Bohr"} <= names("tables.md")


@nasty
def test_homonyms_are_not_merged() -> None:
    graph = extract(document(decode_document((NASTY / "same_name_different_things.txt").read_bytes())))
    types = {(entity.name, entity.type) for entity in graph.entities}
    assert {"Paris Hilton", "Paris", "Washington", "Texas"} <= {name for name, _ in types}
    assert all({m.text for m in entity.mentions} != {"Paris", "Paris Hilton"} for entity in graph.entities)
