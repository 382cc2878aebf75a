"""What a comparison yields: ratios of ours to a peer's, in a table and in `results.json`."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Result:
    """`ours` and `peer` are medians in `unit`; `ratio` is ours / peer; `median`, `min` and `max` are of ours."""

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    n: int
    median: float
    min: float
    max: float
    unit: str


def compare(name: str, ours: Sequence[float], peer: Sequence[float] | float | None, unit: str) -> Result:
    """The medians of samples that were taken in alternation; a peer may be a figure, such as an ideal."""
    median = statistics.median(ours)
    other = statistics.median(peer) if isinstance(peer, Sequence) else peer
    ratio = median / other if other else None
    return Result(name, median, other, ratio, len(ours), median, min(ours), max(ours), unit)


def show(results: Sequence[Result]) -> None:
    """Print the table."""
    table = Table(title="Benchmarks: medians; ratio is ours / peer")
    for heading in ("comparison", "ours", "peer", "ratio", "n", "min", "max", "unit"):
        table.add_column(heading, justify="left" if heading in {"comparison", "unit"} else "right")
    for r in results:
        numbers = (_text(r.ours), _text(r.peer), _text(r.ratio), str(r.n), _text(r.min), _text(r.max))
        table.add_row(r.name, *numbers, r.unit)
    Console(width=150).print(table)


def write(results: Sequence[Result], path: Path) -> None:
    """Keep the results as JSON, a result a line."""
    lines = ",\n".join(json.dumps(asdict(result)) for result in results)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"
