"""Clocks that jump and a disk that is full: cases 18, 20 and 21, on processes and servers of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from beep_orchestration.errors import ClaimLostError
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import migrate
from tests.durability.worker import calls
from tests.durability.workflow import STAGE, Journal, assert_consistent, completed, load, running, start
from tests.faults.control import Control
from tests.faults.installation import ROOT, Postgres, postgres_server
from tests.faults.lone_worker import COUNT
from tests.postgres import opened
from tests.waiting import wait_until

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
pytestmark = pytest.mark.integration
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime: apt-get install libfaketime")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@needs_faketime
@pytest.mark.parametrize(("first", "second"), [("+30d", "-30d"), ("-1h", "+1h")])
def test_20_the_clocks_of_workers_are_wrong(
    database: Database, database_url: str, tmp_path: Path, first: str, second: str
) -> None:
    """The first dies; the second takes over when the lease is over on the database's clock, not on its own."""
    execution_id = start(database)
    control = Control(tmp_path)
    control.arm("after_checkpoint_commit", "kill", subject="mentions-1")
    assert _work(database_url, execution_id, "run-1", tmp_path, first) == -9
    assert _work(database_url, execution_id, "run-2", tmp_path, second) == 0
    assert load(database, execution_id).status is ExecutionStatus.COMPLETED
    assert [calls(tmp_path / "journal", number) for number in range(COUNT)] == [1] * COUNT
    assert_consistent(database, execution_id)
    assert _times_are_right(database_url)


@needs_faketime
def test_21_the_clock_of_the_database_jumps() -> None:
    """A lease ends early, once; whoever held it is refused, whatever the clock says then."""
    clock = Path(tempfile.mkdtemp(prefix="beep-faults-clock-")) / "offset"
    clock.parent.chmod(0o755)
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    journal = Journal()
    with postgres_server(environment) as server, _migrated(server) as database:
        execution_id = start(database)
        before = server.ask("SELECT clock_timestamp()")[0][0]
        with running(database, execution_id, "run-1") as old:
            old.run(STAGE, journal.activities(2), concurrency=1)
            clock.write_text("+3600")
            assert server.ask("SELECT clock_timestamp() - %s > interval '50 min'", before) == [(True,)]
            with running(database, execution_id, "run-2") as new:
                clock.write_text("-3600")
                with pytest.raises(ClaimLostError):
                    old.run(STAGE, journal.activities(3), concurrency=1)
                new.run(STAGE, journal.activities(3), concurrency=1)
                new.complete({"by": "run-2"})
        assert load(database, execution_id).status is ExecutionStatus.COMPLETED
        assert set(journal.calls.values()) == {1}
        assert_consistent(database, execution_id)
    shutil.rmtree(clock.parent)


@needs_root
def test_18_the_disk_is_full_and_has_space_again() -> None:
    """What cannot be committed waits; nothing is half written, nothing is called again."""
    journal, output = Journal(), os.urandom(250_000).hex()
    with _small_disk() as folder, postgres_server(folder=folder) as server, _migrated(server) as database:
        execution_id = start(database)
        server.ask("CHECKPOINT")
        filler = _fill(folder)
        with running(database, execution_id) as runner:
            activities = [journal.activity(number, lambda: output, output_type=str) for number in range(40)]
            working = threading.Thread(target=runner.run, args=(STAGE, activities), kwargs={"concurrency": 4})
            working.start()
            wait_until(lambda: _says_full(server), description="the server says that its disk is full")
            filler.unlink()
            with suppress(psycopg.OperationalError):
                server.ask("SELECT 1")
            server.start()  # it ends itself if it cannot write its log
            working.join(120)
            assert not working.is_alive()
            runner.complete({"by": "run-1"})
        assert len(completed(database, execution_id)) == len(activities)
        assert set(journal.calls.values()) == {1}
        assert_consistent(database, execution_id)


def _work(url: str, execution_id: str, run: str, folder: Path, offset: str) -> int:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME": offset,
    }
    command = [sys.executable, "-m", "tests.faults.lone_worker", url, execution_id, run, str(folder)]
    return subprocess.run(command, env=environment, check=False, timeout=60).returncode


def _times_are_right(url: str) -> bool:
    statement = (
        "SELECT bool_and(abs(extract(epoch FROM clock_timestamp() - started_at)) < 60 "
        "AND abs(extract(epoch FROM clock_timestamp() - completed_at)) < 60) FROM knowledge_workflow_activity"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    return row == (True,)


@contextmanager
def _migrated(server: Postgres) -> Iterator[Database]:
    with opened(server.url) as database:
        migrate(database.engine)
        yield database


@contextmanager
def _small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="beep-faults-disk-"))
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=200m,mode=0755", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def _fill(folder: Path) -> Path:
    """Leave three megabytes."""
    filler = folder / "filler"
    free = shutil.disk_usage(folder).free
    filler.write_bytes(b"\0" * (free - 3_000_000))
    return filler


def _says_full(server: Postgres) -> bool:
    return "No space left on device" in (server.folder / "postgres" / "log").read_text(errors="replace")
