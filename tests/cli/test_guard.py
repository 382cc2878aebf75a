"""The guard ends what has the mark, however it tries to stay, and nothing else."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from beep_orchestration.supervisor import postgres
from beep_orchestration.supervisor.guard import Guard, end_marked, marked_processes
from beep_orchestration.supervisor.home import MARK_VARIABLE
from tests.waiting import wait_until

STUBBORN = """
import os, signal, subprocess, sys, time
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signum, signal.SIG_IGN)
if sys.argv[1:]:
    subprocess.Popen([sys.executable, __file__], start_new_session=True)
    subprocess.Popen([sys.executable, __file__], start_new_session=True).wait()
time.sleep(600)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark of this test's own; nothing that has it is left behind, also if the test fails."""
    mark = secrets.token_hex(8)
    yield mark
    for process in marked_processes(mark):
        process.kill()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "stubborn.py"
    path.write_text(STUBBORN)
    return path


@pytest.fixture
def bystander(script: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with another mark."""
    with subprocess.Popen([sys.executable, script], env={**os.environ, MARK_VARIABLE: "other"}) as process:
        yield process
        process.kill()


def _start_family(script: Path, mark: str) -> subprocess.Popen[bytes]:
    """A process with two children in sessions of their own; all ignore the polite signals."""
    process = subprocess.Popen([sys.executable, script, "parent"], env={**os.environ, MARK_VARIABLE: mark})
    wait_until(lambda: len(marked_processes(mark)) == 3, description="parent and children run")
    return process


def test_a_family_that_ignores_signals_is_ended_and_others_are_not(
    script: Path, mark: str, bystander: subprocess.Popen[bytes]
) -> None:
    parent = _start_family(script, mark)
    end_marked(mark)
    assert marked_processes(mark) == []
    parent.wait(10)
    assert bystander.poll() is None


def test_the_guard_ends_all_when_it_is_released(script: Path, mark: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    guard = Guard(mark, folder, tmp_path, lock)
    parent = _start_family(script, mark)
    guard.release()
    parent.wait(10)
    assert marked_processes(mark) == []
    assert not folder.exists()
    os.close(lock)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_guard_ignores_what_is_sent_to_whole_groups(mark: str, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    guard = Guard(mark, tmp_path / "folder", tmp_path, lock)
    wait_until(lambda: {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= _ignored_by(guard.pid))
    guard.release()
    os.close(lock)


def _ignored_by(pid: int) -> set[int]:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    mask = int(lines["SigIgn"], 16)
    return {signum for signum in signal.valid_signals() if mask >> (signum - 1) & 1}


def test_a_server_that_is_still_being_made_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Path] = []
    monkeypatch.setattr(postgres.embedded, "stop", requests.append)  # it finds no server yet
    maker = [sys.executable, "-c", "import sys; sys.stdin.read()", str(tmp_path / "postgres")]
    with subprocess.Popen(maker, stdin=subprocess.PIPE) as process, ThreadPoolExecutor() as threads:
        wait_until(lambda: str(tmp_path / "postgres") in psutil.Process(process.pid).cmdline())
        stopping = threads.submit(postgres.stop_surely, tmp_path)
        wait_until(lambda: len(requests) > 2, description="it asks again")
        assert not stopping.done()
        process.communicate(timeout=10)
        stopping.result(10)


def test_a_guard_that_died_has_a_successor(script: Path, mark: str, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    guard = Guard(mark, tmp_path / "folder", tmp_path, lock)
    first = guard.pid
    psutil.Process(first).kill()
    guard.own_postgres()
    wait_until(lambda: guard.keep() or guard.pid != first)  # type: ignore[func-returns-value]
    parent = _start_family(script, mark)
    guard.release()
    parent.wait(10)
    assert marked_processes(mark) == []
    os.close(lock)
