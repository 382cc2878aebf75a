"""JSON, Turtle and GraphML: whatever the names are, what is read back is what was written."""

import json
import re
from decimal import Decimal
from io import BytesIO

import networkx as nx
import pytest
import rdflib
from hypothesis import given, settings
from rdflib import OWL, PROV, RDF, RDFS, SKOS, URIRef

from beep_orchestration.errors import InvalidOntologyError
from beep_orchestration.extraction.exports import GraphFormat, export
from beep_orchestration.extraction.exports.characters import CONTROL, visible
from beep_orchestration.extraction.exports.graphml import to_graphml
from beep_orchestration.extraction.exports.json_document import to_json
from beep_orchestration.extraction.exports.turtle import BEEP, ITSRDF, NIF, to_turtle
from beep_orchestration.extraction.model import Entity, Graph
from beep_orchestration.extraction.ontology import load_ontology
from tests.exports.graphs import documents, graph_of

TEXT = "Ada Lovelace was born in London. She died there."
BUILTIN = "urn:beep-orchestration:ontology#"
FOREIGN = """
    @prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    <http://example.org/Human> a owl:Class ; rdfs:label "Person" .
    <http://example.org/birthPlace> a owl:ObjectProperty ; rdfs:label "born in" .
"""


def life() -> Graph:
    return graph_of(TEXT, {"Ada Lovelace": "Person", "London": "Place"}, [("Ada Lovelace", "born in", "London")])


@pytest.mark.parametrize("graph_format", GraphFormat)
def test_every_format_is_exported_and_is_deterministic(graph_format: GraphFormat) -> None:
    first = export(life(), TEXT, graph_format)
    assert "Ada Lovelace" in first
    assert first == export(life(), TEXT, graph_format)


@given(documents())
def test_json_holds_the_whole_graph(case: tuple[Graph, str]) -> None:
    graph, _ = case
    content = json.loads(to_json(graph))
    assert Graph.model_validate({**content.pop("document"), **content}) == graph


def test_json_has_the_documented_parts() -> None:
    content = json.loads(to_json(life()))
    assert set(content) == {"document", "entities", "relations", "stats", "provenance"}
    assert content["document"]["document_id"] == "a-document"


@given(documents())
def test_json_and_turtle_print_without_acting_on_a_terminal(case: tuple[Graph, str]) -> None:
    graph, _ = case
    assert not CONTROL.search(to_json(graph))
    assert not CONTROL.search(to_turtle(graph, load_ontology(None)))


@given(documents())
@settings(deadline=None)
def test_turtle_reads_back_to_the_same_names_offsets_and_confidences(case: tuple[Graph, str]) -> None:
    graph, _ = case
    triples = rdflib.Graph().parse(data=to_turtle(graph, load_ontology(None)), format="turtle")
    written = sorted(map(described, graph.entities))
    assert (
        sorted(read_entity(triples, node) for node in triples.objects(None, ITSRDF.taIdentRef, unique=True)) == written
    )
    names = {entity.id: entity.name for entity in graph.entities}
    assert sorted(read_relation(triples, node) for node in triples.subjects(RDF.type, RDF.Statement)) == sorted(
        (
            names[relation.subject],
            names[relation.object],
            Decimal(repr(relation.confidence)),
            sorted((span.start, span.end) for span in relation.evidence),
        )
        for relation in graph.relations
    )


Described = tuple[str, list[str], Decimal, list[tuple[int, int, str, str, Decimal]]]


def described(entity: Entity) -> Described:
    mentions = [(one.start, one.end, one.text, one.label, Decimal(repr(one.confidence))) for one in entity.mentions]
    return entity.name, sorted(entity.aliases), Decimal(repr(entity.confidence)), sorted(mentions)


def read_entity(triples: rdflib.Graph, node: rdflib.term.Node) -> Described:
    mentions = [
        (
            *read_span(triples, mention),
            str(triples.value(mention, NIF.anchorOf)),
            str(triples.value(mention, BEEP.label)),
            Decimal(str(triples.value(mention, BEEP.confidence))),
        )
        for mention in triples.subjects(ITSRDF.taIdentRef, node)
    ]
    aliases = sorted(map(str, triples.objects(node, SKOS.altLabel)))
    return (
        str(triples.value(node, RDFS.label)),
        aliases,
        Decimal(str(triples.value(node, BEEP.confidence))),
        sorted(mentions),
    )


def read_relation(triples: rdflib.Graph, node: rdflib.term.Node) -> tuple[str, str, Decimal, list[tuple[int, int]]]:
    subject, predicate, value = (triples.value(node, part) for part in (RDF.subject, RDF.predicate, RDF.object))
    assert subject is not None
    assert value is not None
    assert (subject, predicate, value) in triples
    return (
        str(triples.value(subject, RDFS.label)),
        str(triples.value(value, RDFS.label)),
        Decimal(str(triples.value(node, BEEP.confidence))),
        sorted(read_span(triples, sentence) for sentence in triples.objects(node, PROV.wasDerivedFrom)),
    )


def read_span(triples: rdflib.Graph, node: rdflib.term.Node) -> tuple[int, int]:
    return int(str(triples.value(node, NIF.beginIndex))), int(str(triples.value(node, NIF.endIndex)))


@pytest.mark.parametrize(
    ("ontology", "person", "born_in"),
    [
        (None, BUILTIN + "Person", BUILTIN + "bornIn"),
        (FOREIGN, "http://example.org/Human", "http://example.org/birthPlace"),
    ],
)
def test_turtle_types_and_predicates_are_the_iris_of_the_ontology(
    ontology: str | None, person: str, born_in: str
) -> None:
    triples = rdflib.Graph().parse(data=export(life(), TEXT, GraphFormat.TURTLE, ontology), format="turtle")
    ada = triples.value(None, RDFS.label, rdflib.Literal("Ada Lovelace"))
    assert triples.value(ada, RDF.type) == URIRef(person)
    assert triples.value(triples.value(ada, URIRef(born_in)), RDFS.label) == rdflib.Literal("London")


def test_turtle_quotes_a_string_so_that_strict_parsers_find_its_end() -> None:
    name = 'a\n\\"'
    assert r'rdfs:label "a\n\\\""' in export(graph_of(name, {name: "Person"}), name, GraphFormat.TURTLE)


def test_turtle_calls_what_no_class_fits_owl_thing() -> None:
    triples = rdflib.Graph().parse(
        data=export(graph_of("X.", {"X": "Thing"}), "X.", GraphFormat.TURTLE), format="turtle"
    )
    assert triples.value(None, RDF.type, OWL.Thing) is not None


def test_turtle_survives_an_ontology_with_iris_that_are_none() -> None:
    ontology = FOREIGN.replace("example.org/Human", "example.org/a b|c")
    triples = rdflib.Graph().parse(data=export(life(), TEXT, GraphFormat.TURTLE, ontology), format="turtle")
    assert (None, RDF.type, URIRef("http://example.org/a%20b%7Cc")) in triples


def test_turtle_refuses_an_ontology_that_is_not_turtle() -> None:
    with pytest.raises(InvalidOntologyError):
        export(life(), TEXT, GraphFormat.TURTLE, "no turtle")


@given(documents())
def test_graphml_reads_back_with_what_xml_cannot_hold_replaced(case: tuple[Graph, str]) -> None:
    graph, _ = case
    network = nx.read_graphml(BytesIO(to_graphml(graph).encode()), force_multigraph=True)
    assert sorted(
        (node, content.get("label"), content.get("type")) for node, content in network.nodes(data=True)
    ) == sorted((in_xml(entity.id), in_xml(entity.name), in_xml(entity.type)) for entity in graph.entities)
    assert sorted(
        (left, right, content["label"], content["confidence"]) for left, right, content in network.edges(data=True)
    ) == sorted(
        (in_xml(relation.subject), in_xml(relation.object), in_xml(relation.predicate), relation.confidence)
        for relation in graph.relations
    )


def in_xml(text: str) -> str:
    return re.sub("\r\n?", "\n", visible(text))


def test_graphml_keeps_line_separators_that_splitlines_would_break_at() -> None:
    assert "a\u2028b" in to_graphml(graph_of("a\u2028b", {"a\u2028b": "Person"}))
