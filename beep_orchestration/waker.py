"""Launches parked executions when their time comes, without waiting for a tick of the sensors.

A signal is followed by its sender, who launches the execution. For a timer there is nobody, and a sender may have died:
whoever keeps a process of ours running all the time wakes for them. Several may; each execution is launched once. The
dispatcher does the same at its ticks, so nothing is lost while no such process runs.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from beep_orchestration.errors import BeepError
from beep_orchestration.service import WorkflowService

logger = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_END_SECONDS = 5.0


@contextmanager
def waking(service: WorkflowService) -> Iterator[None]:
    """Within the block, launch what is due, of all organizations, within a second or so; errors are tried again."""
    ending = threading.Event()
    thread = threading.Thread(target=_keep_waking, args=(service, ending), name="waker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(_END_SECONDS)


def _keep_waking(service: WorkflowService, ending: threading.Event) -> None:
    while not ending.wait(_TICK_SECONDS):
        try:
            service.launch_due()
        except BeepError as error:
            logger.warning("nothing could be woken, trying again in %g s: %s", _TICK_SECONDS, error)
