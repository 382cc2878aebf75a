"""Waiting for a condition: the only way in which a test lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

INTERVAL_SECONDS = 0.02

Result = TypeVar("Result")


def wait_until(predicate: Callable[[], Result], timeout: float = 30.0, description: str = "") -> Result:
    """The predicate's first true result; raises `TimeoutError` that names the condition if there is none in time."""
    deadline = time.monotonic() + timeout
    while not (result := predicate()):
        if time.monotonic() > deadline:
            name = description or getattr(predicate, "__qualname__", repr(predicate))
            raise TimeoutError(f"after {timeout} s still not so: {name} (last result: {result!r})")
        time.sleep(INTERVAL_SECONDS)
    return result
