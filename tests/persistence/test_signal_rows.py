"""Signals: their sequence is the order in which they become visible, so a reader's cursor misses none."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from beep_orchestration.errors import WorkflowNotFoundError
from beep_orchestration.ids import WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import Checkpoint
from beep_orchestration.persistence import Database, WorkflowPersistence
from beep_orchestration.persistence.signals import NewSignal
from tests.factories import ORGANIZATION, accepted, claimed, with_signal
from tests.postgres import opened
from tests.waiting import wait_until

SENDERS = 4
GROUPS = [1, 2, 3] * 5
"""How many signals a sender stores in each of its transactions."""


def test_what_is_saved_is_loaded(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    sent = with_signal(tables, execution.id, payload={"answer": ["yes", None, 1.5, "Zoë"]}, sender_key="key-1")
    (row,) = tables.signals.load(execution.id, name=sent.signal_name, limit=10)
    assert {name: getattr(row, name) for name in vars(sent)} == vars(sent)
    assert tables.signals.find_sent(execution.id, "key-1") == row
    assert tables.signals.find_sent(execution.id, "key-2") is None
    assert tables.signals.find_sent(accepted(tables).id, "key-1") is None


def test_signals_are_read_in_order_after_a_cursor_and_by_name(tables: WorkflowPersistence) -> None:
    execution, other = accepted(tables), accepted(tables)
    for number in range(2, 9):
        with_signal(tables, execution.id, signal_name="even" if number % 2 == 0 else "odd")
        with_signal(tables, other.id)

    def read(*, after: int = 0, limit: int = 99, name: str | None = None) -> list[int]:
        return [row.sequence for row in tables.signals.load(execution.id, after=after, limit=limit, name=name)]

    assert read() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert read(after=2, limit=3) == [3, 4, 5]
    assert read(after=2, limit=2, name="even") == [4, 6]
    assert read(after=8) == []


def test_a_run_reserves_numbers_for_all_signals_of_a_checkpoint(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    before = tables.signals.load(execution.id, limit=10)[-1].sequence
    assert tables.executions.reserve_signals(execution.id, 2) == before + 2
    last = tables.executions.advance(
        execution.id, execution.epoch, current_activity=None, checkpoint=Checkpoint(), signals=3, is_progress=True
    )
    assert last is not None
    assert last.sequence == before + 5
    assert tables.executions.reserve_signals(execution.id, 1) == before + 6


def test_an_unknown_execution_has_no_signals_to_reserve(tables: WorkflowPersistence) -> None:
    with pytest.raises(WorkflowNotFoundError):
        tables.executions.reserve_signals(WorkflowExecutionId.new(), 1)


def _send_and_fail(database: Database, execution_id: WorkflowExecutionId) -> None:
    with database.transaction() as tables:
        with_signal(tables, execution_id)
        raise ZeroDivisionError


def test_a_number_that_was_reserved_by_a_failed_transaction_is_given_again(database: Database) -> None:
    with database.transaction() as tables:
        execution = accepted(tables)
    with pytest.raises(ZeroDivisionError):
        _send_and_fail(database, execution.id)
    with database.transaction() as tables:
        assert with_signal(tables, execution.id).sequence == 2


def test_a_sender_waits_for_the_one_before_it(database: Database) -> None:
    """So the earlier number is visible first: a reader whose cursor passed the later one would have seen it."""
    with database.transaction() as tables:
        execution = accepted(tables)

    def send() -> NewSignal:
        with database.transaction() as tables:
            return with_signal(tables, execution.id)

    with ThreadPoolExecutor(1) as threads, database.transaction() as first:
        sent_first = with_signal(first, execution.id)
        second = threads.submit(send)
        wait_until(lambda: _waiting_for_a_lock(database), description="the second sender waits for the row")
        with database.transaction() as reader:
            assert [row.sequence for row in reader.signals.load(execution.id, limit=10)] == [1]
        first.connection.commit()
        assert (sent_first.sequence, second.result(timeout=30).sequence) == (2, 3)


def _waiting_for_a_lock(database: Database) -> bool:
    with database.transaction() as tables:
        statement = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(tables.connection.execute(statement).scalar_one())


def test_a_reader_with_a_cursor_misses_none_of_many_senders(database_url: str) -> None:
    with opened(database_url, pool_size=SENDERS + 1) as database:
        with database.transaction() as tables:
            execution = accepted(tables)
        barrier = threading.Barrier(SENDERS + 1, timeout=30)
        with ThreadPoolExecutor(SENDERS) as threads:
            senders = [threads.submit(_send_many, database, execution.id, barrier) for _ in range(SENDERS)]
            barrier.wait()
            seen = _read_all(database, execution.id)
            for sender in senders:
                sender.result(timeout=30)
    assert seen == list(range(1, SENDERS * sum(GROUPS) + 2))


def _send_many(database: Database, execution_id: WorkflowExecutionId, barrier: threading.Barrier) -> None:
    barrier.wait()
    for count in GROUPS:
        with database.transaction() as tables:
            last = tables.executions.reserve_signals(execution_id, count)
            for offset in range(count):
                tables.signals.save([_signal(execution_id, last - offset)])


def _signal(execution_id: WorkflowExecutionId, sequence: int) -> NewSignal:
    return NewSignal(
        id=WorkflowSignalId.new(),
        workflow_execution_id=execution_id,
        organization_id=ORGANIZATION,
        signal_name="approve",
        payload={},
        sequence=sequence,
    )


def _read_all(database: Database, execution_id: WorkflowExecutionId) -> list[int]:
    seen: list[int] = []

    def has_seen_all() -> bool:
        with database.transaction() as tables:
            new = tables.signals.load(execution_id, after=seen[-1] if seen else 0, limit=7)
        seen.extend(row.sequence for row in new)
        return len(seen) > SENDERS * sum(GROUPS)

    wait_until(has_seen_all, description="every signal was read")
    return seen
