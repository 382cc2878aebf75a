"""Events of a run on their way to Dagster's log: stored in their order, several by one statement.

A worker that is killed takes with it the events of its last hundredth of a second. People read them; no guarantee of
ours rests on them.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from dagster import DagsterEventType, EventLogEntry

logger = logging.getLogger(__name__)

_LONGEST_SECONDS = 0.01
_MOST_EVENTS = 50
_RETRY_SECONDS = 0.5
_ENDS_OF_STEPS = frozenset(
    {
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.STEP_FAILURE,
        DagsterEventType.STEP_SKIPPED,
        DagsterEventType.STEP_UP_FOR_RETRY,
    }
)


class EventGroups:
    """Holds events back until there are many, the oldest has waited for some milliseconds, or one is waited for.

    That is so for the end of a step and for what changes the run's status: these are stored, with all before them, when
    `add` returns. Safe to use from several threads. What could not be stored is kept and tried again; the next event
    that is waited for raises the reason.
    """

    def __init__(self, store: Callable[[Sequence[EventLogEntry]], None]) -> None:
        self._store = store
        self._waiting: list[EventLogEntry] = []
        self._lock = threading.RLock()
        self._has_news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._store_in_time, name="event-groups", daemon=True)
        self._thread.start()

    def add(self, event: EventLogEntry) -> None:
        """Store an event soon, or now."""
        with self._lock:
            self._waiting.append(event)
            if _is_awaited(event) or len(self._waiting) >= _MOST_EVENTS:
                self.flush()
            else:
                self._has_news.set()

    def flush(self) -> None:
        """Store what waits."""
        with self._lock:
            if self._waiting:
                self._store(self._waiting)
                self._waiting = []

    def close(self) -> None:
        """Store what waits, and end the thread."""
        self._closing.set()
        self._has_news.set()
        self._thread.join()
        self.flush()

    def _store_in_time(self) -> None:
        while not self._closing.is_set():
            self._has_news.wait()
            self._closing.wait(_LONGEST_SECONDS)
            self._has_news.clear()  # before it is asked whether this is the end: the end is news too
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, the events are still there
                logger.warning("events are not stored, trying again in %s s: %s", _RETRY_SECONDS, error)
                self._has_news.set()
                self._closing.wait(_RETRY_SECONDS)


def _is_awaited(event: EventLogEntry) -> bool:
    if event.dagster_event is None:
        return False
    return event.dagster_event.is_job_event or event.dagster_event.event_type in _ENDS_OF_STEPS
