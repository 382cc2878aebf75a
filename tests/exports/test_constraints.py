"""What is exported conforms to an ontology's SHACL constraints, and where the graph does not, a validator says so."""

from pathlib import Path

import pyshacl
import pytest
import rdflib

from beep_orchestration.extraction import extract, parse_extraction_input
from beep_orchestration.extraction.exports import GraphFormat, export
from beep_orchestration.extraction.model import Graph, Provenance, Relation, Span

ONTOLOGY = Path(__file__).with_name("constraints.ttl").read_text(encoding="utf-8")
SHAPES = rdflib.Graph().parse(data=ONTOLOGY, format="turtle")
TEXT = (
    "Ada Lovelace was born in London in 1815. Alan Turing was born in London. "
    "Grace Hopper was born in New York City. Konrad Zuse was born in Berlin."
)


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Extracted, not made up: what a user would validate."""
    document = {
        "document_id": "lives",
        "text": TEXT,
        "ontology": ONTOLOGY,
        "options": {"chunk_size": 200, "chunk_overlap": 0},
    }
    return extract(parse_extraction_input(document))


def violations(graph: Graph, graph_format: GraphFormat = GraphFormat.TURTLE) -> list[str]:
    """The constraints that are not met, by the path or the kind of each."""
    syntax = {GraphFormat.TURTLE: "turtle", GraphFormat.JSONLD: "json-ld"}[graph_format]
    content = rdflib.Graph().parse(data=export(graph, TEXT, graph_format, ONTOLOGY), format=syntax)
    conforms, report, _ = pyshacl.validate(content, shacl_graph=SHAPES, ont_graph=SHAPES, inplace=False)
    assert isinstance(report, rdflib.Graph)
    results = [
        report.value(node, rdflib.SH.resultPath) or report.value(node, rdflib.SH.sourceConstraintComponent)
        for node in report.objects(None, rdflib.SH.result)
    ]
    assert conforms == (results == [])
    return sorted(str(found).rpartition("#")[2] for found in results)


@pytest.mark.parametrize("graph_format", [GraphFormat.TURTLE, GraphFormat.JSONLD])
def test_an_extracted_graph_conforms(graph: Graph, graph_format: GraphFormat) -> None:
    assert graph.stats.relations_by_predicate == {"born in": 4}
    assert violations(graph, graph_format) == []


def born(graph: Graph, subject: str, target: str, *, evidence: bool = True) -> Graph:
    """The graph with one fact more."""
    ids = {entity.name: entity.id for entity in graph.entities}
    fact = Relation(
        subject=ids[subject],
        predicate="born in",
        object=ids[target],
        confidence=0.9,
        evidence=(Span(start=0, end=41),) * evidence,
        found_by=("relations-0",),
    )
    return graph.model_copy(update={"relations": (*graph.relations, fact)})


def test_a_second_birth_a_birth_of_a_place_and_a_birth_in_a_person_are_violations(graph: Graph) -> None:
    assert violations(born(graph, "Ada Lovelace", "Berlin")) == ["bornIn"]
    assert violations(born(graph, "Berlin", "London")) == ["ClassConstraintComponent"]
    assert violations(born(graph, "Ada Lovelace", "Alan Turing")) == ["bornIn", "bornIn"]


def test_a_fact_that_no_sentence_states_and_one_that_nothing_found_are_violations(graph: Graph) -> None:
    assert violations(born(graph, "Ada Lovelace", "London", evidence=False)) == ["wasDerivedFrom"]
    (first, *others) = graph.relations
    unfound = graph.model_copy(update={"relations": (first.model_copy(update={"found_by": ()}), *others)})
    assert violations(unfound) == ["wasGeneratedBy"]


def test_activities_without_their_extractors_are_violations(graph: Graph) -> None:
    assert set(violations(graph.model_copy(update={"provenance": Provenance()}))) >= {"wasAssociatedWith", "used"}
