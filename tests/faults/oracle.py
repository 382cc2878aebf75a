"""The independent oracle: what the graph of an input has to be, computed in memory, with no database and no Dagster."""

import hashlib
import json
from functools import lru_cache
from typing import Any

from beep_orchestration.extraction import Extractors, extract
from beep_orchestration.extraction.model import ExtractionInput
from beep_orchestration.models import Json
from tests.faults.extractors import quick_extractors


def canonical(graph: Any) -> bytes:
    """A graph as bytes that are equal if and only if the graphs are."""
    return json.dumps(graph, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def expected_graph(raw: Json, extractors: Extractors | None = None) -> bytes:
    """The graph of an execution's input, canonical; by the quick extractors unless told otherwise."""
    if extractors is None:
        return _quick(json.dumps(raw, sort_keys=True))
    return canonical(extract(ExtractionInput.model_validate(raw), extractors).model_dump(mode="json"))


@lru_cache(maxsize=1_000)
def _quick(raw: str) -> bytes:
    return expected_graph(json.loads(raw), quick_extractors())


def without_reviews(graph: Any) -> Any:
    """A graph without the times of decisions: when a person decided is nobody's to foresee."""
    return graph | {"provenance": graph["provenance"] | {"reviews": []}}


def graph_digest(graph: Any) -> str:
    """A graph in a few characters, equal if and only if the graphs are."""
    return hashlib.sha256(canonical(without_reviews(graph))).hexdigest()


def expected_digests(documents: Json) -> dict[str, str]:
    """The digests of the graphs of several inputs, by their names."""
    return {name: hashlib.sha256(expected_graph(raw)).hexdigest() for name, raw in documents.items()}
