"""An installation of Dagster with our run launcher."""

from collections.abc import Iterator

import pytest

from tests.engine.installation import Installation, installation


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Without run monitoring; shared by the tests of a file."""
    with installation(tmp_path_factory.mktemp("installation")) as made:
        yield made
