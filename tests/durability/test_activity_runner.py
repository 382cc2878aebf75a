"""The durable activity runner: each activity once to completion, each try a row, each failure recorded."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from beep_orchestration import faults
from beep_orchestration.activities import ActivityRunner, retry_delay
from beep_orchestration.changes import StartAttempt
from beep_orchestration.claims import Claim
from beep_orchestration.errors import (
    ActivityFailedError,
    ClaimLostError,
    IncompleteStageError,
    InvalidInputError,
    PermanentActivityError,
    RetryLaterError,
)
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ActivityStatus, ErrorInfo, ExecutionStatus, RetryPolicy
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.durability.workflow import (
    LONG_LEASE,
    STAGE,
    FailsFirst,
    Journal,
    Number,
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
from tests.factories import ERROR, new_attempt
from tests.waiting import wait_until

LONG_WAIT = 30.0


class UnsayableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class UnsayableTimeoutError(TimeoutError, UnsayableError):
    pass


class Strict(BaseModel):
    """An output of which JSON has neither type."""

    model_config = ConfigDict(strict=True)

    pair: tuple[int, int]
    when: datetime


def test_outputs_come_in_the_order_of_the_activities_however_they_end(database: Database) -> None:
    execution, journal = start(database), Journal()
    ended = [threading.Event() for _ in range(5)]

    def last_one_first(number: int) -> int:
        if number < 4:
            assert ended[number + 1].wait(LONG_WAIT)
        ended[number].set()
        return number

    activities = [journal.activity(number, partial(last_one_first, number)) for number in range(5)]
    with running(database, execution) as runner:
        assert runner.run(STAGE, activities, concurrency=5) == [0, 1, 2, 3, 4]
    assert_consistent(database, execution)


def test_a_completed_activity_is_not_run_again_in_the_same_run(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        first = runner.run(STAGE, journal.activities(3), concurrency=2)
        assert runner.run(STAGE, journal.activities(3), concurrency=2) == first
    assert set(journal.calls.values()) == {1}


def test_a_completed_activity_is_not_run_again_after_a_crash(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution, "run-1") as runner:
        runner.run(STAGE, journal.activities(3), concurrency=2)
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, journal.activities(5), concurrency=2) == [0, 1, 2, 3, 4]
    assert journal.calls == dict.fromkeys((f"{STAGE}-{number}" for number in range(5)), 1)
    assert_consistent(database, execution)


def test_a_completed_activity_is_not_run_again_by_a_second_claim_of_the_same_run(database: Database) -> None:
    execution, journal = start(database), Journal()
    for _ in range(3):
        with running(database, execution, "run-1") as runner:
            runner.run(STAGE, journal.activities(3), concurrency=2)
    assert set(journal.calls.values()) == {1}


def test_a_completed_execution_is_replayed_from_its_rows_alone(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        outputs = runner.run(STAGE, journal.activities(3), concurrency=2)
        runner.complete({"sum": 3})
    before = load(database, execution), attempts(database, execution)
    with running(database, execution, "run-2", is_reexecution=True) as runner:
        assert runner.run(STAGE, journal.activities(3), concurrency=2) == outputs
        runner.complete({"sum": 4})
    assert (load(database, execution), attempts(database, execution)) == before
    assert set(journal.calls.values()) == {1}


def test_a_completed_execution_has_no_activity_to_add(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        runner.run(STAGE, journal.activities(2), concurrency=2)
        runner.complete({})
    with running(database, execution, "run-2") as runner, pytest.raises(IncompleteStageError, match="2 of 3"):
        runner.run(STAGE, journal.activities(3), concurrency=2)
    assert sum(journal.calls.values()) == 2


def test_an_activity_under_way_at_the_crash_is_run_again_as_a_new_attempt(database: Database) -> None:
    execution, journal, never = start(database), Journal(), threading.Event()
    with running(database, execution, "run-1") as dead:
        hung = threading.Thread(
            target=_run_to_the_end, args=(dead, [journal.activity(0, lambda: never.wait(LONG_WAIT))]), daemon=True
        )
        hung.start()
        wait_until(lambda: journal.calls[f"{STAGE}-0"])
        with running(database, execution, "run-1") as runner:
            assert runner.run(STAGE, [journal.activity(0)], concurrency=1) == [0]
        hung.join(LONG_WAIT)
        never.set()
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "completed"]}
    assert _only_error(database, execution).type == "WorkerLost"
    assert load(database, execution).checkpoint.stages[STAGE].attempts == 2


def _run_to_the_end(runner: ActivityRunner, activities: list[Any]) -> None:
    with pytest.raises(ClaimLostError):
        runner.run(STAGE, activities, concurrency=1)


def test_each_try_is_a_row_with_its_error(database: Database) -> None:
    execution, journal = start(database), Journal()
    call = FailsFirst([ValueError("first"), KeyError("second")], value=7)
    with running(database, execution) as runner:
        assert runner.run(STAGE, [journal.activity(0, call)], concurrency=1) == [7]
    rows = attempts(database, execution)
    assert [(row.attempt_number, row.status) for row in rows] == [(1, "failed"), (2, "failed"), (3, "completed")]
    assert [row.error and (row.error.type, row.error.message, row.error.attempt) for row in rows] == [
        ("ValueError", "first", 1),
        ("KeyError", "'second'", 2),
        None,
    ]
    assert rows[0].error is not None
    assert "FailsFirst" not in (rows[0].error.stack or "")
    assert "raise self.errors.pop(0)" in (rows[0].error.stack or "")
    assert rows[2].output == 7
    assert all(row.completed_at and row.started_at <= row.completed_at for row in rows)
    assert_consistent(database, execution)


@given(delay=st.floats(0.001, 100), cap=st.floats(0.001, 1_000), made=st.integers(1, 40), asked=st.floats(0, 10_000))
def test_delays_double_up_to_the_cap_and_lose_at_most_half(delay: float, cap: float, made: int, asked: float) -> None:
    policy = RetryPolicy(first_delay=delay, maximum_delay=cap)
    longest = min(delay * 2 ** (made - 1), cap)
    assert longest / 2 <= retry_delay(policy, made, ValueError()) <= longest
    assert retry_delay(policy, made, RetryLaterError("busy", asked)) >= min(asked, 3_600)


def test_a_retry_is_never_earlier_than_the_server_asked_for(database: Database) -> None:
    execution, journal = start(database), Journal()
    call = FailsFirst([RetryLaterError("busy", 0.3)])
    with running(database, execution) as runner:
        runner.run(STAGE, [journal.activity(0, call)], concurrency=1)
    first, second = attempts(database, execution)
    assert first.completed_at is not None
    assert (second.started_at - first.completed_at).total_seconds() >= 0.3


def test_the_next_attempt_waits_as_a_pending_row_which_the_next_run_adopts(database: Database) -> None:
    execution, journal = start(database), Journal()
    slow = RetryPolicy(maximum_attempts=2, first_delay=3_600, maximum_delay=3_600)
    call = FailsFirst([ValueError("first")], value=5)
    with running(database, execution, "run-1") as dead:
        waiting = threading.Thread(
            target=_run_to_the_end, args=(dead, [journal.activity(0, call, retry=slow)]), daemon=True
        )
        waiting.start()
        wait_until(lambda: statuses(database, execution) == {f"{STAGE}-0": ["failed", "pending"]})
        due = _make_pending_due_in(database, execution, 0.3)
        with running(database, execution, "run-1") as runner:
            assert runner.run(STAGE, [journal.activity(0, call, retry=slow)], concurrency=1) == [5]
        waiting.join(LONG_WAIT)
        assert not waiting.is_alive()
    rows = attempts(database, execution)
    assert [(row.attempt_number, row.status, row.epoch) for row in rows] == [(1, "failed", 1), (2, "completed", 2)]
    assert rows[1].started_at >= due
    assert journal.calls[f"{STAGE}-0"] == 2


@pytest.mark.parametrize("error", [PermanentActivityError("never"), InvalidInputError("text", "is bad", "mend it")])
def test_what_no_retry_mends_is_tried_once(database: Database, error: Exception) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner, pytest.raises(ActivityFailedError, match="at attempt 1") as failure:
        runner.run(STAGE, [journal.activity(0, FailsFirst([error]))], concurrency=1)
    assert failure.value.activity_name == f"{STAGE}-0"
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed"]}


def test_attempts_are_used_up_and_a_resume_brings_new_ones(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    call = FailsFirst([ValueError(f"{number}") for number in range(4)], value=9)
    with running(database, execution, "run-1") as runner, pytest.raises(ActivityFailedError, match="at attempt 3"):
        runner.run(STAGE, [journal.activity(0, call)], concurrency=1)
    with running(database, execution, "run-1") as runner:  # the first died before the execution failed
        with pytest.raises(ActivityFailedError, match="at attempt 3 with ValueError: 2"):
            runner.run(STAGE, [journal.activity(0, call)], concurrency=1)
        runner.fail(ERROR)
    assert journal.calls[f"{STAGE}-0"] == 3
    service.resume(execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, [journal.activity(0, call)], concurrency=1) == [9]
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed"] * 4 + ["completed"]}


def test_when_one_fails_for_good_those_under_way_are_recorded_and_none_is_begun(database: Database) -> None:
    execution, journal = start(database), Journal()

    def until_the_other_failed() -> int:
        wait_until(lambda: statuses(database, execution).get(f"{STAGE}-0") == ["failed"])
        return 1

    activities = [
        journal.activity(0, FailsFirst([PermanentActivityError("never")])),
        journal.activity(1, until_the_other_failed),
        *(journal.activity(number) for number in range(2, 10)),
    ]
    with running(database, execution) as runner, pytest.raises(ActivityFailedError):
        runner.run(STAGE, activities, concurrency=2)
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed"], f"{STAGE}-1": ["completed"]}
    assert set(journal.calls) == {f"{STAGE}-0", f"{STAGE}-1"}


class Interrupted(BaseException):
    """What Dagster's handler raises is no `Exception` either."""


def interrupt(*_: object) -> None:
    raise Interrupted


@pytest.fixture
def interrupting() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def _ask_within_the_task() -> None:
    signal.raise_signal(signal.SIGTERM)


def _ask_within_a_callback() -> None:
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)


@pytest.mark.usefixtures("interrupting")
@pytest.mark.parametrize("ask", [_ask_within_the_task, _ask_within_a_callback])
def test_a_process_that_is_asked_to_end_leaves_its_execution_to_the_next(
    database: Database, ask: Callable[[], None]
) -> None:
    """Whatever the event loop is doing when the signal comes: it is neither lost nor a failure of the execution."""
    execution, journal = start(database), Journal()

    async def asks_once() -> int:
        if journal.calls[f"{STAGE}-0"] == 1:
            ask()
            await asyncio.Event().wait()
        return 0

    async def hangs_once() -> int:
        if journal.calls[f"{STAGE}-1"] == 1:
            await asyncio.Event().wait()
        return 1

    activities = [
        journal.async_activity(number, call, timeout=LONG_WAIT, retry=RetryPolicy(maximum_attempts=1))
        for number, call in enumerate((asks_once, hangs_once))
    ]
    with running(database, execution) as runner, pytest.raises(Interrupted):
        runner.run(STAGE, activities, concurrency=2)
    assert signal.getsignal(signal.SIGTERM) is interrupt
    assert load(database, execution).status is ExecutionStatus.RUNNING
    assert statuses(database, execution) == {f"{STAGE}-0": ["running"], f"{STAGE}-1": ["running"]}
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, activities, concurrency=2) == [0, 1]


def test_a_coroutine_that_takes_too_long_is_cancelled_recorded_and_tried_again(database: Database) -> None:
    execution, journal, cancelled = start(database), Journal(), threading.Event()

    async def hangs_once() -> int:
        if journal.calls[f"{STAGE}-0"] > 1:
            return 3
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    with running(database, execution) as runner:
        assert runner.run(STAGE, [journal.async_activity(0, hangs_once, timeout=0.1)], concurrency=1) == [3]
    assert cancelled.is_set()
    error = _only_error(database, execution)
    assert (error.type, error.message) == ("TimeoutError", "no result within 0.1 s")


def test_a_blocking_call_that_takes_too_long_is_given_up_and_does_not_hold_back_its_retry(database: Database) -> None:
    execution, journal, release = start(database), Journal(), threading.Event()

    def hangs_once() -> int:
        if journal.calls[f"{STAGE}-0"] == 1:
            release.wait(LONG_WAIT)
        return 4

    with running(database, execution) as runner:
        assert runner.run(STAGE, [journal.activity(0, hangs_once, timeout=0.2)], concurrency=1) == [4]
    release.set()
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "completed"]}
    error = _only_error(database, execution)
    assert (error.type, error.message) == ("TimeoutError", "no result within 0.2 s")


@pytest.mark.parametrize(
    ("output", "output_type"),
    [
        ("NUL \x00", str),
        ("lone \ud800", str),
        (object(), Any),
        ({"key": {1, object()}}, Any),
        ("not a number", int),
        (float("nan"), float),
    ],
    ids=["NUL", "surrogate", "object", "nested object", "other type", "not a number"],
)
def test_an_output_that_cannot_be_stored_and_read_back_is_a_failed_attempt(
    database: Database, output: object, output_type: Any
) -> None:
    execution, journal = start(database), Journal()
    activities = [journal.activity(0, lambda: output, output_type=output_type), journal.activity(1)]
    with running(database, execution) as runner:
        with pytest.raises(ActivityFailedError, match="PermanentActivityError"):
            runner.run(STAGE, activities, concurrency=1)
        assert runner.run("entities", [journal.activity(1)], concurrency=1) == [1]
    assert statuses(database, execution)[f"{STAGE}-0"] == ["failed"]


@pytest.mark.parametrize("output", ["\\u0000", "\\\\u0000", "\U0001f469\u200d\U0001f52c", "\u2028", ""])
def test_text_that_only_looks_like_trouble_is_stored(database: Database, output: str) -> None:
    execution, journal = start(database), Journal()
    for run in ("run-1", "run-1"):
        with running(database, execution, run) as runner:
            activity = journal.activity(0, lambda: output, output_type=str)
            assert runner.run(STAGE, [activity], concurrency=1) == [output]
    assert sum(journal.calls.values()) == 1


def test_typed_outputs_survive_their_storage(database: Database) -> None:
    execution, journal = start(database), Journal()
    value = (datetime(1815, 12, 10, 12, 30, tzinfo=UTC), frozenset({1, 2}), b"bytes", {3: (4, 5)})
    kind = tuple[datetime, frozenset[int], bytes, dict[int, tuple[int, int]]]
    for _ in range(2):
        with running(database, execution, "run-1") as runner:
            activity = journal.activity(0, lambda: value, output_type=kind)
            assert runner.run(STAGE, [activity], concurrency=1) == [value]
    assert sum(journal.calls.values()) == 1


@pytest.mark.parametrize(
    ("output", "output_type"),
    [
        ({"pair": (1, 2)}, dict[str, Any]),
        ({"longer": 1, "b": {"yy": 2, "x": 3}, "a": 4, "\u00e9": 5}, dict[str, Any]),
        (Strict(pair=(1, 2), when=datetime(1815, 12, 10, tzinfo=UTC)), Strict),
        (datetime(1815, 12, 10, tzinfo=UTC), datetime | str),
        ([-0.0, 1e16, 1.5e300, 1e-7, 0.1, 5e-324], list[float]),
        ([-0.0, 1e16, 1.5e300, 1e-7, 0.1, 5e-324], list[Any]),
    ],
    ids=["a tuple", "keys", "a strict model", "a union", "numbers", "numbers without a type"],
)
def test_the_run_that_records_an_output_and_the_run_that_recalls_it_see_the_same(
    database: Database, output: Any, output_type: Any
) -> None:
    execution, journal = start(database), Journal()
    seen = []
    for _ in range(2):
        with running(database, execution, "run-1") as runner:
            activity = journal.activity(0, lambda: output, output_type=output_type)
            seen.append(runner.run(STAGE, [activity], concurrency=1))
    assert repr(seen[0]) == repr(seen[1])  # which tells the order of keys, and the sign of zero
    assert sum(journal.calls.values()) == 1


@pytest.mark.parametrize(
    "error", [UnsayableError(), UnsayableTimeoutError(), StopIteration(1), asyncio.CancelledError(), ValueError("\x00")]
)
def test_whatever_a_blocking_call_raises_is_a_recorded_failure(database: Database, error: BaseException) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        activity = journal.activity(0, FailsFirst([error], value=6), timeout=LONG_WAIT)
        assert runner.run(STAGE, [activity], concurrency=1) == [6]
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "completed"]}


def test_a_coroutine_that_is_cancelled_from_within_is_a_recorded_failure(database: Database) -> None:
    execution, journal = start(database), Journal()

    async def awaits_a_cancelled_task() -> int:
        if journal.calls[f"{STAGE}-0"] == 1:
            task = asyncio.create_task(asyncio.sleep(LONG_WAIT))
            task.cancel()
            await task
        return 8

    with running(database, execution) as runner:
        assert runner.run(STAGE, [journal.async_activity(0, awaits_a_cancelled_task)], concurrency=1) == [8]
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "completed"]}


def test_as_many_run_at_once_as_allowed_and_no_more(database: Database) -> None:
    execution, journal = start(database), Journal()
    together, lock, now, most = threading.Barrier(4), threading.Lock(), [0], [0]

    def meets_three_others() -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(LONG_WAIT)
        with lock:
            now[0] -= 1
        return 0

    activities = [journal.activity(number, meets_three_others) for number in range(12)]
    with running(database, execution) as runner:
        runner.run(STAGE, activities, concurrency=4)
    assert most == [4]
    assert len(completed(database, execution)) == 12


def test_as_many_coroutines_are_in_flight_as_allowed_and_no_more(database: Database) -> None:
    execution, journal, now, most = start(database), Journal(), [0], [0]

    async def meets_three_others() -> int:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await together.wait()
        now[0] -= 1
        return 0

    together = asyncio.Barrier(4)
    activities = [journal.async_activity(number, meets_three_others, timeout=LONG_WAIT) for number in range(12)]
    with running(database, execution) as runner:
        runner.run(STAGE, activities, concurrency=4)
    assert most == [4]


def test_hundreds_of_coroutines_are_in_flight_together(database: Database) -> None:
    execution, journal, count = start(database), Journal(), 300

    async def until_all_are_here() -> int:
        if sum(journal.calls.values()) == count:
            everyone.set()
        await everyone.wait()
        return 1

    everyone = asyncio.Event()
    activities = [journal.async_activity(number, until_all_are_here) for number in range(count)]
    with running(database, execution) as runner:
        assert sum(runner.run(STAGE, activities, concurrency=count)) == count
    assert_consistent(database, execution)


@pytest.mark.parametrize("change", [{"code_version": "2"}, {"input": Number(number=99)}], ids=["code", "input"])
def test_other_code_or_another_input_retires_the_checkpoint(database: Database, change: dict[str, Any]) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution, "run-1") as runner:
        runner.run(STAGE, journal.activities(2), concurrency=1)
    changed = replace(journal.activity(0, lambda: 10), **change)
    with running(database, execution, "run-1") as runner:
        assert runner.run(STAGE, [changed, journal.activity(1)], concurrency=1) == [10, 1]
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "completed"], f"{STAGE}-1": ["completed"]}
    assert _only_error(database, execution).type == "CheckpointRetired"
    assert load(database, execution).checkpoint.stages[STAGE].done == 2


def test_an_adopted_attempt_records_the_code_and_input_that_it_ran_with(database: Database) -> None:
    execution, journal = start(database), Journal()
    slow = RetryPolicy(maximum_attempts=2, first_delay=3_600, maximum_delay=3_600)
    call = FailsFirst([ValueError("first")], value=5)
    with running(database, execution, "run-1") as dead:
        waiting = threading.Thread(
            target=_run_to_the_end, args=(dead, [journal.activity(0, call, retry=slow)]), daemon=True
        )
        waiting.start()
        wait_until(lambda: statuses(database, execution) == {f"{STAGE}-0": ["failed", "pending"]})
        _make_pending_due_in(database, execution, 0)
        for _ in range(2):
            with running(database, execution, "run-1") as runner:
                newer = journal.activity(0, call, code_version="2")
                assert runner.run(STAGE, [newer], concurrency=1) == [5]
        waiting.join(LONG_WAIT)
    assert journal.calls[f"{STAGE}-0"] == 2
    row = next(row for row in attempts(database, execution) if row.status is ActivityStatus.COMPLETED)
    assert row.code_version == "2"


def test_a_stage_without_activities_is_complete(database: Database) -> None:
    execution = start(database)
    with running(database, execution) as runner:
        assert runner.run(STAGE, [], concurrency=4) == []
    assert load(database, execution).checkpoint.stages[STAGE].total == 0


def test_a_failed_execution_has_no_attempt_under_way(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        runner.run(STAGE, journal.activities(1), concurrency=1)
        assert runner._writer is not None
        attempt = new_attempt(load(database, execution), activity_name=f"{STAGE}-7")
        runner._writer.commit(StartAttempt(attempt=attempt)).result()
        runner.fail(ERROR)
    assert load(database, execution).status is ExecutionStatus.FAILED
    assert statuses(database, execution) == {f"{STAGE}-0": ["completed"], f"{STAGE}-7": ["failed"]}


def test_a_runner_without_an_epoch_commits_nothing(database: Database) -> None:
    execution = start(database)
    held = claim(database, execution)
    reading = Claim(execution=held.execution, dagster_run_id="run-2", epoch=None)
    before = load(database, execution)
    runner = ActivityRunner(database, reading, lease_seconds=LONG_LEASE)
    runner.complete({"sum": 0})
    runner.close()
    assert load(database, execution) == before


def _make_pending_due_in(database: Database, execution_id: WorkflowExecutionId, seconds: float) -> datetime:
    """Let most of the wait for a retry be over; when the rest will be."""
    with database.transaction() as tables:
        statement = (
            "UPDATE knowledge_workflow_activity SET started_at = clock_timestamp() + make_interval(secs => :seconds) "
            "WHERE workflow_execution_id = :id AND status = 'pending' RETURNING started_at"
        )
        due: datetime = tables.connection.execute(
            text(statement), {"id": execution_id, "seconds": seconds}
        ).scalar_one()
        return due


def _only_error(database: Database, execution_id: WorkflowExecutionId) -> ErrorInfo:
    (error,) = [row.error for row in attempts(database, execution_id) if row.error is not None]
    return error


def test_the_last_activity_and_its_execution_are_completed_in_one_transaction(database: Database) -> None:
    execution, journal = start(database), Journal()
    seen: list[tuple[list[str], ExecutionStatus]] = []
    points: list[faults.FaultPoint] = ["before_completion_commit", "after_checkpoint_commit"]
    for point in points:
        faults.inject(point, lambda _: seen.append((completed(database, execution), load(database, execution).status)))
    with running(database, execution) as runner:
        assert runner.run_last(STAGE, journal.activity(0, lambda: {"found": 7}, output_type=dict)) == {"found": 7}
        assert runner.find_outputs(STAGE) == [{"found": 7}]
    assert seen == [([], ExecutionStatus.RUNNING), ([f"{STAGE}-0"], ExecutionStatus.COMPLETED)]
    with database.transaction() as tables:
        assert tables.executions.load_output(execution) == {"found": 7}
    assert_consistent(database, execution)


def test_a_last_activity_that_was_recorded_before_is_recalled_and_completes_its_execution(database: Database) -> None:
    execution, journal = start(database), Journal()
    last = journal.activity(0, lambda: {"found": 7}, output_type=dict)
    with running(database, execution) as runner:
        runner.run(STAGE, [last, journal.activity(1)], concurrency=1)
    with running(database, execution) as runner:
        assert runner.run_last(STAGE, last) == {"found": 7}
    assert journal.calls[last.name] == 1
    assert load(database, execution).status is ExecutionStatus.COMPLETED
    assert statuses(database, execution)[f"{STAGE}-1"] == ["failed"]  # the present code does not have it
    assert load(database, execution).checkpoint.stages[STAGE].total == 1


def test_a_last_activity_retires_what_the_present_code_does_not_have(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        runner.run(STAGE, [journal.activity(1)], concurrency=1)
    with running(database, execution) as runner:
        runner.run_last(STAGE, journal.activity(0, lambda: {"found": 7}, output_type=dict))
    assert statuses(database, execution) == {f"{STAGE}-0": ["completed"], f"{STAGE}-1": ["failed"]}
    assert load(database, execution).status is ExecutionStatus.COMPLETED
    assert load(database, execution).checkpoint.stages[STAGE].total == 1


def test_a_last_activity_that_fails_leaves_its_execution_running(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner, pytest.raises(ActivityFailedError):
        runner.run_last(STAGE, journal.activity(0, FailsFirst([PermanentActivityError("no")]), output_type=dict))
    assert load(database, execution).status is ExecutionStatus.RUNNING
    assert_consistent(database, execution)
