"""The systems of a run: ours for all comparisons, the peers for as long as something is compared with them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from benchmarks.floor import Floor
from benchmarks.ours import Ours
from benchmarks.peers import PREFECT, dbos, prefect
from benchmarks.peers.stock_dagster import StockDagster, stock_dagster
from benchmarks.processes import Driver
from benchmarks.server import Server


@dataclass(frozen=True)
class Systems:
    server: Server
    ours: Ours
    floor: Floor
    stock: StockDagster
    dbos: Driver
    prefect: Driver | None


@contextmanager
def systems(postgres: Server, own: Ours) -> Iterator[Systems]:
    """Ours and the peers on one server, to be measured in alternation; Prefect where its environment is named."""
    with ExitStack() as stack:
        enter = stack.enter_context
        stock = enter(stock_dagster(postgres.folder / "stock", postgres.new_database("stock")))
        floor = enter(closing(Floor(postgres.new_database("floor"))))
        dbos_peer = enter(dbos(postgres.folder / "dbos", postgres.new_database("dbos")))
        has_prefect = PREFECT in os.environ
        prefect_peer = enter(prefect(postgres.folder / "prefect")) if has_prefect else None
        yield Systems(postgres, own, floor, stock, dbos_peer, prefect_peer)
