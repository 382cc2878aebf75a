"""One installation that the tests of this folder share; each leaves it as it found it."""

from collections.abc import Iterator

import pytest

from tests.faults.documents import document
from tests.faults.installation import Installation, installed


@pytest.fixture(scope="session")
def shared_installation() -> Iterator[Installation]:
    """Real services on a real PostgreSQL, with a fork server that is warm."""
    with installed() as made:
        made.wait_completed([made.start(document(1))])
        yield made


@pytest.fixture
def installation(shared_installation: Installation) -> Installation:
    """The services, all of them there."""
    shared_installation.wait_ready()
    return shared_installation
