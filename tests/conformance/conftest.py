"""Each case has a database of its own, and a Dagster in which only the test launches runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.conformance.owners import Owners, known_types
from tests.durability.conftest import _faults_end_with_the_test, service, settings

__all__ = ["_faults_end_with_the_test", "service", "settings"]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs park when they find nothing, and the types of the cases are known."""
    monkeypatch.setenv("BEEP_PARK_AFTER_SECONDS", "0")
    with known_types():
        yield


@pytest.fixture
def owners(service: WorkflowService, database: Database, tmp_path: Path) -> Owners:
    return Owners(service, database, tmp_path)
