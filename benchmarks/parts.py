"""The parts of a run of the benchmarks: one that fails, or hangs, takes no other with it."""

import signal
import traceback
from collections.abc import Iterator
from types import FrameType

from benchmarks.results import Result

_LONGEST_SECONDS = 600.0


class Parts:
    """Remembers which parts have failed."""

    def __init__(self, longest_seconds: float = _LONGEST_SECONDS) -> None:
        self._longest_seconds = longest_seconds
        self.failed: list[str] = []

    def guarded(self, name: str, results: Iterator[Result]) -> Iterator[Result]:
        """The results; those before a failure if there is one, which is printed and remembered."""
        try:
            yield from results
        except Exception:  # noqa: BLE001 - whatever it is, the parts after it are to be measured
            traceback.print_exc()
            self.failed.append(name)

    def measured(self, name: str, results: Iterator[Result]) -> Iterator[Result]:
        """As `guarded`; a part that takes longer than the limit has failed. In the main thread only."""
        before = signal.signal(signal.SIGALRM, _time_out)
        signal.setitimer(signal.ITIMER_REAL, self._longest_seconds)
        try:
            yield from self.guarded(name, results)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _time_out(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what a handler is given
    raise TimeoutError("the part took too long")
