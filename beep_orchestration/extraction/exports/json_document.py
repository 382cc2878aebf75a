"""A graph as JSON: `{"document": {}, "entities": [], "relations": [], "stats": {}, "provenance": {}}`."""

import json
from typing import Any

from beep_orchestration.extraction.exports.characters import escaped
from beep_orchestration.extraction.model import Graph

_DOCUMENT_FIELDS = ("document_id", "title", "source_uri", "text_digest")


def to_json(graph: Graph) -> str:
    """The graph with its fields named as in the model; offsets are code points, end exclusive."""
    return escaped(json.dumps(graph_document(graph), ensure_ascii=False, indent=2))


def graph_document(graph: Graph) -> dict[str, Any]:
    """What `to_json` writes, as plain dictionaries and lists."""
    content = graph.model_dump(mode="json")
    document = {field: content.pop(field) for field in _DOCUMENT_FIELDS}
    return {"document": document, **content}
