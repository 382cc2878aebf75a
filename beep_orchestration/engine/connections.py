"""Connections of Dagster's storage are tested before they are used, unless they were in use a moment ago.

One that is lost while it is in use raises one of `LOST`.
"""

import math
import time

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from beep_orchestration.engine.dagster_internals import DagsterPostgresException

LOST = (OperationalError, InterfaceError, DagsterPostgresException)
"""What is raised when the database does not answer; the last one when Dagster has given up connecting."""

_TRUSTED_SECONDS = 0.1
"""No PostgreSQL server is stopped and started again in that time, so a connection that works now has not been lost."""


def replace_lost_connections(engine: Engine) -> None:
    """Have the pool replace connections that were lost while they were idle.

    As SQLAlchemy's `pool_pre_ping`, less the round trip before each of many transactions in a row. The first use of a
    connection may be to have it open for a run that comes later, so it is tested before the second, however soon.
    """

    @event.listens_for(engine, "checkin")
    def note(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic() if "used_at" in entry.info else -math.inf

    @event.listens_for(engine, "checkout")
    def test(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object) -> None:
        used_at = entry.info.get("used_at")
        if used_at is not None and time.monotonic() - used_at > _TRUSTED_SECONDS:
            _ping(engine, connection)


def _ping(engine: Engine, connection: DBAPIConnection) -> None:
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error  # the pool connects anew
