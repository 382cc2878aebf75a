"""Signals inside an activity: `receive` waits for one, `poll` looks for one.

A signal that was sent before it is asked for is kept. Each is handed out in the order of its `sequence`, to one taker
at a time, and counts as consumed in the transaction that commits the taker's output: if the attempt fails or its
process dies, the next attempt receives the same signals again.
"""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pydantic import BaseModel

from beep_orchestration.errors import DatabaseUnavailableError
from beep_orchestration.heartbeats import heartbeat
from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.persistence import Database, SignalRow
from beep_orchestration.persistence.notifications import LONGEST_SILENCE_SECONDS, SIGNAL_SENT
from beep_orchestration.threads import AbandonedError
from beep_orchestration.workflow_types import WorkflowType


class SignalReader:
    """Hands an execution's signals out within one run; safe to use from several threads."""

    def __init__(self, database: Database, execution_id: WorkflowExecutionId) -> None:
        self._database = database
        self._execution_id = execution_id
        self._lock = threading.Lock()
        self._taken: dict[WorkflowSignalId, WorkflowActivityId] = {}
        self._dismissed: set[WorkflowActivityId] = set()
        self._news: set[threading.Event] = set()
        self._is_interrupted = False

    def take(self, names: Collection[str], taker: WorkflowActivityId, *, timeout: float | None) -> SignalRow | None:
        """The first signal of these names that nobody has taken, waited for; None after the timeout, in seconds.

        Waits without a limit if `timeout` is None. A database that is away while this waits is asked again until it is
        back. Also None once the reader is interrupted or the taker dismissed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        news = threading.Event()
        with self._listed(news), self._database.notifications.subscription(SIGNAL_SENT, self._execution_id, news.set):
            while not self.is_over_for(taker):
                is_last = deadline is not None and time.monotonic() >= deadline
                found = self._look(names, taker, is_last=is_last)
                if found is not None or is_last:
                    return found
                left = LONGEST_SILENCE_SECONDS if deadline is None else deadline - time.monotonic()
                news.wait(min(max(left, 0.0), LONGEST_SILENCE_SECONDS))
                news.clear()
                heartbeat()
        return None

    def poll(self, names: Collection[str], taker: WorkflowActivityId) -> SignalRow | None:
        """As `take`, without waiting. Raises `DatabaseUnavailableError`."""
        with self._lock, self._database.transaction() as tables:
            if taker in self._dismissed:
                return None
            rows = tables.signals.load_unconsumed(self._execution_id, names, limit=len(self._taken) + 1)
            found = next((row for row in rows if row.id not in self._taken), None)
            if found is not None:
                self._taken[found.id] = taker
            return found

    def taken_by(self, taker: WorkflowActivityId) -> tuple[WorkflowSignalId, ...]:
        """What a taker has taken and not given back, in that order."""
        with self._lock:
            return tuple(signal_id for signal_id, holder in self._taken.items() if holder == taker)

    def forget(self, taker: WorkflowActivityId) -> None:
        """What a taker took is consumed, or another may take it."""
        with self._lock:
            self._taken = {signal_id: holder for signal_id, holder in self._taken.items() if holder != taker}

    def dismiss(self, taker: WorkflowActivityId) -> None:
        """As `forget`, for one who may still be waiting: it returns, and is handed nothing any more."""
        with self._lock:
            self._dismissed.add(taker)
        self.forget(taker)
        self._wake_all()

    def interrupt(self) -> None:
        """Let everybody who waits return."""
        self._is_interrupted = True
        self._wake_all()

    def is_over_for(self, taker: WorkflowActivityId) -> bool:
        """Whether a taker is handed nothing any more."""
        return self._is_interrupted or taker in self._dismissed

    def _wake_all(self) -> None:
        for news in tuple(self._news):
            news.set()

    def _look(self, names: Collection[str], taker: WorkflowActivityId, *, is_last: bool) -> SignalRow | None:
        try:
            return self.poll(names, taker)
        except DatabaseUnavailableError:
            if is_last:
                raise
            return None

    @contextmanager
    def _listed(self, news: threading.Event) -> Iterator[None]:
        self._news.add(news)
        try:
            yield
        finally:
            self._news.discard(news)


@dataclass(frozen=True)
class _Receiver:
    reader: SignalReader
    workflow_type: WorkflowType
    attempt_id: WorkflowActivityId


_current: ContextVar[_Receiver | None] = ContextVar("receiver", default=None)


@contextmanager
def receiving(reader: SignalReader, workflow_type: WorkflowType, attempt_id: WorkflowActivityId) -> Iterator[None]:
    """Within the block, `receive` and `poll` take signals for that attempt."""
    token = _current.set(_Receiver(reader, workflow_type, attempt_id))
    try:
        yield
    finally:
        _current.reset(token)


def receive(name: str, *, timeout: float | None = None) -> BaseModel | None:
    """Wait, inside an activity, for a signal; its payload as the workflow type's model, None after `timeout` seconds.

    Blocks the calling thread and is a heartbeat while it waits; a coroutine calls it by `asyncio.to_thread`. The run's
    process stays alive for it: what may take long belongs into `Stage.await_signal`, which holds no process.

    Raises `InvalidInputError` for a name that the workflow type does not declare.
    """
    receiver = _receiver()
    model = receiver.workflow_type.signal_model(name)
    signal = receiver.reader.take((name,), receiver.attempt_id, timeout=timeout)
    if receiver.reader.is_over_for(receiver.attempt_id):
        raise AbandonedError
    return None if signal is None else model.model_validate(signal.payload)


def poll(name: str) -> BaseModel | None:
    """The payload of the next signal of that name if there is one now; see `receive`."""
    receiver = _receiver()
    model = receiver.workflow_type.signal_model(name)
    signal = receiver.reader.poll((name,), receiver.attempt_id)
    return None if signal is None else model.model_validate(signal.payload)


def _receiver() -> _Receiver:
    receiver = _current.get()
    if receiver is None:
        raise RuntimeError("signals are received inside an activity; in an op use Stage.await_signal")
    return receiver
