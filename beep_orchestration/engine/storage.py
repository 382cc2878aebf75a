"""Dagster's storage in the same PostgreSQL as ours, found by our settings, so that `dagster.yaml` holds no address."""

import atexit
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from dagster import DagsterEventType, DagsterRunStatus, EventLogEntry
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from sqlalchemy import Connection, Engine, create_engine, make_url, select

from beep_orchestration import embedded
from beep_orchestration.engine.connections import replace_lost_connections
from beep_orchestration.engine.dagster_internals import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    ConfigurableClassData,
    DagsterEvent,
    DagsterStorage,
    RunsTable,
    SqlEventLogStorageTable,
)
from beep_orchestration.engine.event_groups import EventGroups
from beep_orchestration.engine.transactions import one_transaction, transaction_under_way
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import migrate
from beep_orchestration.settings import load_settings, with_driver

_OF_ASSETS = ASSET_EVENTS | ASSET_CHECK_EVENTS
_NOT_BEGUN = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING)


class PooledRunStorage(PostgresRunStorage):
    """Dagster's run storage on an engine that it is given."""

    def __init__(self, postgres_url: str, engine: Engine) -> None:
        self._has_run_stats = False
        super().__init__(postgres_url)
        self._engine = engine

    def connect(self) -> AbstractContextManager[Connection]:
        """As in Dagster, except within `one_transaction`."""
        return transaction_under_way() or super().connect()

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """As in Dagster, which gives the webserver connections of its own; these are tested before use too."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        replace_lost_connections(self._engine)

    def has_run_stats_index_cols(self) -> bool:
        """As in Dagster, which looks into the database's catalogue at each event of a run; here once."""
        if not self._has_run_stats:
            self._has_run_stats = super().has_run_stats_index_cols()
        return self._has_run_stats

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        """As in Dagster, except that a run that has begun does not become one that is about to begin."""
        with one_transaction(self.connect) as connection:
            if event.event_type is not DagsterEventType.PIPELINE_STARTING or not _has_begun(connection, run_id):
                super().handle_run_event(run_id, event, update_timestamp)

    def dispose(self) -> None:
        """Close the idle connections; the storage stays usable."""
        self._engine.dispose()


def _has_begun(connection: Connection, run_id: str) -> bool:
    """The answer stays true until the transaction ends: the row is locked, as an update of the status locks it."""
    statement = select(RunsTable.c.status).where(RunsTable.c.run_id == run_id).with_for_update(key_share=True)
    status = connection.execute(statement).scalar()
    return status is not None and DagsterRunStatus(status) not in _NOT_BEGUN


class PooledEventLogStorage(PostgresEventLogStorage):
    """Dagster's event log on an engine that it is given."""

    def __init__(self, postgres_url: str, engine: Engine, runs: PooledRunStorage) -> None:
        self._groups: EventGroups | None = None
        self._runs = runs
        super().__init__(postgres_url)
        self._engine = engine

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """As in Dagster, which gives the webserver connections of its own; these are tested before use too."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        replace_lost_connections(self._engine)

    @contextmanager
    def in_groups(self) -> Iterator[None]:
        """Within the block events may be stored a moment later, in groups; at its end all of them are."""
        groups = self._groups = EventGroups(self.store_together)
        try:
            yield
        finally:
            self._groups = None
            groups.close()

    def store_event(self, event: EventLogEntry) -> None:
        """As in Dagster, except that nobody is notified, for nobody listens: one statement instead of two, or none.

        An event that gives its run a status is stored with that status, or neither of them is.
        """
        if event.is_dagster_event and event.dagster_event_type in _OF_ASSETS:
            super().store_event(event)
        elif self.handles_run_events_in_store_event and _is_of_a_job(event):
            self._store_with_status(event)
        elif self._groups is None:
            self.store_together([event])
        else:
            self._groups.add(event)

    def _store_with_status(self, event: EventLogEntry) -> None:
        happened_at = datetime.fromtimestamp(event.timestamp, tz=UTC)
        with one_transaction(self._connect):  # what waits in groups is stored before it begins, to stay in any case
            self._runs.handle_run_event(event.run_id, event.get_dagster_event(), happened_at)
            # Last, after all waiting for locks: sensors read by id, and may miss one that is committed after a higher.
            self.store_together([event])

    @property
    def handles_run_events_in_store_event(self) -> bool:
        """Yes, for Dagster would load the run after each, to see whether a failed one is to be retried."""
        return self.has_instance and not self._instance.run_retries_enabled

    def store_together(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that are not of assets by one statement."""
        with self._pooled() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [self._event_to_row(event) for event in events])

    def dispose(self) -> None:
        """Close the idle connections; the storage stays usable."""
        super().dispose()
        self._engine.dispose()

    def _connect(self) -> AbstractContextManager[Connection]:
        """Called by Dagster for all that is not `store_together`, which must find what was stored before."""
        if self._groups is not None:
            self._groups.flush()
        return self._pooled()

    def _pooled(self) -> AbstractContextManager[Connection]:
        return transaction_under_way() or super()._connect()

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """Within the block this thread stores nothing for good: it is for a process to compile its statements."""
        with one_transaction(self._connect) as connection:
            yield
            connection.rollback()


def _is_of_a_job(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.get_dagster_event().is_job_event


class PooledScheduleStorage(PostgresScheduleStorage):
    """Dagster's storage of sensors and schedules on an engine that it is given."""

    def __init__(self, postgres_url: str, engine: Engine) -> None:
        super().__init__(postgres_url)
        self._engine = engine

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """As in Dagster, which gives the webserver connections of its own; these are tested before use too."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        replace_lost_connections(self._engine)


class WorkflowStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage at `BEEP_DATABASE_URL`, or in the embedded server.

    The process that has to start the embedded server brings our schema up to date too, and stops the server when it
    ends; with `dagster dev` that is Dagster's own parent process.

    Stock Dagster opens a connection for each event of a run. Here they are pooled: bounded, tested before use, renewed
    every ten minutes, and never shared across a fork.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.postgres_url = postgres_url
        self.should_autocreate_tables = True
        self._inst_data = inst_data
        engine = create_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=2,
            max_overflow=8,
            pool_recycle=600,
        )
        replace_lost_connections(engine)
        self._run_storage = PooledRunStorage(postgres_url, engine)
        self._event_log_storage = PooledEventLogStorage(postgres_url, engine, self._run_storage)
        self._schedule_storage = PooledScheduleStorage(postgres_url, engine)
        DagsterStorage.__init__(self)  # type: ignore[arg-type, no-untyped-call]
        os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: the settings have it."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Called by Dagster in every process that loads the instance."""
        return cls(_in_utc(with_driver(_database_url(), "psycopg2")), inst_data)


def _in_utc(postgres_url: str) -> str:
    """Dagster's times have no zone and mean UTC, but those that the server fills in are in the session's zone."""
    url = make_url(postgres_url)
    options = " ".join((*url.normalized_query.get("options", ()), "-c TimeZone=UTC"))
    return url.update_query_dict({"options": options}).render_as_string(hide_password=False)


def _database_url() -> str:
    settings = load_settings()
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    url, is_started_here = embedded.start(settings.data_folder)
    if is_started_here:
        atexit.register(embedded.stop, settings.data_folder)
        database = Database(url)
        migrate(database.engine)
        database.close()
    return url
