"""The API as a real server on a real PostgreSQL; Dagster is down, so that executions are accepted and wait."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from beep_orchestration.api.application import create_application
from beep_orchestration.api.server import make_server
from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.ids import OrganizationId
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from tests.browser import browser
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION
from tests.postgres import opened
from tests.waiting import wait_until

__all__ = ["browser"]

TOKEN, OTHER_TOKEN = "token-of-the-organization-1", "token-of-the-other-organization"
TOKENS = {ORGANIZATION: (SecretStr(TOKEN),), OTHER_ORGANIZATION: (SecretStr(OTHER_TOKEN), SecretStr("t" * 20))}


def settings_of(database_url: str, **overrides: Any) -> Settings:
    """Settings for a server on that database; nothing listens where Dagster ought to."""
    values: dict[str, Any] = {"database_url": SecretStr(database_url), "organization": ORGANIZATION, "port": 1}
    return Settings(**(values | overrides))


@contextmanager
def serving(settings: Settings, database: Database) -> Iterator[str]:
    """A server as long as the block lasts; its address."""
    dagster = DagsterClient(settings.host, settings.port, code_location="beep_orchestration", timeout_seconds=5)

    def service_of(organization: OrganizationId) -> WorkflowService:
        return WorkflowService(database, dagster, organization, settings)

    server = make_server(create_application(settings, service_of))
    with closing(socket.create_server(("127.0.0.1", 0), backlog=512)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        wait_until(lambda: server.started, description="the server listens")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """As large a pool as the server's own."""
    with opened(database_url, pool_size=20) as opened_database:
        yield opened_database


@pytest.fixture
def url(database_url: str, database: Database) -> Iterator[str]:
    """The address of a server that asks for no token."""
    with serving(settings_of(database_url), database) as address:
        yield address


@pytest.fixture
def api(url: str) -> Iterator[httpx.Client]:
    """A program that uses it."""
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture
def guarded_url(database_url: str, database: Database) -> Iterator[str]:
    """The address of a server that asks for tokens."""
    with serving(settings_of(database_url, api_tokens=TOKENS), database) as address:
        yield address


@pytest.fixture
def guarded(guarded_url: str) -> Iterator[httpx.Client]:
    """A program that uses it, without a token yet."""
    with httpx.Client(base_url=guarded_url, timeout=30) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {token}"}
