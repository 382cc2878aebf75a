"""Every change of status through persistence: those of the transition tables happen, and no others."""

from collections.abc import Callable

import pytest

from beep_orchestration.models import (
    ACTIVITY_TRANSITIONS,
    EXECUTION_TRANSITIONS,
    ActivityStatus,
    ExecutionStatus,
)
from beep_orchestration.persistence import ExecutionRow, WorkflowPersistence
from beep_orchestration.persistence.activities import NewAttempt
from tests.factories import ERROR, claimed, ended, with_attempt

OUTPUT = {"entities": ["of the change under test"]}

CHANGE_EXECUTION: dict[ExecutionStatus, Callable[[WorkflowPersistence, ExecutionRow], bool]] = {
    ExecutionStatus.RUNNING: lambda tables, row: tables.executions.resume(row.id, launch_after_seconds=0),
    ExecutionStatus.COMPLETED: lambda tables, row: tables.executions.complete(row.id, row.epoch, OUTPUT),
    ExecutionStatus.FAILED: lambda tables, row: tables.executions.fail(row.id, ERROR),
    ExecutionStatus.CANCELLED: lambda tables, row: tables.executions.cancel(row.id),
}

CHANGE_ATTEMPT: dict[ActivityStatus, Callable[[WorkflowPersistence, NewAttempt], int]] = {
    ActivityStatus.RUNNING: lambda tables, attempt: tables.activities.start_pending([attempt]),
    ActivityStatus.COMPLETED: lambda tables, attempt: tables.activities.complete([(attempt.id, '{"new": true}')]),
    ActivityStatus.FAILED: lambda tables, attempt: (
        tables.activities.fail([(attempt.id, ERROR)])
        or tables.activities.retire([(attempt.id, ERROR)])
        or tables.activities.fail_open(attempt.workflow_execution_id, ERROR)
    ),
}
"""Nothing makes an attempt `pending`: a retry is an attempt of its own, stored as such."""


@pytest.mark.parametrize("target", ExecutionStatus)
@pytest.mark.parametrize("source", ExecutionStatus)
def test_an_execution_makes_the_changes_of_its_table_and_no_others(
    tables: WorkflowPersistence, source: ExecutionStatus, target: ExecutionStatus
) -> None:
    before = ended(tables, source)
    output = tables.executions.load_output(before.id)
    changed = CHANGE_EXECUTION[target](tables, before)
    after = tables.executions.load(before.id)
    assert changed == (target in EXECUTION_TRANSITIONS[source])
    if not changed:
        assert after == before
        assert tables.executions.load_output(before.id) == output
        return
    assert after.status is target
    assert (after.completed_at is not None) == target.is_terminal
    assert (after.error is not None) == (target is ExecutionStatus.FAILED)
    assert after.updated_at > before.updated_at
    assert tables.executions.load_output(before.id) == (OUTPUT if target is ExecutionStatus.COMPLETED else None)


@pytest.mark.parametrize("target", CHANGE_ATTEMPT)
@pytest.mark.parametrize("source", ActivityStatus)
def test_an_attempt_makes_the_changes_of_its_table_and_no_others(
    tables: WorkflowPersistence, source: ActivityStatus, target: ActivityStatus
) -> None:
    execution = claimed(tables)
    attempt = with_attempt(tables, execution, source)
    (before,) = tables.activities.list_attempts(execution.id)
    changed = CHANGE_ATTEMPT[target](tables, attempt)
    (after,) = tables.activities.list_attempts(execution.id)
    assert changed == int(target in ACTIVITY_TRANSITIONS[source])
    if not changed:
        assert after == before
        return
    assert after.status is target
    assert (after.completed_at is not None) == (target in {ActivityStatus.COMPLETED, ActivityStatus.FAILED})
    assert (after.error is not None) == (target is ActivityStatus.FAILED)


def test_every_change_of_the_tables_has_a_method() -> None:
    assert {target for targets in EXECUTION_TRANSITIONS.values() for target in targets} == set(CHANGE_EXECUTION)
    assert {target for targets in ACTIVITY_TRANSITIONS.values() for target in targets} == set(CHANGE_ATTEMPT)


@pytest.mark.parametrize("status", ExecutionStatus)
def test_only_a_running_execution_is_claimed_or_advanced(tables: WorkflowPersistence, status: ExecutionStatus) -> None:
    execution = ended(tables, status)
    advanced = tables.executions.advance(
        execution.id,
        execution.epoch,
        current_activity="chunk",
        checkpoint=execution.checkpoint,
        signals=1,
        is_progress=False,
    )
    epoch = tables.executions.claim(execution.id, "successor")
    if status is ExecutionStatus.RUNNING:
        assert advanced is not None
        assert epoch == execution.epoch + 1
    else:
        assert (advanced, epoch) == (None, None)
        assert tables.executions.load(execution.id) == execution


@pytest.mark.parametrize("status", [ActivityStatus.PENDING, ActivityStatus.COMPLETED, ActivityStatus.FAILED])
def test_closing_what_a_dead_process_left_touches_running_attempts_only(
    tables: WorkflowPersistence, status: ActivityStatus
) -> None:
    execution, other = claimed(tables), claimed(tables)
    kept = with_attempt(tables, execution, status, activity_name="mentions-0")
    left = with_attempt(tables, execution, activity_name="mentions-1")
    of_other = with_attempt(tables, other)
    assert tables.activities.fail_running(execution.id, ERROR) == 1
    assert tables.activities.find_status(left.id) is ActivityStatus.FAILED
    assert tables.activities.find_status(kept.id) is status
    assert tables.activities.find_status(of_other.id) is ActivityStatus.RUNNING


def test_a_failure_that_comes_late_does_not_undo_a_checkpoint(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempt = with_attempt(tables, execution, ActivityStatus.COMPLETED)
    assert tables.activities.fail([(attempt.id, ERROR)]) == 0
    assert tables.activities.find_status(attempt.id) is ActivityStatus.COMPLETED
