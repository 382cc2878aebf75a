"""What goes on beside the rounds of a campaign, each in a thread: the load, the people, and those who look on."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import psycopg

from beep_orchestration.errors import BeepError
from beep_orchestration.models import ExecutionStatus, Json
from beep_orchestration.workflow_types import EXTRACTION
from tests.faults import families
from tests.faults.collection import COLLECTION
from tests.faults.documents import document
from tests.faults.installation import Installation

LOAD = 4
PARENTS = 0.3
"""The share of executions that hand their work to children."""
REVIEWED = 0.3
"""The share of documents whose facts wait for a person before they are assembled."""
STALL_SECONDS = 90.0
_AWAY = (BeepError, psycopg.Error, OSError)
"""What is raised while the server is away."""


def open_executions(installation: Installation) -> list[str]:
    """The executions that have not ended."""
    with installation.database.transaction() as tables:
        page = tables.statuses.list_newest(
            installation.services.settings.organization, limit=200, status=ExecutionStatus.RUNNING
        )
    return [row.execution.id for row in page]


@dataclass
class Background(ABC):
    """Work in a thread of its own until it is told to stop."""

    installation: Installation
    stopping: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self.work, name=type(self).__name__, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Work no more."""
        self.stopping.set()
        self._thread.join()

    @abstractmethod
    def work(self) -> None:
        """What is done until `stopping` is set."""


@dataclass
class Load(Background):
    """Executions that are always under way, some of them parents."""

    source: random.Random
    sizes: tuple[int, ...] = (3, 5, 8, 12)
    sizes_of_children: tuple[int, ...] = (1, 2, 4)
    accepted: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def work(self) -> None:
        """Start executions whenever there are too few."""
        while not self.stopping.wait(0.2):
            with suppress(BeepError):
                for _ in range(LOAD - len(open_executions(self.installation))):
                    self._start()

    def _start(self) -> None:
        if self.source.random() < PARENTS:
            documents = {f"part-{n}": self._document(self.sizes_of_children) for n in range(self.source.choice((2, 3)))}
            started = self._accepted({"documents": documents}, COLLECTION.name)
            self.parents += started
        else:
            started = self._accepted(self._document(self.sizes), EXTRACTION.name)
        self.accepted += started

    def _document(self, sizes: tuple[int, ...]) -> Json:
        number = next(self._numbers)
        made = document(self.source.choice(sizes), number, concurrency=self.source.choice((1, 2, 4)))
        if self.source.random() < REVIEWED:
            made["options"]["review_below"] = 0.75  # every relation is less sure
        return made

    def _accepted(self, given: Json, workflow_type: str) -> list[str]:
        key = f"load-{next(self._numbers)}"
        while not self.stopping.is_set():
            with suppress(BeepError):  # the answer is lost: the same key finds what was accepted
                return [self.installation.start(given, workflow_type, idempotency_key=key)]
        return []


@dataclass
class Reviewer(Background):
    """Approves what waits for a person, a while after it began to wait."""

    source: random.Random
    approved: set[str] = field(default_factory=set)

    def work(self) -> None:
        """Look for what waits, now and then."""
        while not self.stopping.wait(self.source.uniform(0.2, 2.0)):
            with suppress(*_AWAY):
                for execution_id in self._waiting():
                    self.installation.service.signal(execution_id, "approve", {"by": "Ada"}, sender_key="approval")
                    self.approved.add(execution_id)

    def _waiting(self) -> list[str]:
        statement = "SELECT id FROM knowledge_workflow_execution WHERE status = 'running' AND checkpoint @> %s::jsonb"
        found = self.installation.postgres.ask(statement, '{"waiting_for": [{"signals": ["approve"]}]}')
        return [str(row[0]) for row in found]


@dataclass
class Steward(Background):
    """Resumes parents that failed because somebody cancelled a child of theirs."""

    resumed: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Look for such parents, now and then."""
        while not self.stopping.wait(0.5):
            with suppress(*_AWAY):
                for parent in families.failed_with_a_cancelled_child(self.installation.postgres):
                    self.installation.service.resume(parent)
                    self.resumed.append(parent)


@dataclass
class Onlooker(Background):
    """Notes what no moment may see of parents and children, whatever is happening to them."""

    seen: set[str] = field(default_factory=set)

    def work(self) -> None:
        """Look, as often as is cheap."""
        while not self.stopping.wait(0.2):
            with suppress(*_AWAY):
                self.seen |= set(families.broken_now(self.installation.postgres))


@dataclass
class Watchdog(Background):
    """Notes when nothing has begun for too long although executions are open."""

    stalls: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Look whether the journal grows."""
        path = self.installation.folder / "journal"
        size, since = 0, time.monotonic()
        while not self.stopping.wait(1.0):
            if path.exists() and path.stat().st_size != size:
                size, since = path.stat().st_size, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                with suppress(Exception):
                    still_open = open_executions(self.installation)
                    if still_open:
                        self.stalls.append(self.installation.describe(still_open[0]))
                    since = time.monotonic()
