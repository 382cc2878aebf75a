"""(a) From start to completed: eleven activities that do nothing, one workflow at a time."""

from collections.abc import Iterator

from benchmarks.documents import document
from benchmarks.ours import Ours
from benchmarks.results import Result, compare
from benchmarks.systems import Systems

_COMMITS = 22
"""Two for each activity: that it begins, and what it yielded."""


def first_execution(ours: Ours) -> Iterator[Result]:
    """The first one after the services' start, when the fork server is there, against the second."""
    given = document(4)
    first, second = ours.run_one(given), ours.run_one(given)
    yield compare("a first execution, the second", [first], second, "s")


def latency(systems: Systems, *, quick: bool) -> Iterator[Result]:
    samples = _samples(systems, rounds=3 if quick else 15)
    for peer, seconds in _slow_samples(systems, rounds=1 if quick else 3).items():
        yield compare(f"a latency, {peer}", samples["ours"], seconds, "s")
    for peer in samples.keys() - {"ours"}:
        yield compare(f"a latency, {peer}", samples["ours"], samples[peer], "s")


def _samples(systems: Systems, rounds: int) -> dict[str, list[float]]:
    given = document(4)
    runs = {
        "ours": lambda: systems.ours.run_one(given),
        "stock in-process": lambda: systems.stock.run_one("in_process"),
        "DBOS": lambda: systems.dbos.ask(do="one")["seconds"],
        "22 commits": lambda: systems.floor.commits(_COMMITS),
    }
    if (prefect := systems.prefect) is not None:
        runs["Prefect, called"] = lambda: prefect.ask(do="one")["seconds"]
    for run in runs.values():
        run()
    return _alternate(runs, rounds)


def _slow_samples(systems: Systems, rounds: int) -> dict[str, list[float]]:
    runs = {"stock multiprocess": lambda: systems.stock.run_one("multiprocess")}
    if (prefect := systems.prefect) is not None:
        runs["Prefect, deployed"] = lambda: prefect.ask(do="deployed")["seconds"]
    return _alternate(runs, rounds)


def _alternate(runs: dict, rounds: int) -> dict[str, list[float]]:  # type: ignore[type-arg]
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return taken
