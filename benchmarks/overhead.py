"""(c) The durable workflow against the same functions in memory, on real prose of 1 to 1,000 chunks."""

import time
from collections.abc import Iterator

from beep_orchestration.extraction import extract, parse_extraction_input
from benchmarks.documents import prose
from benchmarks.ours import Ours
from benchmarks.results import Result, compare


def overhead(ours: Ours, *, quick: bool) -> Iterator[Result]:
    """With the local extractors. Both sides have all cores, and the model is used by one thread at a time."""
    extract(parse_extraction_input(prose(1)))  # loads the model, as the fork server has done
    for chunks in (1, 10) if quick else (1, 10, 100, 1_000):
        given = prose(chunks)
        parsed = parse_extraction_input(given, max_characters=10_000_000)
        rounds = _rounds(chunks, quick=quick)
        durable, direct = [], []
        for _ in range(rounds):
            durable.append(ours.run_one(given))
            began = time.perf_counter()
            extract(parsed)
            direct.append(time.perf_counter() - began)
        yield compare(f"c {chunks} chunks, in memory", durable, direct, "s")


def _rounds(chunks: int, *, quick: bool) -> int:
    if chunks > 10:  # noqa: PLR2004 - takes many seconds
        return 3 if chunks <= 100 else 1  # noqa: PLR2004
    return 3 if quick else 9
