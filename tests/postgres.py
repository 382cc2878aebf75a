"""A real PostgreSQL for the tests: one server per test process, one clone of a migrated template per file of tests.

`database_url` and `database` are for tests that commit, use several connections or start processes: they find no row
and no session of the test before. `tables` is for the rest: its transaction is rolled back.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from beep_orchestration import embedded
from beep_orchestration.persistence import Database, WorkflowPersistence
from beep_orchestration.persistence.schema import check_schema, migrate

TEMPLATE = "migrated_template"
SERVER_SETTINGS = {
    "fsync": "off",  # a killed server loses nothing by this, only a machine without power would
    "full_page_writes": "off",
    "autovacuum": "off",  # would hold a template, and change plans under a test
    "statement_timeout": "120s",  # a lock that is never released ends as a failure
}


class PostgresServer:
    """A server that makes and drops databases."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)

    def url_of(self, name: str) -> str:
        """The URL of one of its databases."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        """Run a statement outside any transaction, in the maintenance database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a database of its own, dropped afterwards whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        names = sql.Identifier(name), sql.Identifier(template)
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(*names))
        try:
            yield self.url_of(name)
        finally:
            self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def end_sessions(database_url: str) -> int:
    """End every other session of the database, as a restarted server would; how many there were."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        statement = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def remove_rows(database_url: str) -> None:
    """Empty every table but those that say which migrations were made."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # whatever refers to what
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ 'alembic_version'"
        )
        deletions = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for (name,) in names.fetchall()]
        connection.execute(sql.SQL("; ").join(deletions))


@contextmanager
def opened(url: str, *, pool_size: int = 5) -> Iterator[Database]:
    """A `Database` that is closed afterwards."""
    database = Database(url, pool_size=pool_size)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """This test process's server, with the template; under pytest-xdist each worker has one of its own.

    Its folder lies right under the system's folder for temporary files, because the folders of pytest are closed to the
    user under whom the server runs when the tests run as root.
    """
    folder = Path(tempfile.mkdtemp(prefix="beep-test-"))
    try:
        url, _ = embedded.start(folder)
        yield _prepared(PostgresServer(url))
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _prepared(server: PostgresServer) -> PostgresServer:
    for name, value in SERVER_SETTINGS.items():
        server.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    server.execute(sql.SQL("SELECT pg_reload_conf()"))
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    with opened(server.url_of(TEMPLATE)) as database:
        migrate(database.engine)
    return server


@pytest.fixture
def empty_database_url(postgres: PostgresServer) -> Iterator[str]:
    """A database without a schema."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture(scope="module")
def _database_url_of_the_file(postgres: PostgresServer) -> Iterator[str]:
    with postgres.new_database(TEMPLATE) as url:
        yield url
        with opened(url) as database:
            check_schema(database.engine)  # a test that changes it should have taken `own_database`


@pytest.fixture
def database_url(_database_url_of_the_file: str) -> str:
    """A migrated database without rows and sessions; one for all tests of a file: to empty it is faster than to clone.

    A clone costs a fifth of a second of processor time.
    """
    end_sessions(_database_url_of_the_file)
    remove_rows(_database_url_of_the_file)
    return _database_url_of_the_file


@pytest.fixture
def own_database_url(postgres: PostgresServer) -> Iterator[str]:
    """A migrated database of this test's own, for one that changes more than rows."""
    with postgres.new_database(TEMPLATE) as url:
        yield url


@pytest.fixture
def own_database(own_database_url: str) -> Iterator[Database]:
    """A pool of connections to the database of `own_database_url`."""
    with opened(own_database_url) as opened_database:
        yield opened_database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A pool of connections to the database of `database_url`."""
    with opened(database_url) as opened_database:
        yield opened_database


@pytest.fixture(scope="session")
def rolled_back_database(postgres: PostgresServer) -> Iterator[Database]:
    """The database behind `tables`: nobody commits to it."""
    with postgres.new_database(TEMPLATE) as url, opened(url) as opened_database:
        yield opened_database


@pytest.fixture
def tables(rolled_back_database: Database) -> Iterator[WorkflowPersistence]:
    """The tables within a transaction that is rolled back."""
    with rolled_back_database.engine.connect() as connection:
        transaction = connection.begin()
        yield WorkflowPersistence(connection)
        transaction.rollback()
