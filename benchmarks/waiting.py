"""(d) Activities that wait as for a model behind an API: 500 ms each, 20 chunks a document."""

import math
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.documents import document
from benchmarks.ours import Ours
from benchmarks.processes import memory_megabytes
from benchmarks.results import Result, compare

_WAIT_SECONDS, _CHUNKS, _CONCURRENCY = 0.5, 20, 4
_RUNS_AT_ONCE = 4
"""`max_concurrent_runs` in dagster.yaml."""


def waiting(ours: Ours, *, quick: bool) -> Iterator[Result]:
    count = 8 if quick else 50
    given = document(_CHUNKS, wait_seconds=_WAIT_SECONDS, concurrency=_CONCURRENCY)
    began = time.time()
    ids = ours.service.start_many("extraction", [given] * count)
    stages = 2 * math.ceil(_CHUNKS / _CONCURRENCY) + 1
    ideal = math.ceil(count / _RUNS_AT_ONCE) * stages * _WAIT_SECONDS
    yield compare(f"d {count} documents, ideal", [ours.wait_for(ids) - began], ideal, "s")
    yield compare("d memory per document in flight", [_memory(ours, given)], None, "MB")


def _memory(ours: Ours, given: dict[str, Any]) -> float:
    """What so many documents take together, beside the services, divided by their number."""
    before = memory_megabytes(ours.mark)
    ids = ours.service.start_many("extraction", [given] * _RUNS_AT_ONCE)
    while any(ours.service.get_status(each).attempts < _CHUNKS for each in ids):
        time.sleep(0.05)
    memory = memory_megabytes(ours.mark) - before
    ours.wait_for(ids)
    return memory / _RUNS_AT_ONCE
