"""Events that are stored in groups: in their order, all of them, and those that are waited for at once."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from dagster import DagsterEventType, EventLogEntry
from dagster._core.events import StepFailureData, StepSuccessData
from hypothesis import given, settings
from hypothesis import strategies as st

from beep_orchestration.engine import event_groups
from beep_orchestration.engine.dagster_internals import DagsterEvent
from beep_orchestration.engine.event_groups import EventGroups
from beep_orchestration.engine.storage import WorkflowStorage
from beep_orchestration.settings import with_driver
from tests.waiting import wait_until

RUN = "run-1"
NOT_AWAITED = [DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED, None]
AWAITED = [
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
    DagsterEventType.RUN_START,
    DagsterEventType.RUN_SUCCESS,
    DagsterEventType.RUN_CANCELED,
]
DATA = {
    DagsterEventType.STEP_SUCCESS: StepSuccessData(duration_ms=1.0),
    DagsterEventType.STEP_FAILURE: StepFailureData(error=None, user_failure_data=None),
}


class Log:
    """Where groups are stored; broken as long as a test says so."""

    def __init__(self) -> None:
        self.groups: list[list[EventLogEntry]] = []
        self.is_broken = threading.Event()

    def store(self, events: Sequence[EventLogEntry]) -> None:
        if self.is_broken.is_set():
            raise ConnectionError("broken by a test")
        self.groups.append(list(events))

    @property
    def messages(self) -> list[str]:
        return [event.user_message for group in self.groups for event in group]


def entry(number: int, kind: DagsterEventType | None = None) -> EventLogEntry:
    event = kind and DagsterEvent(
        event_type_value=kind.value, job_name="job", step_key="step", event_specific_data=DATA.get(kind)
    )
    return EventLogEntry(
        error_info=None, level=20, user_message=str(number), run_id=RUN, timestamp=float(number), dagster_event=event
    )


@contextmanager
def grouping(log: Log) -> Iterator[EventGroups]:
    groups = EventGroups(log.store)
    try:
        yield groups
    finally:
        groups.close()


class News(threading.Event):
    """Does not go before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_going = threading.Event()
        self.may_go = threading.Event()

    def clear(self) -> None:
        self.is_going.set()
        self.may_go.wait()
        super().clear()


@pytest.fixture
def never_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stored only because time has passed."""
    monkeypatch.setattr(event_groups, "_LONGEST_SECONDS", 3_600.0)


@settings(max_examples=50, deadline=None)
@given(kinds=st.lists(st.sampled_from([*NOT_AWAITED, *AWAITED]), max_size=120))
def test_every_event_is_stored_once_and_in_order(kinds: list[DagsterEventType | None]) -> None:
    log = Log()
    with grouping(log) as groups:
        for number, kind in enumerate(kinds):
            groups.add(entry(number, kind))
    assert log.messages == [str(number) for number in range(len(kinds))]


@pytest.mark.usefixtures("never_in_time")
@pytest.mark.parametrize("kind", AWAITED)
def test_what_is_waited_for_is_stored_with_all_before_it(kind: DagsterEventType) -> None:
    log = Log()
    with grouping(log) as groups:
        for number, before in enumerate(NOT_AWAITED):
            groups.add(entry(number, before))
        assert log.groups == []
        groups.add(entry(len(NOT_AWAITED), kind))
        assert [len(group) for group in log.groups] == [len(NOT_AWAITED) + 1]


@pytest.mark.usefixtures("never_in_time")
def test_a_group_is_bounded() -> None:
    log, count = Log(), 3 * event_groups._MOST_EVENTS
    with grouping(log) as groups:
        for number in range(count):
            groups.add(entry(number))
        assert [len(group) for group in log.groups] == [event_groups._MOST_EVENTS] * 3


def test_an_event_does_not_wait_for_another() -> None:
    log = Log()
    with grouping(log) as groups:
        groups.add(entry(0))
        wait_until(lambda: log.messages == ["0"])
        groups.add(entry(1))
        wait_until(lambda: log.messages == ["0", "1"])


def test_what_could_not_be_stored_is_kept_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_groups, "_RETRY_SECONDS", 0.01)
    log = Log()
    with grouping(log) as groups:
        log.is_broken.set()
        groups.add(entry(0))
        with pytest.raises(ConnectionError):
            groups.add(entry(1, DagsterEventType.STEP_SUCCESS))
        log.is_broken.clear()
        wait_until(lambda: log.messages == ["0", "1"])


def test_the_log_that_is_read_has_what_was_stored_before(empty_database_url: str) -> None:
    storage = WorkflowStorage(with_driver(empty_database_url, "psycopg2"))
    log = storage.event_log_storage
    with log.in_groups():
        for number in range(3):
            log.store_event(entry(number))
        assert [event.user_message for event in log.get_logs_for_run(RUN)] == ["0", "1", "2"]
        log.store_event(entry(3))
    assert [event.user_message for event in log.get_logs_for_run(RUN)] == ["0", "1", "2", "3"]
    log.store_event(entry(4))
    assert len(log.get_logs_for_run(RUN)) == 5
    log.dispose()


def test_an_end_that_meets_news_as_they_go_is_an_end() -> None:
    groups = EventGroups(Log().store)
    first, news = groups._has_news, News()
    groups._has_news = news
    first.set()
    news.is_going.wait()
    closing = threading.Thread(target=groups.close, daemon=True)
    closing.start()
    wait_until(news.is_set)
    news.may_go.set()
    closing.join(30)
    assert not closing.is_alive()
