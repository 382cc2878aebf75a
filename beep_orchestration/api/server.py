"""The process of the API: it listens, and has a pool of database connections of its own."""

import logging
import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn
from starlette.applications import Starlette

from beep_orchestration import embedded
from beep_orchestration.api.access import check_exposure
from beep_orchestration.api.application import THREADS, create_application
from beep_orchestration.api.endpoints import MAXIMUM_HISTORIES
from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.errors import ConfigurationError, DatabaseUnavailableError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import check_schema
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from beep_orchestration.waker import waking

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 2
_BACKLOG = 512


def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve the API until a signal ends it, and wake what is due meanwhile; `ready` is told the address.

    A database that is away, at the start or later, is waited for: until it is back requests are refused. Raises
    `ConfigurationError` if the server cannot listen there, or may not: beyond this machine tokens are needed. Raises
    `SchemaVersionError`.
    """
    check_exposure(settings)
    with _listening(settings) as listener, embedded.database_url(settings) as url:
        database = Database(url, pool_size=THREADS + MAXIMUM_HISTORIES)
        try:
            _check_schema(database)
            ready(settings.api_url)
            _run(settings, database, listener)
        finally:
            database.close()


def _check_schema(database: Database) -> None:
    try:
        check_schema(database.engine)
    except DatabaseUnavailableError as error:
        logger.warning("requests are refused until it is back: %s", error)


def _listening(settings: Settings) -> "closing[socket.socket]":
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return closing(socket.create_server((host, port), family=family, backlog=_BACKLOG))
    except OSError as error:
        raise ConfigurationError(
            f"BEEP_API_PORT: cannot listen on {host}:{port} ({error.strerror or error}); set it to a free port"
        ) from error


def _run(settings: Settings, database: Database, listener: socket.socket) -> None:
    dagster = DagsterClient(
        settings.host,
        settings.port,
        code_location=settings.code_location,
        timeout_seconds=settings.dagster_timeout_seconds,
    )

    def service_of(organization: OrganizationId) -> WorkflowService:
        return WorkflowService(database, dagster, organization, settings)

    with waking(service_of(settings.organization)):
        make_server(create_application(settings, service_of)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Lets streams end before it waits for the end of all answers."""

    def __init__(self, application: Starlette, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.state.is_ending = True
        await super().shutdown(sockets)


def make_server(application: Starlette) -> uvicorn.Server:
    """A server for the application: quiet, and believing no proxy's headers."""
    config = uvicorn.Config(
        application,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(application, config)
