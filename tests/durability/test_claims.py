"""One run at a time commits for an execution; who comes back from the dead changes nothing."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from beep_orchestration import faults
from beep_orchestration.changes import BeginStage, Change, CompleteAttempt, EndExecution, FailAttempt, StartAttempt
from beep_orchestration.commits import CheckpointWriter
from beep_orchestration.endings import cancel_execution
from beep_orchestration.errors import (
    ClaimLostError,
    ExecutionCancelledError,
    WorkflowNotFoundError,
    WorkflowStateError,
)
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database, RunRow
from beep_orchestration.persistence.activities import NewAttempt
from beep_orchestration.tables import metadata
from tests.durability.workflow import (
    LONG_LEASE,
    STAGE,
    Journal,
    attempts,
    claim,
    end_leases,
    load,
    running,
    snapshot,
    start,
    statuses,
)
from tests.factories import ERROR, OTHER_ORGANIZATION, new_attempt
from tests.waiting import wait_until

LONG_WAIT = 30.0


def run_row(database: Database, run: str) -> RunRow:
    with database.transaction() as tables:
        row = tables.runs.find(run)
    assert row is not None
    return row


def end(database: Database, execution: WorkflowExecutionId, status: ExecutionStatus) -> None:
    with database.transaction() as tables:
        if status is ExecutionStatus.CANCELLED:
            assert cancel_execution(tables, execution)
        else:
            assert tables.executions.fail(execution, ERROR)


def test_a_second_run_is_refused_while_the_first_keeps_renewing_its_lease(database: Database) -> None:
    execution = start(database)
    with running(database, execution, "run-1", lease_seconds=0.6):
        lease = run_row(database, "run-1").lease_expires_at
        with pytest.raises(ClaimLostError, match="run run-1 carries it and is alive"):
            claim(database, execution, "run-2", lease_seconds=0.6)
        wait_until(lambda: run_row(database, "run-1").lease_expires_at != lease)
    assert load(database, execution).epoch == 1
    assert run_row(database, "run-2").epoch is None


def test_a_second_run_waits_for_the_lease_of_a_dead_one_and_takes_over(database: Database) -> None:
    execution = start(database)
    claim(database, execution, "run-1", lease_seconds=1)
    lease = run_row(database, "run-1").lease_expires_at
    successor = claim(database, execution, "run-2")
    assert successor.epoch == 2
    taken_at = run_row(database, "run-2").started_at
    assert lease is not None
    assert taken_at is not None
    assert taken_at >= lease


def test_of_many_runs_that_claim_at_once_one_gets_each_epoch(database: Database) -> None:
    execution, together, epochs = start(database), threading.Barrier(8), []

    def take(number: int) -> None:
        together.wait(LONG_WAIT)
        try:
            epochs.append(claim(database, execution, f"run-{number}", lease_seconds=LONG_LEASE).epoch)
        except ClaimLostError:
            epochs.append(None)

    threads = [threading.Thread(target=take, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: epochs, description="one of them has the claim")
    while any(thread.is_alive() for thread in threads):
        end_leases(database, execution)
        threads[0].join(0.05)
        for thread in threads:
            thread.join(0.01)
    taken = [epoch for epoch in epochs if epoch is not None]
    assert sorted(taken) == list(range(1, len(taken) + 1))
    assert load(database, execution).epoch == len(taken)


def test_the_same_run_claims_again_at_once_and_fences_its_predecessor(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution, "run-1") as predecessor:
        predecessor.run(STAGE, journal.activities(1), concurrency=1)
        assert claim(database, execution, "run-1").epoch == 2
        with pytest.raises(ClaimLostError, match="another run has claimed it"):
            predecessor.run(STAGE, journal.activities(2), concurrency=1)
    assert journal.calls == {f"{STAGE}-0": 1}


ZOMBIE_CHANGES: dict[str, Callable[[NewAttempt, NewAttempt], Change]] = {
    "begin a stage": lambda _, __: BeginStage(activity_type=STAGE, total=9, done=9),
    "start": lambda _, other: StartAttempt(attempt=other),
    "complete": lambda open_one, _: CompleteAttempt(attempt=open_one, output="1"),
    "fail": lambda open_one, _: FailAttempt(attempt=open_one, error=ERROR),
    "complete the execution": lambda _, __: EndExecution(output={"by": "a zombie"}),
    "fail the execution": lambda _, __: EndExecution(error=ERROR),
}


@pytest.mark.parametrize("change", ZOMBIE_CHANGES.values(), ids=ZOMBIE_CHANGES.keys())
def test_a_zombie_changes_nothing(database: Database, change: Callable[[NewAttempt, NewAttempt], Change]) -> None:
    execution = start(database)
    zombie = CheckpointWriter(database, claim(database, execution, "run-1"), lease_seconds=LONG_LEASE)
    open_one, other = (new_attempt(load(database, execution), activity_name=f"{STAGE}-{number}") for number in (0, 1))
    zombie.commit(BeginStage(activity_type=STAGE, total=2, done=0)).result(LONG_WAIT)
    zombie.commit(StartAttempt(attempt=open_one)).result(LONG_WAIT)
    end_leases(database, execution)
    claim(database, execution, "run-2")
    before = snapshot(database, execution), run_row(database, "run-2").lease_expires_at
    with pytest.raises(ClaimLostError):
        zombie.commit(change(open_one, other)).result(LONG_WAIT)
    zombie.close()
    assert (snapshot(database, execution), run_row(database, "run-2").lease_expires_at) == before


def test_a_zombie_learns_of_its_successor_without_committing_anything(database: Database) -> None:
    execution = start(database)
    zombie = CheckpointWriter(database, claim(database, execution, "run-1"), lease_seconds=0.3)
    claim(database, execution, "run-1")
    wait_until(lambda: isinstance(zombie.stopped, ClaimLostError))
    zombie.close()


def test_a_worker_stopped_past_its_lease_looks_at_its_claim_before_it_calls(database: Database) -> None:
    """Stopped after the commit of its attempt: as it goes on, its successor has called that activity already."""
    execution, journal = start(database), Journal()
    faults.inject("after_attempt_commit", lambda _: successor(database, execution))
    with running(database, execution, "run-1", lease_seconds=0.2) as zombie, pytest.raises(ClaimLostError):
        zombie.run(STAGE, journal.activities(1), concurrency=1)
    assert not journal.calls


def test_a_worker_stopped_past_its_lease_goes_on_if_nobody_took_its_place(database: Database) -> None:
    execution, journal = start(database), Journal()
    faults.inject("after_attempt_commit", lambda _: end_of_lease(database, execution))
    with running(database, execution, "run-1", lease_seconds=0.2) as runner:
        assert runner.run(STAGE, journal.activities(1), concurrency=1) == [0]
    assert journal.calls == {f"{STAGE}-0": 1}


def successor(database: Database, execution: WorkflowExecutionId) -> None:
    claim(database, execution, "run-2")


def end_of_lease(database: Database, execution: WorkflowExecutionId) -> None:
    """Return when the lease of the execution's run is over by the database's clock."""
    wait_until(lambda: lease_is_over(database, execution))


def lease_is_over(database: Database, execution: WorkflowExecutionId) -> bool:
    with database.transaction() as tables:
        holder = tables.runs.find_holder(execution, 1)
    return holder is not None and holder.lease_is_over


def test_what_a_dead_run_left_open_is_closed_with_the_reason(database: Database) -> None:
    execution = start(database)
    dead = CheckpointWriter(database, claim(database, execution, "run-1"), lease_seconds=LONG_LEASE)
    dead.commit(BeginStage(activity_type=STAGE, total=1, done=0)).result(LONG_WAIT)
    dead.commit(StartAttempt(attempt=new_attempt(load(database, execution)))).result(LONG_WAIT)
    dead.close()
    end_leases(database, execution)
    claim(database, execution, "run-2")
    (row,) = attempts(database, execution)
    assert (row.status, row.error and row.error.type) == ("failed", "WorkerLost")
    assert "run-2" in (row.error.message if row.error else "")


@pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
def test_a_re_execution_in_the_ui_resumes_what_has_ended(database: Database, status: ExecutionStatus) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution, "run-1") as runner:
        runner.run(STAGE, journal.activities(2), concurrency=1)
    end(database, execution, status)
    with running(database, execution, "run-2", is_reexecution=True) as runner:
        assert runner.run(STAGE, journal.activities(3), concurrency=1) == [0, 1, 2]
        runner.complete({})
    assert journal.calls == dict.fromkeys((f"{STAGE}-{number}" for number in range(3)), 1)
    row = load(database, execution)
    assert (row.status, row.error) == (ExecutionStatus.COMPLETED, None)


def test_a_re_execution_does_not_wait_for_a_run_that_has_not_seen_the_end_yet(database: Database) -> None:
    execution = start(database)
    unaware = CheckpointWriter(database, claim(database, execution, "run-1"), lease_seconds=LONG_LEASE)
    end(database, execution, ExecutionStatus.CANCELLED)
    assert (claim(database, execution, "run-2", is_reexecution=True).epoch or 0) > 1
    with pytest.raises((ClaimLostError, ExecutionCancelledError)):
        unaware.commit(BeginStage(activity_type=STAGE, total=1, done=0)).result(LONG_WAIT)
    unaware.close()


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(ExecutionStatus.FAILED, WorkflowStateError), (ExecutionStatus.CANCELLED, ExecutionCancelledError)],
)
def test_a_launch_made_before_the_end_does_not_resume(
    database: Database, status: ExecutionStatus, refusal: type[Exception]
) -> None:
    execution = start(database)
    end(database, execution, status)
    before = load(database, execution)
    with pytest.raises(refusal, match=f"beep resume {execution}"):
        claim(database, execution, "run-1")
    assert load(database, execution) == before


def test_a_completed_execution_can_be_claimed_for_reading_only(database: Database) -> None:
    execution = start(database)
    with running(database, execution, "run-1") as runner:
        runner.complete({})
    held = claim(database, execution, "run-2", is_reexecution=True)
    assert held.epoch is None
    assert load(database, execution).epoch == 1
    with pytest.raises(ValueError, match="nothing to commit"):
        CheckpointWriter(database, held, lease_seconds=LONG_LEASE)


def test_the_execution_of_another_organization_cannot_be_claimed(database: Database) -> None:
    execution = start(database, organization_id=OTHER_ORGANIZATION)
    with pytest.raises(WorkflowNotFoundError):
        claim(database, execution)
    with database.transaction() as tables:
        assert tables.runs.list_of(execution) == []


def test_the_lease_is_renewed_while_a_long_activity_runs(database: Database) -> None:
    execution, journal = start(database), Journal()
    leases: set[object] = set()

    def is_renewed_again() -> bool:
        leases.add(run_row(database, "run-1").lease_expires_at)
        return len(leases) > 3

    def until_renewed_three_times() -> int:
        return int(wait_until(is_renewed_again))

    with running(database, execution, "run-1", lease_seconds=0.6) as runner:
        assert runner.run(STAGE, [journal.activity(0, until_renewed_three_times)], concurrency=1) == [1]
    assert statuses(database, execution) == {f"{STAGE}-0": ["completed"]}


def test_a_worker_whose_clock_is_wrong_writes_right_times(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_by = timedelta(days=30).total_seconds()
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + wrong_by)
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + int(wrong_by * 1e9))
    before = _database_clock(database)
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        runner.run(STAGE, journal.activities(2), concurrency=1)
        runner.complete({})
    latest = _database_clock(database) + timedelta(seconds=LONG_LEASE)
    with database.transaction() as tables:
        for table in metadata.sorted_tables:
            for column in (column for column in table.c if column.type.python_type is datetime):
                times = tables.connection.execute(table.select().with_only_columns(column)).scalars().all()
                assert all(before <= moment <= latest for moment in times if moment is not None), column


def _database_clock(database: Database) -> datetime:
    with database.transaction() as tables:
        now: datetime = tables.connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now
