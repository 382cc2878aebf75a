"""A graph as JSON Lines, for whatever reads one record at a time.

Each line is an object whose `kind` says what it is: one `document` with the statistics, then every `source`, `review`,
`entity` and `relation`, with the fields that they have in the JSON document. Every line names the document, so that
those of many documents can stand in one file.
"""

import json
from collections.abc import Iterator
from typing import Any

from beep_orchestration.extraction.exports.characters import escaped
from beep_orchestration.extraction.exports.json_document import graph_document
from beep_orchestration.extraction.model import Graph


def to_jsonl(graph: Graph) -> str:
    """One record a line, each ended by a line feed; no other character in it ends a line for any reader."""
    return "".join(f"{escaped(json.dumps(record, ensure_ascii=False))}\n" for record in _records(graph))


def _records(graph: Graph) -> Iterator[dict[str, Any]]:
    content = graph_document(graph)
    yield {"kind": "document", **content["document"], "stats": content["stats"]}
    document_id = graph.document_id
    provenance = content["provenance"]
    for kind, records in (
        ("source", provenance["sources"]),
        ("review", provenance["reviews"]),
        ("entity", content["entities"]),
        ("relation", content["relations"]),
    ):
        for record in records:
            yield {"kind": kind, "document_id": document_id, **record}
