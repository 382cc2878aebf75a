"""Loaded by the process from which `tests.processes` are forked."""

import gc

import dagster as dg

from tests.conformance import owners
from tests.durability import worker

__all__ = ["owners", "worker"]


@dg.op
def _nothing() -> None:
    pass


@dg.job
def _first() -> None:
    _nothing()


with dg.DagsterInstance.ephemeral() as _instance:
    _first.execute_in_process(instance=_instance)
gc.collect()
gc.freeze()
