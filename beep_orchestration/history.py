"""The history of an execution: every attempt, signal, run and change of state, in order, as a stream.

Signals, among them progress and changes of state, come in the order of their sequence; attempts and runs stand among
them where the database's clock puts them.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Any

from beep_orchestration.events import (
    AttemptDue,
    AttemptEnded,
    AttemptStarted,
    ExecutionEvent,
    HistoryEntry,
    RunEnded,
    RunLaunched,
    StateChanged,
)
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import WAIT, ActivityStatus, StateChange
from beep_orchestration.persistence import AttemptRow, Database, RunRow
from beep_orchestration.watching import event_of

_BY_TIME = attrgetter("at")


def read_history(database: Database, execution_id: WorkflowExecutionId) -> Iterator[HistoryEntry]:
    """What happened to an execution up to the moment of the first entry.

    However much there is, little of it is in memory at a time. One of the database's connections is held until the end;
    if it is lost, or nothing is taken for a minute, `DatabaseUnavailableError` is raised.
    """
    with database.snapshot() as tables:
        yield from heapq.merge(
            _of_runs(tables.runs.list_of(execution_id)),
            _of_attempts(tables.activities.stream_attempts(execution_id)),
            _with_workers(map(event_of, tables.signals.stream(execution_id))),
            key=_BY_TIME,
        )


def _with_workers(events: Iterable[ExecutionEvent]) -> Iterator[HistoryEntry]:
    """A worker claims the execution once, when it begins: so a run that claims again goes on in another worker."""
    workers: Counter[str] = Counter()
    for event in events:
        if isinstance(event, StateChanged) and event.change is StateChange.CLAIMED and event.dagster_run_id is not None:
            workers[event.dagster_run_id] += 1
            yield event.model_copy(update={"worker": workers[event.dagster_run_id]})
        else:
            yield event


def _of_runs(runs: Iterable[RunRow]) -> list[HistoryEntry]:
    entries: list[HistoryEntry] = []
    for run in runs:
        entries.append(RunLaunched(at=run.created_at, dagster_run_id=run.dagster_run_id))
        if run.ended_at is not None and run.outcome is not None:
            entries.append(RunEnded(at=run.ended_at, dagster_run_id=run.dagster_run_id, outcome=run.outcome))
    return sorted(entries, key=_BY_TIME)


def _of_attempts(attempts: Iterable[AttemptRow]) -> Iterator[HistoryEntry]:
    """The starts, which come in order, with the ends among them: only of those under way an end has to be kept."""
    ends: list[tuple[datetime, str, AttemptEnded]] = []
    for attempt in attempts:
        while ends and ends[0][0] <= attempt.started_at:
            yield heapq.heappop(ends)[2]
        match attempt.status:
            case ActivityStatus.PENDING if attempt.activity_type != WAIT:
                yield AttemptDue(at=attempt.started_at, **_names(attempt))
            case ActivityStatus.PENDING | ActivityStatus.RUNNING:
                yield AttemptStarted(at=attempt.started_at, **_names(attempt))
            case ActivityStatus.COMPLETED | ActivityStatus.FAILED as status:
                if not attempt.has_never_started:
                    yield AttemptStarted(at=attempt.started_at, **_names(attempt))
                end = AttemptEnded(at=attempt.completed_at, status=status, error=attempt.error, **_names(attempt))
                heapq.heappush(ends, (end.at, end.attempt_id, end))
    while ends:
        yield heapq.heappop(ends)[2]


def _names(attempt: AttemptRow) -> dict[str, Any]:
    return {
        "attempt_id": attempt.id,
        "activity_type": attempt.activity_type,
        "activity_name": attempt.activity_name,
        "attempt": attempt.attempt_number,
        "epoch": attempt.epoch,
    }
