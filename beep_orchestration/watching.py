"""Executions as they go on: what their signals tell, in order, for as long as they run."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from beep_orchestration.errors import DatabaseUnavailableError, InvalidInputError
from beep_orchestration.events import ExecutionEvent, Progress, SignalSent, StateChanged
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import PROGRESS_SIGNAL, STATE_SIGNAL, StateChange
from beep_orchestration.persistence import Database, SignalRow
from beep_orchestration.persistence.notifications import EXECUTION_ENDED, LONGEST_SILENCE_SECONDS, SIGNAL_SENT

logger = logging.getLogger(__name__)

READ_INTERVAL_SECONDS: Final = 0.2
"""How long a watcher waits between two readings at least: with one progress event per activity type in each, that
bounds how many there are in a second, however many activities run."""

_PAGE = 500
_LONGEST_CURSOR = 2**31 - 1
_LONGEST_RESTART_SECONDS = 30.0


class EventReader:
    """Reads what an execution told after a cursor; `cursor` is the sequence of the last signal that was read.

    Of several progress events of one activity type in one reading the last one is given: it says what the others said.
    """

    def __init__(
        self, database: Database, execution_id: WorkflowExecutionId, organization_id: OrganizationId, *, after: int = 0
    ) -> None:
        """Raises `InvalidInputError` if `after` cannot be a cursor."""
        if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= _LONGEST_CURSOR:
            raise InvalidInputError(
                "after", "is no cursor", "give the sequence of an event that you have, or 0 for all from the beginning"
            )
        self.cursor = after
        self.has_ended = False
        """Whether the execution had ended, and everything was read, at the last reading."""
        self._database = database
        self._execution_id = execution_id
        self._organization_id = organization_id

    def read(self) -> list[ExecutionEvent]:
        """What was told since the last reading, in order. Raises `WorkflowNotFoundError`, `DatabaseUnavailableError`.

        After an error the cursor is where it was, so nothing is skipped.
        """
        with self._database.transaction() as tables:
            status, rows = tables.signals.load_told(
                self._execution_id, self._organization_id, after=self.cursor, limit=_PAGE
            )
        self.has_ended = status.is_terminal and len(rows) < _PAGE
        if rows:
            self.cursor = rows[-1].sequence
        return latest([event_of(row) for row in rows])

    @contextmanager
    def news(self, callback: Callable[[], object]) -> Iterator[None]:
        """Within the block the callback is called when there may be something to read, from another thread.

        See `persistence.notifications`.
        """
        with ExitStack() as stack:
            for channel in (EXECUTION_ENDED, SIGNAL_SENT):
                stack.enter_context(self._database.notifications.subscription(channel, self._execution_id, callback))
            yield


def follow(reader: EventReader) -> Iterator[ExecutionEvent]:
    """Every event until the execution has ended.

    A database that is away for less than half a minute, as when it is restarted, is waited for. Raises
    `WorkflowNotFoundError`, `DatabaseUnavailableError`.
    """
    news = threading.Event()
    with reader.news(news.set):
        while True:
            events = _read_patiently(reader)
            yield from events
            if reader.has_ended:
                return
            time.sleep(READ_INTERVAL_SECONDS)
            if not events:
                news.wait(LONGEST_SILENCE_SECONDS - READ_INTERVAL_SECONDS)
            news.clear()


def _read_patiently(reader: EventReader) -> list[ExecutionEvent]:
    give_up_at = time.monotonic() + _LONGEST_RESTART_SECONDS
    while True:
        try:
            return reader.read()
        except DatabaseUnavailableError as error:
            if time.monotonic() >= give_up_at:
                raise
            logger.info("not watching, trying again: %s", error)
            time.sleep(LONGEST_SILENCE_SECONDS)


def event_of(row: SignalRow) -> ExecutionEvent:
    """What a signal's row tells."""
    match row.signal_name:
        case name if name == PROGRESS_SIGNAL:
            return Progress(
                at=row.created_at,
                sequence=row.sequence,
                activity_type=row.payload["activity_type"],
                activity_name=row.payload["activity"],
                done=row.payload["done"],
                total=row.payload["total"],
            )
        case name if name == STATE_SIGNAL:
            return StateChanged(
                at=row.created_at,
                sequence=row.sequence,
                change=StateChange(row.payload["change"]),
                epoch=row.payload["epoch"],
                dagster_run_id=row.payload.get("dagster_run_id"),
                error=row.payload.get("error"),
                reason=row.payload.get("reason"),
                waiting_for=row.payload.get("waiting_for", ()),
                child=row.payload.get("child"),
                child_name=row.payload.get("child_name"),
                child_status=row.payload.get("child_status"),
            )
        case _:
            return SignalSent(
                at=row.created_at,
                sequence=row.sequence,
                signal_id=row.id,
                signal_name=row.signal_name,
                sender_key=row.sender_key,
                payload=row.payload,
                consumed_by=row.consumed_by,
            )


def latest(events: Sequence[ExecutionEvent]) -> list[ExecutionEvent]:
    """The events without progress that later progress of the same activity type says too."""
    last = {event.activity_type: event.sequence for event in events if isinstance(event, Progress)}
    return [event for event in events if not isinstance(event, Progress) or event.sequence == last[event.activity_type]]
