"""Rows of `knowledge_workflow_pause`: the operator's switch that lets no activity start."""

from sqlalchemy import ColumnElement, Connection, case, delete, func, select, text, true
from sqlalchemy.dialects.postgresql import insert

from beep_orchestration.models import ExecutionStatus, Pause, PauseScope
from beep_orchestration.tables import execution, pause

EVERYONE = "*"
"""In the place of an organization: all of them."""


PAUSE_FIELDS = {
    "scope": case((pause.c.organization_id == EVERYONE, PauseScope.INSTANCE), else_=PauseScope.ORGANIZATION),
    "since": pause.c.paused_at,
    "reason": pause.c.reason,
}
"""What a `Pause` has, of a row."""


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

    def list_for(self, organization_id: str) -> list[Pause]:
        """The pauses that concern all executions of an organization."""
        return list(self._list(pause.c.organization_id.in_((organization_id, EVERYONE))).values())

    def list_all(self) -> dict[str, Pause]:
        """Every pause of an organization, or of `EVERYONE`, those first that began first."""
        return self._list(true())

    def count_executions(self) -> int:
        """How many running executions, of all organizations, have a pause of their own."""
        is_paused = (execution.c.status == ExecutionStatus.RUNNING) & execution.c.paused_at.is_not(None)
        return self._connection.execute(select(func.count()).where(is_paused)).scalar_one()

    def _list(self, condition: ColumnElement[bool]) -> dict[str, Pause]:
        fields = [value.label(name) for name, value in PAUSE_FIELDS.items()]
        statement = select(pause.c.organization_id, *fields).where(condition).order_by(pause.c.paused_at)
        rows = self._connection.execute(statement)
        return {row.organization_id: Pause(scope=row.scope, since=row.since, reason=row.reason) for row in rows}
