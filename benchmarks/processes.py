"""Processes of a system under test: what they cost, and their end."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil


def cpu_seconds(mark: str) -> float:
    """CPU time of the living processes with this text in their environment or command, and of their reaped children."""
    return sum(sum(times[:4]) for times in map(_times, _marked(mark)))


def memory_megabytes(mark: str) -> float:
    """Proportional set size (shared pages counted once) of the living processes with this text."""
    return sum(map(_pss, _marked(mark)))


def _marked(mark: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if mark in _words(process)]


def _words(process: psutil.Process) -> str:
    try:
        return "\n".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return ""


def _times(process: psutil.Process) -> tuple[float, ...]:
    try:
        return tuple(process.cpu_times())
    except psutil.Error:
        return (0.0, 0.0, 0.0, 0.0)


def _pss(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 1e6
    except psutil.Error:
        return 0.0


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a session of its own, which is ended with all its group at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[Any]") -> None:
    """Ask the process to end, then kill what is left of its session."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for other in psutil.process_iter():
        try:
            if os.getsid(other.pid) == process.pid:
                other.kill()
        except (psutil.Error, ProcessLookupError):
            continue
    process.wait()


class Driver:
    """A peer that is a library, in a process of its own: answers one JSON line with another."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, **question: Any) -> Any:
        """The peer's answer."""
        questions, answers = self._process.stdin, self._process.stdout
        if questions is None or answers is None:
            raise TypeError("the peer was started without pipes")
        questions.write(json.dumps(question) + "\n")
        questions.flush()
        while line := answers.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the peer ended; see {self._process.args}")


@contextmanager
def driver(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Driver]:
    """Run a peer's script as long as the block lasts."""
    with log.open("a") as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        yield Driver(process)
    finally:
        end(process)
