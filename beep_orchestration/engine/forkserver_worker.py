"""What the children of a fork server do: carry one run, or report that such a child has died."""

import atexit
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NoReturn

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from beep_orchestration.engine.connections import LOST
from beep_orchestration.engine.coordinator import PromptRunCoordinator
from beep_orchestration.engine.dagster_internals import (
    capture_interrupts,
    execute_run_command_body,
    resume_run_command_body,
)
from beep_orchestration.engine.forkserver_protocol import RELEASE, Forked, LaunchRequest
from beep_orchestration.engine.launcher_worker import WORKER_TAG, WorkerExit, WorkerIdentity
from beep_orchestration.engine.storage import PooledEventLogStorage

REPORT_SECONDS = 60
_RETRY_SECONDS = 0.5


def live_as(main: Callable[[], int]) -> NoReturn:
    """Make a freshly forked process live and end with `main`, whose result is its exit code.

    Ends as an interpreter does (threads are waited for, exit functions run), except that memory is not torn down: that
    would copy every page shared with the parent.
    """
    status = 1
    try:
        atexit._clear()  # noqa: SLF001 (what the parent has registered is the parent's)
        status = main()
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 (os._exit skips it)
        atexit._run_exitfuncs()  # noqa: SLF001 (os._exit skips it)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 (nothing may unwind into the parent's frames)
        traceback.print_exc()
    finally:
        os._exit(status)


def carry_run(instance: DagsterInstance, request: LaunchRequest, connection: socket.socket, output: Path) -> int:
    """Carry the run in this process, as `dagster api execute_run` does; returns the exit code.

    Does nothing at all unless the launcher, having stored who this worker is, releases it.
    """
    _separate_from_parent(output)
    with capture_interrupts():
        if not _is_released(connection):
            return os.EX_TEMPFAIL
        body = resume_run_command_body if request.resume else execute_run_command_body
        with instance, _events_in_groups(instance):
            status = body(request.run_id, instance, lambda _: None, set_exit_code_on_failure=True)
            if isinstance(instance.run_coordinator, PromptRunCoordinator):
                instance.run_coordinator.launch_queued()
            return status


def _events_in_groups(instance: DagsterInstance) -> AbstractContextManager[None]:
    storage = instance.event_log_storage
    return storage.in_groups() if isinstance(storage, PooledEventLogStorage) else nullcontext()


def _is_released(connection: socket.socket) -> bool:
    with connection:
        connection.sendall(Forked(worker=WorkerIdentity.of_child(os.getpid())).line())
        return connection.recv(len(RELEASE), socket.MSG_WAITALL) == RELEASE


def report_death(
    instance: DagsterInstance, request: LaunchRequest, identity: WorkerIdentity, worker_exit: WorkerExit
) -> int:
    """Tell Dagster that the run's worker has died, and finish the run unless that is for run monitoring to decide.

    A run that has finished, or has another worker by now, is not changed. Tried again for a minute if the database does
    not answer.
    """
    signal.alarm(REPORT_SECONDS)
    message = f"Run worker {identity.pid} on {identity.host} {worker_exit.describe()}."

    def tell() -> None:
        run = instance.get_run_by_id(request.run_id)
        if run is not None and (worker_exit.was_killed or _is_abandoned(run, identity)):
            instance.report_engine_event(message, run)

    def finish() -> None:
        run = instance.get_run_by_id(request.run_id)
        if run is not None and _is_abandoned(run, identity):
            _finish(instance, run, message)

    with instance:
        _until_the_database_answers(tell)
        _until_the_database_answers(finish)
    return 0


def _until_the_database_answers(report: Callable[[], None]) -> None:
    while True:
        try:
            return report()
        except LOST:
            traceback.print_exc()
            time.sleep(_RETRY_SECONDS)


def _is_abandoned(run: DagsterRun, identity: WorkerIdentity) -> bool:
    return not run.is_finished and run.tags.get(WORKER_TAG) == identity.model_dump_json()


def _finish(instance: DagsterInstance, run: DagsterRun, message: str) -> None:
    if run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    elif run.status != DagsterRunStatus.STARTED or not instance.run_monitoring_enabled:
        instance.report_run_failed(run, message)


def _separate_from_parent(output: Path) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable()
    # Python reseeds its own generator after a fork; NumPy's would give every worker the same numbers.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
