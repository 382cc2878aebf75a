"""News between processes: PostgreSQL's LISTEN and NOTIFY, so that whoever waits need not poll.

To tell: execute `notification(CHANNEL, execution_id)` in the transaction that changes the rows, by itself or among the
columns that an UPDATE returns; PostgreSQL delivers it when, and only if, that transaction commits.

To be told, and to lose no news between looking and waiting, subscribe first and look then::

    news = threading.Event()
    with database.notifications.subscription(EXECUTION_ENDED, execution_id, news.set):
        while not is_there():
            news.wait(LONGEST_SILENCE_SECONDS)
            news.clear()

A notification is a hint to look, never the news itself: it is called too often, not too seldom. Yet wait with a limit:
while the connection is lost nothing is heard.
"""

import logging
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import ColumnElement, Engine, func
from sqlalchemy.exc import SQLAlchemyError

from beep_orchestration.ids import WorkflowExecutionId

logger = logging.getLogger(__name__)

EXECUTION_ENDED: Final = "beep_execution_ended"
"""The execution has been completed, has failed or was cancelled."""

SIGNAL_SENT: Final = "beep_signal_sent"
"""A signal to the execution has been stored."""

LONGEST_SILENCE_SECONDS: Final = 1.0
"""How long a subscriber should wait before it looks by itself."""

_CHANNELS = (EXECUTION_ENDED, SIGNAL_SENT)
_RECONNECT_SECONDS = 0.2


def notification(channel: str, execution_id: WorkflowExecutionId | ColumnElement[Any]) -> ColumnElement[Any]:
    """An expression that notifies of an execution when its transaction commits."""
    return func.pg_notify(channel, execution_id)


class Notifications:
    """One listening connection per process, opened at the first subscription; safe to use from several threads.

    It is not one of the engine's pool. When it is lost it is opened again, and everybody is called, for nobody knows
    what was missed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._subscribers: dict[tuple[str, str], list[Callable[[], object]]] = {}
        self._listening: _Listening | None = None

    @contextmanager
    def subscription(
        self, channel: str, execution_id: WorkflowExecutionId, callback: Callable[[], object]
    ) -> Iterator[None]:
        """Within the block the callback is called, from another thread, when there may be news. It must not block."""
        key = (channel, str(execution_id))
        with self._lock:
            self._subscribers.setdefault(key, []).append(callback)
            if self._listening is None:
                self._listening = _Listening(self._engine, self._call)
        try:
            yield
        finally:
            with self._lock:
                self._subscribers[key].remove(callback)
                if not self._subscribers[key]:
                    del self._subscribers[key]

    def close(self) -> None:
        """Close the connection; the next subscription opens another."""
        with self._lock:
            listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _call(self, key: tuple[str, str] | None) -> None:
        """Call the subscribers of a channel and execution, or all."""
        with self._lock:
            keys = list(self._subscribers) if key is None else [key]
            callbacks = [callback for each in keys for callback in self._subscribers.get(each, [])]
        for callback in callbacks:
            callback()


class _Listening:
    """The thread that holds the connection."""

    def __init__(self, engine: Engine, call: Callable[[tuple[str, str] | None], None]) -> None:
        self._engine = engine
        self._call = call
        self._closing = threading.Event()
        self._read_end, self._write_end = os.pipe()
        self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        os.write(self._write_end, b"\0")
        self._thread.join()
        os.close(self._read_end)
        os.close(self._write_end)

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except (psycopg.Error, SQLAlchemyError) as error:
                logger.info("not listening, trying again in %s s: %s", _RECONNECT_SECONDS, type(error).__name__)
                self._closing.wait(_RECONNECT_SECONDS)

    def _listen(self) -> None:
        with _own_connection(self._engine) as connection:
            for channel in _CHANNELS:
                connection.execute(f"LISTEN {channel}")
            self._call(None)  # there may have been news before anybody listened
            readable = select.poll()
            readable.register(connection.fileno(), select.POLLIN)
            readable.register(self._read_end, select.POLLIN)
            while True:
                readable.poll()
                if self._closing.is_set():
                    return
                for news in connection.notifies(timeout=0):
                    self._call((news.channel, news.payload))


@contextmanager
def _own_connection(engine: Engine) -> Iterator["psycopg.Connection[Any]"]:
    """A connection as the engine makes them, which does not count as one of its pool."""
    pooled = engine.raw_connection()
    connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
    pooled.detach()
    try:
        connection.autocommit = True
        yield connection
    finally:
        connection.close()
