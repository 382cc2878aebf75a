"""The side-effect journal: one line for each real call of an activity, whatever the tables say of it.

A line is one write to a file opened for appending, so that lines of several processes never mix and a line of a process
that is killed a moment later stays.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Key = tuple[str, str]
"""An execution's id and an activity's name."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A call began or ended; `at` is Unix time, `epoch` the claim under which the process worked."""

    execution_id: str
    activity: str
    epoch: int
    pid: int
    phase: Literal["begin", "end"]
    at: float

    @property
    def key(self) -> Key:
        return self.execution_id, self.activity


class Journal:
    """The file, for those who write and for those who read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._under_way: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def under_way(self) -> dict[str, float]:
        """The activities that this process is at."""
        with self._lock:
            return dict(self._under_way)

    def call(
        self, execution_id: str, activity: str, epoch: int, inside: Callable[[], None], call: Callable[[], Any]
    ) -> Any:
        """Make the call, with a line before and one after it; `inside` happens between the first line and the call."""
        with self._lock:
            self._under_way[activity] = time.time()
        try:
            self._write(execution_id, activity, epoch, "begin")
            inside()
            result = call()
            self._write(execution_id, activity, epoch, "end")
        finally:
            with self._lock:
                self._under_way.pop(activity, None)
        return result

    def _write(self, execution_id: str, activity: str, epoch: int, phase: Literal["begin", "end"]) -> None:
        entry = Entry(
            execution_id=execution_id, activity=activity, epoch=epoch, pid=os.getpid(), phase=phase, at=time.time()
        )
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps(vars(entry)).encode() + b"\n")
        finally:
            os.close(descriptor)

    def entries(self) -> list[Entry]:
        """Every line so far."""
        if not self._path.exists():
            return []
        return [Entry(**json.loads(line)) for line in self._path.read_bytes().splitlines()]

    def follow(self) -> "Follower":
        """A reader that goes on where it stopped."""
        return Follower(self._path)

    def begins(self, execution_ids: Iterable[str] | None = None) -> dict[Key, list[Entry]]:
        """The calls of each activity, in their order; of these executions only, if any are named."""
        wanted = None if execution_ids is None else set(execution_ids)
        found: dict[Key, list[Entry]] = defaultdict(list)
        for entry in self.entries():
            if entry.phase == "begin" and (wanted is None or entry.execution_id in wanted):
                found[entry.key].append(entry)
        return dict(found)

    def calls(self, execution_id: str, activity: str) -> int:
        """How often an activity was called."""
        return len(self.begins([execution_id]).get((execution_id, activity), []))


class Follower:
    """What a growing journal says up to the last look at it; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._lock = threading.Lock()
        self._begins: dict[str, list[Entry]] = defaultdict(list)
        self._open: dict[tuple[int, Key], Entry] = {}

    def under_way(self, pid: int | None = None) -> list[Entry]:
        """Calls that began and did not end, in that process or in any; those of a dead process are among them."""
        with self._lock:
            self._read()
            return [entry for entry in self._open.values() if pid in (None, entry.pid)]

    def begins_of(self, execution_id: str) -> list[Entry]:
        """The calls of an execution, in their order."""
        with self._lock:
            self._read()
            return list(self._begins[execution_id])

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                self._offset += len(line)
                self._note(Entry(**json.loads(line)))

    def _note(self, entry: Entry) -> None:
        if entry.phase == "begin":
            self._begins[entry.execution_id].append(entry)
            self._open[entry.pid, entry.key] = entry
        else:
            self._open.pop((entry.pid, entry.key), None)
