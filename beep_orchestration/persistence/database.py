"""Connections and transactions."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, LiteralString

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ProgrammingError

from beep_orchestration.errors import SchemaVersionError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import Checkpoint
from beep_orchestration.persistence import driver_errors
from beep_orchestration.persistence.activities import Activities
from beep_orchestration.persistence.checkpoints import Checkpoints
from beep_orchestration.persistence.children import ChildExecutions
from beep_orchestration.persistence.ended import EndedExecutions
from beep_orchestration.persistence.example_sets import ExampleSets
from beep_orchestration.persistence.executions import Executions
from beep_orchestration.persistence.model_calls import ModelCalls
from beep_orchestration.persistence.notifications import Notifications
from beep_orchestration.persistence.pauses import Pauses
from beep_orchestration.persistence.runs import Runs
from beep_orchestration.persistence.schema import EXPECTED_REVISION
from beep_orchestration.persistence.signals import Signals
from beep_orchestration.persistence.statuses import Statuses
from beep_orchestration.persistence.stuck import StuckExecutions

_SILENT_SECONDS = 10
_LOCK_SECONDS = 20
_IDLE_READER_SECONDS = 60
_UNDEFINED_TABLE_OR_COLUMN = frozenset({"42P01", "42703"})


class WorkflowPersistence:
    """The tables within one transaction: what is saved through it becomes visible together, or not at all."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.executions = Executions(connection)
        self.children = ChildExecutions(connection)
        self.ended = EndedExecutions(connection)
        self.statuses = Statuses(connection)
        self.stuck = StuckExecutions(connection)
        self.activities = Activities(connection)
        self.checkpoints = Checkpoints(connection)
        self.signals = Signals(connection)
        self.runs = Runs(connection)
        self.model_calls = ModelCalls(connection)
        self.pauses = Pauses(connection)
        self.example_sets = ExampleSets(connection)


class Database:
    """A pool of connections to one PostgreSQL database; safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.engine = _new_engine(url, pool_size=pool_size, pool_pre_ping=True)
        self._statements = _new_engine(url, pool_size=1, isolation_level="AUTOCOMMIT")
        event.listen(self._statements, "connect", _plan_once)
        self.notifications = Notifications(self.engine)
        self._rehearsal: Connection | None = None
        self._rehearsal_lock = threading.RLock()

    @property
    def safe_url(self) -> str:
        """The URL without its password."""
        return driver_errors.safe_url(self.engine.url)

    @contextmanager
    def transaction(self) -> Iterator[WorkflowPersistence]:
        """Commit what the block saved, or nothing of it if the block raises.

        Raises `DatabaseUnavailableError`, after which the caller does not know whether a commit that was under way took
        effect, and `SchemaVersionError`.
        """
        try:
            with driver_errors.unavailability(self.engine), self._begin(self.engine) as connection:
                yield WorkflowPersistence(connection)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", "") in _UNDEFINED_TABLE_OR_COLUMN:
                raise SchemaVersionError(None, EXPECTED_REVISION, "run 'beep migrate'") from error
            raise

    @contextmanager
    def statement(self) -> Iterator[WorkflowPersistence]:
        """As `transaction`, for a block of one statement: it goes to the server alone, and is there committed.

        On a connection that is kept for this and not tested before use: for a caller that repeats what it lost, and
        whose threads take turns.
        """
        with driver_errors.unavailability(self._statements), self._begin(self._statements) as connection:
            yield WorkflowPersistence(connection)

    @contextmanager
    def _begin(self, engine: Engine) -> Iterator[Connection]:
        if self._rehearsal is None:
            with engine.begin() as connection:
                yield connection
        else:
            with self._rehearsal_lock, self._rehearsal.begin_nested():
                yield self._rehearsal

    @contextmanager
    def snapshot(self) -> Iterator[WorkflowPersistence]:
        """The tables as they are at the block's first reading, however long it reads; nothing can be saved.

        Holds one connection of the pool. Raises `DatabaseUnavailableError`, also if nothing is read for a minute.
        """
        with driver_errors.unavailability(self.engine), self.engine.connect() as pooled:
            connection = pooled.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_READER_SECONDS}s'")
            yield WorkflowPersistence(connection)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Within the block nothing is committed: every transaction is a part of one that is rolled back at the end.

        What goes to the server alone is rehearsed by a checkpoint of an execution that there is not.
        """
        with driver_errors.unavailability(self.engine), self.engine.connect() as connection:
            self._rehearsal = connection
            try:
                yield
            finally:
                self._rehearsal = None
        self._rehearse_statement()

    def warm_up(self) -> None:
        """Open the connections of a run ahead of it, and have the server plan what all runs ask; changes nothing.

        Raises `DatabaseUnavailableError`.
        """
        nothing = WorkflowExecutionId.new()
        with self.transaction() as tables:
            tables.executions.find(nothing, lock=True)
            tables.activities.load_latest(nothing, "")
        self._rehearse_statement()

    def _rehearse_statement(self) -> None:
        with self.statement() as tables:
            tables.checkpoints.write(
                WorkflowExecutionId.new(),
                0,
                current_activity=None,
                checkpoint=Checkpoint(),
                begun=(),
                completed=(),
                progress=(),
            )

    def close(self) -> None:
        """Close the pool's idle connections; the next transaction opens another."""
        self.notifications.close()
        self.engine.dispose()
        self._statements.dispose()

    def forget_connections(self) -> None:
        """In a forked process: its parent's connections are not its own, and are left as they are."""
        self.engine.dispose(close=False)
        self._statements.dispose(close=False)


@lru_cache(maxsize=1)
def process_database(url: str) -> Database:
    """The `Database` of this process's runs; a forked process has its parent's compiled statements, no connection."""
    database = Database(url)
    os.register_at_fork(after_in_child=database.forget_connections)
    return database


def _new_engine(url: str, **options: Any) -> Engine:
    engine = create_engine(
        driver_errors.parsed_url(url),
        max_overflow=0,
        pool_recycle=1_800,
        pool_timeout=30,
        connect_args={
            "application_name": "beep_orchestration",
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": 1_000 * _SILENT_SECONDS,
        },
        **options,
    )
    event.listen(engine, "connect", _prepare_session)
    return engine


def _prepare_session(connection: psycopg.Connection, _: object) -> None:
    """Read times in UTC whatever the server's zone: Python subtracts times of one zone by the hands of its clock.

    And let the server end a transaction whose process is stopped or cut off in the middle of it: its locks would keep
    every successor from the claim.
    """
    _execute_alone(
        connection,
        f"SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '{_SILENT_SECONDS}s'; "
        f"SET lock_timeout = '{_LOCK_SECONDS}s'",
    )


def _plan_once(connection: psycopg.Connection, _: object) -> None:
    """Let the server plan a statement when it is first executed, for any values, not ten times for the values given."""
    _execute_alone(connection, "SET plan_cache_mode = force_generic_plan")
    connection.prepare_threshold = 0


def _execute_alone(connection: psycopg.Connection, statement: LiteralString) -> None:
    was_autocommit, connection.autocommit = connection.autocommit, True
    connection.execute(statement)
    connection.autocommit = was_autocommit
