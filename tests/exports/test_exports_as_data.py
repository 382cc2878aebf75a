"""Every format is the same bytes for the same graph; JSON, JSON Lines and GraphML read back to what was written."""

import json
import re
from io import BytesIO
from typing import Any

import networkx as nx
import pytest
from hypothesis import given

from beep_orchestration.extraction.exports import GraphFormat, export
from beep_orchestration.extraction.exports.characters import CONTROL, visible
from beep_orchestration.extraction.exports.graphml import to_graphml
from beep_orchestration.extraction.exports.json_document import to_json
from beep_orchestration.extraction.exports.json_lines import to_jsonl
from beep_orchestration.extraction.model import Graph
from tests.exports.graphs import FIFTY, documents, graph_of

TEXT = "Ada Lovelace was born in London. She died there."


def life() -> Graph:
    return graph_of(TEXT, {"Ada Lovelace": "Person", "London": "Place"}, [("Ada Lovelace", "born in", "London")])


@pytest.mark.parametrize("graph_format", GraphFormat)
def test_every_format_is_exported_and_is_deterministic(graph_format: GraphFormat) -> None:
    first = export(life(), TEXT, graph_format)
    assert first
    assert first == export(life(), TEXT, graph_format)


@FIFTY
@given(documents())
def test_json_holds_the_whole_graph(case: tuple[Graph, str]) -> None:
    graph, _ = case
    content = json.loads(to_json(graph))
    assert Graph.model_validate({**content.pop("document"), **content}) == graph


def test_json_has_the_documented_parts() -> None:
    content = json.loads(to_json(life()))
    assert set(content) == {"document", "entities", "relations", "stats", "provenance"}
    assert content["document"]["document_id"] == "a-document"


@FIFTY
@given(documents())
def test_json_and_its_lines_print_without_acting_on_a_terminal(case: tuple[Graph, str]) -> None:
    graph, _ = case
    assert not CONTROL.search(to_json(graph))
    assert not CONTROL.search(to_jsonl(graph))


@FIFTY
@given(documents())
def test_json_lines_hold_the_whole_graph_one_record_a_line(case: tuple[Graph, str]) -> None:
    graph, _ = case
    lines = to_jsonl(graph).splitlines()
    assert len(lines) == 1 + sum(
        map(len, (graph.entities, graph.relations, graph.provenance.sources, graph.provenance.reviews))
    )
    assert read_lines(lines) == graph


def read_lines(lines: list[str]) -> Graph:
    records: dict[str, list[Any]] = {"document": [], "source": [], "review": [], "entity": [], "relation": []}
    for line in lines:
        record = json.loads(line)
        records[record.pop("kind")].append(record)
    (document,) = records.pop("document")
    assert {record.pop("document_id") for found in records.values() for record in found} <= {document["document_id"]}
    provenance = {"sources": records["source"], "reviews": records["review"]}
    facts = {"entities": records["entity"], "relations": records["relation"], "provenance": provenance}
    return Graph.model_validate({**document, **facts})


@FIFTY
@given(documents())
def test_graphml_reads_back_with_what_xml_cannot_hold_replaced(case: tuple[Graph, str]) -> None:
    graph, _ = case
    network = nx.read_graphml(BytesIO(to_graphml(graph).encode()), force_multigraph=True)
    fields = ("label", "type", "found_by")
    assert sorted((node, *(content.get(field) for field in fields)) for node, content in network.nodes(data=True)) == (
        sorted(
            (in_xml(entity.id), in_xml(entity.name), in_xml(entity.type), " ".join(entity.found_by))
            for entity in graph.entities
        )
    )
    assert sorted(
        (left, right, content["label"], content["confidence"], content["found_by"])
        for left, right, content in network.edges(data=True)
    ) == sorted(
        (in_xml(one.subject), in_xml(one.object), in_xml(one.predicate), one.confidence, " ".join(one.found_by))
        for one in graph.relations
    )


def test_graphml_gives_every_edge_an_id_of_its_own() -> None:
    facts = [("Ada Lovelace", what, "London") for what in ("born in", "lived in")] + [("London", "met", "Ada Lovelace")]
    graph = graph_of(TEXT, {"Ada Lovelace": "Person", "London": "Place"}, facts)
    assert len(set(re.findall(r'<edge [^>]*id="([^"]+)"', to_graphml(graph)))) == len(facts)


def in_xml(text: str) -> str:
    return re.sub("\r\n?", "\n", visible(text))


def test_graphml_keeps_line_separators_that_splitlines_would_break_at() -> None:
    assert "a\u2028b" in to_graphml(graph_of("a\u2028b", {"a\u2028b": "Person"}))
