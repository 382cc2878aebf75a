"""The faults of a campaign: how each is injected, and how it proves that it hit work under way."""

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import psutil

from beep_orchestration.dagster_client import DagsterClient, launch_tags
from beep_orchestration.errors import BeepError, DagsterUnavailableError
from beep_orchestration.workflow_types import EXTRACTION
from tests.faults.control import Point
from tests.faults.installation import Installation
from tests.faults.journal import Entry, Follower, Key
from tests.faults.proxy import Trouble
from tests.waiting import wait_until

HIT_SECONDS = 15.0


class Missed(Exception):  # noqa: N818 - not an error: the round is played again
    """The fault hit no work."""


@dataclass(frozen=True)
class Round:
    """A fault that hit work; `died` are the executions whose worker it ended."""

    kind: str
    at: float
    proof: str
    died: tuple[str, ...] = ()

    def recovery(self, begins: Mapping[Key, list[Entry]]) -> float | None:
        """Seconds from the death of a worker to the next call for its execution; None if nothing was left to call."""
        later = [
            entry.at - self.at
            for (execution_id, _), entries in begins.items()
            if execution_id in self.died
            for entry in entries
            if entry.at > self.at
        ]
        return min(later, default=None)


Play = Callable[[Installation, Follower, random.Random, ExitStack], "tuple[str, tuple[str, ...]]"]


@dataclass(frozen=True)
class Kind:
    """A kind of fault. At least `pause_seconds` pass before it comes again."""

    name: str
    inject: Play
    weight: int = 1
    pause_seconds: float = 0.0
    _: None = field(default=None, repr=False)

    def play(self, installation: Installation, follower: Follower, source: random.Random, background: ExitStack) -> Round:
        """One round; raises `Missed` if the fault hit nothing."""
        at = time.time()
        proof, died = self.inject(installation, follower, source, background)
        return Round(self.name, at, proof, died)
