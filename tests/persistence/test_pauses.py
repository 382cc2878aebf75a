"""The operator's switch: who is paused is not launched."""

import pytest

from beep_orchestration.models import Checkpoint, ExecutionStatus, PauseScope
from beep_orchestration.persistence import ExecutionRow, WorkflowPersistence
from beep_orchestration.persistence.pauses import EVERYONE
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION, WORKFLOW_TYPE, accepted, ended


def _taken(tables: WorkflowPersistence) -> set[str]:
    rows = tables.executions.take_launchable(limit=10, workflow_types=[WORKFLOW_TYPE], next_try_seconds=0)
    return {row.organization_id for row in rows}


def test_a_paused_organization_is_not_launched_and_others_are(tables: WorkflowPersistence) -> None:
    for organization in (ORGANIZATION, OTHER_ORGANIZATION):
        accepted(tables, organization_id=organization)
    assert tables.pauses.save(ORGANIZATION, "a review of the costs")
    assert _taken(tables) == {OTHER_ORGANIZATION}
    assert tables.pauses.remove(ORGANIZATION)
    assert _taken(tables) == {ORGANIZATION, OTHER_ORGANIZATION}


def test_a_paused_instance_launches_nothing(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    tables.pauses.save(EVERYONE, None)
    assert _taken(tables) == set()
    assert not tables.executions.take(execution.id, next_try_seconds=0)


def test_a_pause_is_stored_once_and_says_why(tables: WorkflowPersistence) -> None:
    assert tables.pauses.save(ORGANIZATION, "first")
    assert not tables.pauses.save(ORGANIZATION, "second")
    assert [(one.scope, one.reason) for one in tables.pauses.list_for(ORGANIZATION)] == [
        (PauseScope.ORGANIZATION, "first")
    ]
    assert tables.pauses.list_for(OTHER_ORGANIZATION) == []
    assert tables.pauses.remove(ORGANIZATION)
    assert not tables.pauses.remove(ORGANIZATION)


def test_a_paused_execution_is_launched_when_its_pause_ends(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    assert tables.executions.pause(execution.id)
    assert not tables.executions.pause(execution.id)
    assert _taken(tables) == set()
    assert tables.executions.end_pause(execution.id)
    assert not tables.executions.end_pause(execution.id)
    assert _taken(tables) == {ORGANIZATION}


def test_a_parked_execution_is_launched_when_it_is_woken(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    epoch = tables.executions.claim(execution.id, "run")
    assert epoch is not None
    assert not tables.executions.park(execution.id, epoch + 1, wake_at=None, checkpoint=Checkpoint())
    assert tables.executions.park(execution.id, epoch, wake_at=None, checkpoint=Checkpoint())
    assert not tables.executions.park(execution.id, epoch, wake_at=None, checkpoint=Checkpoint())
    assert _taken(tables) == set()
    tables.executions.wake(execution.id)
    assert _taken(tables) == {ORGANIZATION}


def _shown(tables: WorkflowPersistence, execution: ExecutionRow) -> list[tuple[PauseScope, str | None]]:
    pauses = tables.statuses.load(execution.id, execution.organization_id).pauses
    (listed,) = tables.statuses.list_newest(execution.organization_id, limit=1)
    assert listed.pauses == pauses
    return [(pause.scope, pause.reason) for pause in pauses]


def test_a_status_has_every_pause_that_keeps_the_execution_back(tables: WorkflowPersistence) -> None:
    execution, other = accepted(tables), accepted(tables, organization_id=OTHER_ORGANIZATION)
    assert _shown(tables, execution) == []
    tables.pauses.save(EVERYONE, "a new disk")
    tables.pauses.save(ORGANIZATION, None)
    tables.executions.pause(execution.id, "lunch")
    of_everyone = (PauseScope.INSTANCE, "a new disk")
    assert _shown(tables, execution) == [(PauseScope.EXECUTION, "lunch"), (PauseScope.ORGANIZATION, None), of_everyone]
    assert _shown(tables, other) == [of_everyone]
    row = tables.statuses.load(execution.id, ORGANIZATION)
    assert row.pauses[0].since == row.execution.paused_at
    assert set(row.pauses[1:]) == set(tables.pauses.list_for(ORGANIZATION))
    assert tables.pauses.list_all() == {EVERYONE: row.pauses[2], ORGANIZATION: row.pauses[1]}
    assert tables.pauses.count_executions() == 1


def test_the_reason_is_that_of_the_present_pause(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    assert tables.executions.pause(execution.id, "lunch")
    assert not tables.executions.pause(execution.id, "dinner")
    assert _shown(tables, execution) == [(PauseScope.EXECUTION, "lunch")]
    tables.executions.end_pause(execution.id)
    assert _shown(tables, execution) == []
    assert tables.executions.pause(execution.id)
    assert _shown(tables, execution) == [(PauseScope.EXECUTION, None)]


@pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
def test_what_has_ended_is_kept_back_by_no_pause(tables: WorkflowPersistence, status: ExecutionStatus) -> None:
    execution = ended(tables, status)
    tables.pauses.save(EVERYONE, None)
    assert _shown(tables, execution) == []


def test_a_paused_execution_that_is_cancelled_is_kept_back_no_more(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    tables.executions.pause(execution.id, "lunch")
    tables.executions.cancel(execution.id)
    assert _shown(tables, execution) == []
    assert tables.pauses.count_executions() == 0
