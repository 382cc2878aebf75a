"""Waiting for signals and times: recorded once, without a process, and no wake-up is lost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from beep_orchestration.activities import ActivityRunner
from beep_orchestration.endings import cancel_execution
from beep_orchestration.errors import ExecutionCancelledError, IncompleteStageError, WorkflowStateError
from beep_orchestration.events import AttemptEnded, AttemptStarted, StateChanged
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus, RunOutcome, Wait
from beep_orchestration.parking import Parked, park
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.waits import Waits
from tests.durability.workflow import (
    LONG_LEASE,
    STAGE,
    Journal,
    assert_consistent,
    attempts,
    claim,
    end_leases,
    load,
    start,
    statuses,
)
from tests.factories import ORGANIZATION
from tests.postgres import end_sessions
from tests.waiting import wait_until

NAME = "review-wait-0"
SOON, NEVER = 0.05, 60.0
ANSWER = {"by": "Ada"}


@contextmanager
def waiting(
    database: Database, execution: WorkflowExecutionId, run: str = "run-1", *, park_after: float = SOON
) -> Iterator[Waits]:
    """The waits of a run that carries the execution; it ends like one that is killed."""
    runner = ActivityRunner(database, claim(database, execution, run), lease_seconds=LONG_LEASE)
    try:
        yield runner.waits(park_after_seconds=park_after)
    finally:
        runner.close()


def parked(database: Database, execution: WorkflowExecutionId, **wait: object) -> None:
    """An execution that waits without a run."""
    held = claim(database, execution)
    runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
    with pytest.raises(Parked) as ended:
        runner.waits(park_after_seconds=0).wait(NAME, **wait)  # type: ignore[arg-type]
    runner.close()
    with database.transaction() as tables:
        assert park(tables, held, (ended.value.wait,))


def is_due(database: Database, execution: WorkflowExecutionId) -> bool:
    with database.transaction() as tables:
        return tables.executions.take(execution, next_try_seconds=0)


def test_a_signal_sent_before_the_wait_ends_it_at_once(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    service.signal(execution, "approve", ANSWER)
    with waiting(database, execution, park_after=0) as waits:
        received = waits.wait(NAME, ["approve", "reject"])
    assert received is not None
    assert (received.name, received.payload["by"]) == ("approve", "Ada")
    assert_consistent(database, execution)


def test_a_signal_sent_during_the_wait_ends_it(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    with waiting(database, execution, park_after=NEVER) as waits:
        sender = threading.Timer(0.1, service.signal, (execution, "approve", ANSWER))
        sender.start()
        received = waits.wait(NAME, ["approve"])
        sender.join()
    assert received is not None


def test_signals_end_one_wait_each_in_their_order(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    for name in ("Ada", "Grace", "Alan"):
        service.signal(execution, "approve", {"by": name})
    with waiting(database, execution) as waits:
        received = [waits.wait(f"review-wait-{number}", ["approve"]) for number in range(3)]
    assert [each.payload["by"] for each in received if each] == ["Ada", "Grace", "Alan"]


def test_a_wait_that_has_ended_answers_the_same_in_a_later_run(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    service.signal(execution, "approve", ANSWER)
    with waiting(database, execution) as waits:
        first = waits.wait(NAME, ["approve"])
    service.signal(execution, "approve", {"by": "Grace"})
    end_leases(database, execution)
    with waiting(database, execution, "run-2") as waits:
        assert waits.wait(NAME, ["approve"]) == first


def test_a_signal_is_not_consumed_by_a_run_that_dies_before_it_commits(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    service.signal(execution, "approve", ANSWER)
    held = claim(database, execution)
    runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
    with database.transaction() as tables:  # a zombie: another run has claimed the execution since
        tables.executions.schedule_launch(execution, 0)
    with pytest.raises(Exception, match="another run has claimed it"):
        runner.waits(park_after_seconds=0).wait(NAME, ["approve"])
    runner.close()
    with waiting(database, execution, "run-2") as waits:
        received = waits.wait(NAME, ["approve"])
    assert received is not None


def test_nothing_in_time_parks(database: Database) -> None:
    execution = start(database)
    with waiting(database, execution) as waits, pytest.raises(Parked) as ended:
        waits.wait(NAME, ["approve"])
    assert ended.value.wait.signals == ("approve",)
    assert not isinstance(ended.value, Exception)  # a workflow's own `except Exception` does not see it
    assert statuses(database, execution) == {NAME: ["pending"]}
    assert [wait.activity_name for wait in load(database, execution).checkpoint.waiting_for] == [NAME]


def test_a_parked_execution_holds_no_claim_and_is_not_due(database: Database) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"])
    assert not is_due(database, execution)
    with database.transaction() as tables:
        assert [run.outcome for run in tables.runs.list_of(execution)] == [RunOutcome.PARKED]
        assert not tables.runs.list_open(execution)


def test_a_signal_makes_a_parked_execution_due(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"])
    service.signal(execution, "reject", ANSWER)  # nobody waits for it: it is kept
    assert load(database, execution).launch_at is None
    service.signal(execution, "approve", ANSWER)
    assert load(database, execution).launch_at is not None
    with waiting(database, execution, "run-2", park_after=0) as waits:
        received = waits.wait(NAME, ["approve"])
    assert received is not None
    assert_consistent(database, execution)


def test_a_signal_that_comes_while_the_run_parks_is_not_lost(database: Database, service: WorkflowService) -> None:
    """It is stored after the last look and before the execution is parked."""
    execution = start(database)
    held = claim(database, execution)
    runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
    with pytest.raises(Parked) as ended:
        runner.waits(park_after_seconds=0).wait(NAME, ["approve"])
    service.signal(execution, "approve", ANSWER)
    runner.close()
    with database.transaction() as tables:
        assert park(tables, held, (ended.value.wait,))
    assert is_due(database, execution)


def test_parking_and_sending_race_and_the_execution_is_always_due(database: Database, service: WorkflowService) -> None:
    for _ in range(100):
        execution = start(database)
        held = claim(database, execution)
        runner = ActivityRunner(database, held, lease_seconds=LONG_LEASE)
        barrier = threading.Barrier(2)

        def send(execution: str = execution, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            service.signal(execution, "approve", ANSWER)

        sender = threading.Thread(target=send)
        sender.start()
        barrier.wait()
        with database.transaction() as tables:
            since = tables.executions.load_clock()
            park(tables, held, (Wait(activity_name=NAME, signals=("approve",), since=since),))
        sender.join()
        runner.close()
        due = load(database, execution).launch_at
        assert due is not None


def test_a_zombie_parks_nothing(database: Database) -> None:
    execution = start(database)
    held = claim(database, execution)
    end_leases(database, execution)
    successor = claim(database, execution, "run-2")
    with database.transaction() as tables:
        assert not park(tables, held, ())
    assert load(database, execution).epoch == successor.epoch


def test_a_deadline_ends_the_wait_with_nothing_once(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    with waiting(database, execution, park_after=NEVER) as waits:
        assert waits.wait(NAME, ["approve"], seconds=0.2) is None
    service.signal(execution, "approve", ANSWER)
    end_leases(database, execution)
    with waiting(database, execution, "run-2") as waits:
        assert waits.wait(NAME, ["approve"], seconds=0.2) is None
        assert waits.wait("review-wait-1", ["approve"]) is not None  # the late signal is kept for the next wait


def test_a_deadline_is_kept_over_parking(database: Database) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"], seconds=3_600)
    due = load(database, execution).launch_at
    assert due is not None
    with waiting(database, execution, "run-2") as waits, pytest.raises(Parked) as ended:
        waits.wait(NAME, ["approve"], seconds=3_600)
    assert ended.value.wait.deadline == due


def test_a_signal_sent_before_the_deadline_wins_also_if_it_is_found_after_it(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"], seconds=3_600)
    service.signal(execution, "approve", ANSWER)
    let_the_deadline_be_now(database, execution)
    with waiting(database, execution, "run-2") as waits:
        assert waits.wait(NAME, ["approve"], seconds=3_600) is not None


def test_a_signal_sent_after_the_deadline_loses_also_if_it_is_found_first(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"], seconds=3_600)
    let_the_deadline_be_now(database, execution)
    service.signal(execution, "approve", ANSWER)
    with waiting(database, execution, "run-2") as waits:
        assert waits.wait(NAME, ["approve"], seconds=3_600) is None
        assert waits.wait("review-wait-1", ["approve"]) is not None


def let_the_deadline_be_now(database: Database, execution: WorkflowExecutionId) -> None:
    statement = (
        "UPDATE knowledge_workflow_activity SET input = jsonb_set(input, '{deadline}', to_jsonb(clock_timestamp())) "
        "WHERE workflow_execution_id = :id"
    )
    with database.transaction() as tables:
        tables.connection.execute(text(statement), {"id": execution})


def _deadline(database: Database, execution: WorkflowExecutionId) -> datetime:
    (wait,) = load(database, execution).checkpoint.waiting_for
    assert wait.deadline is not None
    return wait.deadline


def test_a_sleep_is_due_at_its_time_and_not_before(database: Database) -> None:
    execution = start(database)
    when = datetime(2100, 1, 1, tzinfo=UTC)
    parked(database, execution, until=when)
    assert load(database, execution).launch_at == when
    assert not is_due(database, execution)


def test_a_short_sleep_needs_no_other_run(database: Database) -> None:
    execution = start(database)
    with waiting(database, execution, park_after=NEVER) as waits:
        assert waits.wait(NAME, seconds=0.1) is None
    assert statuses(database, execution) == {NAME: ["completed"]}


def test_a_cancel_ends_the_wait(database: Database) -> None:
    execution = start(database)
    with waiting(database, execution, park_after=NEVER) as waits:

        def cancel() -> None:
            wait_until(lambda: load(database, execution).checkpoint.waiting_for)
            with database.transaction() as tables:
                cancel_execution(tables, execution)

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(ExecutionCancelledError):
            waits.wait(NAME, ["approve"])
        canceller.join()
    assert statuses(database, execution) == {NAME: ["failed"]}


def test_a_parked_execution_can_be_cancelled_and_takes_no_signal_then(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"])
    assert service.cancel(execution).cancelled_now
    assert service.get_status(execution).waiting_for == ()
    assert not is_due(database, execution)
    with pytest.raises(WorkflowStateError):
        service.signal(execution, "approve", ANSWER)


def test_a_cancelled_wait_goes_on_after_a_resume_with_its_deadline(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"], seconds=3_600)
    deadline = _deadline(database, execution)
    service.cancel(execution)
    service.resume(execution)
    with waiting(database, execution, "run-2") as waits, pytest.raises(Parked) as ended:
        waits.wait(NAME, ["approve"], seconds=3_600)
    assert ended.value.wait.deadline == deadline
    assert statuses(database, execution) == {NAME: ["failed", "pending"]}
    assert load(database, execution).checkpoint.stages["wait"].total == 1


def test_what_was_cancelled_while_it_waited_for_a_signal_is_resumed_and_waits_again(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"])
    service.cancel(execution)
    assert service.resume(execution).status is ExecutionStatus.RUNNING
    service.signal(execution, "approve", ANSWER)
    with waiting(database, execution, "run-2") as waits:
        assert waits.wait(NAME, ["approve"]) is not None
    assert statuses(database, execution) == {NAME: ["failed", "completed"]}


def test_a_parked_execution_is_not_resumed_without_what_it_waits_for(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    parked(database, execution, signals=["approve"])
    with pytest.raises(WorkflowStateError, match="it waits for a signal; send approve"):
        service.resume(execution)


def test_a_wait_survives_a_restart_of_the_database(
    database: Database, database_url: str, service: WorkflowService
) -> None:
    execution = start(database)
    with waiting(database, execution, park_after=NEVER) as waits:

        def restart_and_send() -> None:
            wait_until(lambda: load(database, execution).checkpoint.waiting_for)
            end_sessions(database_url)
            service.signal(execution, "approve", ANSWER)

        sender = threading.Thread(target=restart_and_send)
        sender.start()
        assert waits.wait(NAME, ["approve"]) is not None
        sender.join()


def test_a_completed_execution_recalls_its_waits_and_adds_none(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    service.signal(execution, "approve", ANSWER)
    runner = ActivityRunner(database, claim(database, execution), lease_seconds=LONG_LEASE)
    received = runner.waits(park_after_seconds=0).wait(NAME, ["approve"])
    runner.run(STAGE, journal.activities(1), concurrency=1)
    runner.complete({})
    runner.close()
    with waiting(database, execution, "run-2") as waits:
        assert waits.wait(NAME, ["approve"]) == received
        with pytest.raises(IncompleteStageError):
            waits.wait("review-wait-1", ["approve"])


def test_waits_count_like_activities(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    service.signal(execution, "approve", ANSWER)
    with waiting(database, execution) as waits:
        waits.wait(NAME, ["approve"])
        with pytest.raises(Parked):
            waits.wait("review-wait-1", ["approve"])
    status = service.get_status(execution)
    assert (status.activities["wait"].done, status.activities["wait"].total) == (1, 2)
    (wait,) = status.waiting_for
    assert (wait.activity_name, wait.signals, wait.deadline) == ("review-wait-1", ("approve",), None)
    assert [row.activity_type for row in attempts(database, execution)] == ["wait", "wait"]


@pytest.mark.parametrize("ends", ["answered", "cancelled"])
def test_a_wait_has_begun_when_it_began_however_late_it_ends(
    database: Database, service: WorkflowService, ends: str
) -> None:
    """In its row and in the history, which shows it as soon as it has begun."""
    execution = start(database)
    parked(database, execution, signals=["approve"])
    (begun,) = [entry for entry in service.history(execution) if isinstance(entry, AttemptStarted)]
    (row,) = attempts(database, execution)
    assert (begun.activity_name, begun.at) == (NAME, row.started_at)
    if ends == "answered":
        service.signal(execution, "approve", ANSWER)
        with waiting(database, execution, "run-2") as waits:
            assert waits.wait(NAME, ["approve"]) is not None
    else:
        service.cancel(execution)
    (row,) = attempts(database, execution)
    assert row.started_at == begun.at
    assert row.completed_at is not None
    entries = list(service.history(execution))
    assert [entry.at for entry in entries if isinstance(entry, AttemptStarted)] == [begun.at]
    (ended,) = [entry for entry in entries if isinstance(entry, AttemptEnded)]
    (parking,) = [entry.at for entry in entries if isinstance(entry, StateChanged) and entry.change == "parked"]
    assert begun.at < parking < ended.at == row.completed_at


def test_an_earlier_deadline_wakes_an_execution_that_waits_for_several_things(database: Database) -> None:
    execution = start(database)
    held = claim(database, execution)
    with database.transaction() as tables:
        now = tables.executions.load_clock()
        near, far = now + timedelta(hours=1), now + timedelta(hours=2)
        waits = tuple(
            Wait(activity_name=name, since=now, deadline=deadline) for name, deadline in (("a", far), ("b", near))
        )
        assert park(tables, held, waits)
    assert load(database, execution).launch_at == near


def test_another_organizations_signal_finds_no_execution(database: Database, service: WorkflowService) -> None:
    assert ORGANIZATION
    execution = start(database, organization_id="shared_organization__00000000-0000-7000-8000-0000000000bb")
    with pytest.raises(Exception, match="no execution"):
        service.signal(execution, "approve", ANSWER)
