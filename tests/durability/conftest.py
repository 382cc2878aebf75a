"""Executions, runners and a service on a real database; Dagster is down unless a test brings its own instance."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beep_orchestration import faults
from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings, load_settings
from tests.durability.workflow import settings_without_dagster
from tests.factories import ORGANIZATION


@pytest.fixture(autouse=True)
def _faults_end_with_the_test() -> Iterator[None]:
    yield
    faults.clear()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Iterator[Settings]:
    """What `load_settings` answers too: the test's database, and a Dagster that does not answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEEP_DATABASE_URL", database_url)
    monkeypatch.setenv("BEEP_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("BEEP_ORGANIZATION", ORGANIZATION)
    for name, value in settings_without_dagster().items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    yield load_settings()
    load_settings.cache_clear()


@pytest.fixture
def service(database: Database, settings: Settings) -> WorkflowService:
    dagster = DagsterClient(settings.host, settings.port, code_location="beep_orchestration", timeout_seconds=5)
    return WorkflowService(database, dagster, ORGANIZATION, settings)
