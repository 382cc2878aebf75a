"""The data folder: what is in it may be text of documents, so its owner alone may look into it."""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from beep_orchestration.errors import ConfigurationError

logger = logging.getLogger(__name__)

FILES_MASK = 0o077
"""The umask of who writes into it."""
_FOLDERS = frozenset({"postgres", "postgres.new", "dagster", "step_output", "logs", "learned"})
_FILES = frozenset({"services.lock", "postgres.lock"})


def make_data_folder(folder: Path) -> None:
    """Make the folder unless it is there, and close it and what is ours in it to other users; nothing is opened.

    As root it may be passed through, no more: the embedded PostgreSQL's own user has to reach its folder. One that
    holds other things too is not ours to close, and a `logs` in it is ours only if a lock of ours tells that we were
    here before. Raises `ConfigurationError` if it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise ConfigurationError(
            f"BEEP_DATA_FOLDER: cannot use {folder} ({error.strerror}); set it to a folder of your own"
        ) from error
    if names <= _FOLDERS | _FILES:
        _close(folder.resolve(), 0o711 if os.geteuid() == 0 else 0o700)
    elif not any(_is_lock_of_ours(folder / name) for name in names & _FILES):
        return
    for name in names & _FOLDERS:
        _close(folder / name, 0o700)
    for name in names & _FILES:  # who may open a lock may hold it for ever
        _close(folder / name, 0o600)


def _is_lock_of_ours(path: Path) -> bool:
    with suppress(OSError):
        status = path.lstat()
        return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return False


def _close(path: Path, mode: int) -> None:
    """Take away what `mode` does not give. A link is not followed: what it leads to may be somebody else's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            before = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if before & 0o777 & ~mode:
                os.fchmod(descriptor, before & (0o7000 | mode))
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.warning("cannot close %s to other users (%s): what is in it is theirs to read", path, error.strerror)
