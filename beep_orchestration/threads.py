"""Threads for activities that block. They are daemons: an activity that hangs must not keep its process alive."""

import ctypes
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class AbandonedError(BaseException):
    """Raised inside a call that nobody waits for any more."""


class DaemonThreads:
    """A pool that starts a thread when all of its threads are busy, up to a limit, and joins none of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._running: dict[Future[Any], int] = {}
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call in one of the threads, in the caller's context."""
        future: Future[T] = Future()
        context = copy_context()
        self._calls.put(lambda: self._settle(future, lambda: context.run(call)))
        if not self._idle.acquire(blocking=False) and self._started < self._limit:
            self._started += 1
            threading.Thread(target=self._work, name="activity", daemon=True).start()
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Give a call up: its thread no longer counts, and is interrupted as soon as it runs Python code."""
        if future.cancel():
            return
        with self._lock:
            thread = self._running.pop(future, None)
            if thread is not None:
                self._started -= 1
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(AbandonedError))

    def close(self) -> None:
        """Let each thread end after its present call."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                call()
                self._idle.release()
        except AbandonedError:
            return

    def _settle(self, future: Future[Any], call: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        with self._lock:
            self._running[future] = threading.get_ident()
        try:
            result = call()
        except AbandonedError:
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            self._finish(future)
            future.set_exception(_raisable(error))
        else:
            self._finish(future)
            future.set_result(result)

    def _finish(self, future: Future[Any]) -> None:
        """End the call's life in its thread; if it was given up a moment ago, the thread ends too."""
        with self._lock:
            if self._running.pop(future, None) is None:
                raise AbandonedError


def _raisable(error: BaseException) -> BaseException:
    """What a coroutine may raise: StopIteration would end it silently (PEP 479), SystemExit the whole event loop."""
    if not isinstance(error, StopIteration | SystemExit):
        return error
    raisable = RuntimeError(f"the call raised {error!r}")
    raisable.__cause__ = error
    return raisable
