"""Who waits for an execution is told when a transaction that concerns it commits, and never misses that it was."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import select

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database, ExecutionRow, WorkflowPersistence
from beep_orchestration.persistence.notifications import EXECUTION_ENDED, SIGNAL_SENT, notification
from tests.factories import ERROR, claimed
from tests.postgres import opened

LONG_WAIT = 30.0

ENDS: dict[str, Callable[[WorkflowPersistence, ExecutionRow], bool]] = {
    "completed": lambda tables, row: tables.executions.complete(row.id, row.epoch, {}),
    "failed": lambda tables, row: tables.executions.fail(row.id, ERROR),
    "cancelled": lambda tables, row: tables.executions.cancel(row.id),
}


class Ear:
    """Counts its calls, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self._calls = threading.Semaphore(0)

    def call(self) -> None:
        self._calls.release()

    def hears(self) -> bool:
        return self._calls.acquire(timeout=LONG_WAIT)

    def heard_nothing(self) -> bool:
        return not self._calls.acquire(blocking=False)


@contextmanager
def listening(database: Database, execution: WorkflowExecutionId, channel: str = EXECUTION_ENDED) -> Iterator[Ear]:
    ear = Ear()
    with database.notifications.subscription(channel, execution, ear.call):
        yield ear


@contextmanager
def listening_to_both(database: Database, first: ExecutionRow, second: ExecutionRow) -> Iterator[tuple[Ear, Ear]]:
    with listening(database, first.id) as first_ear:
        assert first_ear.hears()  # that the connection is open, which calls whoever has subscribed by then
        with listening(database, second.id) as second_ear:
            yield first_ear, second_ear


def running_execution(database: Database) -> ExecutionRow:
    with database.transaction() as tables:
        return claimed(tables)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_the_end_of_an_execution_is_told(
    database: Database, end: Callable[[WorkflowPersistence, ExecutionRow], bool]
) -> None:
    execution = running_execution(database)
    with listening(database, execution.id) as ear:
        assert ear.hears()  # that the connection is open
        with database.transaction() as tables:
            assert end(tables, execution)
        assert ear.hears()


def test_nothing_is_told_of_what_is_rolled_back_or_of_another_execution(database: Database) -> None:
    execution, other, last = (running_execution(database) for _ in range(3))
    with listening_to_both(database, execution, last) as (ear, last_ear):
        with pytest.raises(ZeroDivisionError):
            _cancel_and_roll_back(database, execution)
        for ended in (other, last):
            with database.transaction() as tables:
                tables.executions.cancel(ended.id)
        assert last_ear.hears()  # and what was told before would have been heard before
        assert ear.heard_nothing()


def test_an_end_that_changes_nothing_tells_nothing(database: Database) -> None:
    execution, last = running_execution(database), running_execution(database)
    with database.transaction() as tables:
        assert tables.executions.cancel(execution.id)
    with listening_to_both(database, execution, last) as (ear, last_ear):
        for ended in (execution, last):
            with database.transaction() as tables:
                tables.executions.cancel(ended.id)
        assert last_ear.hears()
        assert ear.heard_nothing()


def test_after_a_lost_connection_everybody_is_called_and_hears_again(database: Database, database_url: str) -> None:
    execution = running_execution(database)
    with listening(database, execution.id) as ear:
        assert ear.hears()
        _end_other_sessions(database_url)
        assert ear.hears()  # nobody knows what was missed
        with database.transaction() as tables:
            tables.executions.cancel(execution.id)
        assert ear.hears()


def test_channels_are_told_apart(database: Database) -> None:
    execution = running_execution(database)
    with listening(database, execution.id) as ended:
        assert ended.hears()
        with listening(database, execution.id, SIGNAL_SENT) as signalled:
            _send_news(database, execution)
            assert signalled.hears()
            assert ended.heard_nothing()


def test_listening_takes_no_connection_from_the_pool_and_can_begin_again(database_url: str) -> None:
    with opened(database_url, pool_size=1) as database:
        execution = running_execution(database)
        for _ in range(2):
            with listening(database, execution.id) as ear:
                assert ear.hears()
                with database.transaction() as tables:
                    assert tables.executions.find(execution.id) is not None
            database.close()
        assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def _cancel_and_roll_back(database: Database, execution: ExecutionRow) -> None:
    with database.transaction() as tables:
        assert tables.executions.cancel(execution.id)
        raise ZeroDivisionError


def _send_news(database: Database, execution: ExecutionRow) -> None:
    with database.transaction() as tables:
        tables.connection.execute(select(notification(SIGNAL_SENT, execution.id)))


def _end_other_sessions(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
