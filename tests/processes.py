"""Processes that tests start and let die: forked from one that has loaded what they need, and has made a first run.

To load it takes over a second each time, and there are dozens.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
PRELOADED = "tests.preloaded"


def started(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A process that calls a function of a module; whoever starts it waits for it."""
    process = _context().Process(target=_call, args=(target, arguments))
    process.start()
    return process


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    with patch.dict(os.environ, {"PYTHONPATH": str(ROOT)}):  # it does not get the path of the process that starts it
        forkserver.ensure_running()
    return context


def _call(target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    assert PRELOADED in sys.modules, f"{PRELOADED} does not load, of which multiprocessing says nothing"
    target(*arguments)
