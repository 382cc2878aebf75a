"""Which revision of the schema a database has, and how it gets to the one that this code needs."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from beep_orchestration.errors import ConfigurationError, SchemaVersionError
from beep_orchestration.persistence.driver_errors import unavailability

if TYPE_CHECKING:
    from alembic.config import Config

EXPECTED_REVISION = "0007"
VERSION_TABLE = "knowledge_workflow_alembic_version"
"""Of our own: Dagster keeps its tables, and an `alembic_version`, in the same database."""

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_MIGRATION_LOCK = 6_073_211_501


def current_revision(connection: Connection) -> str | None:
    """The revision of the database, None if it has no schema of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608 - a constant
    return revision


def check_schema(engine: Engine) -> None:
    """Raise `SchemaVersionError`, with the remedy, unless the database has exactly the revision of this code.

    Raises `DatabaseUnavailableError`.
    """
    with unavailability(engine), engine.connect() as connection:
        found = current_revision(connection)
    if found is None or found < EXPECTED_REVISION:
        raise SchemaVersionError(found, EXPECTED_REVISION, "run 'beep migrate'")
    if found > EXPECTED_REVISION:
        raise SchemaVersionError(
            found, EXPECTED_REVISION, "update beep_orchestration: its code is older than the schema"
        )


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision, in one transaction and one caller at a time.

    Nothing happens if it is there already.

    Raises `SchemaVersionError` if the schema is newer than this code knows, and `DatabaseUnavailableError`.
    """
    from alembic import command  # noqa: PLC0415 - only migrating needs Alembic
    from alembic.util import CommandError  # noqa: PLC0415

    if not (MIGRATIONS / "env.py").exists():
        raise ConfigurationError(f"no migrations in {MIGRATIONS.name}/: run from a checkout of the project")
    with unavailability(engine), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        found = current_revision(connection)
        if found is not None and found > EXPECTED_REVISION:
            raise SchemaVersionError(
                found, EXPECTED_REVISION, "update beep_orchestration: its code is older than the schema"
            )
        config = alembic_config(connection)
        try:
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
        except CommandError as error:
            raise SchemaVersionError(found, EXPECTED_REVISION, f"Alembic says: {error}") from error


def alembic_config(connection: Connection) -> "Config":
    """What Alembic's commands take: our migrations, on that connection."""
    from alembic.config import Config  # noqa: PLC0415 - only migrating needs Alembic

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))  # which begins an interpolation
    config.attributes["connection"] = connection
    return config
