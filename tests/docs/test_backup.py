"""The commands for backup and restore do what the page says, on an embedded server."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beep_orchestration import embedded
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import check_schema, migrate
from tests.docs.pages import page
from tests.factories import claimed


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can reach too, with no server left behind."""
    folder = Path(tempfile.mkdtemp(prefix="beep-test-"))
    yield folder
    for name in ("data", "restored"):
        embedded.stop(folder / name)
    shutil.rmtree(folder, ignore_errors=True)


def _run(commands: str, folder: Path) -> None:
    """As a reader types them in that folder, whose files are for everyone unless the commands say otherwise."""
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {
        "BEEP_DATA_FOLDER": str(folder / "data"),
        "PATH": os.pathsep.join((programs, os.environ.get("PATH", os.defpath))),
    }
    run = subprocess.run(
        ["/bin/sh", "-euc", commands],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        umask=0o022,
    )
    assert run.returncode == 0, run.stderr


def test_what_was_dumped_is_there_after_the_restore(folder: Path) -> None:
    dump, restore = page("operating").blocks("sh")
    url, _ = embedded.start(folder / "data")
    database = Database(url)
    migrate(database.engine)
    with database.transaction() as tables:
        execution_id = claimed(tables).id
        dumped = tables.executions.find(execution_id)
    database.close()
    _run(dump, folder)
    assert stat.S_IMODE((folder / "beep.dump").stat().st_mode) == 0o600
    assert {path.name for path in folder.iterdir()} == {"data", "beep.dump"}
    embedded.stop(folder / "data")
    _run(restore, folder)
    url, is_started_here = embedded.start(folder / "restored")
    assert not is_started_here
    database = Database(url)
    check_schema(database.engine)
    with database.transaction() as tables:
        restored = tables.executions.find(execution_id)
    database.close()
    assert restored is not None
    assert restored == dumped
