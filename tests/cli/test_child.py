"""A process of the services: what is said of its end, and when it starts again."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from beep_orchestration.supervisor import child as child_module
from beep_orchestration.supervisor.child import MAXIMUM_ENDS, Child
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(600)"


def _child(folder: Path, code: str) -> Child:
    return Child("webserver", [sys.executable, "-c", code], dict(os.environ), folder)


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[Child]:
    child = _child(tmp_path, SLEEP)
    child.start()
    yield child
    child.ask_to_end()
    child.wait(10)


def _end_of(child: Child) -> str:
    return wait_until(child.find_end)  # type: ignore[return-value]


def test_an_end_is_told_once_and_the_last_lines_are_kept(tmp_path: Path) -> None:
    child = _child(tmp_path, "print('\\n'.join(map(str, range(100)))); raise SystemExit('port is taken')")
    child.start()
    assert _end_of(child) == f"the webserver ended with exit code 1; its log is {child.log}"
    assert child.tail().splitlines()[-2:] == ["99", "port is taken"]
    assert len(child.tail().splitlines()) < 20
    assert child.find_end() is None
    assert child.pid is None


def test_a_killed_process_is_started_again_after_its_delay(sleeping: Child) -> None:
    first = sleeping.pid
    assert first is not None
    psutil.Process(first).kill()
    assert "killed by signal 9" in _end_of(sleeping)
    sleeping.start_if_due()
    assert sleeping.pid is None  # the delay is not over
    wait_until(lambda: sleeping.start_if_due() or sleeping.pid, timeout=sleeping.delay + 10)  # type: ignore[func-returns-value]
    assert sleeping.pid != first


def test_delays_grow_and_the_number_of_starts_is_limited(tmp_path: Path) -> None:
    child = _child(tmp_path, "")
    delays = []
    while not child.is_given_up:
        child.start()
        _end_of(child)
        delays.append(child.delay)
    assert len(delays) == MAXIMUM_ENDS
    assert delays == sorted(set(delays))
    assert max(delays) <= 30


def test_a_process_that_ran_for_long_begins_to_count_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = _child(tmp_path, "")
    monkeypatch.setattr(child_module, "_STEADY_SECONDS", -1.0)  # however short it ran, it was steady
    for _ in range(MAXIMUM_ENDS + 1):
        child.start()
        _end_of(child)
    assert not child.is_given_up


def test_a_log_keeps_its_end_and_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_LOG_BYTES", 1000)
    child = _child(tmp_path, "print('x' * 2000); print('last')")
    for _ in range(3):
        child.start()
        _end_of(child)
    assert child.tail().endswith("last")
    assert {path.name for path in tmp_path.iterdir()} == {"webserver.log", "webserver.log.1"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5000
