"""Named fault points: places at which a test may stop, kill or break a process; no-ops in production.

A test process sets a function with `inject`; nothing in a production process does, so a point costs one dictionary
look-up.
"""

from collections.abc import Callable
from typing import Literal, get_args

FaultPoint = Literal[
    "before_attempt_commit",
    "after_attempt_commit",
    "before_checkpoint_commit",
    "after_checkpoint_commit",
    "before_completion_commit",
    "after_completion_commit",
    "after_execution_commit",
    "after_submit",
    "after_signal_commit",
    "before_park_commit",
    "after_park_commit",
    "before_child_commit",
    "after_child_commit",
]

_injected: dict[FaultPoint, Callable[[str], None]] = {}


def reached(point: FaultPoint, subject: str = "") -> None:
    """Run what a test set for this point; `subject` names the activity or execution at hand."""
    action = _injected.get(point)
    if action is not None:
        action(subject)


def inject(point: FaultPoint, action: Callable[[str], None]) -> None:
    """Set what happens at a point in this process; for tests only."""
    if point not in get_args(FaultPoint):
        raise ValueError(f"no fault point {point!r}")
    _injected[point] = action


def clear() -> None:
    """Forget everything that was injected."""
    _injected.clear()
