"""(g) How time grows with the document: the exponent of a power law through 10 to 10,000 chunks."""

import math
from collections.abc import Iterator

from benchmarks.documents import document
from benchmarks.ours import Ours
from benchmarks.results import Result, compare


def growth(ours: Ours, *, quick: bool) -> Iterator[Result]:
    sizes = (10, 100, 1_000) if quick else (10, 100, 1_000, 10_000)
    seconds = {chunks: ours.run_one(document(chunks)) for chunks in sizes}
    for chunks, taken in seconds.items():
        yield compare(f"g {chunks} idle chunks", [taken], None, "s")
    small, large = sizes[-2:]
    exponent = math.log(seconds[large] / seconds[small]) / math.log(large / small)
    yield compare(f"g exponent, {small} to {large} chunks", [exponent], 1.0, "")
