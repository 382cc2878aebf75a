"""Every change of an execution's state is told by a signal, in order, and nothing else is."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import STATE_SIGNAL, Checkpoint, ErrorInfo, ExecutionStatus, StateChange, Wait
from beep_orchestration.persistence import Database, WorkflowPersistence
from tests.factories import ORGANIZATION, accepted, claimed, dagster_run_of, ended, new_execution, with_signal

CANCELS = 5


def _told(tables: WorkflowPersistence, execution_id: WorkflowExecutionId) -> list[dict[str, Any]]:
    return [row.payload for row in tables.signals.load(execution_id, limit=99, name=STATE_SIGNAL)]


def test_a_life_is_told_change_by_change(tables: WorkflowPersistence) -> None:
    execution = ended(tables, ExecutionStatus.CANCELLED)
    assert tables.executions.resume(execution.id, launch_after_seconds=0)
    epoch = tables.executions.claim(execution.id, "second-run")
    assert epoch == 3
    assert tables.executions.complete(execution.id, epoch, {"entities": []})
    assert _told(tables, execution.id) == [
        {"change": "accepted", "epoch": 0},
        {"change": "claimed", "epoch": 1, "dagster_run_id": dagster_run_of(execution)},
        {"change": "cancelled", "epoch": 1},
        {"change": "resumed", "epoch": 2},
        {"change": "claimed", "epoch": 3, "dagster_run_id": "second-run"},
        {"change": "completed", "epoch": 3},
    ]


def test_a_wait_and_a_pause_are_told_with_what_is_waited_for(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    wait = Wait(activity_name="review", signals=("approve",), since=execution.started_at)
    checkpoint = Checkpoint(waiting_for=(wait,))
    assert tables.executions.park(execution.id, execution.epoch, wake_at=None, checkpoint=checkpoint)
    assert tables.executions.pause(execution.id)
    assert tables.executions.end_pause(execution.id)
    assert _told(tables, execution.id)[2:] == [
        {"change": "parked", "epoch": 2, "waiting_for": [wait.model_dump(mode="json")]},
        {"change": "paused", "epoch": 2},
        {"change": "pause_ended", "epoch": 2},
    ]


def test_a_failure_is_told_with_its_error_and_without_its_stack(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    error = ErrorInfo(type="ValueError", message="bad", activity_name="mentions-0", attempt=2, stack="File ...")
    assert tables.executions.fail(execution.id, error)
    told = {"type": "ValueError", "message": "bad", "activity_name": "mentions-0", "attempt": 2}
    assert _told(tables, execution.id)[-1] == {"change": "failed", "epoch": 1, "error": told}


def test_what_changes_nothing_tells_nothing(tables: WorkflowPersistence) -> None:
    execution = ended(tables, ExecutionStatus.COMPLETED)
    before = _told(tables, execution.id)
    assert not tables.executions.save(new_execution(id=execution.id))
    assert not tables.executions.cancel(execution.id)
    assert not tables.executions.fail(execution.id, ErrorInfo(type="ValueError", message="late"))
    assert not tables.executions.resume(execution.id, launch_after_seconds=0)
    assert tables.executions.claim(execution.id, "late-run") is None
    assert _told(tables, execution.id) == before


def test_a_change_has_a_place_among_the_signals_and_the_time_of_the_row(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    with_signal(tables, execution.id)
    assert tables.executions.cancel(execution.id)
    rows = tables.signals.load(execution.id, limit=9)
    assert [(row.sequence, row.signal_name) for row in rows] == [(1, STATE_SIGNAL), (2, "approve"), (3, STATE_SIGNAL)]
    assert {row.organization_id for row in rows} == {ORGANIZATION}
    assert rows[-1].created_at == tables.executions.load(execution.id).updated_at


def test_of_many_that_cancel_at_once_one_tells(database: Database) -> None:
    with database.transaction() as tables:
        execution = accepted(tables)
    barrier = threading.Barrier(CANCELS, timeout=30)

    def cancel() -> bool:
        barrier.wait()
        with database.transaction() as tables:
            return tables.executions.cancel(execution.id)

    with ThreadPoolExecutor(CANCELS) as threads:
        calls = [threads.submit(cancel) for _ in range(CANCELS)]
        assert sum(call.result(timeout=30) for call in calls) == 1
    with database.transaction() as tables:
        assert [told["change"] for told in _told(tables, execution.id)] == ["accepted", "cancelled"]


@pytest.mark.parametrize("change", StateChange)
def test_the_status_after_a_change(change: StateChange) -> None:
    ends = {StateChange.COMPLETED, StateChange.FAILED, StateChange.CANCELLED}
    assert change.status.is_terminal == (change in ends)
