"""An endpoint of the tests' own, and what the process must be told to ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beep_orchestration.settings import Settings, load_settings
from tests.durability.conftest import service
from tests.durability.workflow import settings_without_dagster
from tests.factories import ORGANIZATION
from tests.llm.endpoint import KEY, Endpoint, endpoint

__all__ = ["service"]

SECONDS = 60.0
"""How long a call may take; tests in which calls hang set less."""


@pytest.fixture
def llm() -> Iterator[Endpoint]:
    """An endpoint that answers honestly until a test plans otherwise."""
    with endpoint() as made:
        yield made


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, llm: Endpoint) -> Iterator[Settings]:
    """The test's database and endpoint, for this process; a Dagster that does not answer."""
    monkeypatch.chdir(tmp_path)
    variables = {
        "BEEP_DATABASE_URL": database_url,
        "BEEP_ORGANIZATION": ORGANIZATION,
        "BEEP_LLM_MODEL": "rules",
        "BEEP_LLM_BASE_URL": llm.url,
        "BEEP_LLM_API_KEY": KEY,
        "BEEP_LLM_TIMEOUT_SECONDS": str(SECONDS),
        "BEEP_LLM_INPUT_PRICE": "2",
        "BEEP_LLM_OUTPUT_PRICE": "10",
    }
    for name, value in (settings_without_dagster() | variables).items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    yield load_settings()
    load_settings.cache_clear()
