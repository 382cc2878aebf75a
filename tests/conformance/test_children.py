"""Cases 10, 11 and 40: executions that an execution starts as its children, and waits for."""

from typing import Any

import pytest

from beep_orchestration.errors import ChildFailedError
from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import CASE, LONGER, Owners, fails, note, part
from tests.durability.workflow import load, statuses


def hands_over(stage: Stage) -> Any:
    """Before and after a part of the parent's own."""
    before = stage.run([part(stage, "before")])
    handed = stage.child("work", CASE.name, stage.input)
    return [*before, handed["value"], *stage.run([part(stage, "after")])]


def is_handed(stage: Stage) -> Any:
    return stage.run([part(stage, "handed")])[0]


def breaks(stage: Stage) -> Any:
    return stage.run([part(stage, "broken", fails)])


def child_of(execution: WorkflowExecutionId) -> WorkflowExecutionId:
    return execution_id_for_child(execution, "work")


def test_10_work_handed_to_a_child_survives_a_restart_and_is_consumed_once(owners: Owners) -> None:
    parent = owners.start()
    owners.own_and_die(parent, hands_over, "after_child_commit", "work")
    owners.restart()
    assert owners.is_due(child_of(parent))
    owners.own_and_die(child_of(parent), is_handed, "after_checkpoint_commit", "part-handed")
    owners.restart()
    owners.own(parent, hands_over)  # its run comes before its child has ended
    owners.own(child_of(parent), is_handed)
    owners.restart()
    assert load(owners.database, parent).launch_at is not None
    owners.own(parent, hands_over)
    assert owners.service.result(parent) == {"value": ["before", "handed", "after"]}
    assert owners.calls() == ["before", "handed", "after"]
    (child,) = owners.service.get_status(parent).children
    assert (child.name, child.execution_id, child.status) == ("work", child_of(parent), ExecutionStatus.COMPLETED)
    assert owners.service.get_status(child.execution_id).parent_execution_id == parent
    assert statuses(owners.database, parent)["child:work"] == ["completed"]


def test_11_a_childs_failure_becomes_its_parents_by_policy(owners: Owners) -> None:
    """The policy is the stage's: what it does not catch fails it."""
    parent = owners.start()
    owners.own(parent, hands_over)
    owners.own(child_of(parent), breaks)
    assert owners.is_due(parent)
    assert not owners.own(parent, hands_over).success
    failed = owners.service.get_status(parent)
    assert (failed.status, failed.error and failed.error.type) == (ExecutionStatus.FAILED, "ChildFailedError")
    assert failed.error is not None
    assert "ValueError: broken on purpose" in failed.error.message
    assert statuses(owners.database, parent)["child:work"] == ["failed"]
    assert load(owners.database, parent).launch_at is not None

    def catches(stage: Stage) -> Any:
        try:
            return stage.child("work", CASE.name, stage.input)
        except ChildFailedError as error:
            note(stage, f"caught {error.error_type}")
            stage.await_signal("approve")
            return stage.run([part(stage, "instead")])

    other = owners.start()
    owners.own(other, catches)
    owners.own(child_of(other), breaks)
    owners.own(other, catches)
    owners.service.signal(other, "approve", {"by": "Ada"})
    owners.own(other, catches)  # meets the same failure
    assert owners.service.result(other) == {"value": ["instead"]}
    assert owners.calls() == ["before", "broken", "broken", "caught ValueError", "caught ValueError", "instead"]


def test_11_a_resumed_parent_resumes_the_child_that_failed(owners: Owners) -> None:
    parent = owners.start()
    owners.own(parent, hands_over)
    owners.own(child_of(parent), breaks)
    owners.own(parent, hands_over)
    owners.service.resume(parent)
    owners.own(parent, hands_over)
    owners.own(child_of(parent), is_handed)
    owners.own(parent, hands_over)
    assert owners.service.result(parent) == {"value": ["before", "handed", "after"]}
    assert owners.calls() == ["before", "broken", "handed", "after"]
    assert statuses(owners.database, parent)["child:work"] == ["failed", "completed"]


def test_40_a_parent_that_awaits_a_parked_child_parks(owners: Owners) -> None:
    """And a grandparent with it: each is due when the one that it waits for has ended."""

    def waits(stage: Stage) -> Any:
        answer = stage.await_signal("approve")
        assert answer is not None
        return answer.payload.by

    def hands_on(stage: Stage) -> Any:
        handed = stage.child("work", CASE.name, stage.input)
        return stage.run([part(stage, "passed", lambda: handed["value"])])

    grandparent = owners.start(LONGER.name)
    owners.own(grandparent, hands_on)
    parent = child_of(grandparent)
    owners.own(parent, hands_over)
    child = child_of(parent)
    owners.own(child, waits)
    for execution, awaited in ((grandparent, parent), (parent, child)):
        (wait,) = load(owners.database, execution).checkpoint.waiting_for
        assert (wait.child, wait.describe()) == (awaited, f"child:work waits for the end of {awaited}")
        assert load(owners.database, execution).launch_at is None
        assert not owners.is_due(execution)
    owners.restart()
    owners.service.signal(child, "approve", {"by": "Ada"})
    owners.own(child, waits)
    assert (owners.is_due(parent), owners.is_due(grandparent)) == (True, False)
    owners.own(parent, hands_over)
    assert owners.is_due(grandparent)
    owners.own(grandparent, hands_on)
    assert owners.service.result(parent) == {"value": ["before", "Ada", "after"]}
    assert owners.service.result(grandparent) == {"value": [["before", "Ada", "after"], "end"]}


@pytest.mark.parametrize("ends", ["cancelled", "failed", "completed"])
def test_40_however_a_parent_ends_no_child_lives_on(owners: Owners, ends: str) -> None:
    """What FAULTS calls 33; a child that was cancelled with its parent goes on with it."""

    def body(stage: Stage) -> Any:
        stage.start_child("work", CASE.name, stage.input)
        if ends == "cancelled":
            return stage.child("work", CASE.name, stage.input)
        return stage.run([part(stage, "own", fails if ends == "failed" else None)])

    parent = owners.start()
    owners.own(parent, body)
    if ends == "cancelled":
        owners.own(child_of(parent), lambda stage: stage.child("work", CASE.name, stage.input))
        assert owners.service.cancel(parent).cancelled_now
        assert load(owners.database, child_of(child_of(parent))).status is ExecutionStatus.CANCELLED
    assert load(owners.database, parent).status == ends
    assert load(owners.database, child_of(parent)).status is ExecutionStatus.CANCELLED
    assert not owners.own(child_of(parent), is_handed).success
    assert "handed" not in owners.calls()
