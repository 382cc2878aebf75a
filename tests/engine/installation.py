"""Dagster instances with our run launcher, the code server that they share, and runs submitted to them."""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import FileCodePointer
from dagster._core.origin import JobPythonOrigin
from dagster._core.remote_representation.external import RemoteJob
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

from beep_orchestration.engine.launcher import PreloadedRunLauncher
from beep_orchestration.engine.launcher_process import find_start_time
from beep_orchestration.engine.launcher_worker import WORKER_TAG, WorkerIdentity
from beep_orchestration.models import Json
from beep_orchestration.settings import load_settings
from tests.waiting import wait_until

LOCATION_FILE = Path(__file__).with_name("location.py")
OPS = {
    "describe": ["describe_process"],
    "draw": ["draw_number"],
    "die": ["die_by_signal"],
    "fail": ["fail_step"],
    "wait": ["wait_for_interrupt"],
    "refuse_to_end": ["ignore_requests"],
    "wait_once": ["first", "wait_the_first_time"],
}


@dataclass
class Installation:
    """What one `dagster.yaml` and one workspace make up, and what a test asks of it."""

    instance: DagsterInstance
    context: WorkspaceProcessContext
    location_file: Path
    folder: Path
    created: list[str] = field(default_factory=list)
    """The runs, in the order in which they were created."""

    def create_run(self, job_name: str) -> tuple[str, Path]:
        """A run as the webserver creates it, and the folder in which its ops leave files."""
        files = self.folder / f"run-{len(self.created) + 1}"
        files.mkdir()
        config = {"ops": {op: {"config": {"folder": str(files)}} for op in OPS[job_name]}}
        workspace = self.context.create_request_context()
        location = workspace.get_code_location(workspace.code_location_names[0])
        repository = next(iter(location.get_repositories().values()))
        job = repository.get_full_job(job_name)
        plan = location.get_execution_plan(
            job, config, step_keys_to_execute=None, known_state=None, instance=self.instance
        )
        run = self.instance.create_run(
            job_name=job_name,
            run_id=None,
            run_config=config,
            status=None,
            tags={},
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            job_snapshot=job.job_snapshot,
            parent_job_snapshot=job.parent_job_snapshot,
            asset_selection=None,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=self._origin_of(job),
            asset_graph=repository.asset_graph,
        )
        self.created.append(run.run_id)
        return run.run_id, files

    def _origin_of(self, job: RemoteJob) -> JobPythonOrigin:
        """The job in this installation's copy of the code, which its fork server loads."""
        origin = job.get_python_origin()
        pointer = origin.repository_origin.code_pointer
        assert isinstance(pointer, FileCodePointer)
        pointer = FileCodePointer(str(self.location_file), pointer.fn_name, str(self.location_file.parent))
        return origin._replace(repository_origin=origin.repository_origin._replace(code_pointer=pointer))

    def launch(self, job_name: str) -> tuple[str, Path]:
        """A run that was submitted."""
        run_id, files = self.create_run(job_name)
        self.instance.submit_run(run_id, self.context.create_request_context())
        return run_id, files

    @property
    def launcher(self) -> PreloadedRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, PreloadedRunLauncher)
        return launcher

    def run(self, run_id: str) -> DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def worker(self, run_id: str) -> WorkerIdentity:
        return WorkerIdentity.model_validate_json(self.run(run_id).tags[WORKER_TAG])

    def wait_for_status(self, run_id: str, status: DagsterRunStatus) -> None:
        wait_until(lambda: self.run(run_id).status == status, description=f"run {run_id} is {status.value}")

    def wait_for_death(self, run_id: str) -> None:
        identity = self.worker(run_id)
        wait_until(lambda: not identity.is_alive(), description=f"worker {identity.pid} has ended")

    def messages(self, run_id: str) -> list[str]:
        """The engine events of the run."""
        events = self.instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)
        return [event.message for event in events]

    def wait_for_spare(self) -> int:
        """The process that is forked and has no run yet."""
        [spare] = wait_until(lambda: self.children(of_a_run=False), description="a process waits for a run")
        return spare

    def wait_for_run_of(self, spare: int) -> tuple[str, Path]:
        """A run that has succeeded in this process; those that come before it is ready have workers of their own."""

        def carried() -> tuple[str, Path] | None:
            run_id, files = self.launch("describe")
            self.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
            return (run_id, files) if self.worker(run_id).pid == spare else None

        return wait_until(carried, description="the process that was forked ahead carries a run")

    def children(self, *, of_a_run: bool) -> list[int]:
        """The children of the fork server: workers, which have sessions of their own, or those that are none yet."""
        [server] = self.server_pids()
        found = map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())
        return [pid for pid in found if (_session(pid) == pid) is of_a_run]

    def server_pids(self) -> list[int]:
        """The living fork servers of this installation."""
        folder = os.fsencode(self.instance.root_directory)
        found = [pid for pid in _all_pids() if folder in _fork_server_log(pid) and find_start_time(pid)]
        return [pid for pid in found if _parent(pid) not in found]  # a fresh child has its server's log for a moment


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def read(path: Path) -> dict[str, Any]:
    """What an op has left, waited for."""
    wait_until(path.exists, description=f"{path.name} is there")
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]


def sockets(targets: list[str]) -> set[str]:
    """The sockets among what a process has open."""
    return {target for target in targets if target.startswith("socket:")}


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return 0


def _fork_server_log(pid: int) -> bytes:
    """The log that a process writes its errors to, if it is a fork server."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        target = os.fsencode(Path(f"/proc/{pid}/fd/2").readlink())
    except OSError:
        return b""
    return target if b"beep_orchestration.engine.forkserver" in command and target.endswith(b"server.log") else b""


class Installations:
    """Makes installations: what all have in common, and takes a second to start, is there once.

    The code server tells which jobs there are, and that is the same for all of them, whatever a test does to the code
    that the installation runs. The home is one that Dagster has made its databases in.
    """

    def __init__(self, home: Path, code_server: WorkspaceProcessContext) -> None:
        self._home = home
        self._code_server = code_server

    @contextmanager
    def make(
        self, folder: Path, launcher: Mapping[str, object] | None = None, **settings: object
    ) -> Iterator[Installation]:
        """An installation with this launcher config and these entries in `dagster.yaml`; ends what it has started."""
        home = shutil.copytree(self._home, folder / "home")
        _write_settings(home, launcher or {}, settings)
        location_file = shutil.copy(LOCATION_FILE, folder)
        with DagsterInstance.from_config(str(home)) as instance:
            context = self._code_server.copy_for_test_instance(instance)
            made = Installation(instance, context, Path(location_file), folder)
            try:
                yield made
            finally:
                _kill_all(made)


@contextmanager
def installations(folder: Path) -> Iterator[Installations]:
    """With a code server, which ends afterwards."""
    home = folder / "home"
    home.mkdir()
    _write_settings(home, {}, {})
    location_file = shutil.copy(LOCATION_FILE, folder)
    with DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs()
        target = PythonFileTarget(str(location_file), None, str(folder), None)
        with WorkspaceProcessContext(instance, target) as code_server:
            yield Installations(home, code_server)


@contextmanager
def workflow_storage(database_url: str) -> Iterator[Json]:
    """Our storage, on that database, as `dagster.yaml` has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEEP_DATABASE_URL", database_url)
        load_settings.cache_clear()
        yield {"custom": {"module": "beep_orchestration.engine.storage", "class": "WorkflowStorage", "config": {}}}
    load_settings.cache_clear()


def _write_settings(home: Path, launcher: Mapping[str, object], settings: Mapping[str, object]) -> None:
    configuration = {
        "run_launcher": {
            "module": "beep_orchestration.engine.launcher",
            "class": "PreloadedRunLauncher",
            "config": {"termination_grace_seconds": 0.5, **launcher},
        },
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "telemetry": {"enabled": False},
        **settings,
    }
    if "storage" not in settings:  # one file: to make one for each run takes a third of the run's time
        configuration["event_log_storage"] = {
            "module": "dagster._core.storage.event_log",
            "class": "ConsolidatedSqliteEventLogStorage",
            "config": {"base_dir": str(home / "events")},
        }
    (home / "dagster.yaml").write_text(yaml.safe_dump(configuration))


def _kill_all(made: Installation) -> None:
    for run in made.instance.get_runs():
        tag = run.tags.get(WORKER_TAG)
        if tag and WorkerIdentity.model_validate_json(tag).is_alive():
            with suppress(ProcessLookupError):  # it may end by itself in this moment
                os.killpg(WorkerIdentity.model_validate_json(tag).pid, signal.SIGKILL)
    for pid in made.server_pids():
        os.kill(pid, signal.SIGKILL)
