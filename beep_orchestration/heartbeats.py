"""Signs of life from inside a long activity.

An activity with a heartbeat timeout is taken for hung when it is silent for that long, however long it may take in all.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class _Pulse:
    loop: asyncio.AbstractEventLoop
    deadline: asyncio.Timeout
    seconds: float

    def beat(self) -> None:
        if not self.deadline.expired():
            self.deadline.reschedule(self.loop.time() + self.seconds)


_current: ContextVar[_Pulse | None] = ContextVar("pulse", default=None)


def heartbeat() -> None:
    """Say, from any thread or coroutine of an activity, that it is alive; outside of one nothing happens."""
    pulse = _current.get()
    if pulse is not None:
        pulse.loop.call_soon_threadsafe(pulse.beat)


@contextmanager
def beating(deadline: asyncio.Timeout, seconds: float | None) -> Iterator[None]:
    """Within the block, `heartbeat` moves the deadline on by that many seconds."""
    pulse = None if seconds is None else _Pulse(asyncio.get_running_loop(), deadline, seconds)
    token = _current.set(pulse)
    try:
        yield
    finally:
        _current.reset(token)
