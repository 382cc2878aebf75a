"""The operator's switch: who is paused is not launched."""

from beep_orchestration.models import Checkpoint
from beep_orchestration.persistence import WorkflowPersistence
from beep_orchestration.persistence.pauses import EVERYONE
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION, WORKFLOW_TYPE, accepted


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
    assert [(row.organization_id, row.reason) for row in tables.pauses.list_for(ORGANIZATION)] == [
        (ORGANIZATION, "first")
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
