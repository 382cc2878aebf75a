"""One owner of the services per data folder: who it is, and whether it lives, is a lock that the kernel gives back."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from beep_orchestration.data_folder import make_data_folder
from beep_orchestration.errors import ConfigurationError

_ENDING_SECONDS = 30.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Owner:
    """The process that runs the services of a data folder, and where its webserver listens.

    `folder` has their sockets. The guard removes it; if that was killed too, the next owner does.
    """

    pid: int
    host: str
    port: int
    api_port: int
    is_ready: bool = False
    folder: str | None = None


class Ownership:
    """The lock while it is held. The guard inherits the descriptor, so it is free only when everything has ended."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def announce(self, owner: Owner) -> None:
        """Write down who holds the lock; readers see the old text or the new one."""
        text = json.dumps(asdict(owner)).encode()
        os.pwrite(self.descriptor, text.ljust(_RECORD_BYTES), 0)

    @classmethod
    @contextmanager
    def taken(cls, data_folder: Path, owner: Owner) -> Iterator[Self]:
        """Hold the lock of a data folder; waits only for the services of an owner that was killed to be ended.

        Raises `ConfigurationError` if the folder cannot be used, or its services are run by another process.
        """
        descriptor = _open(data_folder)
        try:
            _lock(descriptor, data_folder)
            _remove_remains(descriptor)
            ownership = cls(descriptor)
            ownership.announce(owner)
            yield ownership
        finally:
            os.close(descriptor)


_RECORD_BYTES = 512


def find_owner(data_folder: Path) -> Owner | None:
    """Who runs the services of a data folder, None if nobody does."""
    try:
        descriptor = os.open(_path(data_folder), os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _is_free(descriptor) else _read(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, data_folder: Path) -> None:
    deadline = time.monotonic() + _ENDING_SECONDS
    while not _try_lock(descriptor):
        owner = _read(descriptor)
        if owner is not None and _is_alive(owner.pid):
            raise ConfigurationError(
                f"process {owner.pid} runs the services of {data_folder} already, at {owner.host}:{owner.port}; "
                "use them, stop that process, or set BEEP_DATA_FOLDER to another folder"
            )
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"the services of {data_folder} are still being ended after {_ENDING_SECONDS:g} s; see its logs folder"
            )
        time.sleep(_POLL_SECONDS)


def _open(data_folder: Path) -> int:
    make_data_folder(data_folder)
    try:
        return os.open(_path(data_folder), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"BEEP_DATA_FOLDER: cannot write to {data_folder} ({error.strerror}); set it to a folder of your own"
        ) from error


def _path(data_folder: Path) -> Path:
    return data_folder / "services.lock"


def _remove_remains(descriptor: int) -> None:
    last = _read(descriptor)
    if last is not None and last.folder is not None:
        shutil.rmtree(last.folder, ignore_errors=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(descriptor: int) -> bool:
    """A shared lock, so that two that ask at once do not take each other for an owner."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> Owner | None:
    with suppress(ValueError, TypeError):
        return Owner(**json.loads(os.pread(descriptor, _RECORD_BYTES, 0)))
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
