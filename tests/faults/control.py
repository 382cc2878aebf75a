"""Faults that a test arms and a process of the services runs into: files in a folder that all of them see.

A fault that is armed once fires once, whichever process reaches its point first: firing moves its file, which the
kernel grants to one process only. What is left behind is the proof that it fired, and what was under way then.
"""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from beep_orchestration.faults import FaultPoint
from tests.waiting import wait_until

FOLDER_VARIABLE = "FAULTS_FOLDER"

Point = FaultPoint | Literal["inside_activity", "worker_forked", "dispatcher_took", "sensor_begun"]
"""Where a fault waits: the named points of the code, and those that the test location adds."""

Action = Literal["kill", "stop", "segfault", "hang", "raise", "pause", "hold"]


class Fault(BaseModel):
    """What happens to the process that reaches a point: to itself, or to the process with another `pid`.

    `subject` is a pattern for the point's subject (the activity's name, say). `hang`, `pause` and `hold` last
    `seconds`; `hold` lets no other thread of the process run.
    """

    id: str
    point: Point
    action: Action
    subject: str = "*"
    execution_id: str | None = None
    pid: int | None = None
    seconds: float = 3_600.0
    is_repeated: bool = False


class Proof(BaseModel):
    """That a fault fired: when (Unix time), in which process, and which activities were under way in it."""

    fault: Fault
    at: float
    pid: int
    execution_id: str | None
    subject: str
    under_way: list[str]


class Control:
    """The folder of faults. Test and services each have one; they share nothing but the files."""

    def __init__(self, folder: Path) -> None:
        self._armed = folder / "armed"
        self._fired = folder / "fired"
        self._numbers = count(1)
        for made in (self._armed, self._fired):
            made.mkdir(parents=True, exist_ok=True)

    def arm(self, point: Point, action: Action, **details: object) -> Fault:
        """Have it happen at that point, once unless it `is_repeated`."""
        fault = Fault.model_validate(
            {"id": f"{next(self._numbers)}-{action}-{point}", "point": point, "action": action, **details}
        )
        unfinished = self._armed.parent / fault.id
        unfinished.write_text(fault.model_dump_json())
        unfinished.rename(self._armed / f"{fault.id}.json")
        return fault

    def disarm(self, fault: Fault) -> bool:
        """Take a fault back; false if it has fired, once."""
        try:
            (self._armed / f"{fault.id}.json").unlink()
        except FileNotFoundError:
            return False
        return True

    def proofs(self, fault: Fault) -> list[Proof]:
        """How often it has fired, and where."""
        return [Proof.model_validate_json(path.read_bytes()) for path in sorted(self._fired.glob(f"{fault.id}@*.json"))]

    def wait_for(self, fault: Fault, timeout: float = 60.0) -> Proof:
        """The first proof that it has fired."""
        return wait_until(lambda: self.proofs(fault), timeout, f"{fault.id} has fired")[0]

    def reached(self, point: Point, subject: str, execution_id: str | None, under_way: Mapping[str, float]) -> None:
        """Let this process meet what is armed for it; called at every point."""
        for fault in self._waiting(point, subject, execution_id):
            self._prove(fault, execution_id, subject, list(under_way))
            _act(fault)

    def _waiting(self, point: Point, subject: str, execution_id: str | None) -> Iterator[Fault]:
        for path in sorted(self._armed.iterdir()):
            with suppress(FileNotFoundError):
                fault = Fault.model_validate_json(path.read_bytes())
                is_meant = fault.execution_id in (None, execution_id) and fnmatchcase(subject, fault.subject)
                if fault.point == point and is_meant:
                    if not fault.is_repeated:
                        path.rename(self._fired / path.name)  # one process succeeds
                    yield fault

    def _prove(self, fault: Fault, execution_id: str | None, subject: str, under_way: list[str]) -> None:
        proof = Proof(
            fault=fault,
            at=time.time(),
            pid=os.getpid(),
            execution_id=execution_id,
            subject=subject,
            under_way=under_way,
        )
        path = self._fired / f"{fault.id}@{time.monotonic_ns()}.json"
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(proof.model_dump_json())
        unfinished.rename(path)


def _act(fault: Fault) -> None:
    pid = fault.pid or os.getpid()
    match fault.action:
        case "kill":
            os.kill(pid, signal.SIGKILL)
        case "stop" if fault.pid is None:
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # at once: not after this thread has gone on
        case "stop":
            os.kill(pid, signal.SIGSTOP)
        case "segfault":
            os.kill(pid, signal.SIGSEGV)
        case "hang" | "pause":
            time.sleep(fault.seconds)  # the fault itself: a process that does nothing
        case "hold":
            ctypes.PyDLL(None).poll(None, 0, round(1_000 * fault.seconds))  # a call that keeps the interpreter's lock
        case "raise":
            raise ValueError(f"the injected fault {fault.id}")
