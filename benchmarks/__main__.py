"""Run the comparisons: `python -m benchmarks [--quick] [--only LETTERS]`."""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.growth import growth
from benchmarks.latency import first_execution, latency
from benchmarks.ours import ours
from benchmarks.overhead import overhead
from benchmarks.recovery import recovery, status_at_scale
from benchmarks.results import Result, show, write
from benchmarks.server import server
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
    began = time.monotonic()
    for result in _all(arguments.only, quick=arguments.quick):
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        load = f"load {os.getloadavg()[0]:.1f}"
        print(f"{minutes:02}:{seconds:02} {load} {result.name}: {result.ours:.4g} {result.unit}", flush=True)
        results.append(result)
        write(results, RESULTS)  # each, for a later comparison may fail
    show(results)


def _all(letters: str, *, quick: bool) -> Iterator[Result]:
    with server() as postgres, ours(postgres.folder / "ours", postgres.new_database("ours")) as own:
        yield from first_execution(own)
        if against_peers := [measure for letter, measure in _AGAINST_PEERS.items() if letter in letters]:
            with systems(postgres, own) as all_systems:
                for measure in against_peers:
                    yield from measure(all_systems, quick=quick)
        for letter, measure in _OURS_ALONE.items():
            if letter in letters:
                yield from measure(own, quick=quick)


if __name__ == "__main__":
    main()
