"""Transactions, and the errors for a database that is away, has no schema, or one of other code."""

import traceback
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text

from beep_orchestration.errors import (
    ConfigurationError,
    DatabaseUnavailableError,
    SchemaVersionError,
    WorkflowNotFoundError,
)
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.persistence.schema import (
    EXPECTED_REVISION,
    VERSION_TABLE,
    check_schema,
    current_revision,
    migrate,
)
from tests.factories import accepted, new_execution
from tests.postgres import PostgresServer, opened

PASSWORD = "correct-horse"  # noqa: S105 - of no database
UNREACHABLE = f"postgresql://beep:{PASSWORD}@127.0.0.1:1/beep?password={PASSWORD}&sslpassword={PASSWORD}"


def _open_a_transaction(database: Database) -> None:
    with database.transaction():
        pytest.fail("there is no database to open a transaction in")


CALLS: list[Callable[[Database], None]] = [
    _open_a_transaction,
    lambda database: check_schema(database.engine),
    lambda database: migrate(database.engine),
]


@pytest.mark.parametrize("call", CALLS, ids=["transaction", "check_schema", "migrate"])
def test_an_unreachable_database_is_named_without_its_password(call: Callable[[Database], None]) -> None:
    with opened(UNREACHABLE) as database, pytest.raises(DatabaseUnavailableError) as refusal:
        call(database)
    assert "postgresql://beep:***@127.0.0.1:1/beep" in str(refusal.value)
    assert "BEEP_DATABASE_URL" in str(refusal.value)
    assert PASSWORD not in "".join(traceback.format_exception(refusal.value))


def test_a_host_that_does_not_exist_is_unavailable() -> None:
    url = f"postgresql://beep:{PASSWORD}@no-such-host.invalid/beep"
    with opened(url) as database, pytest.raises(DatabaseUnavailableError, match=r"no-such-host\.invalid"):
        _open_a_transaction(database)


def test_a_database_that_does_not_exist_is_unavailable(postgres: PostgresServer) -> None:
    with (
        opened(postgres.url_of("no_such_database")) as database,
        pytest.raises(DatabaseUnavailableError, match="no_such_database"),
    ):
        _open_a_transaction(database)


def test_a_url_that_cannot_be_read_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigurationError, match=r"^BEEP_DATABASE_URL: ") as refusal:
        Database(f"postgresql://beep:{PASSWORD}@host:port/database")
    assert PASSWORD not in "".join(traceback.format_exception(refusal.value))


def test_a_parameter_that_is_none_of_libpqs_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match=r'^BEEP_DATABASE_URL: .*"colour".*; correct') as refusal:
        Database(f"postgresql://beep:{PASSWORD}@host/database?sslmode=require&colour=red")
    assert PASSWORD not in "".join(traceback.format_exception(refusal.value))


def test_a_role_that_may_not_make_tables_is_told_what_it_lacks(
    postgres: PostgresServer, empty_database_url: str
) -> None:
    """As one that somebody else's database was given to, since PostgreSQL 15."""
    postgres.execute(sql.SQL("CREATE ROLE guest LOGIN"))
    try:
        url = make_url(empty_database_url).set(username="guest").render_as_string(hide_password=False)
        with (
            opened(url) as database,
            pytest.raises(ConfigurationError, match=r"permission denied for schema public .* owner of the database"),
        ):
            migrate(database.engine)
    finally:
        postgres.execute(sql.SQL("DROP ROLE guest"))


def _save_and_fail(database: Database, new: NewExecution) -> None:
    with database.transaction() as tables:
        assert tables.executions.save(new)
        raise ZeroDivisionError


def test_what_a_failing_block_has_saved_is_gone(database: Database) -> None:
    new = new_execution()
    with pytest.raises(ZeroDivisionError):
        _save_and_fail(database, new)
    with database.transaction() as tables, pytest.raises(WorkflowNotFoundError):
        tables.executions.load(new.id)


def test_nothing_is_visible_to_others_before_the_block_ends(database: Database) -> None:
    new = new_execution()
    with database.transaction() as tables:
        tables.executions.save(new)
        with database.transaction() as others:
            assert others.executions.find(new.id) is None
    with database.transaction() as others:
        assert others.executions.find(new.id) is not None


def _save_and_be_cut_off(database: Database, database_url: str, new: NewExecution) -> None:
    with database.transaction() as tables:
        tables.executions.save(new)
        own = tables.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", (own,))
        tables.executions.find(new.id)


def test_a_connection_that_is_cut_is_reported_and_the_next_transaction_works(
    database: Database, database_url: str
) -> None:
    new = new_execution()
    with pytest.raises(DatabaseUnavailableError):
        _save_and_be_cut_off(database, database_url, new)
    with database.transaction() as tables:
        assert tables.executions.find(new.id) is None
        assert tables.executions.save(new)


def test_a_connection_that_was_cut_while_idle_is_not_noticed(database: Database, database_url: str) -> None:
    with database.transaction() as tables:
        execution = accepted(tables)
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with database.transaction() as tables:
        assert tables.executions.load(execution.id) == execution


def test_times_are_read_in_utc_whatever_the_zone_of_the_server(postgres: PostgresServer, own_database_url: str) -> None:
    name = sql.Identifier(make_url(own_database_url).database or "")
    postgres.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'Europe/Berlin'").format(name))
    with opened(own_database_url) as database, database.transaction() as tables:
        execution = accepted(tables)
        assert execution.started_at.utcoffset() == timedelta(0)


def test_a_database_without_schema_asks_for_migrate(empty_database_url: str) -> None:
    with opened(empty_database_url) as database:
        with pytest.raises(SchemaVersionError, match="beep migrate") as refusal:
            check_schema(database.engine)
        assert (refusal.value.found, refusal.value.expected) == (None, EXPECTED_REVISION)
        with pytest.raises(SchemaVersionError, match="beep migrate"), database.transaction() as tables:
            tables.executions.find(new_execution().id)


def test_the_schema_of_this_code_is_accepted(database: Database) -> None:
    check_schema(database.engine)
    with database.engine.connect() as connection:
        assert current_revision(connection) == EXPECTED_REVISION


def _pretend_revision(database: Database, revision: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})


def test_a_schema_older_than_the_code_asks_for_migrate(own_database: Database) -> None:
    _pretend_revision(own_database, "0000")
    with pytest.raises(SchemaVersionError, match="beep migrate") as refusal:
        check_schema(own_database.engine)
    assert refusal.value.found == "0000"


def test_a_schema_newer_than_the_code_asks_for_newer_code_and_is_not_touched(own_database: Database) -> None:
    _pretend_revision(own_database, "9999")
    for call in (check_schema, migrate):
        with pytest.raises(SchemaVersionError, match="update beep_orchestration") as refusal:
            call(own_database.engine)
        assert (refusal.value.found, refusal.value.expected) == ("9999", EXPECTED_REVISION)
    with own_database.engine.connect() as connection:
        assert current_revision(connection) == "9999"


def test_a_revision_that_no_migration_has_is_a_schema_error(own_database: Database) -> None:
    _pretend_revision(own_database, "0000")
    with pytest.raises(SchemaVersionError, match="0000"):
        migrate(own_database.engine)


def test_a_schema_that_lost_a_table_asks_for_migrate(own_database: Database) -> None:
    with own_database.engine.begin() as connection:
        connection.execute(text("DROP TABLE knowledge_workflow_signal"))
    with pytest.raises(SchemaVersionError), own_database.transaction() as tables:
        tables.signals.load(new_execution().id, limit=1)


def test_what_all_checkpoints_are_written_by_is_planned_once(database: Database) -> None:
    database.warm_up()
    database.warm_up()
    counted = text("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE :pattern")
    with database.statement() as tables:
        assert tables.connection.execute(counted, {"pattern": "%WITH given%"}).all() == [(2, 0)]


def test_connections_are_opened_ahead_without_a_change(database: Database) -> None:
    database.warm_up()
    with database.transaction() as tables:
        in_transaction = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = "
        assert tables.connection.execute(text(in_transaction + "current_database()")).scalar_one() == 0
        for table in ("execution", "activity", "signal", "run"):
            assert tables.connection.execute(text(f"SELECT count(*) FROM knowledge_workflow_{table}")).scalar_one() == 0
