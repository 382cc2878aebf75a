"""The fork server and its workers with our storage: connections, and what a run's events make of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterRunStatus
from psycopg import connect

from tests.engine.installation import Installation, Installations, descriptors, sockets, workflow_storage
from tests.postgres import PostgresServer, end_sessions
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """A database that had no tables."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture(scope="module")
def dagster(
    tmp_path_factory: pytest.TempPathFactory, installations: Installations, database_url: str
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    with workflow_storage(database_url) as storage, installations.make(folder, storage=storage) as made:
        yield made


def fail(dagster: Installation) -> str:
    """A run that has failed, and has its times."""
    run_id, _ = dagster.launch("fail")
    dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)
    record = dagster.instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.start_time is not None
    assert record.end_time is not None
    assert record.start_time <= record.end_time
    return run_id


def test_server_keeps_no_connection_to_postgresql(dagster: Installation) -> None:
    run_id, _ = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    dagster.wait_for_death(run_id)
    [server] = dagster.server_pids()
    spare = dagster.wait_for_spare()
    wait_until(lambda: len(sockets(descriptors(spare))) > 1, description="the process has a connection of its own")
    # The one that it listens on, and the one to its spare, of which it lets the other end go when it has forked.
    wait_until(lambda: len(sockets(descriptors(server))) == 2, description="the server has no connection")


def test_what_was_rehearsed_is_not_stored(dagster: Installation) -> None:
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
    launched = sorted(dagster.created)
    assert sorted(run.run_id for run in dagster.instance.get_runs()) == launched
    with dagster.instance.event_log_storage.index_connection() as connection:
        stored = connection.exec_driver_sql("SELECT DISTINCT run_id FROM event_logs").scalars().all()
    assert sorted(stored) == launched
    assert sorted(log.name for log in Path(dagster.instance.storage_directory()).iterdir()) == launched


def test_a_worker_whose_connection_was_lost_while_it_waited_carries_its_run(
    dagster: Installation, database_url: str
) -> None:
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
    spare = dagster.wait_for_spare()
    wait_until(lambda: len(sockets(descriptors(spare))) > 1, description="the process has a connection of its own")
    assert end_sessions(database_url)
    dagster.instance.run_storage._engine.dispose()  # type: ignore[attr-defined] - of this process, which just used them
    dagster.wait_for_run_of(spare)


def test_the_events_of_a_run_are_its_status_and_its_times(dagster: Installation) -> None:
    assert "dagster/will_retry" not in dagster.run(fail(dagster)).tags


def test_with_retries_dagster_looks_at_what_ends_a_run_and_marks_one_that_it_will_run_again(
    tmp_path: Path, installations: Installations, empty_database_url: str
) -> None:
    retries = {"enabled": True, "max_retries": 1}
    with (
        workflow_storage(empty_database_url) as storage,
        installations.make(tmp_path, storage=storage, run_retries=retries) as dagster,
    ):
        run_id = fail(dagster)
        wait_until(lambda: "dagster/will_retry" in dagster.run(run_id).tags, description="the run is marked")


@contextmanager
def losing_sessions_that_fail_a_run(database_url: str, times: int) -> Iterator[None]:
    """Within the block PostgreSQL ends the sessions that would give a run the status, so often."""
    with connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE losses")
        connection.execute(
            "CREATE FUNCTION lose_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # type: ignore[arg-type]
            f"IF nextval('losses') <= {times} THEN PERFORM pg_terminate_backend(pg_backend_pid()); "
            "PERFORM pg_sleep(60); END IF; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER lose_session BEFORE UPDATE ON runs "
            "FOR EACH ROW WHEN (NEW.status = 'FAILURE') EXECUTE FUNCTION lose_session()"
        )
        yield
        connection.execute("DROP FUNCTION lose_session CASCADE")
        connection.execute("DROP SEQUENCE losses")


def losses(database_url: str) -> int:
    with connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT last_value FROM losses").fetchone()
    assert row is not None
    return int(row[0])


def test_a_death_is_reported_when_the_database_answers_again(dagster: Installation, database_url: str) -> None:
    with losing_sessions_that_fail_a_run(database_url, 2):
        run_id, _ = dagster.launch("die")
        dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)
        assert losses(database_url) == 3
    assert len([message for message in dagster.messages(run_id) if "was killed by" in message]) == 1
    assert len(dagster.instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE)) == 1


def test_a_run_that_has_ended_before_its_workers_death_could_be_reported_is_not_changed(
    dagster: Installation, database_url: str
) -> None:
    with losing_sessions_that_fail_a_run(database_url, 1_000):
        run_id, _ = dagster.launch("die")
        wait_until(lambda: losses(database_url) > 1, description="the death could not be reported")
        wait_until(lambda: len(dagster.children(of_a_run=False)) == 2, description="a reporter and a spare")
        dagster.instance.report_run_canceled(dagster.run(run_id))
        wait_until(lambda: len(dagster.children(of_a_run=False)) == 1, description="the reporter has ended")
    assert dagster.run(run_id).status is DagsterRunStatus.CANCELED
