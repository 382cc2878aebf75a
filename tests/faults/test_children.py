"""Parents and children that are killed, and parents that are cancelled: case 33."""

from collections.abc import Iterator

import pytest

from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import ExecutionStatus, Json
from tests.faults.conftest import SHORT
from tests.faults.documents import document
from tests.faults.installation import Installation, installed
from tests.faults.invariants import assert_sound, disagreements, wait_until_idle
from tests.waiting import wait_until

pytestmark = pytest.mark.integration
NAMES = ("one", "two", "three")
READING = {"BEEP_WORKFLOW_MODULES": "examples.reading_list", "BEEP_PARK_AFTER_SECONDS": "0.2"}


@pytest.fixture(scope="module")
def library() -> Iterator[Installation]:
    """Services that know the example whose work is done by children."""
    with installed(READING, **SHORT) as made:
        made.wait_completed([made.start(document(1))])  # the fork server is warm then, as for the other cases
        yield made


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
def test_33_a_parent_is_killed_while_it_makes_children_and_when_it_parks(library: Installation, point: str) -> None:
    subject = "two" if "child" in point else "*"
    fault = library.control.arm(point, "kill", subject=subject)  # type: ignore[arg-type]
    parent = library.service.start("reading_list", reading_list(10))
    library.control.wait_for(fault)
    library.wait_completed([parent])
    assert_read(library, parent)


def test_33b_a_child_is_killed_and_its_parent_waits_for_the_end(library: Installation) -> None:
    faults = [
        library.control.arm(point, "kill", subject="mentions-0")
        for point in ("inside_activity", "after_checkpoint_commit")
    ]  # type: ignore[arg-type]
    fault = library.control.arm("after_completion_commit", "kill")
    parent = library.service.start("reading_list", reading_list(20))
    for each in (*faults, fault):
        library.control.wait_for(each)
    library.wait_completed([parent])
    assert_read(library, parent)


def test_33c_no_child_lives_on_after_its_parent_was_cancelled(library: Installation) -> None:
    faults = [library.control.arm("inside_activity", "pause", subject="mentions-0", seconds=3) for _ in NAMES]
    parent = library.service.start("reading_list", reading_list(30))
    children = children_of(parent)
    for fault in faults:
        library.control.wait_for(fault)
    assert library.service.cancel(parent).cancelled_now
    found = {library.service.get_status(each).status for each in (parent, *children)}
    assert found == {ExecutionStatus.CANCELLED}
    before = checkpoints(library, parent, *children)
    wait_until_idle(library)
    assert checkpoints(library, parent, *children) == before
    library.service.resume(parent)
    library.wait_completed([parent])
    assert checkpoints(library, parent, *children) >= before
    assert_read(library, parent)


def test_33d_a_parent_is_cancelled_while_it_makes_children(library: Installation) -> None:
    fault = library.control.arm("before_child_commit", "pause", subject="two", seconds=2)
    parent = library.service.start("reading_list", reading_list(40))
    library.control.wait_for(fault)
    library.service.cancel(parent)
    wait_until_idle(library)
    status = library.service.get_status(parent)
    assert [(child.name, child.status) for child in status.children] == [("one", ExecutionStatus.CANCELLED)]
    wait_until(lambda: library.service.get_status(parent).status is ExecutionStatus.CANCELLED)


def test_33e_everything_is_sound_afterwards(library: Installation) -> None:
    statement = "SELECT id FROM knowledge_workflow_execution WHERE workflow_type = 'extraction'"
    children = [str(row[0]) for row in library.postgres.ask(statement)]
    assert_sound(library, children, faults=9)
