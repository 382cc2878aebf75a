"""Event loops that end when their process is asked to."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_REQUESTS = (signal.SIGINT, signal.SIGTERM)


def run_until_asked_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but a request to end (SIGINT, SIGTERM) cancels the coroutine, and is answered afterwards.

    The answer is that of the handler that was there before: Dagster's raises what interrupts the run. Were it called at
    once, it would raise in whatever the loop is just doing, and a task or a callback would keep that for itself: the
    request would be lost, or taken for a failure. Only the main thread is told of requests; elsewhere this is
    `asyncio.run`.
    """
    return asyncio.run(_run(coroutine))


async def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(coroutine)
    with _requests_cancel(task):
        return await task


@contextmanager
def _requests_cancel(task: "asyncio.Future[Any]") -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    requests: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        requests.append(number)
        loop.call_soon_threadsafe(task.cancel)

    handlers = {number: signal.signal(number, note) for number in _REQUESTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if requests:
            signal.raise_signal(requests[0])
