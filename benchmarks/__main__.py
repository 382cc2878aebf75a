"""Run the comparisons: `python -m benchmarks [--quick] [--only LETTERS]`."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.growth import growth
from benchmarks.latency import latency
from benchmarks.overhead import overhead
from benchmarks.ours import ours
from benchmarks.recovery import recovery, status_at_scale
from benchmarks.results import Result, show, write
from benchmarks.server import server
from benchmarks.step_cost import step_cost
from benchmarks.systems import systems
from benchmarks.throughput import throughput
from benchmarks.waiting import waiting

RESULTS = Path(__file__).parent / "results.json"
_AGAINST_PEERS: dict[str, Callable[..., Iterator[Result]]] = {"f": step_cost, "a": latency, "b": throughput}
_OURS_ALONE: dict[str, Callable[..., Iterator[Result]]] = {"d": waiting, "e": recovery, "g": growth}


def main() -> None:
    """Measure what was asked for, print the table, write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="abcdefg")
    arguments = parser.parse_args()
    results = list(_all(arguments.only, quick=arguments.quick))
    show(results)
    write(results, RESULTS)


def _all(letters: str, *, quick: bool) -> Iterator[Result]:
    if set(letters) & set(_AGAINST_PEERS):
        with systems() as all_systems:
            for letter in set(letters) & set(_AGAINST_PEERS):
                yield from _told(_AGAINST_PEERS[letter](all_systems, quick=quick))
    if set(letters) & set(_OURS_ALONE):
        with server() as postgres, ours(postgres.folder / "ours", postgres.new_database("ours")) as own:
            for letter in set(letters) & set(_OURS_ALONE):
                yield from _told(_OURS_ALONE[letter](own, quick=quick))
            if "e" in letters:
                yield from _told(status_at_scale(own, quick=quick))
    if "c" in letters:
        definitions = "beep_orchestration.definitions"
        with server() as postgres, ours(postgres.folder / "ours", postgres.new_database("ours"), definitions) as own:
            yield from _told(overhead(own, quick=quick))


def _told(results: Iterator[Result]) -> Iterator[Result]:
    for result in results:
        print(f"{result.name}: {result.ours:.4g} {result.unit}, ratio {result.ratio}", flush=True)
        yield result


if __name__ == "__main__":
    main()
