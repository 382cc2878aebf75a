"""A labelled stretch of a block, and how overlaps between such stretches are settled."""

from bisect import bisect_left
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
        before = sorted(kept)
        starts = [name.start for name in before]
        last_end = 0
        for name in sorted(names, key=lambda found: (found.start, -found.end)):
            if name.start >= last_end and _is_free(name, before, starts):
                kept.append(name)
                last_end = name.end
    return sorted(kept)


def _is_free(name: Named, before: list[Named], starts: list[int]) -> bool:
    following = bisect_left(starts, name.start)
    if following and before[following - 1].end > name.start:
        return False
    return following == len(before) or before[following].start >= name.end
