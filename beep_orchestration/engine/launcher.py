"""Dagster's run launcher for one Linux host: each run has a worker process of its own, forked from a warm one.

In `dagster.yaml`:

    run_launcher:
      module: beep_orchestration.engine.launcher
      class: PreloadedRunLauncher
      config:
        preload: ["beep_orchestration.extraction.local:load_model"]

Where processes cannot be forked safely (macOS, Windows) leave `run_launcher` out: Dagster's default launcher is slower
and does not watch its workers, what is committed in the tables holds all the same.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster import Array, DagsterInstance, DagsterRun, Field, Float, Int, StringSource
from filelock import FileLock

from beep_orchestration.engine import launcher_process
from beep_orchestration.engine.dagster_internals import (
    CheckRunHealthResult,
    ConfigurableClass,
    ConfigurableClassData,
    LaunchRunContext,
    RepositoryPythonOrigin,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
    serialize_value,
)
from beep_orchestration.engine.forkserver_client import ForkServerClient, launch_failed
from beep_orchestration.engine.forkserver_protocol import ForkServerSettings, LaunchRequest
from beep_orchestration.engine.launcher_worker import (
    LAUNCH_TAG,
    WORKER_TAG,
    LaunchRecord,
    WorkerFiles,
    WorkerIdentity,
    find_worker,
    private_folder,
)
from beep_orchestration.errors import ConfigurationError


class PreloadedRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Forks run workers, knows whether they live, ends them, and resumes runs whose worker died.

    Guarantees: a launch gives its run one worker or none, whatever dies during the launch; a worker's death is an event
    of its run that names the exit code or signal; a run is reported cancelled by its worker, or when that has ended.
    Fork server, webserver and daemon may be restarted while runs go on. All of them run as one user on one host.
    """

    def __init__(
        self,
        preload: tuple[str, ...] = (),
        termination_grace_seconds: float = 10.0,
        idle_timeout_seconds: float = 600.0,
        start_timeout_seconds: int = 120,
        inst_data: ConfigurableClassData | None = None,
        *,
        prepare: tuple[str, ...] = (),
    ) -> None:
        if sys.platform != "linux":
            raise ConfigurationError(
                f"PreloadedRunLauncher forks processes, which is not safe on {sys.platform}; "
                "remove run_launcher from dagster.yaml to use Dagster's DefaultRunLauncher"
            )
        self._preload = preload
        self._prepare = prepare
        self._termination_grace_seconds = termination_grace_seconds
        self._idle_timeout_seconds = idle_timeout_seconds
        self._start_timeout_seconds = start_timeout_seconds
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Where Dagster keeps what this was configured with."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """What `config` in `dagster.yaml` may hold."""
        return {
            "preload": Field(
                Array(StringSource),
                default_value=[],
                description="functions without arguments ('package.module:function') to call once, before any fork",
            ),
            "prepare": Field(
                Array(StringSource),
                default_value=[],
                description="functions without arguments to call in each worker that was forked ahead of its run; what "
                "they cannot do the run has to do itself",
            ),
            "termination_grace_seconds": Field(
                Float,
                default_value=10.0,
                description="how long a worker may take to end after SIGINT, then after SIGTERM, before it is killed",
            ),
            "idle_timeout_seconds": Field(
                Float,
                default_value=600.0,
                description="a fork server that has no owner and no worker ends after this time",
            ),
            "start_timeout_seconds": Field(
                Int, default_value=120, description="how long a fork server may take to load the code location"
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """The launcher that `dagster.yaml` describes."""
        hooks = {name: tuple(config_value[name]) for name in ("preload", "prepare")}
        return cls(**{**config_value, **hooks}, inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a worker for the run; raises `DagsterLaunchFailedError` if there is none in the end.

        A run that has a living worker keeps it: the queue's daemon and `PromptRunCoordinator` may both launch it.
        """
        with FileLock(self._folder() / "launch.lock", timeout=self._start_timeout_seconds):
            run = self._instance.get_run_by_id(context.dagster_run.run_id)
            if run is not None and not run.is_finished and not _has_living_worker(run):
                self._start_worker(run, resume=False)

    @property
    def supports_resume_run(self) -> bool:
        """Yes: the steps are entered again from the top, recorded activities are not run again."""
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        """Start another worker for a run whose worker has died; raises `DagsterLaunchFailedError`."""
        self._start_worker(context.dagster_run, resume=True)

    def warm_up(self, origin: RepositoryPythonOrigin) -> None:
        """Have the fork server of a code location, with the code on disk, before a run needs it.

        Returns when it is ready; raises `DagsterLaunchFailedError`.
        """
        self._fork_server(origin).ensure_started()

    def is_ready(self, run: DagsterRun) -> bool:
        """Whether the run's fork server is there, so that launching takes milliseconds."""
        return self._fork_server(_origin_of(run)).is_running()

    def _start_worker(self, run: DagsterRun, *, resume: bool) -> None:
        request = LaunchRequest(run_id=run.run_id, resume=resume)
        record = LaunchRecord(run_id=run.run_id, launcher=WorkerIdentity.of_child(os.getpid()))
        self._instance.add_run_tags(run.run_id, {LAUNCH_TAG: record.model_dump_json()})
        with self._fork_server(_origin_of(run)).fork_worker(request) as worker:
            # The worker does nothing before it is released: its identity is stored before it can have an effect.
            self._instance.add_run_tags(run.run_id, {WORKER_TAG: worker.identity.model_dump_json()})
            worker.release()

    def _fork_server(self, origin: RepositoryPythonOrigin) -> ForkServerClient:
        serialized, instance_ref = serialize_value(origin), serialize_value(self._instance.get_ref())
        # The instance's configuration, this launcher's included, is part of the name: another one gets another server.
        key = hashlib.sha256(f"{serialized}\n{instance_ref}".encode()).hexdigest()[:16]
        folder = self._folder()
        settings = ForkServerSettings(
            server_folder=private_folder(folder / "servers") / key,
            worker_folder=folder,
            repository_origin=serialized,
            instance_ref=instance_ref,
            preload=self._preload,
            prepare=self._prepare,
            idle_timeout_seconds=self._idle_timeout_seconds,
            start_timeout_seconds=self._start_timeout_seconds,
        )
        return ForkServerClient(settings, origin.executable_path)

    def _folder(self) -> Path:
        return private_folder(Path(self._instance.root_directory) / "run_workers")

    def terminate(self, run_id: str) -> bool:
        """Ask the run's worker to end; it is killed, with its group, if it does not within the grace periods.

        Returns at once: False if there was nothing to end, True if the worker is being ended or had died already.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        identity = find_worker(run)
        if identity is None:
            self._instance.report_engine_event("The run has no worker to terminate yet.", run, cls=type(self))
            return False
        self._instance.report_run_canceling(run)
        if identity.is_alive():
            self._end(identity)
        else:
            self._instance.report_run_canceled(run, f"Run worker {identity.pid} had ended already.")
        return True

    def _end(self, identity: WorkerIdentity) -> None:
        # A process of its own: it outlives this one, and does not depend on the fork server that the worker came from.
        arguments = (str(identity.pid), str(identity.start_time), str(self._termination_grace_seconds))
        subprocess.run(
            [sys.executable, "-I", "-S", launcher_process.__file__, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes, on the host that launches the runs."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's worker lives, and if not, how it ended.

        Raises `ConfigurationError` if the worker is on another host: it may be alive, so the run must not be resumed.
        """
        identity = find_worker(run)
        if identity is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the run has no worker")
        worker_id = str(identity.pid)
        if identity.is_alive():
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker_id)
        current = self._instance.get_run_by_id(run.run_id)  # a worker finishes its run before it ends
        if current is not None and current.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS, run_worker_id=worker_id)
        message = f"run worker {identity.pid} on {identity.host} {self._describe_end(identity)}"
        return CheckRunHealthResult(WorkerStatus.FAILED, message, run_worker_id=worker_id)

    def _describe_end(self, identity: WorkerIdentity) -> str:
        worker_exit = WorkerFiles(self._folder()).find_exit(identity)
        return worker_exit.describe() if worker_exit else "has ended, and its fork server did not live to see how"

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:  # noqa: FBT001, FBT002 (Dagster's signature)
        """How the run's worker ended or that it lives, and the end of its output."""
        identity = find_worker(run)
        if identity is None:
            return None
        state = "it is alive" if identity.is_alive() else self._describe_end(identity)
        output = WorkerFiles(self._folder()).tail_of_output(run.run_id) if include_container_logs else ""
        return f"run worker {identity.pid} on {identity.host}: {state}\n{output}".rstrip()


def _has_living_worker(run: DagsterRun) -> bool:
    worker = find_worker(run)
    return worker is not None and worker.is_alive()


def _origin_of(run: DagsterRun) -> RepositoryPythonOrigin:
    if run.job_code_origin is None:
        raise launch_failed("the run does not say which code it belongs to; launch it from a code location")
    origin = run.job_code_origin.repository_origin
    if not os.access(origin.executable_path, os.X_OK):
        raise launch_failed(
            f"the code location's Python, {origin.executable_path}, is not on this host; "
            "run the code server here, or use Dagster's DefaultRunLauncher"
        )
    return origin
