"""What the Dagster UI shows of an op's output: counts, and the first rows as a table."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import dagster as dg

from beep_orchestration.dagster_client import EXECUTION_TAG
from beep_orchestration.extraction.model import Chunk, Entity, Graph, Mention, Relation
from beep_orchestration.settings import load_settings

_ROWS = 20
_PLURALS: Mapping[type, str] = {Chunk: "chunks", Mention: "mentions", Entity: "entities", Relation: "relations"}


def execution_link(execution_id: str) -> dg.MetadataValue:
    """A link to all runs of the execution in the Dagster UI that the settings name."""
    query = quote(f"tag:{EXECUTION_TAG}={execution_id}")
    return dg.MetadataValue.url(f"{load_settings().url}/runs?q[0]={query}")


def preview(parts: Sequence[Any]) -> dict[str, Any]:
    """Count and first rows of what a stage's activities yielded, if it is what extractions yield."""
    items = [item for part in parts if isinstance(part, list) for item in part]
    rows = [dg.TableRecord(row) for item in items[:_ROWS] if (row := _row(item)) is not None]
    if not rows:
        return {}
    return {_PLURALS[type(items[0])]: len(items), "preview": dg.MetadataValue.table(rows)}


def graph_metadata(graph: Graph) -> dict[str, Any]:
    """Counts of a graph and its first relations as sentences."""
    names = {entity.id: entity.name for entity in graph.entities}
    relations = [
        dg.TableRecord({"subject": names[r.subject], "predicate": r.predicate, "object": names[r.object]})
        for r in graph.relations[:_ROWS]
    ]
    counts: dict[str, Any] = {"entities": len(graph.entities), "relations": len(graph.relations)}
    return counts | ({"preview": dg.MetadataValue.table(relations)} if relations else {})


def _row(item: object) -> Mapping[str, str | int | float | bool] | None:
    match item:
        case Chunk():
            return {"chunk": item.index, "start": item.start, "end": item.end}
        case Mention():
            return {"text": item.text, "label": item.label, "start": item.start, "end": item.end}
        case Entity():
            return {"name": item.name, "type": item.type, "mentions": len(item.mentions)}
        case Relation():
            return {
                "subject": item.subject,
                "predicate": item.predicate,
                "object": item.object,
                "confidence": item.confidence,
            }
        case _:
            return None
