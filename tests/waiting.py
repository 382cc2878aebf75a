"""Waiting for a condition: the only way in which a test lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

INTERVAL_SECONDS = 0.02
LOOKS = 1 / 5
"""The part of the time that looking may take, so that who waits takes no processor from what is waited for."""
LONGEST_INTERVAL_SECONDS = 0.5

Result = TypeVar("Result")


def wait_until(predicate: Callable[[], Result], timeout: float = 30.0, description: str = "") -> Result:
    """The predicate's first true result; raises `TimeoutError` that names the condition if there is none in time."""
    looked_at = time.monotonic()
    deadline = looked_at + timeout
    while not (result := predicate()):
        now = time.monotonic()
        if now > deadline:
            name = description or getattr(predicate, "__qualname__", repr(predicate))
            raise TimeoutError(f"after {timeout} s still not so: {name} (last result: {result!r})")
        rest = (now - looked_at) * (1 / LOOKS - 1)
        time.sleep(min(max(rest, INTERVAL_SECONDS), LONGEST_INTERVAL_SECONDS))
        looked_at = time.monotonic()
    return result
