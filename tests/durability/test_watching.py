"""Who watches an execution learns of all that it tells, once and in order, whatever is cut off in between."""

import random
import threading
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from beep_orchestration.errors import InvalidInputError, WorkflowNotFoundError
from beep_orchestration.events import ExecutionEvent, Progress, SignalSent, StateChanged
from beep_orchestration.ids import WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import ExecutionStatus, StateChange
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.watching import EventReader, event_of, latest
from tests.durability.workflow import STAGE, Journal, running, signals, start
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION, accepted, ended, with_signal
from tests.postgres import end_sessions, opened

ACTIVITIES = 40


def _work(database: Database, service: WorkflowService, execution: WorkflowExecutionId) -> None:
    """A run that is signalled while it works, and completes."""
    journal = Journal()

    def is_signalled(number: int) -> int:
        service.signal(execution, "approve", {"by": "a person", "note": str(number)})
        return number

    with running(database, execution) as runner:
        activities = [journal.activity(number, partial(is_signalled, number)) for number in range(ACTIVITIES)]
        runner.run(STAGE, activities, concurrency=4)
        runner.complete({"entities": []})


def _assert_whole(database: Database, execution: WorkflowExecutionId, seen: list[ExecutionEvent]) -> None:
    """Everything is there but progress that later progress says too."""
    told = [event_of(row) for row in signals(database, execution)]
    given = {event.sequence: event for event in seen}
    assert [event.sequence for event in seen] == sorted(given), "in order, each once"
    for event in told:
        if isinstance(event, SignalSent):
            assert given[event.sequence] == event.model_copy(update={"payload": None})
        elif isinstance(event, StateChanged) or event.sequence in given:
            assert given[event.sequence] == event
        else:
            assert any(isinstance(later, Progress) and later.sequence > event.sequence for later in seen)
    (last_progress,) = [event for event in told if isinstance(event, Progress)][-1:]
    assert last_progress in seen


def test_a_watcher_sees_all_until_the_end(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    worker = threading.Thread(target=_work, args=(database, service, execution))
    worker.start()
    seen = list(service.watch(execution))
    worker.join(timeout=60)
    _assert_whole(database, execution, seen)
    last = seen[-1]
    assert isinstance(last, StateChanged)
    assert last.change is StateChange.COMPLETED


def test_a_watcher_that_is_cut_off_goes_on_where_it_was(database: Database, service: WorkflowService) -> None:
    execution, chance, seen = start(database), random.Random(5), []  # noqa: S311 - a test's choice
    worker = threading.Thread(target=_work, args=(database, service, execution))
    worker.start()
    while not (seen and isinstance(seen[-1], StateChanged) and seen[-1].change.status.is_terminal):
        cursor = seen[-1].sequence if seen else 0
        seen.extend(islice(service.watch(execution, after=cursor), chance.randint(1, 6)))
    worker.join(timeout=60)
    _assert_whole(database, execution, seen)


def test_a_watcher_goes_on_when_the_server_ends_every_session(
    database: Database, database_url: str, service: WorkflowService
) -> None:
    execution = start(database)
    watching = service.watch(execution)
    seen = [next(watching)]
    with opened(database_url) as others:
        for _ in range(3):
            with others.transaction() as tables:
                with_signal(tables, execution)
            others.close()
            assert end_sessions(database_url) > 0
            seen.append(next(watching))
        with others.transaction() as tables:
            tables.executions.cancel(execution)
    seen.extend(watching)
    assert [event.sequence for event in seen] == [1, 2, 3, 4, 5]


def test_the_end_ends_the_watching(database: Database, service: WorkflowService) -> None:
    execution = start(database)
    watching = service.watch(execution)
    assert isinstance(next(watching), StateChanged)
    service.cancel(execution)
    (last,) = watching
    assert isinstance(last, StateChanged)
    assert last.change is StateChange.CANCELLED


def test_however_many_activities_run_a_reading_has_one_event_for_each_type(database: Database) -> None:
    with database.transaction() as tables:
        execution = accepted(tables)
        tables.connection.execute(
            text("""
                INSERT INTO knowledge_workflow_signal (id, workflow_execution_id, organization_id, signal_name, payload,
                    created_at, sequence)
                SELECT 'knowledge_workflow_signal__00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), :execution,
                    :organization, 'progress', jsonb_build_object('activity_type', 'type-' || n % 2,
                    'activity', n::text, 'done', n / 2, 'total', 200), now(), n
                FROM generate_series(2, 401) AS n"""),
            {"execution": execution.id, "organization": execution.organization_id},
        )
    reader = EventReader(database, execution.id, ORGANIZATION, after=1)
    assert [(event.sequence, event.done) for event in reader.read() if isinstance(event, Progress)] == [
        (400, 200),
        (401, 200),
    ]
    assert reader.cursor == 401
    assert reader.read() == []


@given(st.lists(st.tuples(st.sampled_from(["progress-a", "progress-b", "signal"]), st.booleans()), max_size=40))
def test_no_event_is_lost_that_another_does_not_say(told: list[tuple[str, bool]]) -> None:
    """Readings cut a sequence of events anywhere; only progress is left out, and only for later one of its type."""
    events = [_event(number, kind) for number, (kind, _) in enumerate(told, start=1)]
    readings: list[list[Any]] = [[]]
    for event, (_, is_cut) in zip(events, told, strict=True):
        readings[-1].append(event)
        if is_cut:
            readings.append([])
    for reading in readings:
        kept = latest(reading)
        assert kept == [event for event in reading if event in kept]
        for event in reading:
            later = [other for other in reading if other.sequence > event.sequence]
            is_said = isinstance(event, Progress) and any(
                isinstance(other, Progress) and other.activity_type == event.activity_type for other in later
            )
            assert (event in kept) is not is_said


def _event(sequence: int, kind: str) -> ExecutionEvent:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    if kind == "signal":
        return SignalSent(at=at, sequence=sequence, signal_id=WorkflowSignalId.new(), signal_name="note")
    return Progress(at=at, sequence=sequence, activity_type=kind, activity_name=None, done=sequence, total=99)


@pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
def test_what_has_ended_is_told_and_watched_no_longer(
    database: Database, service: WorkflowService, status: ExecutionStatus
) -> None:
    with database.transaction() as tables:
        execution = ended(tables, status).id
    seen = list(service.watch(execution))
    assert [str(event.change) for event in seen if isinstance(event, StateChanged)] == ["accepted", "claimed", status]
    assert list(service.watch(execution, after=seen[-1].sequence)) == []
    assert list(service.watch(execution, after=10**6)) == []


@pytest.mark.parametrize("after", [-1, 2**31, "1", None, True, 1.0])
def test_what_is_no_cursor_is_refused(database: Database, service: WorkflowService, after: Any) -> None:
    with pytest.raises(InvalidInputError, match="after: is no cursor"):
        service.watch(start(database), after=after)


def test_an_execution_of_another_organization_is_not_found(database: Database, service: WorkflowService) -> None:
    others = start(database, organization_id=OTHER_ORGANIZATION)
    for execution in (others, WorkflowExecutionId.new()):
        with pytest.raises(WorkflowNotFoundError):
            service.watch(execution)
