"""Dagster's storage in the same PostgreSQL as ours, found by our settings, so that `dagster.yaml` holds no address."""

import atexit
import os
from collections.abc import Mapping
from typing import Any, Self

from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import create_engine

from beep_orchestration import embedded
from beep_orchestration.engine.dagster_internals import ConfigurableClassData
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import migrate
from beep_orchestration.settings import load_settings, with_driver


class WorkflowStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage at `BEEP_DATABASE_URL`, or in the embedded server.

    The process that has to start the embedded server brings our schema up to date too, and stops the server when it
    ends; with `dagster dev` that is Dagster's own parent process.

    Connections are pooled: bounded, tested before use, renewed every ten minutes, and never shared across a fork.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        # Stock Dagster opens a connection for each event of a run; a few kept ones make an event several times cheaper.
        engine = create_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            pool_recycle=600,
        )
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine  # noqa: SLF001 - the storages take no engine
        os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: the settings have it."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Called by Dagster in every process that loads the instance."""
        return cls(postgres_url=with_driver(_database_url(), "psycopg2"), inst_data=inst_data)


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
