"""Rows of `knowledge_workflow_pause`: the operator's switch that lets no activity start."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from beep_orchestration.tables import execution, pause

EVERYONE = "*"
"""In the place of an organization: all of them."""


@dataclass(frozen=True, kw_only=True)
class PauseRow:
    """Since when, and why, an organization (or everyone) is paused."""

    organization_id: str
    reason: str | None
    paused_at: datetime


class Pauses:
    """Saves and loads the operator's pauses within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, organization_id: str, reason: str | None) -> bool:
        """Pause an organization, or everyone; false, and no change, if that is so already.

        Waits for the transactions that are changing executions, and lets none change any more before this one is
        committed. A statement sees the pauses of the moment at which it began: one that had to wait for its
        execution's row would begin an activity although there is a pause by then. Readers are not kept waiting.
        """
        self._connection.execute(text(f"LOCK TABLE {execution.name} IN SHARE MODE"))
        statement = (
            insert(pause)
            .values(organization_id=organization_id, reason=reason, paused_at=func.clock_timestamp())
            .on_conflict_do_nothing()
            .returning(pause.c.organization_id)
        )
        return self._connection.execute(statement).one_or_none() is not None

    def remove(self, organization_id: str) -> bool:
        """End that pause; false, and no change, if there is none."""
        return self._connection.execute(delete(pause).where(pause.c.organization_id == organization_id)).rowcount == 1

    def list_for(self, organization_id: str) -> list[PauseRow]:
        """The pauses that concern an organization."""
        statement = select(pause).where(pause.c.organization_id.in_((organization_id, EVERYONE)))
        return [PauseRow(**row._mapping) for row in self._connection.execute(statement)]  # noqa: SLF001 - public name
