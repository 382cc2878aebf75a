"""All systems of a run, started together so that they can be measured in alternation."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from benchmarks.floor import Floor
from benchmarks.ours import Ours, ours
from benchmarks.peers import PREFECT, dbos, prefect
from benchmarks.peers.stock_dagster import StockDagster, stock_dagster
from benchmarks.processes import Driver
from benchmarks.server import Server, server


@dataclass(frozen=True)
class Systems:
    server: Server
    ours: Ours
    floor: Floor
    stock: StockDagster
    dbos: Driver
    prefect: Driver | None


@contextmanager
def systems() -> Iterator[Systems]:
    """Every system on one PostgreSQL server; Prefect only where its environment is named."""
    with ExitStack() as stack:
        enter = stack.enter_context
        postgres = enter(server())
        own = enter(ours(postgres.folder / "ours", postgres.new_database("ours")))
        stock = enter(stock_dagster(postgres.folder / "stock", postgres.new_database("stock")))
        floor = enter(closing(Floor(postgres.new_database("floor"))))
        dbos_peer = enter(dbos(postgres.folder / "dbos", postgres.new_database("dbos")))
        has_prefect = PREFECT in os.environ
        prefect_peer = enter(prefect(postgres.folder / "prefect")) if has_prefect else None
        yield Systems(postgres, own, floor, stock, dbos_peer, prefect_peer)
