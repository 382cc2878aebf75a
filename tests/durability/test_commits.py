"""One transaction for what an activity reached: after any failure all of it is there, or none, and never twice."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.exc import DataError, IntegrityError

from beep_orchestration import faults
from beep_orchestration.changes import (
    BeginStage,
    Change,
    ChangeGroup,
    CompleteAttempt,
    EndExecution,
    FailAttempt,
    StartAttempt,
)
from beep_orchestration.commits import CheckpointWriter
from beep_orchestration.endings import cancel_execution
from beep_orchestration.errors import ClaimLostError, DatabaseUnavailableError, ExecutionCancelledError
from beep_orchestration.faults import FaultPoint
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import PROGRESS_SIGNAL, ActivityStatus, ExecutionStatus
from beep_orchestration.persistence import Database, WorkflowPersistence
from beep_orchestration.persistence.activities import NewAttempt
from tests.durability.worker import calls, journalled, run_and_die
from tests.durability.workflow import (
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
    signals,
    snapshot,
    start,
    statuses,
)
from tests.factories import ERROR, new_attempt, with_signal
from tests.postgres import end_sessions, opened
from tests.waiting import wait_until

COUNT = 4
CHECKPOINT_POINTS: list[FaultPoint] = ["before_checkpoint_commit", "after_checkpoint_commit"]
ATTEMPT_POINTS: list[FaultPoint] = ["before_attempt_commit", "after_attempt_commit"]
LONG_WAIT = 30.0


class Unreliable(Database):
    """A database whose connection is lost around the writer's commits that are chosen by number, counted from 1."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.number = 0
        self.before: Callable[[int], bool] = bool_of_nothing
        self.after: Callable[[int], bool] = bool_of_nothing
        self.when_lost: Callable[[], object] = list

    @contextmanager
    def transaction(self) -> Iterator[WorkflowPersistence]:
        if threading.current_thread().name != "checkpoint-writer":
            with super().transaction() as tables:
                yield tables
            return
        with self._lossy() as number, super().transaction() as tables:
            yield tables
            self._lose_if(self.before(number))

    @contextmanager
    def statement(self) -> Iterator[WorkflowPersistence]:
        with self._lossy() as number:
            self._lose_if(self.before(number))  # what a statement wrote is committed when it has ended
            with super().statement() as tables:
                yield tables

    @contextmanager
    def _lossy(self) -> Iterator[int]:
        self.number += 1
        number = self.number
        try:
            yield number
        except DatabaseUnavailableError:
            self.when_lost()
            raise
        self._lose_if(self.after(number))

    def _lose_if(self, is_lost: bool) -> None:  # noqa: FBT001 - the one thing to say
        if is_lost:
            raise DatabaseUnavailableError(self.safe_url, "lost")


def bool_of_nothing(_: int) -> bool:
    return False


@contextmanager
def unreliable_database(url: str) -> Iterator[Unreliable]:
    database = Unreliable(url)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def writer_of(database: Database, execution: WorkflowExecutionId) -> Iterator[CheckpointWriter]:
    writer = CheckpointWriter(database, claim(database, execution), lease_seconds=LONG_LEASE)
    try:
        yield writer
    finally:
        writer.close()


def begun(database: Database, writer: CheckpointWriter, execution: WorkflowExecutionId, count: int) -> list[NewAttempt]:
    """Attempts of that many activities, under way."""
    row = load(database, execution)
    made = [new_attempt(row, activity_name=f"{STAGE}-{number}", activity_type=STAGE) for number in range(count)]
    writer.commit(BeginStage(activity_type=STAGE, total=count, done=0)).result(LONG_WAIT)
    wait_all([writer.commit(StartAttempt(attempt=attempt)) for attempt in made])
    return made


def wait_all(futures: list[Future[None]]) -> None:
    for future in futures:
        future.result(LONG_WAIT)


@pytest.mark.parametrize("together", [True, False])
def test_a_signal_that_feeds_a_checkpoint_feeds_no_other(database: Database, together: bool) -> None:  # noqa: FBT001
    """Whether both are committed in one transaction or one after the other: the second is refused as a whole."""
    execution = start(database)
    with database.transaction() as tables:
        signal = with_signal(tables, execution)
    with writer_of(database, execution) as writer:
        attempts_made = begun(database, writer, execution, 2)
        changes = [CompleteAttempt(attempt=each, output="1", consumed=(signal.id,)) for each in attempts_made]
        if together:
            futures = writer.commit_together(*changes)
        else:
            writer.commit(changes[0]).result(LONG_WAIT)
            futures = [writer.commit(changes[1])]
        with pytest.raises(ClaimLostError, match="a signal was consumed by another"):
            futures[-1].result(LONG_WAIT)
    assert completed(database, execution) == ([] if together else [f"{STAGE}-0"])
    with database.transaction() as tables:
        (row,) = tables.signals.load_named(execution, ["approve"])
    assert row.consumed_by == (None if together else attempts_made[0].id)
    assert_consistent(database, execution)


@pytest.mark.parametrize("index", range(COUNT))
@pytest.mark.parametrize("point", CHECKPOINT_POINTS)
def test_a_worker_killed_around_a_checkpoint_leaves_all_of_it_or_none(
    database: Database, database_url: str, tmp_path: Path, point: FaultPoint, index: int
) -> None:
    execution, journal = start(database), tmp_path / "journal"
    run_and_die(database_url, execution, journal, COUNT, (point, f"{STAGE}-{index}"))
    done = index if point == "before_checkpoint_commit" else index + 1
    assert completed(database, execution) == [f"{STAGE}-{number}" for number in range(done)]
    assert_consistent(database, execution)
    end_leases(database, execution)
    with running(database, execution, "run-next") as runner:
        assert runner.run(STAGE, journalled(journal, COUNT), concurrency=1) == list(range(COUNT))
    expected = [2 if number == index and number == done else 1 for number in range(COUNT)]
    assert [calls(journal, number) for number in range(COUNT)] == expected
    assert_consistent(database, execution)
    open_rows = [row for row in attempts(database, execution) if row.status is ActivityStatus.RUNNING]
    assert open_rows == []


@pytest.mark.parametrize("point", ATTEMPT_POINTS)
def test_a_worker_killed_around_the_start_of_an_attempt_loses_nothing(
    database: Database, database_url: str, tmp_path: Path, point: FaultPoint
) -> None:
    execution, journal = start(database), tmp_path / "journal"
    run_and_die(database_url, execution, journal, COUNT, (point, f"{STAGE}-2"))
    assert calls(journal, 2) == 0
    end_leases(database, execution)
    with running(database, execution, "run-next") as runner:
        assert runner.run(STAGE, journalled(journal, COUNT), concurrency=1) == list(range(COUNT))
    is_begun = point == "after_attempt_commit"
    # The transaction that begins it completes the activity before it, which is therefore run again if it is lost.
    assert [calls(journal, number) for number in range(COUNT)] == [1, 1 if is_begun else 2, 1, 1]
    assert statuses(database, execution)[f"{STAGE}-2"] == (["failed", "completed"] if is_begun else ["completed"])
    assert statuses(database, execution)[f"{STAGE}-1"] == (["completed"] if is_begun else ["failed", "completed"])


@pytest.mark.parametrize("point", ["before_completion_commit", "after_completion_commit"])
def test_a_worker_killed_around_the_completion_completes_once(
    database: Database, database_url: str, tmp_path: Path, point: FaultPoint
) -> None:
    execution, journal = start(database), tmp_path / "journal"
    run_and_die(database_url, execution, journal, COUNT, (point, execution))
    is_completed = point == "after_completion_commit"
    assert (load(database, execution).status is ExecutionStatus.COMPLETED) == is_completed
    end_leases(database, execution)
    with running(database, execution, "run-next") as runner:
        assert runner.run(STAGE, journalled(journal, COUNT), concurrency=1) == list(range(COUNT))
        runner.complete({"by": "run-next"})
    with database.transaction() as tables:
        assert tables.executions.load_output(execution) == {"by": "run-dead" if is_completed else "run-next"}
    assert [calls(journal, number) for number in range(COUNT)] == [1] * COUNT


@pytest.mark.parametrize("point", CHECKPOINT_POINTS)
def test_a_process_that_fails_around_a_commit_leaves_all_of_it_or_none(database: Database, point: FaultPoint) -> None:
    execution, journal = start(database), Journal()

    def fail(activity_name: str) -> None:
        if activity_name == f"{STAGE}-1":
            raise RuntimeError("broken on purpose")

    faults.inject(point, fail)
    with running(database, execution) as runner, pytest.raises(RuntimeError, match="broken on purpose"):
        runner.run(STAGE, journal.activities(3), concurrency=1)
    faults.clear()
    done = 1 if point == "before_checkpoint_commit" else 2
    assert len(completed(database, execution)) == done
    assert_consistent(database, execution)
    with running(database, execution) as runner:
        assert runner.run(STAGE, journal.activities(3), concurrency=1) == [0, 1, 2]
    assert journal.calls[f"{STAGE}-1"] == 3 - done
    assert_consistent(database, execution)


@pytest.mark.parametrize("loss", ["before", "after"])
@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_connection_lost_around_a_commit_doubles_nothing_and_loses_nothing(
    database: Database, database_url: str, loss: str, phase: int
) -> None:
    execution, journal = start(database), Journal()
    with unreliable_database(database_url) as unreliable, running(unreliable, execution) as runner:
        setattr(unreliable, loss, lambda number: number % 3 == phase)
        assert runner.run(STAGE, journal.activities(12), concurrency=2) == list(range(12))
        runner.complete({"sum": 66})
        assert unreliable.number > 8
    assert set(journal.calls.values()) == {1}
    assert set(map(tuple, statuses(database, execution).values())) == {("completed",)}
    assert_consistent(database, execution)
    row = load(database, execution)
    assert (row.status, row.checkpoint.stages[STAGE].attempts) == (ExecutionStatus.COMPLETED, 12)


def test_a_failure_whose_answer_was_lost_is_recorded_once(database: Database, database_url: str) -> None:
    execution, journal = start(database), Journal()
    call = FailsFirst([ValueError("first"), ValueError("second")], value=1)
    with unreliable_database(database_url) as unreliable, running(unreliable, execution) as runner:
        unreliable.after = lambda number: number % 2 == 1
        assert runner.run(STAGE, [journal.activity(0, call)], concurrency=1) == [1]
    assert statuses(database, execution) == {f"{STAGE}-0": ["failed", "failed", "completed"]}
    assert_consistent(database, execution)


class StillCommitting(Database):
    """Its next commit goes on in the server after the connection was lost, until somebody waits for the row's lock."""

    is_armed = False
    late_commit: threading.Thread

    def arm(self) -> None:
        faults.clear()
        self.is_armed = True

    @contextmanager
    def statement(self) -> Iterator[WorkflowPersistence]:
        if not self.is_armed:
            with super().statement() as tables:
                yield tables
            return
        self.is_armed = False
        connection = self.engine.connect()
        transaction = connection.begin()
        yield WorkflowPersistence(connection)

        def commit_late() -> None:
            wait_until(self._somebody_waits_for_a_lock)
            transaction.commit()
            connection.close()

        self.late_commit = threading.Thread(target=commit_late)
        self.late_commit.start()
        raise DatabaseUnavailableError(self.safe_url, "lost during the commit")

    def _somebody_waits_for_a_lock(self) -> bool:
        with self.engine.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one())


def test_a_commit_that_the_server_is_still_at_is_waited_for_and_not_made_twice(
    database: Database, database_url: str
) -> None:
    execution, late = start(database), StillCommitting(database_url)
    with writer_of(late, execution) as writer:
        attempt = begun(database, writer, execution, 1)[0]
        faults.inject("before_checkpoint_commit", lambda _: late.arm())
        writer.commit(CompleteAttempt(attempt=attempt, output="1")).result(LONG_WAIT)
        late.late_commit.join(LONG_WAIT)
    late.close()
    assert completed(database, execution) == [f"{STAGE}-0"]
    assert_consistent(database, execution)


def _cancelled(database: Database, execution: WorkflowExecutionId) -> None:
    with database.transaction() as tables:
        assert cancel_execution(tables, execution)


CHANGES: dict[str, Callable[[NewAttempt], Change]] = {
    "complete": lambda attempt: CompleteAttempt(attempt=attempt, output="1"),
    "fail": lambda attempt: FailAttempt(attempt=attempt, error=ERROR),
    "end": lambda _: EndExecution(output={}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(
    ("rival", "refusal"),
    [(_cancelled, ExecutionCancelledError), (claim, ClaimLostError)],
    ids=["cancelled", "claimed"],
)
def test_a_repeated_commit_is_refused_when_the_execution_is_no_longer_this_runs(
    database_url: str,
    rival: Callable[[Database, WorkflowExecutionId], object],
    refusal: type[Exception],
    change: Callable[[NewAttempt], Change],
) -> None:
    with opened(database_url) as database, unreliable_database(database_url) as unreliable:
        execution = start(database)

        def rival_wins() -> None:
            unreliable.before, unreliable.when_lost = bool_of_nothing, list
            rival(database, execution)
            after_rival.append(snapshot(database, execution))

        after_rival: list[object] = []
        with writer_of(unreliable, execution) as writer:
            attempt = begun(database, writer, execution, 1)[0]
            unreliable.before, unreliable.when_lost = lambda _: True, rival_wins
            with pytest.raises(refusal):
                writer.commit(change(attempt)).result(LONG_WAIT)
        assert [snapshot(database, execution)] == after_rival


def test_an_execution_goes_on_when_the_server_ends_every_session(database: Database, database_url: str) -> None:
    execution, journal, ended, one_by_one = start(database), Journal(), [], threading.Lock()

    def ends_the_sessions(number: int) -> int:
        if number % 3 == 0:
            with one_by_one:
                ended.append(wait_until(lambda: end_sessions(database_url), description="a session to end"))
        return number

    activities = [journal.activity(number, partial(ends_the_sessions, number)) for number in range(12)]
    with running(database, execution) as runner:
        assert runner.run(STAGE, activities, concurrency=3) == list(range(12))
        runner.complete({"sum": 66})
    assert min(ended) >= 1
    assert set(journal.calls.values()) == {1}
    assert_consistent(database, execution)


def test_progress_is_gap_free_beside_signals_that_are_sent_meanwhile(database: Database) -> None:
    execution, journal, count = start(database), Journal(), 20

    def is_signalled(number: int) -> int:
        with database.transaction() as tables:
            with_signal(tables, execution)
        return number

    activities = [journal.activity(number, partial(is_signalled, number)) for number in range(count)]
    with running(database, execution) as runner:
        runner.run(STAGE, activities, concurrency=5)
    assert_consistent(database, execution)
    sent = signals(database, execution)
    assert len([signal for signal in sent if signal.signal_name == "approve"]) == count
    assert [signal.created_at for signal in sent] == sorted(signal.created_at for signal in sent)
    done = [signal.payload["done"] for signal in sent if signal.signal_name == PROGRESS_SIGNAL]
    assert done == list(range(count + 1))


def test_changes_that_wait_at_the_same_moment_share_a_transaction(database: Database, database_url: str) -> None:
    execution, count = start(database), 50
    release = threading.Event()
    with unreliable_database(database_url) as counted, writer_of(counted, execution) as writer:
        made = begun(database, writer, execution, count)
        before = counted.number
        faults.inject("before_checkpoint_commit", lambda _: _wait_for(release))
        futures = [writer.commit(CompleteAttempt(attempt=attempt, output="1")) for attempt in made]
        release.set()
        wait_all(futures)
        assert 1 <= counted.number - before <= 2
    assert len(completed(database, execution)) == count
    assert_consistent(database, execution)


def test_whoever_waits_for_a_commit_goes_on_only_when_it_is_durable(database: Database, database_url: str) -> None:
    execution = start(database)
    seen: list[ActivityStatus | None] = []

    def look_at(attempt: NewAttempt, _: Future[None]) -> None:
        seen.append(_status(database, attempt))

    with opened(database_url) as writing, writer_of(writing, execution) as writer:
        for attempt in begun(database, writer, execution, 10):
            future = writer.commit(CompleteAttempt(attempt=attempt, output="1"))
            future.add_done_callback(partial(look_at, attempt))
    assert seen == [ActivityStatus.COMPLETED] * 10


def test_no_change_waits_for_ever_when_the_writer_has_stopped(database: Database) -> None:
    execution = start(database)
    with writer_of(database, execution) as writer:
        made = begun(database, writer, execution, 3)
        claim(database, execution)
        futures = [writer.commit(CompleteAttempt(attempt=attempt, output="1")) for attempt in made]
        for future in futures:
            with pytest.raises(ClaimLostError):
                future.result(LONG_WAIT)
        with pytest.raises(ClaimLostError):
            writer.commit(EndExecution(error=ERROR)).result(LONG_WAIT)
    assert completed(database, execution) == []


def test_a_waiter_that_gives_up_does_not_end_the_writer(database: Database) -> None:
    execution, release = start(database), threading.Event()
    with writer_of(database, execution) as writer:
        made = begun(database, writer, execution, 2)
        faults.inject("before_checkpoint_commit", lambda _: _wait_for(release))

        async def gives_up() -> None:
            waiter = asyncio.ensure_future(asyncio.wrap_future(futures[0]))
            await asyncio.sleep(0)
            waiter.cancel()

        futures = [writer.commit(CompleteAttempt(attempt=made[0], output="1"))]
        asyncio.run(gives_up())
        release.set()
        writer.commit(CompleteAttempt(attempt=made[1], output="2")).result(LONG_WAIT)
    assert len(completed(database, execution)) == 2


def test_a_change_that_the_tables_refuse_leaves_the_writer_at_work(database: Database) -> None:
    execution = start(database)
    with writer_of(database, execution) as writer:
        made = begun(database, writer, execution, 1)
        with pytest.raises(DataError):
            writer.commit(CompleteAttempt(attempt=made[0], output="no JSON")).result(LONG_WAIT)
        writer.commit(CompleteAttempt(attempt=made[0], output="1")).result(LONG_WAIT)
    assert_consistent(database, execution)
    assert len(completed(database, execution)) == 1


def test_an_execution_is_not_completed_with_an_output_that_the_tables_refuse(database: Database) -> None:
    execution = start(database)
    with writer_of(database, execution) as writer:
        [attempt] = begun(database, writer, execution, 1)
        refused = CompleteAttempt(attempt=attempt, output="no JSON")
        with pytest.raises(DataError):
            writer.commit(EndExecution(output={}, last=refused)).result(LONG_WAIT)
        assert load(database, execution).status is ExecutionStatus.RUNNING
        taken = CompleteAttempt(attempt=attempt, output="{}")
        writer.commit(EndExecution(output={}, last=taken)).result(LONG_WAIT)
    assert load(database, execution).status is ExecutionStatus.COMPLETED
    assert completed(database, execution) == [attempt.activity_name]
    assert_consistent(database, execution)


def test_connections_that_were_opened_ahead_and_lost_since_are_replaced(database: Database, database_url: str) -> None:
    execution, journal = start(database), Journal()
    database.warm_up()
    assert end_sessions(database_url)
    with running(database, execution) as runner:
        assert runner.run(STAGE, journal.activities(3), concurrency=2) == [0, 1, 2]
    assert set(journal.calls.values()) == {1}


def test_of_changes_that_belong_together_the_refused_one_takes_no_other_with_it(database: Database) -> None:
    execution = start(database)
    with writer_of(database, execution) as writer:
        bad, good = begun(database, writer, execution, 2)
        following = new_attempt(load(database, execution), activity_name=f"{STAGE}-7", activity_type=STAGE)
        refused, started = writer.commit_together(
            CompleteAttempt(attempt=bad, output="no JSON"), StartAttempt(attempt=following)
        )
        completed_one, started_twice = writer.commit_together(
            CompleteAttempt(attempt=good, output="1"), StartAttempt(attempt=following)
        )
        started.result(LONG_WAIT)
        completed_one.result(LONG_WAIT)
        with pytest.raises(DataError):
            refused.result(LONG_WAIT)
        with pytest.raises(IntegrityError):
            started_twice.result(LONG_WAIT)
    assert completed(database, execution) == [f"{STAGE}-1"]
    assert statuses(database, execution)[f"{STAGE}-7"] == ["running"]
    assert_consistent(database, execution)


def _commit_a_stage(database: Database, execution: WorkflowExecutionId) -> None:
    with writer_of(database, execution) as writer:
        first, second, third = begun(database, writer, execution, 3)
        following = new_attempt(load(database, execution), activity_name=f"{STAGE}-7", activity_type=STAGE)
        wait_all(
            writer.commit_together(
                CompleteAttempt(attempt=first, output='{"text": "\\u2028 and \\\\u0000"}'),
                CompleteAttempt(attempt=second, output="[1, null]"),
                StartAttempt(attempt=following),
            )
        )
        writer.commit(FailAttempt(attempt=third, error=ERROR)).result(LONG_WAIT)
        writer.commit(CompleteAttempt(attempt=following, output="3")).result(LONG_WAIT)


def test_one_statement_writes_what_several_would(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of the usual changes go as one statement; the long way remains for those with other changes."""
    at_once, one_by_one = start(database), start(database)
    _commit_a_stage(database, at_once)
    monkeypatch.setattr(ChangeGroup, "is_plain", False)
    _commit_a_stage(database, one_by_one)
    assert _without_ids_and_times(database, at_once) == _without_ids_and_times(database, one_by_one)


def test_the_usual_changes_are_one_statement(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    execution, journal = start(database), Journal()
    monkeypatch.setattr(CheckpointWriter, "_write", _must_not_be_called)
    with running(database, execution) as runner:
        assert runner.run(STAGE, journal.activities(5), concurrency=2) == [0, 1, 2, 3, 4]


def _must_not_be_called(*_: object, **__: object) -> None:
    raise AssertionError


def _without_ids_and_times(database: Database, execution: WorkflowExecutionId) -> object:
    row = load(database, execution)
    made = [
        replace(attempt, id=None, workflow_execution_id=None, started_at=None, completed_at=None, wait_seconds=0)
        for attempt in attempts(database, execution)
    ]
    told = [(s.sequence, s.signal_name, s.organization_id, s.payload) for s in signals(database, execution)]
    return row.status, row.epoch, row.launches, row.current_activity, row.checkpoint, made, told


def _wait_for(event: threading.Event) -> None:
    assert event.wait(LONG_WAIT)


def _status(database: Database, attempt: NewAttempt) -> ActivityStatus | None:
    with database.transaction() as tables:
        return tables.activities.find_status(attempt.id)
