"""Alembic's entry: migrates over the connection that it is given."""

from alembic import context

from beep_orchestration.persistence.schema import VERSION_TABLE
from beep_orchestration.tables import metadata

OWN_TABLES = frozenset(metadata.tables)


def include_name(name: str | None, type_: str, parent_names: object) -> bool:  # noqa: ARG001 - Alembic's signature
    """Leave Dagster's tables, which share the database, alone."""
    return type_ != "table" or name in OWN_TABLES


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=include_name,
    compare_type=True,
    compare_server_default=True,
    transaction_per_migration=False,
)
context.run_migrations()
