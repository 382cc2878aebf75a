"""(b) Many executions submitted together: how long each takes on average, and what CPU time it costs."""

from collections.abc import Callable, Iterator

from benchmarks.documents import document
from benchmarks.processes import cpu_seconds
from benchmarks.results import Result, compare
from benchmarks.systems import Systems


def throughput(systems: Systems, *, quick: bool) -> Iterator[Result]:
    given, count, few = document(4), 40 if quick else 200, 3 if quick else 15
    own, stock, dbos = [], [], []
    for _ in range(1 if quick else 2):
        own.append(_measure(systems, systems.ours.mark, lambda: systems.ours.run_many(given, count), count))
        stock.append(_measure(systems, systems.stock.mark, lambda: systems.stock.run_many("in_process", few), few))
        dbos.append(systems.dbos.ask(do="many", count=count)["seconds"] / count)
    yield compare("b seconds per execution, stock in-process", [s for s, _ in own], [s for s, _ in stock], "s")
    yield compare("b seconds per execution, DBOS", [s for s, _ in own], dbos, "s")
    yield compare("b CPU per execution, stock in-process", [c for _, c in own], [c for _, c in stock], "CPU s")


def _measure(systems: Systems, mark: str, run: Callable[[], float], count: int) -> tuple[float, float]:
    before = _cpu(systems, mark)
    seconds = run()
    return seconds / count, (_cpu(systems, mark) - before) / count


def _cpu(systems: Systems, mark: str) -> float:
    """The system's processes and PostgreSQL, which serves nobody else meanwhile."""
    return cpu_seconds(mark) + cpu_seconds(f"{systems.server.folder}/postgres")
