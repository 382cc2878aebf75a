"""Turtle and JSON-LD: whatever the names are, two parsers read back the same statements, and these are the graph."""

import json
from decimal import Decimal

import pyoxigraph
import pytest
import rdflib
from hypothesis import given
from rdflib import OWL, PROV, RDF, RDFS, SKOS, Namespace, URIRef
from rdflib.term import Node

from beep_orchestration.errors import InvalidOntologyError
from beep_orchestration.extraction.exports import GraphFormat, export
from beep_orchestration.extraction.exports.characters import CONTROL
from beep_orchestration.extraction.exports.jsonld import to_jsonld
from beep_orchestration.extraction.exports.turtle import to_turtle
from beep_orchestration.extraction.model import Entity, Graph, Mention, Relation, Review
from beep_orchestration.extraction.ontology import load_ontology
from tests.exports.graphs import FIFTY, documents, graph_of

BEEP = Namespace("urn:beep-orchestration:vocabulary#")
NIF = Namespace("http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#")
ITSRDF = Namespace("http://www.w3.org/2005/11/its/rdf#")
BUILTIN = load_ontology(None)
NAMESPACE = "urn:beep-orchestration:ontology#"
TEXT = "Ada Lovelace was born in London. She died there."
FOREIGN = """
    @prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    <http://example.org/Human> a owl:Class ; rdfs:label "Person" .
    <http://example.org/birthPlace> a owl:ObjectProperty ; rdfs:label "born in" .
"""

SYNTAXES = {GraphFormat.TURTLE: "turtle", GraphFormat.JSONLD: "json-ld"}


def life() -> Graph:
    return graph_of(TEXT, {"Ada Lovelace": "Person", "London": "Place"}, [("Ada Lovelace", "born in", "London")])


def parsed(content: bytes | str) -> rdflib.Graph:
    return rdflib.Graph().parse(data=content, format="turtle")


@FIFTY
@given(documents())
def test_turtle_reads_back_to_the_facts_and_who_found_them(case: tuple[Graph, str]) -> None:
    graph, _ = case
    triples = parsed(to_turtle(graph, BUILTIN))
    found = sorted(read_entity(triples, node) for node in triples.objects(None, ITSRDF.taIdentRef, unique=True))
    assert found == sorted(map(written_entity, graph.entities))
    names = {entity.id: entity.name for entity in graph.entities}
    facts = sorted(read_relation(triples, node) for node in triples.subjects(RDF.type, RDF.Statement))
    assert facts == sorted(written_relation(relation, names) for relation in graph.relations)


@FIFTY
@given(documents())
def test_provenance_reads_back(case: tuple[Graph, str]) -> None:
    graph, _ = case
    triples = parsed(to_turtle(graph, BUILTIN))
    document = triples.value(None, RDF.type, NIF.Context)
    assert sorted(
        (text(triples, agent, RDFS.label), text(triples, agent, BEEP.version), text(triples, activity, RDFS.label))
        for activity, agent in triples.subject_objects(PROV.wasAssociatedWith)
        if (agent, RDF.type, PROV.SoftwareAgent) in triples and (activity, PROV.used, document) in triples
    ) == sorted((one.extractor, one.version, name) for one in graph.provenance.sources for name in one.activities)
    reviews = sorted(triples.subjects(RDF.type, BEEP.Review))
    assert [read_review(triples, node) for node in reviews] == list(map(written_review, graph.provenance.reviews))


@FIFTY
@given(documents())
def test_two_parsers_read_the_same_statements_from_both_formats(case: tuple[Graph, str]) -> None:
    graph, _ = case
    turtle, jsonld = to_turtle(graph, BUILTIN), to_jsonld(graph, BUILTIN)
    expected = set(parsed(turtle))
    assert set(rdflib.Graph().parse(data=jsonld, format="json-ld")) == expected
    assert by_oxigraph(turtle, pyoxigraph.RdfFormat.TURTLE) == expected
    assert by_oxigraph(jsonld, pyoxigraph.RdfFormat.JSON_LD) == expected


def by_oxigraph(content: str, rdf_format: pyoxigraph.RdfFormat) -> set[tuple[Node, Node, Node]]:
    """As rdflib's terms, by way of N-Triples."""
    quads = pyoxigraph.parse(content, format=rdf_format)
    lines = pyoxigraph.serialize((quad.triple for quad in quads), format=pyoxigraph.RdfFormat.N_TRIPLES)
    assert lines is not None
    return set(rdflib.Graph().parse(data=lines, format="nt"))


@FIFTY
@given(documents())
def test_both_formats_print_without_acting_on_a_terminal(case: tuple[Graph, str]) -> None:
    graph, _ = case
    assert not CONTROL.search(to_turtle(graph, BUILTIN))
    assert not CONTROL.search(to_jsonld(graph, BUILTIN))


def test_reading_the_json_ld_fetches_no_context() -> None:
    assert all(isinstance(value, str) for value in json.loads(to_jsonld(life(), BUILTIN))["@context"].values())


Found = tuple[str, list[str], Decimal, list[str], list[tuple[int, int, str, str, Decimal, list[str]]]]


def written_entity(entity: Entity) -> Found:
    mentions = [written_mention(mention) for mention in entity.mentions]
    return entity.name, sorted(entity.aliases), decimal(entity.confidence), sorted(entity.found_by), sorted(mentions)


def written_mention(one: Mention) -> tuple[int, int, str, str, Decimal, list[str]]:
    return one.start, one.end, one.text, one.label, decimal(one.confidence), sorted(one.found_by)


def read_entity(triples: rdflib.Graph, node: Node) -> Found:
    mentions = [
        (
            *read_span(triples, mention),
            text(triples, mention, NIF.anchorOf),
            text(triples, mention, BEEP.label),
            confidence(triples, mention),
            found_by(triples, mention),
        )
        for mention in triples.subjects(ITSRDF.taIdentRef, node)
    ]
    aliases = sorted(map(str, triples.objects(node, SKOS.altLabel)))
    return (
        text(triples, node, RDFS.label),
        aliases,
        confidence(triples, node),
        found_by(triples, node),
        sorted(mentions),
    )


Fact = tuple[str, str, Decimal, list[str], list[tuple[int, int]]]


def written_relation(one: Relation, names: dict[str, str]) -> Fact:
    spans = sorted((span.start, span.end) for span in one.evidence)
    return names[one.subject], names[one.object], decimal(one.confidence), sorted(one.found_by), spans


def read_relation(triples: rdflib.Graph, node: Node) -> Fact:
    subject, predicate, value = (triples.value(node, part) for part in (RDF.subject, RDF.predicate, RDF.object))
    assert subject is not None
    assert value is not None
    assert (subject, predicate, value) in triples
    spans = sorted(read_span(triples, sentence) for sentence in triples.objects(node, PROV.wasDerivedFrom))
    ends = (text(triples, subject, RDFS.label), text(triples, value, RDFS.label))
    return *ends, confidence(triples, node), found_by(triples, node), spans


def written_review(one: Review) -> tuple[str, str, object, str | None, bool, bool]:
    return one.decision, one.by, one.at, one.note, one.entity is not None, one.relation is not None


def read_review(triples: rdflib.Graph, node: Node) -> tuple[str, str, object, str | None, bool, bool]:
    person = triples.value(node, PROV.wasAssociatedWith)
    assert person is not None
    at, note = triples.value(node, PROV.endedAtTime), triples.value(node, RDFS.comment)
    assert isinstance(at, rdflib.Literal)
    return (
        text(triples, node, BEEP.decision),
        text(triples, person, RDFS.label),
        at.toPython(),
        None if note is None else str(note),
        triples.value(node, BEEP.reviewed) is not None,
        triples.value(node, RDF.subject) is not None,
    )


def text(triples: rdflib.Graph, node: Node, predicate: URIRef) -> str:
    return str(triples.value(node, predicate))


def confidence(triples: rdflib.Graph, node: Node) -> Decimal:
    return Decimal(text(triples, node, BEEP.confidence))


def decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def found_by(triples: rdflib.Graph, node: Node) -> list[str]:
    return sorted(str(activity).rpartition("#activity/")[2] for activity in triples.objects(node, PROV.wasGeneratedBy))


def read_span(triples: rdflib.Graph, node: Node) -> tuple[int, int]:
    return int(text(triples, node, NIF.beginIndex)), int(text(triples, node, NIF.endIndex))


@pytest.mark.parametrize(
    ("ontology", "person", "born_in"),
    [
        (None, NAMESPACE + "Person", NAMESPACE + "bornIn"),
        (FOREIGN, "http://example.org/Human", "http://example.org/birthPlace"),
    ],
)
def test_types_and_predicates_are_the_iris_of_the_ontology(ontology: str | None, person: str, born_in: str) -> None:
    triples = parsed(export(life(), TEXT, GraphFormat.TURTLE, ontology))
    ada = triples.value(None, RDFS.label, rdflib.Literal("Ada Lovelace"))
    assert triples.value(ada, RDF.type) == URIRef(person)
    assert triples.value(triples.value(ada, URIRef(born_in)), RDFS.label) == rdflib.Literal("London")


def test_turtle_quotes_a_string_so_that_strict_parsers_find_its_end() -> None:
    name = 'a\n\\"'
    assert r'rdfs:label "a\n\\\""' in to_turtle(graph_of(name, {name: "Person"}), BUILTIN)


def test_what_no_class_fits_is_an_owl_thing() -> None:
    assert parsed(to_turtle(graph_of("X.", {"X": "Thing"}), BUILTIN)).value(None, RDF.type, OWL.Thing) is not None


def test_an_ontology_with_iris_that_are_none_is_survived() -> None:
    ontology = FOREIGN.replace("example.org/Human", "example.org/a b|c%zz")
    triples = parsed(export(life(), TEXT, GraphFormat.TURTLE, ontology))
    assert (None, RDF.type, URIRef("http://example.org/a%20b%7Cc%25zz")) in triples


def test_an_ontology_s_iri_that_looks_like_a_short_one_is_not_taken_for_it() -> None:
    ontology = FOREIGN.replace("http://example.org/Human", "prov:Activity")
    for graph_format in (GraphFormat.TURTLE, GraphFormat.JSONLD):
        triples = rdflib.Graph().parse(data=export(life(), TEXT, graph_format, ontology), format=SYNTAXES[graph_format])
        ada = triples.value(None, RDFS.label, rdflib.Literal("Ada Lovelace"))
        assert triples.value(ada, RDF.type) == URIRef(NAMESPACE + "Person")


@pytest.mark.parametrize("graph_format", [GraphFormat.TURTLE, GraphFormat.JSONLD])
def test_an_ontology_that_is_not_turtle_is_refused(graph_format: GraphFormat) -> None:
    with pytest.raises(InvalidOntologyError):
        export(life(), TEXT, graph_format, "no turtle")
