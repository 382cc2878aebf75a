"""Children: started once, awaited without a process, and none lives on when its parent has ended."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from beep_orchestration.activities import ActivityRunner
from beep_orchestration.children import Children
from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.endings import cancel_execution
from beep_orchestration.errors import (
    ChildFailedError,
    ClaimLostError,
    ExecutionCancelledError,
    InvalidInputError,
    WorkflowStateError,
)
from beep_orchestration.events import StateChanged
from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import ErrorInfo, ExecutionStatus, RunOutcome, StateChange, Wait
from beep_orchestration.parking import Parked, park
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.durability.workflow import LONG_LEASE, claim, end_leases, load, running, start, statuses
from tests.factories import ORGANIZATION, accepted
from tests.waiting import wait_until

TYPE = "extraction"
DOCUMENT = {"document_id": "d", "text": "Ada met Grace."}
ANOTHER = {"document_id": "e", "text": "Grace met Ada."}
BROKEN = ErrorInfo(type="ValueError", message="broken on purpose")
NEVER, TRIES, STORM = 60.0, 30, 40
SETTLED = (ExecutionCancelledError, ClaimLostError, WorkflowStateError, ChildFailedError)


@contextmanager
def parenting(
    database: Database, execution: WorkflowExecutionId, run: str = "run-1", *, park_after: float = 0.0
) -> Iterator[Children]:
    """The children of a run that carries the execution; it ends like one that is killed."""
    held = claim(database, execution, run)
    runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
    try:
        yield Children(database, held, runner.waits(park_after_seconds=park_after))
    finally:
        runner.close()


def parked(database: Database, execution: WorkflowExecutionId, name: str = "one") -> WorkflowExecutionId:
    """An execution that waits for a child without a run; the child's id."""
    held = claim(database, execution)
    runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
    with pytest.raises(Parked) as ended:
        Children(database, held, runner.waits(park_after_seconds=0)).result(name, TYPE, DOCUMENT)
    runner.close()
    with database.transaction() as tables:
        assert park(tables, held, (ended.value.wait,))
    return execution_id_for_child(execution, name)


def complete(database: Database, execution: WorkflowExecutionId, output: dict[str, Any] | None = None) -> None:
    """Let a run of it complete an execution."""
    with running(database, execution, f"run-of-{execution}") as runner:
        runner.complete(output or {"graph": 1})


def changes(service: WorkflowService, execution: WorkflowExecutionId) -> list[StateChanged]:
    """What an execution tells of its children."""
    told = {StateChange.CHILD_STARTED, StateChange.CHILD_ENDED}
    return [entry for entry in service.history(execution) if isinstance(entry, StateChanged) and entry.change in told]


def children_of(database: Database, execution: WorkflowExecutionId) -> dict[str, ExecutionStatus]:
    with database.transaction() as tables:
        named = text("SELECT child_name, status FROM knowledge_workflow_execution WHERE parent_execution_id = :parent")
        rows = tables.connection.execute(named, {"parent": execution})
        return {name: ExecutionStatus(status) for name, status in rows}


def test_a_name_is_one_child_and_its_first_input_counts(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    with parenting(database, execution) as children:
        one = children.start("one", TYPE, DOCUMENT)
        assert children.start("one", TYPE, DOCUMENT) == one == execution_id_for_child(execution, "one")
        assert children.start("two", TYPE, DOCUMENT) != one
        with pytest.raises(InvalidInputError, match="name: 'one' is the name of another child"):
            children.start("one", TYPE, ANOTHER)
    end_leases(database, execution)
    with parenting(database, execution, "run-2") as children:
        assert children.start("one", TYPE, ANOTHER) == one
    assert service.load_input(one)["text"] == DOCUMENT["text"]
    assert children_of(database, execution) == {"one": ExecutionStatus.RUNNING, "two": ExecutionStatus.RUNNING}
    assert (load(database, one).organization_id, load(database, one).about) == (ORGANIZATION, DOCUMENT["document_id"])


@pytest.mark.parametrize(
    ("name", "workflow_type", "given", "field"),
    [
        ("", TYPE, DOCUMENT, "name"),
        ("n" * 201, TYPE, DOCUMENT, "name"),
        ("a\x00", TYPE, DOCUMENT, "name"),
        ("one", "poetry", DOCUMENT, "workflow_type"),
        ("one", TYPE, {"document_id": "d"}, "text"),
        ("one", TYPE, [DOCUMENT], "input"),
    ],
)
def test_a_child_that_cannot_be_is_refused_with_its_field(
    database: Database, name: str, workflow_type: str, given: Any, field: str
) -> None:
    execution = start(database)
    with parenting(database, execution) as children, pytest.raises(InvalidInputError) as refused:
        children.start(name, workflow_type, given)
    assert refused.value.field == field
    assert children_of(database, execution) == {}


def test_a_run_that_has_lost_its_claim_starts_no_child(database: Database) -> None:
    execution = start(database)
    with parenting(database, execution, "run-1") as zombie:
        end_leases(database, execution)
        with parenting(database, execution, "run-2"), pytest.raises(ClaimLostError):
            zombie.start("one", TYPE, DOCUMENT)
    assert children_of(database, execution) == {}


def test_a_paused_execution_starts_no_child(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    service.signal(execution, "pause", {})
    with parenting(database, execution) as children, pytest.raises(Parked, match="waits for signal 'resume'"):
        children.start("one", TYPE, DOCUMENT)
    assert children_of(database, execution) == {}


def test_a_child_that_ends_within_the_grace_needs_no_other_run(database: Database, service: WorkflowService) -> None:
    execution, answers = start(database), []
    with parenting(database, execution, park_after=NEVER) as children:
        waiting = threading.Thread(target=lambda: answers.append(children.result("one", TYPE, DOCUMENT)))
        waiting.start()
        child = execution_id_for_child(execution, "one")
        wait_until(lambda: load(database, execution).checkpoint.waiting_for, 30)
        complete(database, child, {"graph": "whole"})
        waiting.join(30)
    assert answers == [{"graph": "whole"}]
    assert load(database, execution).checkpoint.waiting_for == ()
    assert statuses(database, execution) == {"child:one": ["completed"]}
    assert [(each.change, each.child, each.child_name, each.child_status) for each in changes(service, execution)] == [
        (StateChange.CHILD_STARTED, child, "one", None),
        (StateChange.CHILD_ENDED, child, None, ExecutionStatus.COMPLETED),
    ]


def test_a_result_is_recorded_once_whatever_becomes_of_the_child(database: Database) -> None:
    execution = start(database)
    child = parked(database, execution)
    complete(database, child, {"graph": "first"})
    with parenting(database, execution, "run-2") as children:
        assert children.result("one", TYPE, DOCUMENT) == {"graph": "first"}
    with database.transaction() as tables:
        tables.ended.remove(child)
    end_leases(database, execution)
    with parenting(database, execution, "run-3") as children:
        assert children.start("one", TYPE, DOCUMENT) == child
        assert children.result("one", TYPE, DOCUMENT) == {"graph": "first"}
    assert children_of(database, execution) == {}  # it is not started again


def test_a_stage_may_ask_again(database: Database, service: WorkflowService) -> None:
    """For an output, and for a failure; within the run that has recorded it."""
    execution = start(database)
    with parenting(database, execution) as children:
        for name in ("one", "two"):
            children.start(name, TYPE, DOCUMENT)
        complete(database, execution_id_for_child(execution, "one"))
        service.cancel(execution_id_for_child(execution, "two"))
        for _ in range(2):
            assert children.result("one", TYPE, DOCUMENT) == {"graph": 1}
            with pytest.raises(ChildFailedError, match="it was cancelled"):
                children.result("two", TYPE, DOCUMENT)
    assert statuses(database, execution) == {"child:one": ["completed"], "child:two": ["failed"]}


def test_a_cancelled_child_fails_its_parent_who_is_due(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    child = parked(database, execution)
    assert load(database, execution).launch_at is None
    service.cancel(child)
    assert load(database, execution).launch_at is not None
    for run in ("run-2", "run-3"):
        with parenting(database, execution, run) as children, pytest.raises(ChildFailedError, match="Cancelled"):
            children.result("one", TYPE, DOCUMENT)
        end_leases(database, execution)
    assert statuses(database, execution) == {"child:one": ["failed"]}


def test_a_child_that_a_person_resumed_meanwhile_is_waited_for_again(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    child = parked(database, execution)
    service.cancel(child)
    service.resume(child)
    with parenting(database, execution, "run-2") as children, pytest.raises(Parked):
        children.result("one", TYPE, DOCUMENT)
    end_leases(database, execution)
    complete(database, child)
    with parenting(database, execution, "run-3") as children:
        assert children.result("one", TYPE, DOCUMENT) == {"graph": 1}


def test_a_child_that_ends_while_its_parent_parks_is_not_missed(database: Database) -> None:
    for number in range(TRIES):
        execution = start(database)
        held = claim(database, execution, f"run-{number}")
        runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
        with pytest.raises(Parked) as waiting:
            Children(database, held, runner.waits(park_after_seconds=0)).result("one", TYPE, DOCUMENT)
        runner.close()
        child, together = execution_id_for_child(execution, "one"), threading.Barrier(2)

        def end(child: WorkflowExecutionId = child, together: threading.Barrier = together) -> None:
            with running(database, child, f"run-of-{child}") as runner:
                together.wait()
                runner.complete({"graph": 1})

        ending = threading.Thread(target=end)
        ending.start()
        together.wait()
        with database.transaction() as tables:
            assert park(tables, held, (waiting.value.wait,))
        ending.join()
        assert load(database, execution).launch_at is not None


def test_an_execution_that_waits_for_one_child_sleeps_on_when_another_ends(database: Database) -> None:
    execution = start(database)
    with parenting(database, execution) as children:
        other = children.start("other", TYPE, DOCUMENT)
    end_leases(database, execution)
    parked(database, execution)
    complete(database, other)
    assert load(database, execution).launch_at is None


def test_children_that_are_made_while_their_parent_is_cancelled_do_not_live_on(
    database: Database, service: WorkflowService
) -> None:
    for _ in range(TRIES):
        execution, together = start(database), threading.Barrier(2)
        with parenting(database, execution) as children:
            children.start("first", TYPE, DOCUMENT)

            def cancel(execution: WorkflowExecutionId = execution, together: threading.Barrier = together) -> None:
                together.wait()
                service.cancel(execution)

            cancelling = threading.Thread(target=cancel)
            cancelling.start()
            together.wait()
            with pytest.raises(ExecutionCancelledError):  # noqa: PT012 - as many as it gets
                for number in range(1_000):
                    children.start(f"child-{number}", TYPE, DOCUMENT)
            cancelling.join()
        assert set(children_of(database, execution).values()) == {ExecutionStatus.CANCELLED}


def test_cancels_resumes_and_ends_of_parents_and_children_never_lock_each_other_out(
    database: Database, service: WorkflowService
) -> None:
    """Each child fails by itself while its parent fails, is cancelled and resumed, and the child is cancelled too."""
    execution, names = start(database), ("one", "two", "three")

    def parent(_: int) -> None:
        held = claim(database, execution)
        runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
        children = Children(database, held, runner.waits(park_after_seconds=0))
        try:
            for name in names:
                children.start(name, TYPE, DOCUMENT)
            runner.fail(BROKEN)
        finally:
            runner.close()

    def child(name: str, _: int) -> None:
        child_id = execution_id_for_child(execution, name)
        with running(database, child_id, f"run-of-{name}") as runner:
            runner.fail(BROKEN)
        with database.transaction() as tables:
            tables.executions.resume(child_id, launch_after_seconds=0)

    def cancels_and_resumes(number: int) -> None:
        if number % 2:
            service.resume(execution)
        else:
            service.cancel(execution)

    def cancels_child(number: int) -> None:
        service.cancel(execution_id_for_child(execution, names[number % 3]))

    with parenting(database, execution) as children:
        for name in names:
            children.start(name, TYPE, DOCUMENT)
    calls = [parent, *(partial(child, name) for name in names), cancels_and_resumes, cancels_child]
    with ThreadPoolExecutor(len(calls)) as pool:
        refused = sum(pool.map(refusals, calls))
    assert 0 < refused < STORM * len(calls)
    with suppress(WorkflowStateError):
        service.resume(execution)
    service.cancel(execution)
    assert ExecutionStatus.RUNNING not in children_of(database, execution).values()


def refusals(call: Callable[[int], object]) -> int:
    """How many of so many calls are refused because of what others did; any other error is raised."""
    refused = 0
    for number in range(STORM):
        try:
            call(number)
        except SETTLED:
            refused += 1
    return refused


def test_the_end_of_a_grandparent_reaches_everyone_below(database: Database) -> None:
    execution = start(database)
    below = [execution]
    for _ in range(3):
        with parenting(database, below[-1], f"run-of-{below[-1]}") as children:
            below.append(children.start("one", TYPE, DOCUMENT))
    with database.transaction() as tables:
        assert cancel_execution(tables, execution) == tuple(below)
    with database.transaction() as tables:
        assert cancel_execution(tables, execution) == ()
    assert {load(database, each).status for each in below} == {ExecutionStatus.CANCELLED}


def test_a_child_is_launched_by_who_wakes_others(
    database: Database, service: WorkflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches: list[tuple[str, str | None]] = []

    def launch(_: DagsterClient, job_name: str, tags: dict[str, str]) -> str:
        launches.append((tags["beep/execution_id"], tags.get("beep/parent_execution_id")))
        return f"{job_name}-{len(launches)}"

    monkeypatch.setattr(DagsterClient, "launch", launch)
    execution = start(database)
    child = parked(database, execution)
    assert service.launch_due() == 1
    assert launches == [(child, execution)]
    complete(database, child)
    assert service.launch_due() == 1
    assert launches == [(child, execution), (execution, None)]


def test_a_child_is_kept_as_long_as_its_parent_is(database: Database, service: WorkflowService) -> None:
    """Also one that its parent has not asked for before it failed: a resume goes on with what it has yielded."""
    execution = start(database)
    with parenting(database, execution) as children:
        child = children.start("one", TYPE, DOCUMENT)
    complete(database, child, {"graph": "dear"})
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert removable(database, child) == (False, 0)
        runner.fail(BROKEN)
    for run in (f"run-of-{child}", "run-1", "run-2"):
        with database.transaction() as tables:
            assert tables.runs.end(run, RunOutcome.SUCCEEDED)
    assert removable(database, child) == (False, 2)
    service.resume(execution)
    with parenting(database, execution, "run-3") as children:
        assert children.result("one", TYPE, DOCUMENT) == {"graph": "dear"}


def test_a_child_goes_after_its_parent(
    database: Database, service: WorkflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(DagsterClient, "delete_run", lambda _, run_id: deleted.append(run_id))
    execution = start(database)
    child = parked(database, execution)
    complete(database, child)
    with parenting(database, execution, "run-2") as children:
        children.result("one", TYPE, DOCUMENT)
    end_leases(database, execution)
    complete(database, execution)
    for run in (f"run-of-{child}", "run-2", f"run-of-{execution}"):
        with database.transaction() as tables:
            assert tables.runs.end(run, RunOutcome.SUCCEEDED)
    expected = service.prune(0, dry_run=True).executions
    assert service.prune(0).executions == expected == 2
    assert deleted == ["run-1", "run-2", f"run-of-{execution}", f"run-of-{child}"]


def removable(database: Database, execution: WorkflowExecutionId) -> tuple[bool, int]:
    """Whether retention may remove an execution now, and how many it would remove in all."""
    with database.transaction() as tables:
        is_removable = tables.ended.lock(execution, ORGANIZATION, older_than_seconds=0) is not None
        listed = tables.ended.list_oldest(ORGANIZATION, older_than_seconds=0, limit=10)
        assert (execution in listed) == is_removable
        return is_removable, tables.ended.count(ORGANIZATION, older_than_seconds=0)


def test_a_parent_that_waits_is_not_resumed_by_hand(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    parked(database, execution)
    with pytest.raises(WorkflowStateError, match="it waits for its child"):
        service.resume(execution)


def test_a_status_has_the_first_children_and_the_count_of_all(database: Database, service: WorkflowService) -> None:
    """However many there are; a list of them comes in pages."""
    names = [f"child-{number}" for number in range(25)]
    with database.transaction() as tables:
        parent, other = accepted(tables).id, accepted(tables).id
        ids = [accepted(tables, parent_execution_id=parent, child_name=name).id for name in names]
        accepted(tables, parent_execution_id=other, child_name="child-0")
        for each in ids[:3]:
            assert tables.executions.cancel(each)
    statuses = {each.execution_id: each for each in service.list(limit=100).executions}
    for found in (service.get_status(parent), statuses[parent]):
        assert [(child.name, child.execution_id) for child in found.children] == list(zip(names, ids, strict=True))[:20]
        assert found.children_by_status == {ExecutionStatus.CANCELLED: 3, ExecutionStatus.RUNNING: 22}
    assert statuses[other].children_by_status == {ExecutionStatus.RUNNING: 1}
    assert statuses[ids[0]].children_by_status == {}
    first = service.list(parent_execution_id=parent, limit=20)
    rest = service.list(parent_execution_id=parent, limit=20, cursor=first.cursor)
    assert [each.execution_id for each in (*first.executions, *rest.executions)] == ids[::-1]
    assert rest.cursor is None


@pytest.mark.parametrize("how", ["cancelled", "completed"])
def test_a_child_is_not_resumed_without_its_parent(database: Database, service: WorkflowService, how: str) -> None:
    """By nobody: it would live on, and no one would wait for it."""
    execution = start(database)
    child = parked(database, execution)
    if how == "completed":
        complete(database, execution)
    else:
        service.cancel(execution)
    with pytest.raises(WorkflowStateError, match=f"its parent {execution} is {how}"):
        service.resume(child)
    with pytest.raises(WorkflowStateError, match=f"its parent {execution} is {how}"):
        claim(database, child, "by-hand", is_reexecution=True)
    assert load(database, child).status is ExecutionStatus.CANCELLED


def test_a_child_is_resumed_by_hand_while_its_parent_runs(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    child = parked(database, execution)
    service.cancel(execution)
    service.resume(execution)
    assert service.resume(child).status is ExecutionStatus.RUNNING
    with parenting(database, execution, "run-2") as children, pytest.raises(Parked):
        children.result("one", TYPE, DOCUMENT)


def test_what_waits_for_a_child_is_told_in_words() -> None:
    child = WorkflowExecutionId.new()
    since = Wait.model_validate({"activity_name": "child:one", "since": "2026-01-01T00:00:00Z", "child": child})
    assert since.describe() == f"child:one waits for the end of {child}"
