"""A process of the services: what is said of its end, and when it starts again."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from beep_orchestration.supervisor import child as child_module
from beep_orchestration.supervisor.child import MAXIMUM_ENDS, Child, cause_of
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(600)"
LOADING = """
\x1b[32m2026-11-26 05:07:34 +0000\x1b[0m - dagster.code_server - \x1b[34mINFO\x1b[0m - Starting Dagster code server
Traceback (most recent call last):
  File "workflow_types.py", line 146, in load_workflow_modules
    importlib.import_module(name)
ModuleNotFoundError: No module named 'nope'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "jobs.py", line 64, in <module>
    load_workflow_modules()
beep_orchestration.errors.ConfigurationError: BEEP_WORKFLOW_MODULES: nope cannot be imported: No module named 'nope'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
dagster._core.errors.DagsterUserCodeLoadError: Error occurred during the loading of Dagster definitions in
executable_path=python3, module_name=beep_orchestration.definitions
"""

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    begin()\n'
LINK = "\nDuring handling of the above exception, another exception occurred:\n\n"


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


def test_an_end_is_told_once_with_the_last_words(tmp_path: Path) -> None:
    child = _child(tmp_path, "print('\\n'.join(map(str, range(100)))); raise SystemExit('port is taken')")
    child.start()
    assert _end_of(child) == f"the webserver ended with exit code 1: port is taken; its log is {child.log}"
    assert child.find_end() is None
    assert child.pid is None


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (LOADING, "ConfigurationError: BEEP_WORKFLOW_MODULES: nope cannot be imported: No module named 'nope'"),
        (f"{TRACEBACK}dagster._core.errors.DagsterError: alone\nfoot\n", "dagster._core.errors.DagsterError: alone"),
        (f"{TRACEBACK}Exception: plain\n", "Exception: plain"),
        (f"{TRACEBACK}psycopg.errors.UndefinedTable: no table\nLINE 1: SELECT\n       ^\n", "UndefinedTable: no table"),
        (f"{TRACEBACK}a.<locals>.Stop: b.c: d\n", "Stop: b.c: d"),
        (f"{TRACEBACK}ValueError: handled\n2026-11-26 05:07:34 +0000 - dagster - INFO - on\nbye\n", "bye"),
        (f"{TRACEBACK}ValueError: handled\nerror: BEEP_PORT: taken\n", "error: BEEP_PORT: taken"),
        (f"{TRACEBACK}ValueError: handled\n{TRACEBACK}dagster.E: alone\n", "dagster.E: alone"),
        (f"{TRACEBACK}ValueError: first\n{LINK}{TRACEBACK}dagster.E: wraps it\n", "ValueError: first"),
        ("ValueError: without its traceback\nbye\n", "bye"),
        ("Starting\nerror: BEEP_API_PORT: cannot listen\n", "error: BEEP_API_PORT: cannot listen"),
        ("one\n\x1b[31mthe last\x1b[0m\n\n", "the last"),
        (f"{TRACEBACK}builtins.KeyError\n", "KeyError"),
        ("", ""),
    ],
)
def test_the_cause_is_the_exception_that_others_wrap(output: str, cause: str) -> None:
    assert cause_of(output) == cause


def test_what_was_told_before_the_start_is_not_the_cause(tmp_path: Path) -> None:
    child = _child(tmp_path, "raise SystemExit(3)")
    child.log.write_text("ValueError: of the day before\n")
    child.start()
    assert _end_of(child) == f"the webserver ended with exit code 3; its log is {child.log}"


def test_a_log_that_was_emptied_meanwhile_tells_the_cause(tmp_path: Path) -> None:
    child = _child(tmp_path, "import os; os.truncate(1, 0); raise ValueError('bad')")
    child.log.write_text("earlier\n" * 1000)
    child.start()
    assert _end_of(child) == f"the webserver ended with exit code 1: ValueError: bad; its log is {child.log}"


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
    assert child.log.read_text().endswith("last\n")
    assert {path.name for path in tmp_path.iterdir()} == {"webserver.log", "webserver.log.1"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5000
