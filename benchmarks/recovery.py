"""(e) A worker killed by SIGKILL, a signal to a running execution, and the status of one among many."""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import psycopg

from beep_orchestration.engine.launcher_worker import WORKER_TAG, WorkerIdentity
from beep_orchestration.models import ExecutionStatus
from benchmarks.documents import document
from benchmarks.extractors import SIGNAL
from benchmarks.ours import Ours
from benchmarks.results import Result, compare

_WAIT_SECONDS = 0.5
_QUESTIONS = 500


def recovery(ours: Ours, *, quick: bool) -> Iterator[Result]:
    yield compare("e kill -9 to the next attempt", [_recover(ours) for _ in range(2 if quick else 5)], None, "s")
    yield compare("e signal sent to received by a running activity", _signals(ours, 20 if quick else 100), None, "s")


def status_at_scale(ours: Ours, *, quick: bool) -> Iterator[Result]:
    """Copies of one execution of eleven activities in the tables; then questions about random ones, and a new one."""
    for stored in (1_000, 10_000) if quick else (1_000, 10_000, 100_000):
        ids = _fill(ours, stored)
        asked = [partial(ours.service.get_status, ids[n * 7919 % len(ids)]) for n in range(_QUESTIONS)]
        yield from _answers(f"get_status, {stored} executions", asked)
        watched = [partial(_first_events, ours, ids[n * 7919 % len(ids)]) for n in range(_QUESTIONS)]
        yield from _answers(f"watch, to the first events of one of {stored}", watched)
        yield from _answers(f"list, page of 50 of {stored}", [ours.service.list] * (_QUESTIONS // 10))
        running = partial(ours.service.list, status=ExecutionStatus.RUNNING)
        yield from _answers(f"list the running of {stored}", [running] * (_QUESTIONS // 10))
        seconds = [ours.run_one(document(4)) for _ in range(3 if quick else 5)]
        yield compare(f"g one execution more beside {stored}", seconds, None, "s")


def _answers(name: str, questions: Sequence[Callable[[], object]]) -> Iterator[Result]:
    seconds = sorted(map(_timed, questions))
    yield compare(f"e {name}, p50", [statistics.median(seconds)], None, "s")
    yield compare(f"e {name}, p99", [seconds[int(len(seconds) * 0.99)]], None, "s")


def _first_events(ours: Ours, execution_id: str) -> object:
    return ours.service.event_reader(execution_id).read()


def _recover(ours: Ours) -> float:
    """Seconds from the kill to the start of an attempt by the next worker."""
    execution_id = ours.service.start("extraction", document(2, wait_seconds=_WAIT_SECONDS, concurrency=1))
    _await_attempts(ours, execution_id, 2)
    before = ours.service.get_status(execution_id).attempts
    os.kill(_worker(ours, execution_id).pid, signal.SIGKILL)
    killed = time.perf_counter()
    _await_attempts(ours, execution_id, before + 1)
    seconds = time.perf_counter() - killed
    ours.wait(execution_id)
    return seconds


def _worker(ours: Ours, execution_id: str) -> WorkerIdentity:
    run_id = ours.service.get_status(execution_id).dagster_run_ids[-1]
    with psycopg.connect(ours.database_url) as connection:
        tag = connection.execute("SELECT value FROM run_tags WHERE run_id = %s AND key = %s", (run_id, WORKER_TAG))
        return WorkerIdentity.model_validate_json(tag.fetchone()[0])  # type: ignore[index]


def _await_attempts(ours: Ours, execution_id: str, count: int) -> None:
    while ours.service.get_status(execution_id).attempts < count:
        time.sleep(0.01)


def _signals(ours: Ours, count: int) -> list[float]:
    """Seconds from the call of `signal` to its receipt by an activity that waits for it in the run's process."""
    heard = ours.settings.data_folder / "heard"
    execution_id = ours.service.start("extraction", document(1, first_line=f"hear {count} {heard}\n"))
    _await_attempts(ours, execution_id, 2)
    seconds = []
    for number in range(count):
        sent = time.time()
        ours.service.signal(execution_id, SIGNAL, {"by": "benchmark"})
        while not heard.exists() or len(times := heard.read_text().splitlines()) <= number:
            time.sleep(0.001)
        seconds.append(float(times[number]) - sent)
    ours.wait(execution_id)
    return seconds


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _fill(ours: Ours, stored: int) -> list[str]:
    """Copies of the first execution, with its eleven activities, its signals and its run, until there are that many."""
    with psycopg.connect(ours.database_url, autocommit=True) as connection:
        (present,) = connection.execute("SELECT count(*) FROM knowledge_workflow_execution").fetchone() or (0,)
        connection.execute(_COPY_EXECUTIONS, (max(stored - present, 0),))
        for table in ("knowledge_workflow_activity", "knowledge_workflow_signal", "knowledge_workflow_run"):
            connection.execute(_COPY_WHAT_BELONGS_TO_IT.format(table=table))
        connection.execute("ANALYZE")
        return [row[0] for row in connection.execute("SELECT id FROM knowledge_workflow_execution LIMIT 5000")]


# Each row is made once, not once for each of its columns; naming `number` keeps it from being made once for all.
_COPY_EXECUTIONS = """
INSERT INTO knowledge_workflow_execution
SELECT copy.*
FROM (SELECT * FROM knowledge_workflow_execution WHERE status = 'completed' ORDER BY created_at LIMIT 1) e,
    generate_series(1, %s) number,
    LATERAL jsonb_populate_record(NULL::knowledge_workflow_execution, to_jsonb(e) || jsonb_build_object(
        'id', 'knowledge_workflow_execution__' || gen_random_uuid(), 'idempotency_key', nullif(number, number),
        'created_at', clock_timestamp())) copy
"""
_COPY_WHAT_BELONGS_TO_IT = """
INSERT INTO {table}
SELECT copy.*
FROM (SELECT id FROM knowledge_workflow_execution EXCEPT SELECT workflow_execution_id FROM {table}) e,
    (SELECT * FROM {table} WHERE workflow_execution_id =
        (SELECT id FROM knowledge_workflow_execution WHERE status = 'completed' ORDER BY created_at LIMIT 1)) a,
    LATERAL jsonb_populate_record(NULL::{table}, to_jsonb(a) || jsonb_build_object('workflow_execution_id', e.id,
        'id', '{table}__' || gen_random_uuid(), 'dagster_run_id', gen_random_uuid())) copy
"""
