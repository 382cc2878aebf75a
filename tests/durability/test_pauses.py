"""Pausing: activities under way end and are recorded, none starts; afterwards nothing is repeated."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from beep_orchestration.activities import ActivityRunner
from beep_orchestration.children import Children
from beep_orchestration.claims import Claim
from beep_orchestration.errors import DatabaseUnavailableError, WorkflowStateError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import RESUME_SIGNAL, ExecutionStatus, Standing, Wait
from beep_orchestration.parking import Parked, park
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.durability.workflow import (
    AT_ONCE,
    LONG_LEASE,
    STAGE,
    FailsFirst,
    Journal,
    assert_consistent,
    attempts,
    claim,
    completed,
    end_leases,
    load,
    running,
    start,
    statuses,
)
from tests.factories import ORGANIZATION, ended
from tests.postgres import opened
from tests.waiting import wait_until

LONG_WAIT, STORM = 30.0, 40
DOCUMENT = {"document_id": "d", "text": "Ada met Grace."}


def test_activities_under_way_end_and_none_starts(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    both, paused = threading.Barrier(3), threading.Event()

    def work(number: int) -> int:
        both.wait(LONG_WAIT)
        assert paused.wait(LONG_WAIT)
        return number

    def pause() -> None:
        both.wait(LONG_WAIT)
        service.signal(execution, "pause", {"by": "Ada"})
        paused.set()

    sender = threading.Thread(target=pause)
    sender.start()
    activities = [journal.activity(number, partial(work, number)) for number in range(4)]
    with running(database, execution) as runner, pytest.raises(Parked) as parked:
        runner.run(STAGE, activities, concurrency=2)
    sender.join()
    assert parked.value.wait.signals == (RESUME_SIGNAL,)
    assert completed(database, execution) == [f"{STAGE}-0", f"{STAGE}-1"]
    assert_consistent(database, execution)

    service.signal(execution, "resume", {})
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, journal.activities(4), concurrency=2) == [0, 1, 2, 3]
    assert set(journal.calls.values()) == {1}


def test_no_stage_begins_while_paused(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    service.signal(execution, "pause", {})
    with running(database, execution) as runner, pytest.raises(Parked):
        runner.run(STAGE, journal.activities(3), concurrency=2)
    assert not journal.calls
    assert load(database, execution).checkpoint.stages[STAGE].total == 3


def test_a_retry_waits_for_the_end_of_the_pause(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()

    def fail_and_pause() -> int:
        service.signal(execution, "pause", {})
        raise OSError("try again")

    with running(database, execution) as runner, pytest.raises(Parked):
        runner.run(STAGE, [journal.activity(0, fail_and_pause, retry=AT_ONCE)], concurrency=1)
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "pending"]}
    service.signal(execution, "resume", {})
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, [journal.activity(0, FailsFirst([], 7))], concurrency=1) == [7]
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "completed"]}


def test_a_paused_organization_starts_no_activity_and_another_does(
    database: Database, service: WorkflowService
) -> None:
    execution, journal = start(database), Journal()
    assert service.pause_organization("too dear")
    assert not service.pause_organization()
    with running(database, execution) as runner, pytest.raises(Parked):
        runner.run(STAGE, journal.activities(1), concurrency=1)
    assert service.end_organization_pause()
    assert not service.end_organization_pause()
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, journal.activities(1), concurrency=1) == [0]


def parked_run(database: Database, execution: WorkflowExecutionId) -> tuple[Claim, Wait]:
    """The claim of a run whose stage could not begin, and what it is to park for."""
    held = claim(database, execution)
    with closing(ActivityRunner(database, held, lease_seconds=LONG_LEASE)) as runner, pytest.raises(Parked) as parked:
        runner.run(STAGE, Journal().activities(1), concurrency=1)
    return held, parked.value.wait


@pytest.mark.parametrize("everyone", [False, True])
def test_what_parked_for_the_pause_of_its_organization_goes_on_after_it(
    database: Database, service: WorkflowService, *, everyone: bool
) -> None:
    execution = start(database)
    service.pause_organization(everyone=everyone)
    held, wait = parked_run(database, execution)
    with database.transaction() as tables:
        assert park(tables, held, (wait,))
    assert service.launch_due() == 0
    service.end_organization_pause(everyone=everyone)
    assert service.launch_due() == 1


@pytest.mark.parametrize(("everyone", "command"), [(False, "beep resume --all"), (True, "beep resume --instance")])
def test_what_is_paused_with_others_is_not_resumed_alone(
    database: Database, service: WorkflowService, *, everyone: bool, command: str
) -> None:
    execution = start(database)
    service.pause_organization("until noon", everyone=everyone)
    held, wait = parked_run(database, execution)
    with database.transaction() as tables:
        assert park(tables, held, (wait,))
    before = service.get_status(execution)
    assert before.waiting_for == ()  # `resume` would not let it go on
    assert before.paused_at is None
    with pytest.raises(WorkflowStateError, match=rf"\(until noon\).*'{command}'"):
        service.resume(execution)
    assert service.get_status(execution) == before
    service.pause(execution)
    assert [wait.signals for wait in service.get_status(execution).waiting_for] == [(RESUME_SIGNAL,)]
    assert service.resume(execution).pauses == before.pauses  # its own has ended, which the answer has no more
    assert service.end_organization_pause(everyone=everyone)


def test_executions_are_chosen_by_the_word_with_which_they_are_shown(
    database: Database, service: WorkflowService
) -> None:
    ids = [start(database) for _ in range(4)]
    _, held_back, paused, review = ids
    with database.transaction() as tables:
        for status in (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED):
            ended(tables, status)
    service.pause_organization()
    for execution, signals in [(held_back, (RESUME_SIGNAL,)), (review, ("approve", "reject"))]:
        held = claim(database, execution, f"run-of-{execution}")
        with database.transaction() as tables:
            wait = Wait(activity_name="gate", signals=signals, since=tables.executions.load_clock())
            assert park(tables, held, (wait,))
    _are_shown_as_chosen(service, running={*ids}, waiting=set(), paused={*ids})
    service.end_organization_pause()
    service.pause(paused)
    _are_shown_as_chosen(service, running={*ids}, waiting={review}, paused={paused})
    service.pause(review)
    _are_shown_as_chosen(service, running={*ids}, waiting=set(), paused={paused, review})


def _are_shown_as_chosen(service: WorkflowService, **expected: set[WorkflowExecutionId]) -> None:
    """`running` are all that run; of the others a list has those which a status calls so, and all of them."""
    everything = service.list().executions
    for standing in Standing:
        chosen = {found.execution_id for found in service.list(status=standing).executions}
        assert chosen == expected.get(standing, chosen), standing
        if standing is not Standing.RUNNING:
            assert chosen == {found.execution_id for found in everything if found.standing is standing}


def test_what_was_cancelled_is_resumed_into_the_pause_of_its_organization(
    database: Database, service: WorkflowService
) -> None:
    execution = start(database)
    service.cancel(execution)
    service.pause_organization("until noon")
    assert service.get_status(execution).pauses == ()
    assert [pause.reason for pause in service.resume(execution).pauses] == ["until noon"]
    assert service.end_organization_pause()


def test_what_is_started_while_paused_is_told_so(database: Database, service: WorkflowService) -> None:
    assert service.start_or_get("extraction", DOCUMENT).pauses == ()
    service.pause_organization("until noon")
    started = service.start_or_get("extraction", DOCUMENT, idempotency_key="k")
    assert started.pauses == service.get_status(started.execution_id).pauses != ()
    with database.transaction() as tables:
        assert tables.runs.list_of(started.execution_id) == []
    assert service.end_organization_pause()


def test_a_second_pause_of_an_execution_changes_nothing(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    assert service.pause(execution, "lunch")
    first = service.get_status(execution)
    assert not service.pause(execution, "dinner")
    assert service.get_status(execution).pauses == first.pauses
    assert [event.reason for event in service.history(execution) if event.kind == "state" and event.reason] == ["lunch"]


def test_a_resume_that_comes_before_the_run_has_parked_is_not_lost(
    database: Database, service: WorkflowService
) -> None:
    """While activities end that were under way there is nothing to launch yet."""
    execution = start(database)
    service.signal(execution, "pause", {})
    held, wait = parked_run(database, execution)
    service.resume(execution)
    with database.transaction() as tables:
        assert park(tables, held, (wait,))
    assert service.launch_due() == 1


@pytest.mark.parametrize("begins", ["an activity", "a child"])
@pytest.mark.parametrize("everyone", [False, True])
def test_nothing_begins_after_the_pause_although_its_commit_waited_for_a_lock_meanwhile(
    database: Database, service: WorkflowService, begins: str, *, everyone: bool
) -> None:
    execution = start(database)
    held = claim(database, execution)
    with closing(ActivityRunner(database, held, lease_seconds=LONG_LEASE)) as runner:
        children = Children(database, held, runner.waits(park_after_seconds=0))
        with ThreadPoolExecutor(2) as pool, database.transaction() as sender:
            sender.executions.load(execution, lock=True)  # as one who sends it a signal
            if begins == "an activity":
                beginning: Future[Any] = pool.submit(runner.run, STAGE, Journal().activities(1), concurrency=1)
            else:
                beginning = pool.submit(children.start, "one", "extraction", DOCUMENT)
            wait_until(lambda: waiting_for_locks(database) == 1)
            pausing = pool.submit(service.pause_organization, everyone=everyone)
            wait_until(lambda: pausing.done() or waiting_for_locks(database) == 2)
        assert pausing.result()
        beginning.result()
    with database.transaction() as tables:
        (pause,) = tables.pauses.list_for(ORGANIZATION)
    begun = [row.started_at for row in attempts(database, execution)]
    begun += [child.started_at for child in service.list(parent_execution_id=execution).executions]
    assert len(begun) == 1
    assert begun[0] < pause.since
    service.end_organization_pause(everyone=everyone)


def test_a_pause_that_waits_too_long_is_refused_and_keeps_nobody_waiting_any_more(
    database: Database, database_url: str, service: WorkflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A VACUUM of the table conflicts with the pause of an organization, though not with commits."""
    execution = start(database)
    monkeypatch.setattr("beep_orchestration.persistence.database._LOCK_SECONDS", 1)
    with opened(database_url) as impatient, ThreadPoolExecutor(2) as pool, database.engine.begin() as vacuum:
        vacuum.execute(text("LOCK TABLE knowledge_workflow_execution IN SHARE UPDATE EXCLUSIVE MODE"))
        pausing = pool.submit(_pause, impatient)
        wait_until(lambda: waiting_for_locks(database) == 1)
        sending = pool.submit(service.signal, execution, "pause", {})  # it has come after the pause
        with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            pausing.result(LONG_WAIT)
        sending.result(LONG_WAIT)
    assert not service.end_organization_pause()


def test_pauses_signals_and_checkpoints_at_once_never_lock_each_other_out(
    database: Database, service: WorkflowService
) -> None:
    """Who sends a signal holds the row before it changes it, and so might wait for who waits for it."""
    execution, journal = start(database), Journal()
    over = threading.Event()

    def signals() -> int:
        sent = 0
        while not over.is_set():
            service.signal(execution, "resume", {})
            sent += 1
        return sent

    def pauses() -> None:
        for _ in range(STORM):
            assert service.pause_organization()
            assert service.end_organization_pause()
        over.set()

    def carry(number: int) -> None:
        end_leases(database, execution)
        with running(database, execution, f"run-{number}") as runner, suppress(Parked):
            runner.run(STAGE, journal.activities(300), concurrency=4)

    with ThreadPoolExecutor(3) as pool:
        senders = [pool.submit(signals) for _ in range(2)]
        pausing = pool.submit(pauses)
        runs = 0
        while not over.is_set():
            runs += 1
            carry(runs)
        pausing.result()
        assert all(sender.result() for sender in senders)
    carry(runs + 1)
    assert completed(database, execution) == [f"{STAGE}-{number}" for number in sorted(range(300), key=str)]
    assert set(journal.calls.values()) == {1}
    assert_consistent(database, execution)


def _pause(database: Database) -> bool:
    with database.transaction() as tables:
        return tables.pauses.save(ORGANIZATION, None)


def waiting_for_locks(database: Database) -> int:
    """How many sessions wait for somebody else's transaction."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.transaction() as tables:
        return int(tables.connection.execute(text(statement)).scalar_one())


def test_a_drained_instance_starts_no_activity(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    service.pause_organization(everyone=True)
    with running(database, execution) as runner, pytest.raises(Parked):
        runner.run(STAGE, journal.activities(1), concurrency=1)
    assert not journal.calls


def test_a_paused_execution_can_be_cancelled_or_resumed(database: Database, service: WorkflowService) -> None:
    first, second = start(database), start(database)
    for execution in (first, second):
        service.signal(execution, "pause", {})
        assert service.get_status(execution).paused_at is not None
    assert service.cancel(first).cancelled_now
    assert service.get_status(first).paused_at is None
    assert service.resume(second).paused_at is None
    with pytest.raises(WorkflowStateError):
        service.signal(first, "resume", {})


def test_a_cancelled_execution_is_not_paused_after_its_resume(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    service.signal(execution, "pause", {})
    service.cancel(execution)
    assert service.resume(execution).paused_at is None
