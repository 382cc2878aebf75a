"""The guard ends what has the mark, however it tries to stay, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

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
    script: Path, bystander: subprocess.Popen[bytes]
) -> None:
    parent = _start_family(script, "ours")
    end_marked("ours")
    assert marked_processes("ours") == []
    parent.wait(10)
    assert bystander.poll() is None


def test_the_guard_ends_all_when_it_is_released(script: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    guard = Guard("released", folder, tmp_path, lock)
    parent = _start_family(script, "released")
    psutil.Process(guard.pid).terminate()  # a terminal or a service manager does so to whole groups
    guard.keep()
    guard.release()
    parent.wait(10)
    assert marked_processes("released") == []
    assert not folder.exists()
    os.close(lock)


def test_a_guard_that_died_has_a_successor(script: Path, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    guard = Guard("succeeded", tmp_path / "folder", tmp_path, lock)
    first = guard.pid
    psutil.Process(first).kill()
    guard.own_postgres()
    wait_until(lambda: guard.keep() or guard.pid != first)  # type: ignore[func-returns-value]
    parent = _start_family(script, "succeeded")
    guard.release()
    parent.wait(10)
    assert marked_processes("succeeded") == []
    os.close(lock)
