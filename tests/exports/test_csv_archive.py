"""The CSV files: read with Python's csv by their own header lines, they are the graph again."""

import csv
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.exports.csv_archive import ARRAY_DELIMITER, csv_files, to_csv
from beep_orchestration.extraction.model import Graph
from tests.exports.graphs import FIFTY, documents, graph_of

Row = dict[str, Any]

READERS = {"double": float, "long": int, "string": str, "datetime": str}
NODES = ("documents.csv", "activities.csv", "reviews.csv", "entities.csv", "mentions.csv")


def read(content: str) -> list[Row]:
    """As the importer does: by the types in the header line, an empty field being no value."""
    header, *rows = csv.reader(StringIO(content, newline=""), strict=True)
    assert all(len(row) == len(header) for row in rows)
    return [{column: field(column, value) for column, value in zip(header, row, strict=True)} for row in rows]


def field(column: str, value: str) -> Any:
    _, _, kind = column.rpartition(":")
    if kind == "LABEL" or kind.endswith("[]"):
        reader = READERS.get(kind.removesuffix("[]"), str)
        return [reader(part) for part in value.split(ARRAY_DELIMITER)] if value else []
    return READERS.get(kind, str)(value) if value else None


def plain(value: object) -> Any:
    """What an array can hold of the text."""
    return str(value).replace(ARRAY_DELIMITER, "\ufffd")


@FIFTY
@given(documents())
def test_entities_and_their_mentions_are_read_back(case: tuple[Graph, str]) -> None:
    graph, text = case
    files = csv_files(graph, text)
    mentions = {row["id:ID"]: row for row in read(files["mentions.csv"])}
    found = {row["id:ID"]: row for row in read(files["entities.csv"])}
    links = [link for link in read(files["links.csv"]) if link[":TYPE"] == "MENTIONED_AS"]
    assert len(links) == len(mentions) == sum(len(entity.mentions) for entity in graph.entities)
    for row, entity in zip(found.values(), graph.entities, strict=True):
        assert (row["entity_id"], row["name"], row["type"]) == (entity.id, entity.name, entity.type)
        assert row["aliases:string[]"] == [plain(alias) for alias in entity.aliases]
        assert (row["confidence:double"], row["found_by:string[]"]) == (entity.confidence, list(entity.found_by))
        assert row[":LABEL"] == ["Entity", plain(entity.type)]
        own = [mentions[link[":END_ID"]] for link in links if link[":START_ID"] == row["id:ID"]]
        for mention, one in zip(own, entity.mentions, strict=True):
            assert text[mention["start:long"] : mention["end:long"]] == mention["text"] == one.text
            assert (mention["label"], mention["found_by:string[]"]) == (one.label, list(one.found_by))
            assert mention["confidence:double"] == one.confidence


@FIFTY
@given(documents())
def test_relations_are_read_back_with_the_sentences_that_state_them(case: tuple[Graph, str]) -> None:
    graph, text = case
    files = csv_files(graph, text)
    ids = {row["id:ID"]: row["entity_id"] for row in read(files["entities.csv"])}
    for row, one in zip(read(files["relations.csv"]), graph.relations, strict=True):
        assert (ids[row[":START_ID"]], row[":TYPE"], ids[row[":END_ID"]]) == (one.subject, one.predicate, one.object)
        spans = list(zip(row["starts:long[]"], row["ends:long[]"], strict=True))
        assert spans == [(span.start, span.end) for span in one.evidence]
        assert row["sentences:string[]"] == [plain(text[start:end]) for start, end in spans]
        assert (row["confidence:double"], row["found_by:string[]"]) == (one.confidence, list(one.found_by))


@FIFTY
@given(documents())
def test_provenance_is_read_back_and_every_link_joins_two_nodes(case: tuple[Graph, str]) -> None:
    graph, text = case
    files = {name: read(content) for name, content in csv_files(graph, text).items()}
    assert [(row["name"], row["extractor"], row["version"] or "") for row in files["activities.csv"]] == [
        (name, source.extractor, source.version) for source in graph.provenance.sources for name in source.activities
    ]
    for row, review in zip(files["reviews.csv"], graph.provenance.reviews, strict=True):
        assert (row["decision"], row["by"], row["note"]) == (review.decision, review.by, review.note)
        assert (row["at:datetime"], row["entity_id"]) == (review.at.isoformat(), review.entity)
        fact = {name: row[name] for name in ("subject", "predicate", "object")}
        assert fact == (review.relation.model_dump() if review.relation else dict.fromkeys(fact))
    nodes = [row["id:ID"] for name in NODES for row in files[name]]
    assert len(nodes) == len(set(nodes))
    ends = {
        row[end] for name in ("relations.csv", "links.csv") for row in files[name] for end in (":START_ID", ":END_ID")
    }
    assert ends <= set(nodes)


def test_the_files_of_two_documents_can_be_imported_together() -> None:
    graph = graph_of("Ada", {"Ada": "Person"})
    other = graph.model_copy(update={"document_id": "another"})
    ids = [{row["id:ID"] for name in NODES for row in read(csv_files(one, "Ada")[name])} for one in (graph, other)]
    assert not ids[0] & ids[1]


def test_the_archive_holds_the_files_and_nothing_of_its_time_or_place() -> None:
    graph = graph_of("Ada", {"Ada": "Person"})
    archive = ZipFile(BytesIO(to_csv(graph, "Ada")))
    assert {name: archive.read(name).decode() for name in archive.namelist()} == csv_files(graph, "Ada")
    assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_another_text_than_the_graphs_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="text"):
        to_csv(graph_of("Ada", {"Ada": "Person"}), "Bob")
