"""Threads for activities that block. They are daemons: an activity that hangs must not keep its process alive."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThreads:
    """A pool that starts a thread when all of its threads are busy, up to a limit, and joins none of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call in one of the threads, in the caller's context."""
        future: Future[T] = Future()
        context = copy_context()
        self._calls.put(lambda: _settle(future, lambda: context.run(call)))
        if not self._idle.acquire(blocking=False) and self._started < self._limit:
            self._started += 1
            threading.Thread(target=self._work, name=f"activity-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """Let each thread end after its present call."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            self._idle.release()


def _settle(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)
