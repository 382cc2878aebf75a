"""What a fork server has in memory before it forks: the code location, warm; and how it notices that it is outdated."""

import gc
import importlib
import os
import site
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dagster import (
    DagsterInstance,
    execute_job,
    in_process_executor,
    job,
    mem_io_manager,
    op,
    reconstructable,
)

from beep_orchestration.engine.dagster_internals import (
    InstanceRef,
    RepositoryPythonOrigin,
    create_execution_plan,
    deserialize_value,
    get_env_var_dict,
    recon_repository_from_origin,
)
from beep_orchestration.engine.forkserver_protocol import ForkServerSettings
from beep_orchestration.engine.storage import PooledEventLogStorage
from beep_orchestration.errors import ConfigurationError

Hook = Callable[[], object]

TIMESTAMP_GRAIN_NS = 20_000_000
"""File systems stamp with the kernel's coarse clock, which lags behind by up to a tick."""


class ReadFiles:
    """The files that this process opens for reading, until it has recorded enough."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._is_recording = True
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_recording and event == "open":
            path, _, flags = arguments
            is_read = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_RDONLY
            if is_read and isinstance(path, str | os.PathLike):
                self._paths.add(os.fspath(path))

    def stop(self) -> set[Path]:
        """What was read; an audit hook stays in place, but hears no more."""
        self._is_recording = False
        return {Path(path).absolute() for path in self._paths}


@dataclass(frozen=True)
class Sources:
    """The files that the loaded code comes from or has read, as they were when it was loaded."""

    stamps: dict[Path, int | None]
    loading_since_ns: int

    def find_changed(self) -> Path | None:
        """A file that is not any more what was loaded, or may have been written while it was loaded."""
        for path, stamp in self.stamps.items():
            if _stamp(path) != stamp or (stamp or 0) >= self.loading_since_ns:
                return path
        return None


@dataclass(frozen=True)
class Loaded:
    """What a forked process finds ready."""

    instance: DagsterInstance
    """Warm, with no connection open: whichever process uses it opens its own."""
    sources: Sources
    hooks: Sequence[Hook] = ()
    """What prepares a process that was forked ahead of its run."""

    def prepare(self) -> None:
        """In such a process: open what its run needs. What cannot be opened now, the run meets and tells of."""
        for prepare in (self._open_connection, *self.hooks):
            try:
                prepare()
            except Exception:  # noqa: BLE001 - whatever it is
                traceback.print_exc()

    def _open_connection(self) -> None:
        self.instance.get_run_records(limit=1)


def load(settings: ForkServerSettings) -> Loaded:
    """Load the code location, rehearse a run, and run the preload hooks (`module:callable`).

    Leaves the process ready to be forked; raises `ConfigurationError` if it is not, and whatever the code raises.
    """
    loading_since_ns = time.time_ns() - TIMESTAMP_GRAIN_NS
    read_files = ReadFiles()
    os.environ.update(get_env_var_dict(str(Path.cwd())))  # as Dagster's code servers do before they load the code
    instance = _open_instance(deserialize_value(settings.instance_ref, InstanceRef))
    _rehearse(instance)
    instance.dispose()
    _resolve_jobs(deserialize_value(settings.repository_origin, RepositoryPythonOrigin))
    preload, prepare = _find_hooks(settings)
    for hook in preload:
        hook()
    files = _files_of_the_project(read_files.stop())
    sources = Sources({path: _stamp(path) for path in files}, loading_since_ns)
    gc.collect()
    _refuse_threads()
    gc.freeze()  # what is loaded by now stays: no collection in a worker touches, and so copies, its pages
    return Loaded(instance, sources, prepare)


def _open_instance(instance_ref: InstanceRef) -> DagsterInstance:
    """The instance after a first query: drivers are imported, the schema has been looked at."""
    instance = DagsterInstance.from_ref(instance_ref)
    instance.get_run_records(limit=1)
    instance.all_logs("")
    instance.compute_log_manager, instance.run_coordinator  # noqa: B018 (made at the first use)
    return instance


@op
def _first() -> str:
    return ""


@op
def _second(value: str) -> str:
    return value


@job(
    executor_def=in_process_executor,
    resource_defs={"io_manager": mem_io_manager},
    config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
)
def _rehearsal() -> None:
    _second(_first())


_JOB = reconstructable(_rehearsal)


def _rehearse(instance: DagsterInstance) -> None:
    """Pay here what the first run of a process pays: imports, type checks, serialisers, and compiled statements."""
    events = instance.event_log_storage
    if isinstance(events, PooledEventLogStorage):
        with events.rehearsing(), execute_job(_JOB, instance, raise_on_error=True) as run:
            events.store_together(events.get_logs_for_run(run.run_id))
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    else:
        with DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as ephemeral:
            execute_job(_JOB, ephemeral, raise_on_error=True)


def _resolve_jobs(origin: RepositoryPythonOrigin) -> None:
    recon_repository = recon_repository_from_origin(origin)
    repository = recon_repository.get_definition()
    repository.load_all_definitions()
    for name in repository.job_names:
        # A job that needs config has no plan without it; everything else that planning caches is warm by then.
        with suppress(Exception):
            create_execution_plan(recon_repository.get_reconstructable_job(name))


def _find_hooks(settings: ForkServerSettings) -> tuple[list[Hook], list[Hook]]:
    """The functions to call before the fork, and those to call after it; an error names all that are not there."""
    found: dict[str, list[Hook]] = {"preload": [], "prepare": []}
    mistakes = []
    for setting, hooks in found.items():
        for name in getattr(settings, setting):
            try:
                hooks.append(_find_hook(name))
            except (ImportError, AttributeError, ValueError) as error:
                mistakes.append(f"run_launcher.config.{setting}: no function {name!r} ({error})")
    if mistakes:
        raise ConfigurationError(f"{'; '.join(mistakes)}; write it as 'package.module:function'")
    return found["preload"], found["prepare"]


def _find_hook(name: str) -> Hook:
    module, _, function = name.partition(":")
    hook: Hook = getattr(importlib.import_module(module), function)
    return hook


def _files_of_the_project(read_files: set[Path]) -> set[Path]:
    """What may change: sources and files read from outside the Python environment, and that environment's packages."""
    packages = _package_folders()  # installing or removing a package stamps them
    unwatched = (*packages, Path(sysconfig.get_path("stdlib")), Path("/proc"), Path("/sys"))
    modules = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    files = {path for path in modules | read_files if path.suffix != ".pyc" and path.is_file()}
    files = {path for path in files if not any(path.is_relative_to(folder) for folder in unwatched)}
    return {Path.cwd() / ".env", *packages, *files}


def _package_folders() -> tuple[Path, ...]:
    return tuple(Path(folder) for folder in {*site.getsitepackages(), site.getusersitepackages()})


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _refuse_threads() -> None:
    """A thread that holds a lock while its process is forked leaves it locked for ever in the child."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    # Libraries that know about forking (OpenBLAS) end their threads at a fork; others' are still there after it.
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    native = len(list(Path("/proc/self/task").iterdir())) - 1 - len(names)
    if names or native > 0:
        raise ConfigurationError(
            f"loading the code location started threads ({', '.join(names) or f'{native} native'}), so it cannot be "
            "forked; start them when a run begins, or use Dagster's DefaultRunLauncher in dagster.yaml"
        )
