"""Migrations: they make what `tables.py` says, leave nothing behind, and many callers make one schema."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.persistence import Database, schema
from beep_orchestration.persistence.schema import (
    EXPECTED_REVISION,
    MIGRATIONS,
    VERSION_TABLE,
    alembic_config,
    check_schema,
    migrate,
)
from beep_orchestration.tables import metadata
from tests.factories import accepted
from tests.postgres import opened

Description = list[tuple[str, ...]]


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Database]:
    """A pool of connections to a database without a schema."""
    with opened(empty_database_url) as database:
        yield database


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make migration` reads and writes, in a folder of its own, whose name is no plain word."""
    copy = tmp_path / "a 100% copy"
    for folder in ("beep_orchestration", "migrations"):
        shutil.copytree(MIGRATIONS.parent / folder, copy / folder)
    return copy


def _write(checkout: Path, message: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "migrations/write.py", message]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def _describe(connection: Connection) -> Description:
    """Every column, constraint and index of the schema in PostgreSQL's own words, without Alembic's table."""
    statement = text(
        """
        SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
               coalesce(pg_get_expr(d.adbin, d.adrelid), ''), coalesce(col_description(c.oid, a.attnum), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> :version
        UNION ALL
        SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> coalesce(to_regclass(:version)::oid, 0)
        UNION ALL
        SELECT 'index', tablename, indexname, indexdef, '', '', ''
        FROM pg_indexes WHERE schemaname = 'public' AND tablename <> :version
        """
    )
    rows = connection.execute(statement, {"version": VERSION_TABLE})
    return sorted(tuple(row) for row in rows)


def _everything(connection: Connection) -> set[str]:
    """The names of all that a schema may hold: tables, indexes, sequences, types, functions."""
    statement = text(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        """
    )
    return set(connection.execute(statement).scalars())


def test_alembic_finds_no_difference_between_models_and_migrations(database: Database) -> None:
    with database.engine.begin() as connection:
        command.check(alembic_config(connection))


def test_migrations_make_exactly_what_the_models_say(database: Database, empty_database: Database) -> None:
    """Alembic does not compare CHECKs and expressions; this does."""
    metadata.create_all(empty_database.engine)
    with database.engine.connect() as migrated, empty_database.engine.connect() as created:
        assert _describe(migrated) == _describe(created)


def test_downgrade_leaves_nothing_and_upgrade_makes_it_again(empty_database: Database) -> None:
    engine = empty_database.engine
    migrate(engine)
    with engine.connect() as connection:
        first = _describe(connection)
    migrate(engine, "base")
    with engine.connect() as connection:
        assert {name for name in _everything(connection) if VERSION_TABLE not in name} == set()
        assert connection.execute(text(f"SELECT count(*) FROM {VERSION_TABLE}")).scalar_one() == 0
    migrate(engine)
    with engine.connect() as connection:
        assert _describe(connection) == first


def test_there_is_one_line_of_migrations_and_the_code_expects_its_end() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_heads() == [EXPECTED_REVISION]
    assert [revision.revision for revision in script.walk_revisions()] == sorted(
        (path.name[:4] for path in (MIGRATIONS / "versions").glob("*.py")), reverse=True
    )


def test_migrating_twice_changes_nothing_and_keeps_the_rows(database: Database) -> None:
    with database.transaction() as tables:
        execution = accepted(tables)
    migrate(database.engine)
    with database.transaction() as tables:
        assert tables.executions.load(execution.id) == execution


def test_tables_of_other_programs_are_left_alone(empty_database: Database) -> None:
    """Dagster keeps its tables, with an `alembic_version` of its own, in the same database."""
    with empty_database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of-dagster')"))
        connection.execute(text("CREATE TABLE runs (id int)"))
    migrate(empty_database.engine)
    with empty_database.engine.begin() as connection:
        command.check(alembic_config(connection))
    migrate(empty_database.engine, "base")
    with empty_database.engine.connect() as connection:
        assert {"runs", "alembic_version"} <= _everything(connection)
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "of-dagster"


def test_a_migration_that_fails_changes_nothing(empty_database: Database) -> None:
    with empty_database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE knowledge_workflow_signal (id int)"))  # the last one to be created
        before = _everything(connection)
    with pytest.raises(Exception, match="knowledge_workflow_signal"):
        migrate(empty_database.engine)
    with empty_database.engine.connect() as connection:
        assert _everything(connection) == before


def test_threads_that_migrate_at_once_make_one_schema(empty_database: Database) -> None:
    barrier = threading.Barrier(4, timeout=30)

    def migrate_with_the_others(_: int) -> None:
        barrier.wait()
        migrate(empty_database.engine)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate_with_the_others, range(4)))
    _assert_one_schema(empty_database)


MIGRATE_WHEN_TOLD = """
import sys
from alembic import command
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import migrate
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
migrate(database.engine)
"""


def _start_migrating_process(url: str) -> subprocess.Popen[str]:
    command_line = [sys.executable, "-c", MIGRATE_WHEN_TOLD, url]
    pipe = subprocess.PIPE
    return subprocess.Popen(command_line, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=MIGRATIONS.parent)


def test_processes_that_migrate_at_once_make_one_schema(empty_database: Database, empty_database_url: str) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(_start_migrating_process(empty_database_url)) for _ in range(4)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], errors
    _assert_one_schema(empty_database)


def _assert_one_schema(database: Database) -> None:
    check_schema(database.engine)
    with database.engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all() == [
            EXPECTED_REVISION
        ]


def test_a_checkout_without_migrations_is_named(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path)
    with pytest.raises(ConfigurationError, match="checkout"):
        migrate(empty_database.engine)


def test_the_migration_for_changed_tables_is_written(checkout: Path) -> None:
    tables = checkout / "beep_orchestration" / "tables.py"
    column = '    Column("current_activity", Text),\n'
    before = tables.read_text()
    assert before.count(column) == 1
    tables.write_text(before.replace(column, column + '    Column("mood", Text, comment="how it feels"),\n'))
    written = _write(checkout, "A mood")
    assert written.returncode == 0, written.stderr
    following = f"{int(EXPECTED_REVISION) + 1:04}"
    assert f"set EXPECTED_REVISION to '{following}'" in written.stdout
    migration = (checkout / "migrations" / "versions" / f"{following}_a_mood.py").read_text()
    assert migration.startswith('"""A mood."""')
    assert f"down_revision = '{EXPECTED_REVISION}'" in migration
    assert "op.add_column('knowledge_workflow_execution', sa.Column('mood', sa.Text()" in migration
    assert "op.drop_column('knowledge_workflow_execution', 'mood')" in migration


def test_without_a_change_no_migration_is_written(checkout: Path) -> None:
    present = sorted((checkout / "migrations" / "versions").iterdir())
    written = _write(checkout, "nothing")
    assert written.returncode == 0, written.stderr
    assert "nothing to write" in written.stdout
    assert "EXPECTED_REVISION" not in written.stdout
    assert sorted((checkout / "migrations" / "versions").iterdir()) == present
