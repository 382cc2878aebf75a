"""Parents and children that are killed, and parents that are cancelled: case 33."""

import pytest

from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import ExecutionStatus, Json
from tests.faults.documents import document
from tests.faults.installation import Installation
from tests.faults.invariants import assert_sound, disagreements, wait_until_idle
from tests.waiting import wait_until

pytestmark = pytest.mark.integration
NAMES = ("one", "two", "three")


def reading_list(seed: int) -> Json:
    texts = {name: document(1, seed + number)["text"] for number, name in enumerate(NAMES)}
    return {"texts": texts}


def children_of(parent: WorkflowExecutionId) -> list[WorkflowExecutionId]:
    return [execution_id_for_child(parent, name) for name in NAMES]


def checkpoints(installation: Installation, *execution_ids: str) -> set[tuple[object, ...]]:
    statement = (
        "SELECT workflow_execution_id, activity_name FROM knowledge_workflow_activity "
        "WHERE status = 'completed' AND workflow_execution_id = ANY(%s)"
    )
    return set(installation.postgres.ask(statement, list(execution_ids)))


def assert_read(installation: Installation, parent: WorkflowExecutionId) -> None:
    """The parent has what its children have found, and none of them is there twice."""
    children = children_of(parent)
    status = installation.service.get_status(parent)
    assert [(child.name, child.execution_id, child.status) for child in status.children] == [
        (name, child, ExecutionStatus.COMPLETED) for name, child in zip(NAMES, children, strict=True)
    ]
    graphs = [installation.service.result(child) for child in children]
    counts = {name: len(graph["entities"]) for name, graph in zip(NAMES, graphs, strict=True)}
    assert installation.service.result(parent) == {"entities": counts}
    assert list(disagreements(installation, children)) == []
    assert all(len(calls) == 1 for calls in installation.journal.begins([parent]).values())


@pytest.mark.parametrize("point", ["before_child_commit", "after_child_commit", "before_park_commit"])
def test_33_a_parent_is_killed_while_it_makes_children_and_when_it_parks(
    installation: Installation, point: str
) -> None:
    subject = "two" if "child" in point else "*"
    fault = installation.control.arm(point, "kill", subject=subject)  # type: ignore[arg-type]
    parent = installation.service.start("reading_list", reading_list(10))
    installation.control.wait_for(fault)
    installation.wait_completed([parent])
    assert_read(installation, parent)


def test_33b_a_child_is_killed_and_its_parent_waits_for_the_end(installation: Installation) -> None:
    faults = [
        installation.control.arm(point, "kill", subject="mentions-0")
        for point in ("inside_activity", "after_checkpoint_commit")
    ]  # type: ignore[arg-type]
    fault = installation.control.arm("after_completion_commit", "kill")
    parent = installation.service.start("reading_list", reading_list(20))
    for each in (*faults, fault):
        installation.control.wait_for(each)
    installation.wait_completed([parent])
    assert_read(installation, parent)


def test_33c_no_child_lives_on_after_its_parent_was_cancelled(installation: Installation) -> None:
    faults = [installation.control.arm("inside_activity", "pause", subject="mentions-0", seconds=3) for _ in NAMES]
    parent = installation.service.start("reading_list", reading_list(30))
    children = children_of(parent)
    for fault in faults:
        installation.control.wait_for(fault)
    assert installation.service.cancel(parent).cancelled_now
    found = {installation.service.get_status(each).status for each in (parent, *children)}
    assert found == {ExecutionStatus.CANCELLED}
    before = checkpoints(installation, parent, *children)
    wait_until_idle(installation)
    assert checkpoints(installation, parent, *children) == before
    installation.service.resume(parent)
    installation.wait_completed([parent])
    assert checkpoints(installation, parent, *children) >= before
    assert_read(installation, parent)


def test_33d_a_parent_is_cancelled_while_it_makes_children(installation: Installation) -> None:
    fault = installation.control.arm("before_child_commit", "pause", subject="two", seconds=2)
    parent = installation.service.start("reading_list", reading_list(40))
    installation.control.wait_for(fault)
    installation.service.cancel(parent)
    wait_until_idle(installation)
    status = installation.service.get_status(parent)
    assert [(child.name, child.status) for child in status.children] == [("one", ExecutionStatus.CANCELLED)]
    wait_until(lambda: installation.service.get_status(parent).status is ExecutionStatus.CANCELLED)


def test_33e_everything_is_sound_afterwards(installation: Installation) -> None:
    statement = "SELECT id FROM knowledge_workflow_execution WHERE parent_execution_id IS NOT NULL"
    children = [str(row[0]) for row in installation.postgres.ask(statement)]
    assert_sound(installation, children, faults=9)
