"""One installation that the tests of this folder share; each leaves it as it found it."""

from collections.abc import Iterator

import pytest

from tests.faults.documents import document
from tests.faults.installation import Installation, installed
from tests.faults.invariants import wait_until_quiet
from tests.llm.endpoint import KEY, Endpoint, endpoint

ACTIVITY_TIMEOUT = 5.0
ENVIRONMENT = {
    "FAULTS_TIMEOUT": str(ACTIVITY_TIMEOUT),
    "BEEP_WORKFLOW_MODULES": "examples.reading_list",
    "BEEP_PARK_AFTER_SECONDS": "0.2",
    "BEEP_LLM_MODEL": "rules",
    "BEEP_LLM_API_KEY": KEY,
    "BEEP_LLM_TIMEOUT_SECONDS": "10",
}
SHORT = {"lease_seconds": 4.0, "launch_grace_seconds": 2.0}
"""Shorter than shipped: who waits for a lease waits for seconds. The campaign takes what is shipped."""


@pytest.fixture(scope="package")
def shared_endpoint() -> Iterator[Endpoint]:
    """The language model of the shared installation."""
    with endpoint() as made:
        yield made


@pytest.fixture(scope="package")
def shared_installation(shared_endpoint: Endpoint) -> Iterator[Installation]:
    """Real services on a real PostgreSQL, with a fork server that is warm."""
    with installed(ENVIRONMENT | {"BEEP_LLM_BASE_URL": shared_endpoint.url}, **SHORT) as made:
        made.wait_completed([made.start(document(1))])
        yield made
        wait_until_quiet(
            made, [str(row[0]) for row in made.postgres.ask("SELECT id FROM knowledge_workflow_execution")]
        )


@pytest.fixture
def installation(shared_installation: Installation) -> Installation:
    """The services, all of them there."""
    shared_installation.wait_ready()
    return shared_installation
