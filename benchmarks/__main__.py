"""Run the comparisons: `python -m benchmarks [--quick] [--only LETTERS]`."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.growth import growth
from benchmarks.latency import latency
from benchmarks.ours import Ours, ours
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
_OURS_ALONE: dict[str, Callable[..., Iterator[Result]]] = {"d": waiting, "e": recovery, "g": growth}


def main() -> None:
    """Measure what was asked for, print the table, write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="abcdefg")
    arguments = parser.parse_args()
    results: list[Result] = []
    for result in _all(arguments.only, quick=arguments.quick):
        print(f"{result.name}: {result.ours:.4g} {result.unit}, ratio {result.ratio}", flush=True)
        results.append(result)
        write(results, RESULTS)  # each, for a later comparison may fail
    show(results)


def _all(letters: str, *, quick: bool) -> Iterator[Result]:
    if against_peers := [measure for letter, measure in _AGAINST_PEERS.items() if letter in letters]:
        with systems() as all_systems:
            for measure in against_peers:
                yield from measure(all_systems, quick=quick)
    if alone := [measure for letter, measure in _OURS_ALONE.items() if letter in letters]:
        with _ours_alone("benchmarks.location") as own:
            for measure in alone:
                yield from measure(own, quick=quick)
            if "e" in letters:
                yield from status_at_scale(own, quick=quick)
    if "c" in letters:
        with _ours_alone("beep_orchestration.definitions") as own:
            yield from overhead(own, quick=quick)


@contextmanager
def _ours_alone(definitions: str) -> Iterator[Ours]:
    with server() as postgres, ours(postgres.folder / "ours", postgres.new_database("ours"), definitions) as own:
        yield own


if __name__ == "__main__":
    main()
