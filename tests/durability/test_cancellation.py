"""After `cancel` has returned nothing of the execution is committed, and the call says who won."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from beep_orchestration import faults
from beep_orchestration.errors import BeepError, ClaimLostError, ExecutionCancelledError, WorkflowStateError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import CancelResult, ExecutionStatus, RetryPolicy
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.durability.workflow import (
    LONG_LEASE,
    STAGE,
    Journal,
    assert_consistent,
    attempts,
    claim,
    completed,
    load,
    running,
    sent_signals,
    snapshot,
    start,
    statuses,
)
from tests.factories import ended
from tests.waiting import wait_until

LONG_WAIT = 30.0
RACES = 200
STORM = 100


@contextmanager
def in_background(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Within the block the work goes on; the block ends when it has. What it raised is in the list."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(LONG_WAIT)
        assert not thread.is_alive()


def test_an_execution_cancelled_before_its_claim_never_begins(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    result = service.cancel(execution)
    assert result == CancelResult(execution_id=execution, status=ExecutionStatus.CANCELLED, cancelled_now=True)
    with pytest.raises(ExecutionCancelledError):
        claim(database, execution)
    assert attempts(database, execution) == []
    assert load(database, execution).epoch == 0


@pytest.mark.parametrize(
    ("point", "done"), [("after_checkpoint_commit", 1), ("before_checkpoint_commit", 0), ("after_attempt_commit", 0)]
)
def test_an_execution_cancelled_around_a_commit_commits_nothing_more(
    database: Database, service: WorkflowService, point: faults.FaultPoint, done: int
) -> None:
    execution, journal, after_cancel = start(database), Journal(), []

    def cancel(_: str) -> None:
        faults.clear()
        assert service.cancel(execution).cancelled_now
        after_cancel.append(snapshot(database, execution))

    faults.inject(point, cancel)
    with running(database, execution) as runner, pytest.raises(ExecutionCancelledError):
        runner.run(STAGE, journal.activities(3), concurrency=1)
    assert [snapshot(database, execution)] == after_cancel
    assert len(completed(database, execution)) == done
    assert_consistent(database, execution)


def test_a_coroutine_under_way_is_interrupted(database: Database, service: WorkflowService) -> None:
    execution, journal, interrupted = start(database), Journal(), threading.Event()

    async def waits_for_ever() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()
        return 0

    with running(database, execution, lease_seconds=0.3) as runner:
        activities = [journal.async_activity(number, waits_for_ever) for number in range(3)]
        with in_background(lambda: runner.run(STAGE, activities, concurrency=2)) as raised:
            wait_until(lambda: journal.calls.total() == 2)
            service.cancel(execution)
            before = snapshot(database, execution)
    assert [type(error) for error in raised] == [ExecutionCancelledError]
    assert interrupted.is_set()
    assert snapshot(database, execution) == before
    assert journal.calls.total() == 2
    assert {row.error.type for row in attempts(database, execution) if row.error} == {"Cancelled"}


def test_a_blocking_call_under_way_is_given_up_and_its_output_dropped(
    database: Database, service: WorkflowService
) -> None:
    execution, journal, release, ended = start(database), Journal(), threading.Event(), threading.Event()

    def blocks() -> int:
        try:
            release.wait(LONG_WAIT)
        finally:
            ended.set()
        return 1

    with running(database, execution, lease_seconds=0.3) as runner:
        with in_background(lambda: runner.run(STAGE, [journal.activity(0, blocks)], concurrency=1)) as raised:
            wait_until(lambda: journal.calls.total() == 1)
            service.cancel(execution)
            before = snapshot(database, execution)
        release.set()
        assert ended.wait(LONG_WAIT)
    assert [type(error) for error in raised] == [ExecutionCancelledError]
    assert snapshot(database, execution) == before


def test_an_activity_that_waits_for_its_retry_is_not_tried_again(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()

    def fails() -> int:
        raise ValueError

    activity = journal.activity(0, fails, retry=RetryPolicy(first_delay=3_600, maximum_delay=3_600))
    with (
        running(database, execution, lease_seconds=0.3) as runner,
        in_background(lambda: runner.run(STAGE, [activity], concurrency=1)) as raised,
    ):
        wait_until(lambda: statuses(database, execution) == {f"{STAGE}-0": ["failed", "pending"]})
        service.cancel(execution)
    assert [type(error) for error in raised] == [ExecutionCancelledError]
    assert journal.calls.total() == 1


def test_cancel_and_completion_race_and_one_wins(database: Database, service: WorkflowService) -> None:
    wins = dict.fromkeys(ExecutionStatus, 0)
    for _ in range(RACES):
        execution = start(database)
        with running(database, execution) as runner:
            completed_now, answer = _race(partial(runner.complete, {"sum": 1}), service, execution)
        status = load(database, execution).status
        assert answer.status is status
        assert answer.cancelled_now == (status is ExecutionStatus.CANCELLED) == (not completed_now)
        wins[status] += 1
    assert wins[ExecutionStatus.COMPLETED] + wins[ExecutionStatus.CANCELLED] == RACES
    assert min(wins[ExecutionStatus.COMPLETED], wins[ExecutionStatus.CANCELLED]) > 0, "one always won: no race was run"


def _race(
    complete: Callable[[], None], service: WorkflowService, execution: WorkflowExecutionId
) -> tuple[bool, CancelResult]:
    together = threading.Barrier(2)

    def completes() -> None:
        together.wait(LONG_WAIT)
        complete()

    with in_background(completes) as raised:
        together.wait(LONG_WAIT)
        answer = service.cancel(execution)
    assert all(isinstance(error, ExecutionCancelledError) for error in raised)
    return not raised, answer


def test_cancel_and_checkpoints_race_and_nothing_is_added_afterwards(
    database: Database, service: WorkflowService
) -> None:
    execution, journal, go = start(database), Journal(), threading.Event()
    activities = [journal.activity(number, lambda: go.wait(LONG_WAIT) and 1) for number in range(60)]
    with (
        running(database, execution, lease_seconds=0.3) as runner,
        in_background(lambda: runner.run(STAGE, activities, concurrency=4)) as raised,
    ):
        go.set()
        wait_until(lambda: len(completed(database, execution)) >= 5)
        service.cancel(execution)
        before = snapshot(database, execution)
    assert [type(error) for error in raised] == [ExecutionCancelledError]
    assert snapshot(database, execution) == before
    assert_consistent(database, execution)


@pytest.mark.parametrize("status", [ExecutionStatus.CANCELLED, ExecutionStatus.COMPLETED, ExecutionStatus.FAILED])
def test_cancelling_what_has_ended_changes_nothing_and_says_so(
    database: Database, service: WorkflowService, status: ExecutionStatus
) -> None:
    with database.transaction() as tables:
        execution = ended(tables, status).id
    before = snapshot(database, execution)
    for _ in range(2):
        answer = service.cancel(execution)
        assert (answer.status, answer.cancelled_now) == (status, False)
    assert snapshot(database, execution) == before


def test_of_many_cancels_at_once_one_brought_it_about(database: Database, service: WorkflowService) -> None:
    execution, together, answers = start(database), threading.Barrier(8), []

    def cancel() -> None:
        together.wait(LONG_WAIT)
        answers.append(service.cancel(execution))

    threads = [threading.Thread(target=cancel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_WAIT)
    assert sorted(answer.cancelled_now for answer in answers) == [False] * 7 + [True]
    assert {answer.status for answer in answers} == {ExecutionStatus.CANCELLED}


def test_resuming_what_was_cancelled_uses_its_checkpoints(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution, "run-1") as runner:
        runner.run(STAGE, journal.activities(3), concurrency=1)
        service.cancel(execution)
        with pytest.raises(ExecutionCancelledError):
            runner.complete({})
    assert service.resume(execution).status is ExecutionStatus.RUNNING
    with running(database, execution, "run-1") as runner:
        assert runner.run(STAGE, journal.activities(5), concurrency=1) == [0, 1, 2, 3, 4]
        runner.complete({})
    assert set(journal.calls.values()) == {1}
    assert load(database, execution).status is ExecutionStatus.COMPLETED
    assert_consistent(database, execution)


def test_cancels_signals_and_checkpoints_at_once_never_lock_each_other_out(
    database: Database, service: WorkflowService
) -> None:
    execution, journal = start(database), Journal()
    refused: list[BeepError] = []

    def repeatedly(call: Callable[[int], object]) -> Callable[[], None]:
        def work() -> None:
            for number in range(STORM):
                try:
                    call(number)
                except (ExecutionCancelledError, WorkflowStateError, ClaimLostError) as error:
                    refused.append(error)

        return work

    def checkpoints(number: int) -> None:
        with running(database, execution, "run-1", lease_seconds=LONG_LEASE) as runner:
            runner.run(STAGE, journal.activities(number + 1), concurrency=3)

    def cancels(number: int) -> None:
        if number % 2:
            service.resume(execution)
        else:
            service.cancel(execution)

    with (
        in_background(repeatedly(checkpoints)) as first,
        in_background(repeatedly(cancels)) as second,
        in_background(
            repeatedly(lambda number: service.signal(execution, "approve", {"by": "a person", "note": str(number)}))
        ) as third,
    ):
        pass
    assert first + second + third == []
    assert min(len(sent_signals(database, execution)), len(completed(database, execution)), len(refused)) > 0
    assert_consistent(database, execution)
