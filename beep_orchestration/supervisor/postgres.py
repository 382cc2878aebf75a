"""The embedded PostgreSQL as one of the services."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from beep_orchestration import embedded

_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1


class EmbeddedPostgres:
    """The server of a data folder. `own` is called before this process starts it: from then on it is ours to stop."""

    def __init__(self, data_folder: Path, own: Callable[[], None]) -> None:
        self._data_folder = data_folder
        self._own = own

    @property
    def is_running(self) -> bool:
        """Whether the server can be connected to."""
        return embedded.find_socket_folder(_cluster(self._data_folder)) is not None

    def ensure(self) -> str:
        """Start the server unless it runs; its URL, which is always the same. Raises what `embedded.start` raises.

        A server that runs already is ours too: who started it is gone, or leaves it to the owner of the data folder.
        """
        self._own()
        url, _ = embedded.start(self._data_folder)
        return url


def stop_surely(data_folder: Path) -> None:
    """Stop the server of a data folder, also one that is only just starting."""
    deadline = time.monotonic() + _STOP_SECONDS
    embedded.stop(data_folder)
    while _has_process(_cluster(data_folder)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        embedded.stop(data_folder)


def _cluster(data_folder: Path) -> Path:
    return data_folder / "postgres"


def _has_process(cluster: Path) -> bool:
    """Whether a server, or a command that starts or makes one, was given the cluster as an argument."""
    clusters = (cluster, embedded.unfinished_cluster(cluster))
    names = {str(folder) for each in clusters for folder in (each, each.resolve())}
    return any(not names.isdisjoint(_arguments(process)) for process in psutil.process_iter())


def _arguments(process: psutil.Process) -> list[str]:
    try:
        arguments: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return arguments
