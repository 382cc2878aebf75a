"""The independent oracle: what the graph of an input has to be, computed in memory, with no database and no Dagster."""

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
