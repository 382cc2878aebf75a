"""A run of the benchmarks measures what can be measured, whatever fails in between."""

import threading
from collections.abc import Iterator

from benchmarks.parts import Parts
from benchmarks.results import Result, compare


def one(name: str) -> Result:
    return compare(name, [1.0], None, "s")


def test_a_part_that_fails_keeps_what_it_had_and_takes_no_other_with_it() -> None:
    def failing() -> Iterator[Result]:
        yield one("before")
        raise RuntimeError("the peer has ended")

    parts = Parts()
    measured = [*parts.measured("a", failing()), *parts.measured("b", iter([one("after")]))]
    assert [result.name for result in measured] == ["before", "after"]
    assert parts.failed == ["a"]


def test_a_part_that_hangs_is_given_up() -> None:
    def hanging() -> Iterator[Result]:
        yield one("before")
        threading.Event().wait()

    parts = Parts(longest_seconds=0.2)
    assert [result.name for result in parts.measured("a", hanging())] == ["before"]
    assert parts.failed == ["a"]
