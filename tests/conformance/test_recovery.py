"""Cases 7 to 9 and 12: what survives parking, the death of an owner, and a restart of everything."""

from datetime import timedelta
from typing import Any

import pytest

from beep_orchestration.errors import WorkflowStateError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.service import WorkflowService
from beep_orchestration.workflows import Stage
from tests.conformance.owners import Owners, part
from tests.durability.workflow import load, statuses
from tests.postgres import end_sessions


def two_parts(stage: Stage) -> list[Any]:
    return stage.run([part(stage, "one"), part(stage, "two")])


def a_part_and_a_wait(stage: Stage) -> list[Any]:
    parts = stage.run([part(stage, "one")])
    answer = stage.await_signal("approve")
    assert answer is not None
    return [*parts, answer.payload.by]


def send_approval(execution: WorkflowExecutionId) -> None:
    with WorkflowService.connect() as service:
        service.signal(execution, "approve", {"by": "Ada"})


def test_07_a_completed_activity_is_not_run_again_after_parking_or_death(owners: Owners) -> None:
    dies = owners.start()
    owners.own_and_die(dies, two_parts, "before_checkpoint_commit", "part-two")
    assert statuses(owners.database, dies) == {"part-one": ["completed"], "part-two": ["running"]}
    owners.own(dies, two_parts)
    assert owners.service.result(dies) == {"value": ["one", "two"]}
    assert owners.calls() == ["one", "two", "two"]

    parks = owners.start()
    owners.own(parks, a_part_and_a_wait)
    owners.service.signal(parks, "approve", {"by": "Ada"})
    owners.own(parks, a_part_and_a_wait)
    assert owners.service.result(parks) == {"value": ["one", "Ada"]}
    assert owners.calls() == ["one", "two", "two", "one"]


def test_08_a_waiting_execution_survives_a_restart_and_is_signalled_from_another_process(
    owners: Owners, database_url: str
) -> None:
    execution = owners.start()
    owners.own(execution, a_part_and_a_wait)
    assert not owners.is_due(execution)
    end_sessions(database_url)
    owners.restart()
    owners.elsewhere(send_approval, execution)
    assert load(owners.database, execution).launch_at is not None
    owners.own(execution, a_part_and_a_wait)
    assert owners.service.result(execution) == {"value": ["one", "Ada"]}
    assert owners.calls() == ["one"]


def test_09_a_durable_sleep_wakes_after_a_restart_and_not_before_its_time(owners: Owners) -> None:
    def body(stage: Stage) -> list[Any]:
        stage.sleep(3_600)
        return stage.run([part(stage, "one")])

    execution = owners.start()
    owners.own(execution, body)
    row = load(owners.database, execution)
    (wait,) = row.checkpoint.waiting_for
    assert row.launch_at == wait.deadline == wait.since + timedelta(hours=1)
    owners.restart()
    assert not owners.is_due(execution)
    owners.own(execution, body)  # a run that comes too early
    assert owners.calls() == []
    assert load(owners.database, execution).launch_at == wait.deadline
    owners.let_an_hour_pass(execution)
    assert owners.is_due(execution)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["one"]}


def test_12_a_cancel_requested_before_a_restart_takes_effect_after_it(owners: Owners) -> None:
    execution = owners.start()
    owners.own_and_die(execution, two_parts, "after_checkpoint_commit", "part-one")
    assert owners.service.cancel(execution).cancelled_now
    owners.restart()
    assert not owners.own(execution, two_parts).success
    assert owners.calls() == ["one"]
    status = owners.service.wait(execution, timeout_seconds=10)
    assert status.status is ExecutionStatus.CANCELLED
    with pytest.raises(WorkflowStateError, match="cancelled"):
        owners.service.result(execution)
