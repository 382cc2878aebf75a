"""Rows of `knowledge_example_set`: examples that were stored under a name, to be learned from again."""

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from beep_orchestration.ids import OrganizationId
from beep_orchestration.models import Json
from beep_orchestration.tables import example_set


class ExampleSets:
    """Saves and loads sets of examples within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, organization_id: OrganizationId, name: str, examples: list[Json]) -> None:
        """Store a set, in the place of one that had the name. Executions that were started with that one keep it."""
        values = {"examples": examples, "taught_at": func.clock_timestamp()}
        statement = insert(example_set).values(organization_id=organization_id, name=name, **values)
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[example_set.c.organization_id, example_set.c.name], set_=values
            )
        )

    def find(self, organization_id: OrganizationId, name: str) -> list[Json] | None:
        """The organization's examples of that name."""
        statement = select(example_set.c.examples).where(
            example_set.c.organization_id == organization_id, example_set.c.name == name
        )
        found: list[Json] | None = self._connection.execute(statement).scalar_one_or_none()
        return found

    def list_names(self, organization_id: OrganizationId) -> list[str]:
        """The names of the organization's sets, sorted."""
        statement = select(example_set.c.name).where(example_set.c.organization_id == organization_id)
        return sorted(self._connection.execute(statement).scalars())
