"""A labelled stretch of a block, and how overlaps between such stretches are settled."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple


class Named(NamedTuple):
    """`text[start:end]` of a block is a name of this coarse type."""

    start: int
    end: int
    label: str


def disjoint(*ranked: Iterable[Named]) -> list[Named]:
    """All names, but none that overlaps one of an earlier group, or an earlier one of its own; in the text's order."""
    kept: list[Named] = []
    for names in ranked:
        taken = Taken(kept)
        last_end = 0
        for name in sorted(names, key=lambda found: (found.start, -found.end)):
            if name.start >= last_end and taken.is_free(name.start, name.end):
                kept.append(name)
                last_end = name.end
    return sorted(kept)


class Taken:
    """Which stretches of a block are taken by (disjoint) names."""

    def __init__(self, names: Iterable[Named]) -> None:
        self._names = sorted(names)
        self._starts = [name.start for name in self._names]

    def is_free(self, start: int, end: int) -> bool:
        """Whether no name overlaps this stretch."""
        return not self.within(start, end)

    def within(self, start: int, end: int) -> list[Named]:
        """The names that overlap this stretch."""
        first = bisect_right(self._starts, start)
        if first and self._names[first - 1].end > start:
            first -= 1
        return self._names[first : bisect_left(self._starts, end)]
