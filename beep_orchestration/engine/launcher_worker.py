"""Who a run worker is, whether it lives, and what is left of it when it has ended."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from pydantic import BaseModel, ConfigDict

from beep_orchestration.engine.launcher_process import find_start_time, is_stopped
from beep_orchestration.errors import ConfigurationError

WORKER_TAG = "beep/worker"
"""The run tag that holds the identity of the run's newest worker."""

LAUNCH_TAG = "beep/launch"
"""The run tag that says which process launches, or launched, the run."""

KEPT_SECONDS = 7 * 24 * 3600
SHOWN_OUTPUT_BYTES = 8_000


class WorkerIdentity(BaseModel):
    """One process of one boot of one host; never equal to a later process with the same pid."""

    model_config = ConfigDict(frozen=True)

    host: str
    boot_id: str
    pid: int
    start_time: int

    @classmethod
    def of_child(cls, pid: int) -> Self:
        """The identity of a child of this process that was not waited for, or of this process."""
        start_time = find_start_time(pid)
        if start_time is None:
            raise ProcessLookupError(pid)
        return cls(host=socket.gethostname(), boot_id=_boot_id(), pid=pid, start_time=start_time)

    def is_alive(self) -> bool:
        """Whether the worker still runs; raises `ConfigurationError` on a host from which that cannot be seen."""
        if self.boot_id == _boot_id():
            return find_start_time(self.pid) == self.start_time
        if self.host == socket.gethostname():
            return False  # this host was started again since
        raise ConfigurationError(
            f"the run worker is process {self.pid} on host {self.host}, which {socket.gethostname()} cannot see; "
            "run the Dagster daemon and webserver on the host that launches the runs"
        )


def is_at_work(run: DagsterRun) -> bool:
    """Whether the run has a living worker that nobody has stopped: it may be busy, however silent it is."""
    worker = find_worker(run)
    return worker is not None and worker.is_alive() and not is_stopped(worker.pid)


class LaunchRecord(BaseModel):
    """Which process launches a run. Names the run too: a re-execution begins with a copy of its parent's tags."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    launcher: WorkerIdentity


class WorkerExit(BaseModel):
    """How a worker ended; `status` is its exit code, or minus the number of the signal that killed it."""

    run_id: str
    status: int

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it."""
        return self.status < 0

    def describe(self) -> str:
        """The end in words, for an engine event."""
        if not self.was_killed:
            return f"exited with code {self.status}"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:  # real-time signals have no name
            name = f"signal {-self.status}"
        hint = " (often the kernel's out-of-memory killer)" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


def is_launch_abandoned(instance: DagsterInstance, run_id: str) -> bool:
    """Whether a run that is starting never will: its launcher has ended, and it has no living worker.

    Run monitoring sees that only after its start timeout, which has to allow for a slow start. False for runs of other
    launchers, and of other hosts.
    """
    if not _has_lost_its_launcher(instance.get_run_by_id(run_id)):
        return False
    run = instance.get_run_by_id(run_id)  # again: from here on nobody can give it a worker
    if run is None or run.status != DagsterRunStatus.STARTING:
        return False
    worker = find_worker(run)
    return worker is None or not worker.is_alive()


def _has_lost_its_launcher(run: DagsterRun | None) -> bool:
    if run is None or run.status != DagsterRunStatus.STARTING or LAUNCH_TAG not in run.tags:
        return False
    record = LaunchRecord.model_validate_json(run.tags[LAUNCH_TAG])
    try:
        return record.run_id == run.run_id and not record.launcher.is_alive()
    except ConfigurationError:
        return False


def find_worker(run: DagsterRun) -> WorkerIdentity | None:
    """The newest worker of a run, None if it never had one."""
    tag = run.tags.get(WORKER_TAG)
    return WorkerIdentity.model_validate_json(tag) if tag else None


class WorkerFiles:
    """What workers leave in the instance's folder: how they ended, and the output of those that ended badly."""

    def __init__(self, folder: Path) -> None:
        self._exits = private_folder(folder / "exits")
        self._outputs = private_folder(folder / "output")

    def output_path(self, run_id: str) -> Path:
        """Where the worker's standard output and error go."""
        return self._outputs / f"{run_id}.log"

    def record_exit(self, identity: WorkerIdentity, worker_exit: WorkerExit) -> None:
        """Keep how the worker ended; of one that ended well nothing is kept, Dagster has its events."""
        if worker_exit.status == 0:
            self.output_path(worker_exit.run_id).unlink(missing_ok=True)
            return
        path = self._exit_path(identity)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(worker_exit.model_dump_json())
        unfinished.rename(path)  # a reader sees all of it or nothing

    def find_exit(self, identity: WorkerIdentity) -> WorkerExit | None:
        """How the worker ended badly; None while it runs, or if nobody was there to see it end."""
        try:
            return WorkerExit.model_validate_json(self._exit_path(identity).read_bytes())
        except FileNotFoundError:
            return None

    def tail_of_output(self, run_id: str) -> str:
        """The last words of the run's worker; empty if there are none."""
        try:
            content = self.output_path(run_id).read_bytes()
        except FileNotFoundError:
            return ""
        return content[-SHOWN_OUTPUT_BYTES:].decode(errors="replace")

    def prune(self) -> None:
        """Remove what is older than a week."""
        oldest = time.time() - KEPT_SECONDS
        for path in self._all_files():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _exit_path(self, identity: WorkerIdentity) -> Path:
        return self._exits / f"{identity.boot_id}-{identity.pid}-{identity.start_time}.json"

    def _all_files(self) -> Iterator[Path]:
        yield from self._exits.iterdir()
        yield from self._outputs.iterdir()


def private_folder(path: Path) -> Path:
    """The folder, made if it is missing; raises `ConfigurationError` if anybody else could enter it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"folder {path} must belong to user {os.geteuid()} with permissions 0700; "
            "run all Dagster processes as one user, and correct the folder's owner and permissions or remove it"
        )
    return path


@lru_cache(maxsize=1)
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
