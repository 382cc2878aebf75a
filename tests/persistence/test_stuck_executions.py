"""What does not go on although it could is found with its reason, and nothing else is."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import Checkpoint, ExecutionStatus, RunOutcome, Wait
from beep_orchestration.persistence import WorkflowPersistence
from beep_orchestration.persistence.stuck import Stuck, Trouble
from tests.factories import ORGANIZATION, accepted, claimed, dagster_run_of, ended, with_signal

PATIENCE = 60.0
EARLIER = """
UPDATE knowledge_workflow_execution SET started_at = started_at - make_interval(secs => :age),
    launch_at = launch_at - make_interval(secs => :age) WHERE id = :id;
UPDATE knowledge_workflow_run SET lease_expires_at = lease_expires_at - make_interval(secs => :age)
    WHERE workflow_execution_id = :id;
UPDATE knowledge_workflow_signal SET created_at = created_at - make_interval(secs => :age)
    WHERE workflow_execution_id = :id;
"""
Made = Callable[[WorkflowPersistence], WorkflowExecutionId]


def _parked(tables: WorkflowPersistence, *, wake_at: datetime | None = None) -> WorkflowExecutionId:
    execution = claimed(tables)
    wait = Wait(activity_name="review-wait-0", signals=("approve", "reject"), since=execution.started_at)
    checkpoint = Checkpoint(waiting_for=(wait,))
    assert tables.executions.park(execution.id, execution.epoch, wake_at=wake_at, checkpoint=checkpoint)
    assert tables.runs.end(dagster_run_of(execution), RunOutcome.PARKED)
    return execution.id


def _parked_with(signal_name: str) -> Made:
    def make(tables: WorkflowPersistence) -> WorkflowExecutionId:
        execution_id = _parked(tables)
        with_signal(tables, execution_id, signal_name=signal_name)
        return execution_id

    return make


def _launched_in_vain(tables: WorkflowPersistence) -> WorkflowExecutionId:
    """Its first launch is tried again and again, so that it is never due for long."""
    execution = accepted(tables)
    tables.executions.schedule_launch(execution.id, 3_600)
    return execution.id


def _paused(tables: WorkflowPersistence) -> WorkflowExecutionId:
    execution = accepted(tables)
    assert tables.executions.pause(execution.id)
    return execution.id


def _of_paused_organization(tables: WorkflowPersistence) -> WorkflowExecutionId:
    tables.pauses.save(ORGANIZATION, None)
    return accepted(tables).id


def _queued(tables: WorkflowPersistence) -> WorkflowExecutionId:
    """Its run waits for its turn."""
    execution = accepted(tables)
    tables.runs.save("run-1", execution.id, execution.organization_id)
    return execution.id


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)
STUCK: dict[str, tuple[Made, Trouble]] = {
    "accepted, without a run": (lambda t: accepted(t).id, Trouble.NOT_LAUNCHED),
    "launched in vain": (_launched_in_vain, Trouble.NOT_LAUNCHED),
    "its timer is due": (lambda t: _parked(t, wake_at=LONG_AGO), Trouble.NOT_LAUNCHED),
    "its signal is there": (_parked_with("reject"), Trouble.NOT_WOKEN),
    "its lease is over": (lambda t: claimed(t).id, Trouble.LEASE_OVER),
}
NOT_STUCK: dict[str, Made] = {
    "waits for a signal": _parked,
    "waits for another signal": _parked_with("note"),
    "its timer is not due": lambda t: _parked(t, wake_at=FAR_AWAY),
    "is paused": _paused,
    "its organization is paused": _of_paused_organization,
    "its run waits for its turn": _queued,
    **{str(status): (lambda t, status=status: ended(t, status).id) for status in ExecutionStatus if status.is_terminal},
}


def _aged(tables: WorkflowPersistence, execution_id: WorkflowExecutionId, age: float) -> WorkflowExecutionId:
    for statement in filter(str.strip, EARLIER.split(";")):
        tables.connection.execute(text(statement), {"id": execution_id, "age": age})
    return execution_id


def _found(tables: WorkflowPersistence, *known_types: str) -> list[Stuck]:
    return tables.stuck.list_all(patience_seconds=PATIENCE, known_types=known_types or None)


@pytest.mark.parametrize("name", STUCK)
def test_what_does_not_go_on_is_found_with_its_reason_after_a_while(tables: WorkflowPersistence, name: str) -> None:
    make, trouble = STUCK[name]
    execution_id = make(tables)
    if "timer" not in name:
        assert _found(tables) == []
    _aged(tables, execution_id, 3 * PATIENCE)
    assert _found(tables) == [Stuck(trouble=trouble, workflow_type="extraction", count=1, execution_id=execution_id)]


@pytest.mark.parametrize("name", NOT_STUCK)
def test_what_may_wait_and_what_has_ended_is_not_found(tables: WorkflowPersistence, name: str) -> None:
    _aged(tables, NOT_STUCK[name](tables), 3 * PATIENCE)
    assert _found(tables) == []


def test_they_are_counted_and_the_oldest_is_named(tables: WorkflowPersistence) -> None:
    ages = (2, 9, 4)
    ids = [_aged(tables, accepted(tables).id, age * PATIENCE) for age in ages]
    silent = _aged(tables, claimed(tables).id, 9 * PATIENCE)
    assert [(found.trouble, found.count, found.execution_id) for found in _found(tables)] == [
        (Trouble.LEASE_OVER, 1, silent),
        (Trouble.NOT_LAUNCHED, 3, ids[1]),
    ]
    assert tables.stuck.count_running() == 4


def test_what_is_of_an_unknown_type_is_found_at_once(tables: WorkflowPersistence) -> None:
    accepted(tables)
    other = accepted(tables, workflow_type="reading_list").id
    assert _found(tables, "extraction") == [
        Stuck(trouble=Trouble.UNKNOWN_TYPE, workflow_type="reading_list", count=1, execution_id=other)
    ]
    assert _found(tables, "extraction", "reading_list") == []
