"""The fork server and its workers with our storage: connections, and what a run's events make of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from beep_orchestration.models import Json
from beep_orchestration.settings import load_settings
from tests.durability.workflow import end_sessions
from tests.engine.installation import Installation, Installations, descriptors, sockets
from tests.postgres import PostgresServer
from tests.waiting import wait_until


@contextmanager
def workflow_storage(database_url: str) -> Iterator[Json]:
    """Our storage, on that database, as `dagster.yaml` has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEEP_DATABASE_URL", database_url)
        load_settings.cache_clear()
        yield {"custom": {"module": "beep_orchestration.engine.storage", "class": "WorkflowStorage", "config": {}}}
    load_settings.cache_clear()


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
