"""Cases 23 to 28: what parking is to the workflow, to its cleanups and to those who wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from beep_orchestration import service as service_module
from beep_orchestration.errors import BeepError, DatabaseUnavailableError, ExecutionCancelledError, WorkflowStateError
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import Owners, note, part
from tests.durability.workflow import load
from tests.postgres import PostgresServer


def test_23_parking_is_no_error_to_the_workflow(owners: Owners) -> None:
    execution, seen = owners.start(), []

    def body(stage: Stage) -> Any:
        try:
            stage.await_signal("approve")
        except Exception as error:  # noqa: BLE001 - as a workflow may do
            seen.append(error)
        return stage.run([part(stage, "one")])

    assert owners.own(execution, body).success
    assert (seen, owners.calls()) == ([], [])
    assert owners.service.get_status(execution).error is None
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, body)
    assert (seen, owners.calls()) == ([], ["one"])


def test_24_a_runs_cleanup_comes_with_its_end_and_the_executions_with_the_executions(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> None:
        try:
            stage.await_signal("approve")
        finally:
            note(stage, "the run's")
        note(stage, "the execution's")

    owners.own(execution, body)
    assert owners.calls() == ["the run's"]
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, body)
    assert owners.calls() == ["the run's", "the run's", "the execution's"]


def test_25_a_cleanup_can_tell_cancellation_from_success(owners: Owners) -> None:
    """Of an execution that a run carries. A parked one has no process: nobody cleans up after its cancellation."""
    execution = owners.start()

    def body(stage: Stage) -> None:
        try:
            stage.run([part(stage, "one", lambda: owners.service.cancel(execution))])
        except ExecutionCancelledError:
            note(stage, "cancelled")
            raise
        else:
            note(stage, "success")

    owners.own(execution, body)
    assert owners.calls() == ["one", "cancelled"]
    assert load(owners.database, execution).status is ExecutionStatus.CANCELLED


def test_26_a_cancel_of_a_parked_execution_holds_when_the_signal_arrives(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> Any:
        stage.await_signal("approve")
        return stage.run([part(stage, "one")])

    owners.own(execution, body)
    owners.service.cancel(execution)
    with pytest.raises(WorkflowStateError, match="cancelled"):
        owners.service.signal(execution, "approve", {"by": "Ada"})
    assert not owners.own(execution, body).success
    assert owners.calls() == []
    assert load(owners.database, execution).status is ExecutionStatus.CANCELLED


def test_27_a_shutdown_interrupts_a_waiting_caller_with_a_clear_error(
    owners: Owners, postgres: PostgresServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither completion nor parking is reported. For a caller the services are gone when the database is."""
    monkeypatch.setattr(service_module, "_LONGEST_RESTART_SECONDS", 0.5)
    execution, ended = owners.start(), []

    def call() -> None:
        try:
            ended.append(owners.service.wait(execution))
        except BeepError as error:
            ended.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    with shut_down(postgres, database_url):
        caller.join(60)
    (error,) = ended
    assert isinstance(error, DatabaseUnavailableError)
    assert "start it" in str(error)
    assert load(owners.database, execution).status is ExecutionStatus.RUNNING


@contextmanager
def shut_down(postgres: PostgresServer, database_url: str) -> Iterator[None]:
    """Within the block, the database ends its sessions and lets nobody in."""
    database = sql.Identifier(make_url(database_url).database or "")
    postgres.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
    try:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(statement, [make_url(database_url).database])
        yield
    finally:
        postgres.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))


def test_28_a_sleep_between_two_parts_of_an_activity_type_parks_and_resumes(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> Any:
        first = stage.run([part(stage, "one")])
        stage.sleep(1_800)
        return [*first, *stage.run([part(stage, "two")])]

    owners.own(execution, body)
    assert owners.calls() == ["one"]
    owners.let_an_hour_pass(execution)
    assert owners.is_due(execution)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["one", "two"]}
    assert owners.calls() == ["one", "two"]


def test_28_what_a_stage_completed_after_its_sleep_is_kept_when_its_owner_dies(owners: Owners) -> None:
    execution = owners.start()
    owners.own_and_die(execution, sleeps_between_parts, "after_checkpoint_commit", "part-two")
    owners.own(execution, sleeps_between_parts)
    assert owners.service.result(execution) == {"value": ["one", "two"]}
    assert owners.calls() == ["one", "two"]


def sleeps_between_parts(stage: Stage) -> Any:
    first = stage.run([part(stage, "one")])
    stage.sleep(0)
    return [*first, *stage.run([part(stage, "two")])]
