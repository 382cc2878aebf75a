"""Installations of Dagster with our run launcher."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.engine.installation import Installation, Installations, installations

LONG_NAME = "long" * 40
"""With it the home's path is longer than a socket address can be."""


@pytest.fixture(scope="package", name="installations")
def shared_by_the_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installations]:
    """Makes installations that share a code server."""
    with installations(tmp_path_factory.mktemp("code-server")) as made:
        yield made


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory, installations: Installations) -> Iterator[Installation]:
    """Without run monitoring, with NumPy in the fork server; shared by the tests of a file."""
    folder = tmp_path_factory.mktemp("installation") / LONG_NAME
    folder.mkdir()
    with installations.make(folder, {"preload": ["numpy.random:seed"]}) as made:
        yield made


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process with which fork servers that are started now end."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    monkeypatch.setenv("BEEP_OWNER_PID", str(process.pid))
    yield process
    process.kill()
    process.wait()
