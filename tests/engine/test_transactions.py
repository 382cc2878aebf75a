"""The event that gives a run a status and that status: stored together, and in whose place among the others."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from psycopg import connect
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import DBAPIError

from beep_orchestration.engine import event_groups
from beep_orchestration.engine.dagster_internals import DagsterEvent
from beep_orchestration.engine.storage import PooledEventLogStorage
from tests.engine.installation import workflow_storage
from tests.waiting import wait_until


@contextmanager
def opened(folder: Path, database_url: str, **settings: object) -> Iterator[DagsterInstance]:
    """Dagster with our storage on that database."""
    with workflow_storage(database_url) as storage:
        content = {"storage": storage, "telemetry": {"enabled": False}, **settings}
        (folder / "dagster.yaml").write_text(yaml.safe_dump(content))
        with DagsterInstance.from_config(str(folder)) as instance:
            yield instance


@pytest.fixture
def instance(tmp_path: Path, empty_database_url: str) -> Iterator[DagsterInstance]:
    with opened(tmp_path, empty_database_url) as made:
        yield made


@pytest.fixture
def never_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No group is stored only because time has passed."""
    monkeypatch.setattr(event_groups, "_LONGEST_SECONDS", 3_600.0)


def log_of(instance: DagsterInstance) -> PooledEventLogStorage:
    log = instance.event_log_storage
    assert isinstance(log, PooledEventLogStorage)
    return log


def add_run(instance: DagsterInstance, status: DagsterRunStatus) -> DagsterRun:
    return instance.add_run(DagsterRun(job_name="job", status=status))


def report_starting(instance: DagsterInstance, run: DagsterRun) -> None:
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_STARTING.value, job_name=run.job_name)
    instance.report_dagster_event(event, run.run_id)


def status_of(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def stored(instance: DagsterInstance, run: DagsterRun) -> list[DagsterEventType | None]:
    """The events of the run, in the order of their ids."""
    return [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]


@contextmanager
def refusing(database_url: str, statement: str, condition: str) -> Iterator[None]:
    """Within the block PostgreSQL refuses these rows."""
    with connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'refused by a test'; END $$"
        )
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE {statement} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"  # type: ignore[arg-type]
        )
        yield
        connection.execute("DROP FUNCTION refuse CASCADE")


@contextmanager
def in_a_thread_that_waits(database_url: str, statement: str, report: threading.Thread) -> Iterator[None]:
    """Within the block the thread waits for the locks of this statement, which is committed at the end."""
    with connect(database_url) as locking:
        locking.execute(statement)  # type: ignore[arg-type]
        report.start()
        wait_until(lambda: _somebody_waits(database_url), description="the thread waits for the lock")
        yield
    report.join(30)
    assert not report.is_alive()


def _somebody_waits(database_url: str) -> bool:
    with connect(database_url, autocommit=True) as connection:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return connection.execute(waiting).fetchone() is not None


@pytest.mark.parametrize(
    ("statement", "condition"),
    [
        ("UPDATE ON runs", "NEW.status = 'FAILURE'"),
        ("INSERT ON event_logs", "NEW.dagster_event_type = 'PIPELINE_FAILURE'"),
    ],
    ids=["status", "event"],
)
def test_an_event_is_stored_with_the_status_that_it_gives_or_not_at_all(
    instance: DagsterInstance,
    empty_database_url: str,
    statement: str,
    condition: str,
) -> None:
    run = add_run(instance, DagsterRunStatus.STARTED)
    with log_of(instance).in_groups(), refusing(empty_database_url, statement, condition):
        with pytest.raises(DBAPIError, match="refused by a test"):
            instance.report_run_failed(run, "refused")
        assert stored(instance, run) == []
        assert status_of(instance, run) is DagsterRunStatus.STARTED
    instance.report_run_failed(run, "stored")
    assert stored(instance, run) == [DagsterEventType.RUN_FAILURE]
    assert status_of(instance, run) is DagsterRunStatus.FAILURE


@pytest.mark.usefixtures("never_in_time")
def test_what_waits_in_a_group_is_stored_before_and_stays(instance: DagsterInstance, empty_database_url: str) -> None:
    run = add_run(instance, DagsterRunStatus.STARTED)
    with log_of(instance).in_groups():
        with refusing(empty_database_url, "UPDATE ON runs", "NEW.status = 'FAILURE'"):
            instance.report_engine_event("before", run)
            with pytest.raises(DBAPIError, match="refused by a test"):
                instance.report_run_failed(run, "refused")
        instance.report_engine_event("before", run)
        instance.report_run_failed(run, "stored")
    assert stored(instance, run) == [
        DagsterEventType.ENGINE_EVENT,
        DagsterEventType.ENGINE_EVENT,
        DagsterEventType.RUN_FAILURE,
    ]


def test_an_event_that_waits_for_its_run_has_no_number_yet(instance: DagsterInstance, empty_database_url: str) -> None:
    """Whoever has read those of a higher number would not look for it any more."""
    run = add_run(instance, DagsterRunStatus.STARTED)
    failing = threading.Thread(target=instance.report_run_failed, args=[run], daemon=True)
    with in_a_thread_that_waits(empty_database_url, "SELECT 1 FROM runs FOR UPDATE", failing):
        instance.report_engine_event("meanwhile", run)
    assert stored(instance, run) == [DagsterEventType.ENGINE_EVENT, DagsterEventType.RUN_FAILURE]


@pytest.mark.parametrize("retries", [False, True])
def test_a_run_that_begins_in_the_same_moment_is_not_turned_back(
    tmp_path: Path, empty_database_url: str, *, retries: bool
) -> None:
    with opened(tmp_path, empty_database_url, run_retries={"enabled": retries}) as instance:
        run = add_run(instance, DagsterRunStatus.NOT_STARTED)
        starting = threading.Thread(target=report_starting, args=[instance, run], daemon=True)
        with in_a_thread_that_waits(empty_database_url, "UPDATE runs SET status = 'STARTED'", starting):
            assert status_of(instance, run) is DagsterRunStatus.NOT_STARTED
        assert status_of(instance, run) is DagsterRunStatus.STARTED
        assert stored(instance, run) == [DagsterEventType.RUN_STARTING]


@pytest.mark.parametrize("retries", [False, True])
def test_a_run_cannot_begin_between_the_look_at_it_and_its_status(
    tmp_path: Path, empty_database_url: str, *, retries: bool
) -> None:
    with opened(tmp_path, empty_database_url, run_retries={"enabled": retries}) as instance:
        run = add_run(instance, DagsterRunStatus.NOT_STARTED)
        starting = threading.Thread(target=report_starting, args=[instance, run], daemon=True)
        # Keeps updates out, and nobody from looking.
        with (
            in_a_thread_that_waits(empty_database_url, "LOCK TABLE runs IN SHARE MODE", starting),
            connect(empty_database_url) as beginning,
            pytest.raises(LockNotAvailable),
        ):
            beginning.execute("SELECT 1 FROM runs FOR NO KEY UPDATE NOWAIT")
        assert status_of(instance, run) is DagsterRunStatus.STARTING


def test_a_run_that_has_not_begun_is_about_to(instance: DagsterInstance) -> None:
    run = add_run(instance, DagsterRunStatus.NOT_STARTED)
    report_starting(instance, run)
    assert status_of(instance, run) is DagsterRunStatus.STARTING


def test_what_one_thread_rehearses_is_no_other_threads(instance: DagsterInstance) -> None:
    run = add_run(instance, DagsterRunStatus.STARTED)
    seen: list[DagsterRunStatus] = []

    def look_and_report() -> None:
        seen.append(status_of(instance, run))
        instance.report_engine_event("not rehearsed", run)

    with log_of(instance).rehearsing():
        instance.report_run_failed(run)
        seen.append(status_of(instance, run))
        other = threading.Thread(target=look_and_report, daemon=True)
        other.start()
        other.join(30)
    assert seen == [DagsterRunStatus.FAILURE, DagsterRunStatus.STARTED]
    assert stored(instance, run) == [DagsterEventType.ENGINE_EVENT]
    assert status_of(instance, run) is DagsterRunStatus.STARTED
