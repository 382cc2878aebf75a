"""(c) The durable workflow against the same functions in memory, on prose of 1 to 1,000 chunks."""

import time
from collections.abc import Iterator

from beep_orchestration.extraction import extract, parse_extraction_input
from benchmarks.documents import document
from benchmarks.ours import Ours
from benchmarks.results import Result, compare

_MANY_CHUNKS = 100


def overhead(ours: Ours, *, quick: bool) -> Iterator[Result]:
    """`ours` runs the local extractors here. Both sides have two cores, and the model is used by one thread."""
    ours.run_one(document(1))  # the first run starts the fork server
    for chunks in (1, 10) if quick else (1, 10, 100, 1_000):
        given = document(chunks, chunk_size=2_000)
        parsed = parse_extraction_input(given, max_characters=10_000_000)
        rounds = 3 if chunks <= _MANY_CHUNKS else 1
        durable, direct = [], []
        for _ in range(rounds):
            durable.append(ours.run_one(given))
            began = time.perf_counter()
            extract(parsed)
            direct.append(time.perf_counter() - began)
        yield compare(f"c {chunks} chunks, in memory", durable, direct, "s")
