"""Retention: what ended long ago is removed whole, and nothing else is touched."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ActivityStatus, ExecutionStatus, RunOutcome
from beep_orchestration.persistence import Database, WorkflowPersistence
from beep_orchestration.tables import activity, execution, model_call, run, signal
from tests.factories import (
    ORGANIZATION,
    OTHER_ORGANIZATION,
    claimed,
    dagster_run_of,
    ended,
    with_attempt,
    with_signal,
)

DAY = 86_400.0
TABLES = (execution, activity, signal, run, model_call)
ROUNDS = 30
EARLIER = (
    "UPDATE knowledge_workflow_execution SET completed_at = completed_at - make_interval(days => :days) WHERE id = :id"
)


def ended_days_ago(
    tables: WorkflowPersistence, days: float, status: ExecutionStatus = ExecutionStatus.COMPLETED, **overrides: Any
) -> WorkflowExecutionId:
    """An execution that ended then, with an attempt and a signal, carried by a run that has ended."""
    row = ended(tables, status, **overrides)
    with_attempt(tables, row, ActivityStatus.COMPLETED)
    with_signal(tables, row.id, organization_id=row.organization_id)
    tables.runs.end(dagster_run_of(row), RunOutcome.SUCCEEDED)
    tables.connection.execute(text(EARLIER), {"days": days, "id": row.id})
    return row.id


def removable(tables: WorkflowPersistence, days: float = 30) -> list[WorkflowExecutionId]:
    return tables.ended.list_oldest(ORGANIZATION, older_than_seconds=days * DAY, limit=10)


def test_the_longest_ended_come_first_and_are_counted(tables: WorkflowPersistence) -> None:
    old = [ended_days_ago(tables, days) for days in (31, 90, 40)]
    ended_days_ago(tables, 29)
    assert removable(tables) == [old[1], old[2], old[0]]
    assert tables.ended.count(ORGANIZATION, older_than_seconds=30 * DAY) == 3
    assert tables.ended.list_oldest(ORGANIZATION, older_than_seconds=0, limit=2) == [old[1], old[2]]
    assert tables.ended.count(ORGANIZATION, older_than_seconds=0) == 4


def test_what_runs_what_a_run_carries_and_what_is_anothers_is_not_removable(tables: WorkflowPersistence) -> None:
    running = claimed(tables)
    carried = ended_days_ago(tables, 90, ExecutionStatus.CANCELLED)
    tables.runs.save("still-open", carried, ORGANIZATION)
    others = ended_days_ago(tables, 90, organization_id=OTHER_ORGANIZATION)
    assert tables.ended.list_oldest(ORGANIZATION, older_than_seconds=0, limit=10) == []
    for each in (running.id, carried, others):
        assert tables.ended.lock(each, ORGANIZATION, older_than_seconds=0) is None


@pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.CANCELLED])
def test_an_execution_is_removed_with_all_its_rows_and_no_others(
    tables: WorkflowPersistence, status: ExecutionStatus
) -> None:
    kept = ended_days_ago(tables, 1, status)
    before = _counts(tables)
    old = ended_days_ago(tables, 90, status)
    runs = tables.ended.lock(old, ORGANIZATION, older_than_seconds=30 * DAY)
    assert runs == [found.dagster_run_id for found in tables.runs.list_of(old)]
    tables.ended.remove(old)
    assert _counts(tables) == before
    assert tables.executions.find(old) is None
    assert tables.executions.find(kept) is not None


def _counts(tables: WorkflowPersistence) -> list[int]:
    return [tables.connection.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES]


def test_an_execution_is_resumed_or_removed_never_both(database: Database) -> None:
    outcomes = set()
    for _ in range(ROUNDS):
        with database.transaction() as tables:
            old = ended_days_ago(tables, 90, ExecutionStatus.CANCELLED)
        together = threading.Barrier(2)

        def remove(old: WorkflowExecutionId = old, together: threading.Barrier = together) -> bool:
            together.wait(30)
            with database.transaction() as tables:
                if tables.ended.lock(old, ORGANIZATION, older_than_seconds=30 * DAY) is None:
                    return False
                tables.ended.remove(old)
                return True

        def resume(old: WorkflowExecutionId = old, together: threading.Barrier = together) -> bool:
            together.wait(30)
            with database.transaction() as tables:
                return tables.executions.resume(old, launch_after_seconds=0)

        with ThreadPoolExecutor(2) as threads:
            removing, resuming = threads.submit(remove), threads.submit(resume)
            removed, resumed = removing.result(), resuming.result()
        with database.transaction() as tables:
            found = tables.executions.find(old)
        assert removed == (found is None)
        assert resumed == (found is not None and found.status is ExecutionStatus.RUNNING)
        outcomes.add((removed, resumed))
    assert outcomes <= {(True, False), (False, True)}
