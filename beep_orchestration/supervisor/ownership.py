"""One owner of the services per data folder: who it is, and whether it lives, is a lock that the kernel gives back."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from beep_orchestration.data_folder import make_data_folder
from beep_orchestration.errors import ConfigurationError

SOCKETS_PREFIX = "beep-"
"""How the name of a folder of sockets begins; it is made where temporary files are."""
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

    def __init__(self, descriptor: int, last: Owner | None) -> None:
        """`last` is the owner before this one; its sockets are still there if it died with its guard."""
        self.descriptor = descriptor
        self._last = last

    def announce(self, owner: Owner) -> None:
        """Write down who holds the lock; readers see the old text or the new one."""
        text = json.dumps(asdict(owner)).encode()
        os.pwrite(self.descriptor, text.ljust(_RECORD_BYTES), 0)

    def remove_remains(self) -> None:
        """Remove the sockets of the last owner. Call it once the ports are known to be free: nobody uses them then.

        What names them came with the data folder, which may be a copy, or have been written to by somebody else: only
        what can be nothing but a folder of sockets is removed, and nothing of an owner that lives.
        """
        last, self._last = self._last, None
        if last is not None and last.folder is not None and not _is_alive(last.pid) and _has_sockets(last.folder):
            shutil.rmtree(last.folder, ignore_errors=True)

    def _resign(self, owner: Owner) -> None:
        """Leave a record that names no sockets, or those that are still to be removed."""
        self.announce(self._last or replace(owner, folder=None))

    @classmethod
    @contextmanager
    def taken(cls, data_folder: Path, owner: Owner) -> Iterator[Self]:
        """Hold the lock of a data folder; waits only for the services of an owner that was killed to be ended.

        Raises `ConfigurationError` if the folder cannot be used, or its services are run by another process.
        """
        descriptor = _open(data_folder)
        try:
            _lock(descriptor, data_folder)
            ownership = cls(descriptor, _read(descriptor))
            ownership.announce(owner)
            try:
                yield ownership
            finally:
                ownership._resign(owner)
        finally:
            os.close(descriptor)


_RECORD_BYTES = 8192
_OWNER = TypeAdapter(Owner)


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


def _has_sockets(folder: str) -> bool:
    """Whether it is what this user makes for sockets, by name, place and owner; a link is not followed later either."""
    path = Path(folder)
    try:
        owner = path.lstat().st_uid
    except (OSError, ValueError):
        return False
    is_named_so = path.name.startswith(SOCKETS_PREFIX) and path.parent == Path(tempfile.gettempdir())
    return is_named_so and owner == os.geteuid()


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
    with suppress(ValueError):
        return _OWNER.validate_json(os.pread(descriptor, _RECORD_BYTES, 0))
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
