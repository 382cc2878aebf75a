"""The history of an execution is whole, in order, and enough to rebuild its status at any time."""

import threading
import tracemalloc
from collections.abc import Callable
from itertools import islice, pairwise

import pytest
from sqlalchemy import text

from beep_orchestration.activities import Activity, ActivityRunner
from beep_orchestration.errors import ExecutionCancelledError, InvalidInputError, WorkflowNotFoundError
from beep_orchestration.events import (
    AttemptDue,
    AttemptEnded,
    AttemptStarted,
    HistoryEntry,
    Progress,
    RunEnded,
    RunLaunched,
    SignalSent,
    StateChanged,
)
from beep_orchestration.history import read_history
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ActivityStatus, RetryPolicy, RunOutcome, StateChange
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.durability.histories import Rebuilt, rebuilt
from tests.durability.workflow import STAGE, FailsFirst, Journal, running, start
from tests.factories import OTHER_ORGANIZATION, accepted, with_signal
from tests.waiting import wait_until

MANY = 20_000
LATER = RetryPolicy(maximum_attempts=3, first_delay=3_600, maximum_delay=3_600)


def _history(service: WorkflowService, execution_id: str) -> list[HistoryEntry]:
    return list(service.history(execution_id))


def _words(entries: list[HistoryEntry]) -> list[str]:
    return [_word(entry) for entry in entries]


def _word(entry: HistoryEntry) -> str:
    match entry:
        case StateChanged():
            return str(entry.change)
        case Progress():
            return f"{entry.done}/{entry.total}"
        case SignalSent():
            return entry.signal_name
        case AttemptStarted() | AttemptDue() | AttemptEnded():
            return f"{entry.activity_name}#{entry.attempt} {entry.kind.removeprefix('attempt_')}"
        case RunLaunched() | RunEnded():
            return f"{entry.dagster_run_id} {entry.kind.removeprefix('run_')}"


def test_every_attempt_signal_run_and_change_is_there_in_order(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner:
        flaky = journal.activity(0, FailsFirst([ValueError("once")], 7))
        assert runner.run(STAGE, [flaky], concurrency=1) == [7]
        with database.transaction() as tables:
            with_signal(tables, execution, signal_name="note", payload={"by": "ada"}, sender_key="note-1")
        runner.complete({"entities": []})
    with database.transaction() as tables:
        assert tables.runs.end("run-1", RunOutcome.SUCCEEDED)
    entries = _history(service, execution)
    words = _words(entries)
    # what one transaction writes has no order: a stage and its first attempt, an attempt's end and its progress
    words[3:5], words[7:9] = sorted(words[3:5]), sorted(words[7:9])
    assert words == [
        "accepted",
        "run-1 launched",
        "claimed",
        "0/1",
        "mentions-0#1 started",
        "mentions-0#1 ended",
        "mentions-0#2 started",
        "1/1",
        "mentions-0#2 ended",
        "note",
        "completed",
        "run-1 ended",
    ]
    failed = next(entry for entry in entries if isinstance(entry, AttemptEnded))
    assert failed.status is ActivityStatus.FAILED
    assert failed.error is not None
    assert (failed.error.type, failed.error.message, failed.error.stack) == ("ValueError", "once", None)
    (note,) = [entry for entry in entries if isinstance(entry, SignalSent)]
    assert (note.payload, note.sender_key) == ({"by": "ada"}, "note-1")
    assert all(before.at <= after.at for before, after in pairwise(entries))
    assert rebuilt(entries) == Rebuilt.of(service.get_status(execution))


def test_what_was_the_history_stays_the_beginning_of_it(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    before: list[list[HistoryEntry]] = []

    def looks(number: int) -> Callable[[], int]:
        def look() -> int:
            entries = _history(service, execution)
            assert rebuilt(entries) == Rebuilt.of(service.get_status(execution))
            before.append(entries)
            return number

        return look

    with running(database, execution) as runner:
        runner.run(STAGE, [journal.activity(number, looks(number)) for number in range(5)], concurrency=1)
        runner.complete({"entities": []})
    whole = _history(service, execution)
    assert len(before) == 5
    for entries in before:
        assert whole[: len(entries)] == entries


def test_an_attempt_that_was_closed_before_its_time_never_started(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    activity = journal.activity(0, FailsFirst([ValueError("once")]), retry=LATER)
    with running(database, execution) as runner:
        thread = threading.Thread(target=_until_cancelled, args=(runner, activity))
        thread.start()
        wait_until(lambda: "mentions-0#2 due" in _words(_history(service, execution)))
        assert rebuilt(_history(service, execution)) == Rebuilt.of(service.get_status(execution))
        service.cancel(execution)
        thread.join(timeout=30)
    entries = _history(service, execution)
    assert [word for word in _words(entries) if word.startswith("mentions-0#2")] == ["mentions-0#2 ended"]
    assert rebuilt(entries) == Rebuilt.of(service.get_status(execution))


def _until_cancelled(runner: ActivityRunner, activity: Activity[int]) -> None:
    with pytest.raises(ExecutionCancelledError):
        runner.run(STAGE, [activity], concurrency=1)


def test_a_long_history_is_read_a_little_at_a_time(database: Database) -> None:
    execution = _with_many_attempts(database)
    tracemalloc.start()
    entries = read_history(database, execution)
    seen = list(islice(entries, 3))
    assert _last_statement_of_a_reader(database).startswith("FETCH FORWARD")
    count = len(seen) + sum(1 for _ in entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2 * MANY + 1
    assert peak < 4_000_000


def _last_statement_of_a_reader(database: Database) -> str:
    with database.transaction() as tables:
        statement = (
            "SELECT query FROM pg_stat_activity "
            "WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
        )
        return str(tables.connection.execute(text(statement)).scalar_one())


def _with_many_attempts(database: Database) -> WorkflowExecutionId:
    with database.transaction() as tables:
        execution = accepted(tables)
        tables.connection.execute(
            text("""
                INSERT INTO knowledge_workflow_activity (id, workflow_execution_id, organization_id, activity_name,
                    activity_type, status, input, output, started_at, completed_at, epoch, input_digest, code_version)
                SELECT 'knowledge_workflow_activity__00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), :execution,
                    :organization, 'mentions-' || n, 'mentions', 'completed', '{}', '{}',
                    now() + n * interval '1 second', now() + (n + 3) * interval '1 second', 1, '', '1'
                FROM generate_series(1, :many) AS n"""),
            {"execution": execution.id, "organization": execution.organization_id, "many": MANY},
        )
    return execution.id


def test_a_reader_that_stops_gives_its_connection_back(database: Database) -> None:
    execution = start(database)
    for _ in range(20):  # more than the pool has
        entries = read_history(database, execution)
        assert isinstance(next(entries), StateChanged)
        entries.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("bad_id", ["", "x"])
def test_what_is_no_id_is_refused(service: WorkflowService, bad_id: str) -> None:
    with pytest.raises(InvalidInputError):
        service.history(bad_id)


def test_the_history_of_another_organization_is_not_found(database: Database, service: WorkflowService) -> None:
    others = start(database, organization_id=OTHER_ORGANIZATION)
    for execution in (others, WorkflowExecutionId.new()):
        with pytest.raises(WorkflowNotFoundError):
            service.history(execution)


def test_accepted_comes_first(database: Database, service: WorkflowService) -> None:
    (first,) = _history(service, start(database))
    assert isinstance(first, StateChanged)
    assert (first.change, first.sequence) == (StateChange.ACCEPTED, 1)
