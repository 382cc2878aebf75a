"""What steps print, in files that the Dagster UI shows, without a helper process for each run."""

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Self

from beep_orchestration.engine.dagster_internals import (
    IO_TYPE_EXTENSION,
    CapturedLogContext,
    ComputeIOType,
    ConfigurableClassData,
    LocalComputeLogManager,
)
from beep_orchestration.settings import load_settings


class RedirectedComputeLogManager(LocalComputeLogManager):
    """Dagster's local manager, except that a worker writes to the captured file itself.

    Dagster's starts `tail` and a Python process that watches over it, for each of the two streams of each run, to copy
    what the files get to the worker's own output. Here standard output goes to its file only, and the file of standard
    error is the worker's own output file under a second name, so that the last words of a worker that dies are in both.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: the settings name the data folder."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Called by Dagster in every process that loads the instance."""
        return cls(str(load_settings().data_folder / "step_output"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Called by Dagster around the steps of a run."""
        output = Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[ComputeIOType.STDOUT]))
        errors = Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[ComputeIOType.STDERR]))
        Path(self._base_dir).mkdir(mode=0o700, parents=True, exist_ok=True)  # what steps print may be text of documents
        output.parent.mkdir(parents=True, exist_ok=True)
        is_shared = _share(sys.stderr, errors)
        with _redirected(sys.stdout, output), nullcontext() if is_shared else _redirected(sys.stderr, errors):
            yield CapturedLogContext(log_key)
        Path(self.complete_artifact_path(log_key)).touch()  # type: ignore[no-untyped-call]


def _share(stream: IO[str], path: Path) -> bool:
    """Give the file that a stream writes to a second name; false if it has no name, or one on another file system."""
    try:
        path.hardlink_to(Path(f"/proc/self/fd/{stream.fileno()}").readlink())
    except OSError:
        return False
    return True


@contextmanager
def _redirected(stream: IO[str], path: Path) -> Generator[None, None, None]:
    """Within the block, what the process and its children write to the stream's descriptor is in the file."""
    stream.flush()
    before, target = os.dup(stream.fileno()), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, stream.fileno())
        yield
        stream.flush()
    finally:
        os.dup2(before, stream.fileno())
        os.close(before)
        os.close(target)
