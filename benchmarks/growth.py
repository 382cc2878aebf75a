"""(g) How time, memory, rows and bytes grow with the document: exponents of power laws through 10 to 10,000 chunks."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

import psycopg

from benchmarks.documents import document
from benchmarks.ours import Ours
from benchmarks.processes import memory_megabytes
from benchmarks.results import Result, compare

_MEASURES = (("time", "s"), ("memory beside the services", "MB"), ("rows", "rows"), ("write-ahead log", "MB"))
_SAMPLE_SECONDS = 0.2
_ROWS = """
    SELECT (SELECT count(*) FROM knowledge_workflow_activity WHERE workflow_execution_id = %(id)s)
         + (SELECT count(*) FROM knowledge_workflow_signal WHERE workflow_execution_id = %(id)s)
         + (SELECT count(*) FROM event_logs JOIN knowledge_workflow_run ON dagster_run_id = run_id
            WHERE workflow_execution_id = %(id)s)
"""


@dataclass(frozen=True)
class Cost:
    """What one document took, in the order and the units of `_MEASURES`."""

    seconds: float
    megabytes: float
    rows: float
    log_megabytes: float


def growth(ours: Ours, *, quick: bool) -> Iterator[Result]:
    sizes = (10, 100, 1_000) if quick else (10, 100, 1_000, 10_000)
    costs = {chunks: _cost(ours, chunks) for chunks in sizes}
    for chunks, cost in costs.items():
        for (name, unit), value in zip(_MEASURES, astuple(cost), strict=True):
            yield compare(f"g {chunks} idle chunks, {name}", [value], None, unit)
    small, large = sizes[-2:]
    for number, (name, _) in enumerate(_MEASURES):
        ratio = astuple(costs[large])[number] / astuple(costs[small])[number]
        exponent = math.log(ratio) / math.log(large / small)
        yield compare(f"g exponent of {name}, {small} to {large} chunks", [exponent], 1.0, "")


def _cost(ours: Ours, chunks: int) -> Cost:
    with psycopg.connect(ours.database_url, autocommit=True) as connection, _peak_memory(ours) as peak:
        position = _number(connection, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        began = time.time()
        execution_id = ours.service.start("extraction", document(chunks))
        seconds = ours.wait(execution_id) - began
        written = _number(connection, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn") - position
        rows = _number(connection, _ROWS, id=execution_id)
    return Cost(seconds, max(peak), rows, written / 1e6)


def _number(connection: psycopg.Connection, statement: str, **parameters: object) -> float:
    row = connection.execute(statement, parameters).fetchone()
    if row is None:
        raise RuntimeError(f"no answer to {statement}")
    return float(row[0])


@contextmanager
def _peak_memory(ours: Ours) -> Iterator[list[float]]:
    """What the processes take beside what they took before, sampled in the block."""
    before, is_over = memory_megabytes(ours.mark), threading.Event()
    samples = [0.0]

    def sample() -> None:
        while not is_over.wait(_SAMPLE_SECONDS):
            samples.append(memory_megabytes(ours.mark) - before)

    sampler = threading.Thread(target=sample, name="memory", daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        is_over.set()
        sampler.join()
