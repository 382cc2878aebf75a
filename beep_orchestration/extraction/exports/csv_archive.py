"""A graph as CSV files for Neo4j, in one ZIP archive.

The header lines are those of `neo4j-admin database import`: `:ID`, `:START_ID`, `:END_ID`, `:LABEL`, `:TYPE` and typed
properties, arrays with U+001F between their elements. Every id begins with the document's, so that the files of several
documents can be imported together. Source: Neo4j Operations Manual, 'CSV file header format'.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO, StringIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from beep_orchestration.extraction.exports.characters import require_text_of
from beep_orchestration.extraction.model import Entity, Graph, Mention

ARRAY_DELIMITER = "\x1f"
"""Stands in no name that a person reads; where it does, it becomes U+FFFD."""

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP can write: the archive follows from the graph alone

Row = Sequence[object]


def to_csv(graph: Graph, text: str) -> bytes:
    """The archive; the same graph gives the same bytes.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from.
    """
    target = BytesIO()
    with ZipFile(target, "w") as archive:
        for name, content in csv_files(graph, text).items():
            archive.writestr(ZipInfo(name, _TIME), content, compress_type=ZIP_DEFLATED)
    return target.getvalue()


def csv_files(graph: Graph, text: str) -> dict[str, str]:
    """The content of each file by its name.

    Documents, activities, reviews, entities and mentions are nodes; an entity's type is its second label. `relations`
    are relationships of their predicate's type, with the sentences that state them; `links` join the other nodes.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from.
    """
    require_text_of(graph, text)
    return {
        "documents.csv": _file(("id:ID", "title", "source_uri", "text_digest", ":LABEL"), _documents(graph)),
        "activities.csv": _file(("id:ID", "name", "extractor", "version", ":LABEL"), _activities(graph)),
        "reviews.csv": _file(_REVIEW, _reviews(graph)),
        "entities.csv": _file(_ENTITY, _entities(graph)),
        "mentions.csv": _file(_MENTION, _mentions(graph)),
        "relations.csv": _file(_RELATION, _relations(graph, text)),
        "links.csv": _file((":START_ID", ":END_ID", ":TYPE"), _links(graph)),
    }


_ENTITY = (
    "id:ID", "entity_id", "name", "type", "aliases:string[]", "confidence:double", "found_by:string[]", ":LABEL",
)  # fmt: skip
_MENTION = ("id:ID", "text", "start:long", "end:long", "label", "confidence:double", "found_by:string[]", ":LABEL")
_RELATION = (
    ":START_ID", ":END_ID", "confidence:double", "starts:long[]", "ends:long[]", "sentences:string[]",
    "found_by:string[]", ":TYPE",
)  # fmt: skip
_REVIEW = (
    "id:ID", "decision", "by", "at:datetime", "entity_id", "subject", "predicate", "object", "note", ":LABEL",
)  # fmt: skip


def _documents(graph: Graph) -> Iterator[Row]:
    yield graph.document_id, graph.title, graph.source_uri, graph.text_digest, "Document"


def _activities(graph: Graph) -> Iterator[Row]:
    for source in graph.provenance.sources:
        for name in source.activities:
            yield _id(graph, "activity", name), name, source.extractor, source.version, "Activity"


def _reviews(graph: Graph) -> Iterator[Row]:
    for number, one in enumerate(graph.provenance.reviews):
        fact = one.relation
        about = (None, None, None) if fact is None else (fact.subject, fact.predicate, fact.object)
        node = _id(graph, "review", str(number))
        yield node, one.decision, one.by, one.at.isoformat(), one.entity, *about, one.note, "Review"


def _entities(graph: Graph) -> Iterator[Row]:
    for one in graph.entities:
        facts = (one.id, one.name, one.type, _array(one.aliases), one.confidence, _array(one.found_by))
        yield _id(graph, "entity", one.id), *facts, _array(("Entity", one.type))


def _mentions(graph: Graph) -> Iterator[Row]:
    for node, _, one in _numbered(graph):
        yield node, one.text, one.start, one.end, one.label, one.confidence, _array(one.found_by), "Mention"


def _relations(graph: Graph, text: str) -> Iterator[Row]:
    for one in graph.relations:
        spans = one.evidence
        yield (
            _id(graph, "entity", one.subject), _id(graph, "entity", one.object), one.confidence,
            _array(span.start for span in spans), _array(span.end for span in spans),
            _array(text[span.start : span.end] for span in spans), _array(one.found_by), one.predicate,
        )  # fmt: skip


def _links(graph: Graph) -> Iterator[Row]:
    for node, entity, _ in _numbered(graph):
        yield _id(graph, "entity", entity.id), node, "MENTIONED_AS"
        yield node, graph.document_id, "STANDS_IN"
    yield from ((activity[0], graph.document_id, "READ") for activity in _activities(graph))
    yield from ((review[0], graph.document_id, "DECIDED_ON") for review in _reviews(graph))


def _numbered(graph: Graph) -> Iterator[tuple[str, Entity, Mention]]:
    """Every mention with its id and its entity."""
    for entity in graph.entities:
        for number, mention in enumerate(entity.mentions):
            yield _id(graph, "mention", f"{entity.id}/{number}"), entity, mention


def _id(graph: Graph, kind: str, local: str) -> str:
    return f"{graph.document_id}#{kind}/{local}"


def _file(header: Row, rows: Iterable[Row]) -> str:
    target = StringIO()
    writer = csv.writer(target)
    writer.writerow(header)
    writer.writerows(rows)
    return target.getvalue()


def _array(values: Iterable[object]) -> str:
    return ARRAY_DELIMITER.join(str(value).replace(ARRAY_DELIMITER, "\ufffd") for value in values)
