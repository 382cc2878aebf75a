"""One PostgreSQL server for all systems, with a database for each; durable, as in production (fsync on)."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from beep_orchestration import embedded


class Server:
    """The server, in a folder of its own under the system's folder for temporary files."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._url = url

    def new_database(self, name: str) -> str:
        """The URL of a new, empty database."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return make_url(self._url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def server() -> Iterator[Server]:
    """A server as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="beep-bench-"))
    try:
        url, _ = embedded.start(folder)
        yield Server(folder, url)
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
