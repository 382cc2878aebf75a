"""PostgreSQL that restarts, drops sessions, loses answers, is cut off, slow or full: cases 11-19."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil
import psycopg
import pytest

from beep_orchestration.errors import DatabaseUnavailableError
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.faults.control import Proof
from tests.faults.documents import document
from tests.faults.installation import Installation
from tests.faults.invariants import assert_sound
from tests.faults.proxy import Trouble
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def test_11_restarted_in_the_middle_of_a_checkpoint_transaction(installation: Installation) -> None:
    with _worker_inside_its_transaction(installation, 11) as (execution_id, _):
        installation.postgres.stop_immediately()
        installation.postgres.start()
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=4)


def test_12_restarted_again_and_again(installation: Installation) -> None:
    execution_ids = [installation.start(document(5, 120 + number)) for number in range(3)]
    for number in range(2):
        reached = len(installation.journal.entries())
        wait_until(lambda: len(installation.journal.entries()) > reached + 3, description="work goes on")  # noqa: B023
        installation.postgres.stop_immediately()
        time.sleep(number)  # how long it is away is a part of the fault
        installation.postgres.start()
    installation.wait_completed(execution_ids)
    assert_sound(installation, execution_ids, faults=24)


def test_13_away_while_a_dead_worker_is_to_be_replaced(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "hang", subject="mentions-1")
    execution_id = installation.start(document(3, 13))
    proof = installation.control.wait_for(fault)
    psutil.Process(proof.pid).kill()
    installation.postgres.stop_immediately()
    time.sleep(6)  # longer than any sweep's interval
    installation.postgres.start()
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=2)


def test_14_every_session_is_ended_again_and_again(installation: Installation) -> None:
    execution_ids = [installation.start(document(5, 140 + number)) for number in range(2)]
    statement = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    for _ in range(4):
        reached = len(installation.journal.entries())
        wait_until(lambda: len(installation.journal.entries()) > reached, description="work goes on")  # noqa: B023
        installation.postgres.ask(statement)
    installation.wait_completed(execution_ids)
    assert_sound(installation, execution_ids, faults=16)


def test_15_the_answer_to_a_checkpoint_is_lost(installation: Installation) -> None:
    fault = installation.control.arm("before_checkpoint_commit", "pause", subject="mentions-1", seconds=1)
    execution_id = installation.start(document(3, 15, concurrency=1))
    proof = installation.control.wait_for(fault)
    with installation.proxy.trouble(Trouble(proof.pid, swallows=1)) as trouble:
        wait_until(lambda: trouble.swallowed, description="a commit was swallowed")
    installation.wait_completed([execution_id])
    assert {len(calls) for calls in installation.journal.begins([execution_id]).values()} == {1}
    assert_sound(installation, [execution_id], faults=0)


def test_15b_the_answer_to_start_and_to_signal_is_lost(installation: Installation) -> None:
    database = Database(installation.proxy.url)
    service = WorkflowService(
        database,
        installation.service._dagster,
        installation.services.settings.organization,
        installation.services.settings,
    )
    raw = document(3, 16)
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-1", seconds=3)
    with pytest.raises(DatabaseUnavailableError), installation.proxy.trouble(Trouble(os.getpid(), swallows=1)):
        service.start("extraction", raw, idempotency_key="answer-lost")
    execution_id = service.start("extraction", raw, idempotency_key="answer-lost")
    installation.control.wait_for(fault)
    with pytest.raises(DatabaseUnavailableError), installation.proxy.trouble(Trouble(os.getpid(), swallows=1)):
        service.signal(execution_id, "approve", {"by": "Ada"}, sender_key="once")
    signal_id = service.signal(execution_id, "approve", {"by": "Ada"}, sender_key="once")
    installation.wait_completed([execution_id])
    stored = installation.postgres.ask(
        "SELECT id FROM knowledge_workflow_signal WHERE signal_name = 'approve' AND workflow_execution_id = %s",
        execution_id,
    )
    database.close()
    assert stored == [(signal_id,)]
    assert_sound(installation, [execution_id], faults=0)


def test_16_a_worker_whose_connections_are_half_open(installation: Installation) -> None:
    with _worker_inside_its_transaction(installation, 160) as (execution_id, proof):
        frozen = installation.proxy.trouble(Trouble(proof.pid, frozen=True))
        stack = ExitStack()
        stack.enter_context(frozen)
    with stack:
        installation.wait_completed([execution_id])
    worker = psutil.Process(proof.pid) if psutil.pid_exists(proof.pid) else None
    wait_until(
        lambda: worker is None or not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE,
        60,
        "the worker that was cut off has ended",
    )
    assert_sound(installation, [execution_id], faults=4)


def test_17_latency_costs_time_and_no_claim(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-0", seconds=0.5)
    execution_id = installation.start(document(1, 17))
    proof = installation.control.wait_for(fault)
    with installation.proxy.trouble(Trouble(proof.pid, delay=(0.1, 0.1))):
        installation.wait_completed([execution_id])
    epochs = installation.postgres.ask("SELECT epoch FROM knowledge_workflow_execution WHERE id = %s", execution_id)
    assert epochs == [(1,)]
    assert_sound(installation, [execution_id], faults=0)


def test_19_connections_are_used_up(installation: Installation) -> None:
    """Those that work go on with what they have; whoever cannot connect tries again."""
    installation.postgres.ask("DROP ROLE IF EXISTS hog")
    installation.postgres.ask("CREATE ROLE hog LOGIN")
    hog_url = installation.postgres.url.replace("postgres@", "hog@")
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-1", seconds=3)
    execution_id, cancelled_id = installation.start(document(3, 19)), installation.start(document(12, 20))
    installation.control.wait_for(fault)
    with ExitStack() as held:
        with suppress(psycopg.OperationalError):
            while True:
                held.callback(psycopg.connect(hog_url).close)
        assert installation.service.cancel(cancelled_id).status is ExecutionStatus.CANCELLED
        installation.postgres.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename <> 'hog' "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        time.sleep(2)  # how long there is no connection is a part of the fault
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id, cancelled_id], faults=6)


@contextmanager
def _worker_inside_its_transaction(installation: Installation, seed: int) -> Iterator[tuple[str, Proof]]:
    """A worker that waits for a lock within a checkpoint's transaction, until the block ends."""
    fault = installation.control.arm("before_checkpoint_commit", "pause", subject="mentions-1", seconds=1)
    execution_id = installation.start(document(3, seed))
    proof = installation.control.wait_for(fault)
    with psycopg.connect(installation.postgres.url) as locking:
        locking.execute("SELECT 1 FROM knowledge_workflow_execution WHERE id = %s FOR UPDATE", [execution_id])
        wait_until(lambda: _is_locked_out(installation), description="the worker waits inside its transaction")
        yield execution_id, proof
        with suppress(psycopg.OperationalError):
            locking.rollback()
        locking.close()


def _is_locked_out(installation: Installation) -> bool:
    statement = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    return bool(installation.postgres.ask(statement, "%UPDATE knowledge_workflow_execution%"))
