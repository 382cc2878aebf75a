"""The growing graph shows what is found so far, and its counts are of all of it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction import extract
from beep_orchestration.extraction.growth import GrowingGraph, growing_graph
from beep_orchestration.extraction.model import ExtractionInput, Mention
from tests.exports.graphs import graph_of

TEXT = "Ada Lovelace met Charles Babbage in London."
GRAPH = graph_of(
    TEXT,
    {"Ada Lovelace": "Person", "Charles Babbage": "Person", "London": "Place"},
    [("Ada Lovelace", "met", "Charles Babbage"), ("Ada Lovelace", "was in", "London")],
)


def _dumped(values: Any) -> list[Any]:
    return [value.model_dump(mode="json") for value in values]


def _grown(**outputs: Any) -> GrowingGraph:
    given_outputs = {"mentions": [], "entities": [], "relations": [], "graphs": [], "limit": 99} | outputs
    return growing_graph(**given_outputs)


def test_names_come_first_and_mentions_of_one_name_are_one() -> None:
    mentions = [
        Mention(start=start, end=start + 3, text="Ada", label="PERSON", confidence=0.9).model_dump(mode="json")
        for start in (0, 40)
    ]
    graph = _grown(mentions=[mentions[:1], mentions[1:]])
    assert [(node.name, node.type, node.mentions) for node in graph.nodes] == [("Ada", None, 2)]
    assert (graph.entities, graph.relations, graph.is_complete) == (1, 0, False)


def test_then_entities_with_their_types_and_relations_between_them() -> None:
    graph = _grown(entities=[_dumped(GRAPH.entities)], relations=[_dumped(GRAPH.relations[:1]), []])
    assert {node.type for node in graph.nodes} == {"Person", "Place"}
    assert len(graph.edges) == graph.relations == 1
    assert not graph.is_complete


def test_entities_of_one_name_and_type_are_one_before_the_end_too() -> None:
    ada = GRAPH.entities[0]
    again = ada.model_copy(update={"id": f"{ada.id}-2"})
    graph = _grown(entities=[_dumped([ada]), _dumped([again])])
    assert [(node.id, node.mentions) for node in graph.nodes] == [(ada.id, 2 * len(ada.mentions))]


def test_the_assembled_graph_replaces_the_rest() -> None:
    graph = _grown(graphs=[GRAPH.model_dump(mode="json")], entities=[_dumped(GRAPH.entities[:1])])
    assert (graph.entities, graph.relations, graph.is_complete) == (3, 2, True)


def test_it_grows_into_what_is_extracted() -> None:
    whole = extract(ExtractionInput(document_id="notes", text=TEXT))
    grown = _grown(graphs=[whole.model_dump(mode="json")])
    assert {node.id for node in grown.nodes} == {entity.id for entity in whole.entities}


@given(st.integers(min_value=1, max_value=5))
def test_a_short_graph_has_no_edge_without_both_ends_and_counts_all(limit: int) -> None:
    graph = _grown(graphs=[GRAPH.model_dump(mode="json")], limit=limit)
    known = {node.id for node in graph.nodes}
    assert len(known) == min(limit, 3)
    assert all({edge.subject, edge.object} <= known for edge in graph.edges)
    assert (graph.entities, graph.relations) == (3, 2)
