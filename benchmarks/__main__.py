"""Run the comparisons: `python -m benchmarks [--quick] [--only LETTERS]`."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.growth import growth
from benchmarks.latency import first_execution, latency
from benchmarks.ours import Ours, ours
from benchmarks.overhead import overhead
from benchmarks.parts import Parts
from benchmarks.recovery import recovery, status_at_scale
from benchmarks.results import Result, show, write
from benchmarks.server import Server, server
from benchmarks.step_cost import step_cost
from benchmarks.systems import systems
from benchmarks.throughput import throughput
from benchmarks.waiting import waiting

RESULTS = Path(__file__).parent / "results.json"
_AGAINST_PEERS: dict[str, Callable[..., Iterator[Result]]] = {"f": step_cost, "a": latency, "b": throughput}
_OURS_ALONE: dict[str, Callable[..., Iterator[Result]]] = {
    "c": overhead,
    "d": waiting,
    "e": recovery,
    "g": growth,
    "s": status_at_scale,
}


def main() -> None:
    """Measure what was asked for, print the table, write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="abcdefgs")
    arguments = parser.parse_args()
    results: list[Result] = []
    parts = Parts()
    began = time.monotonic()
    for result in _all(arguments.only, parts, quick=arguments.quick):
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        load = f"load {os.getloadavg()[0]:.1f}"
        print(f"{minutes:02}:{seconds:02} {load} {result.name}: {result.ours:.4g} {result.unit}", flush=True)
        results.append(result)
        write(results, RESULTS)
    show(results)
    if parts.failed:
        sys.exit(f"not measured to the end, see above: {', '.join(parts.failed)}")


def _all(letters: str, parts: Parts, *, quick: bool) -> Iterator[Result]:
    with server() as postgres, ours(postgres.folder / "ours", postgres.new_database("ours")) as own:
        yield from parts.measured("first execution", first_execution(own))
        if set(letters) & _AGAINST_PEERS.keys():
            yield from parts.guarded("the peers", _against_peers(letters, parts, postgres, own, quick=quick))
        for letter, measure in _OURS_ALONE.items():
            if letter in letters:
                yield from parts.measured(letter, measure(own, quick=quick))


def _against_peers(letters: str, parts: Parts, postgres: Server, own: Ours, *, quick: bool) -> Iterator[Result]:
    with systems(postgres, own) as all_systems:
        for letter, measure in _AGAINST_PEERS.items():
            if letter in letters:
                yield from parts.measured(letter, measure(all_systems, quick=quick))


if __name__ == "__main__":
    main()
