"""Executions that have ended, and their removal with everything that belongs to them."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, func, select

from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence.executions import CLOCK, seconds
from beep_orchestration.tables import activity, execution, run, signal


class EndedExecutions:
    """What retention may remove within one transaction.

    Never what is running, nor what a run still carries, nor a child: its parent may be resumed and ask for it again, so
    it is kept as long as its parent is. Who removes the parent makes it an execution like any other.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count(self, organization_id: OrganizationId, *, older_than_seconds: float) -> int:
        """How many of the organization's executions ended longer ago than that, children of such ones among them."""
        removable = select(execution.c.id).where(*_is_removable(organization_id, older_than_seconds))
        families = removable.cte("families", recursive=True)
        children = select(execution.c.id).where(
            execution.c.parent_execution_id == families.c.id, *_ended_long_ago(organization_id, older_than_seconds)
        )
        statement = select(func.count()).select_from(families.union_all(children))
        counted: int = self._connection.execute(statement).scalar_one()
        return counted

    def list_oldest(
        self, organization_id: OrganizationId, *, older_than_seconds: float, limit: int
    ) -> list[WorkflowExecutionId]:
        """Those that ended first; no children, see above."""
        statement = (
            select(execution.c.id)
            .where(*_is_removable(organization_id, older_than_seconds))
            .order_by(execution.c.completed_at, execution.c.id)
            .limit(limit)
        )
        return [WorkflowExecutionId(found) for found in self._connection.execute(statement).scalars()]

    def lock(
        self, execution_id: WorkflowExecutionId, organization_id: OrganizationId, *, older_than_seconds: float
    ) -> Sequence[str] | None:
        """Hold an execution to the transaction's end; the Dagster runs that carried it, oldest first.

        None if it may not be removed, because it was resumed or removed meanwhile, or if another transaction holds it.
        """
        mine = (execution.c.id == execution_id, *_is_removable(organization_id, older_than_seconds))
        statement = select(execution.c.id).where(*mine).with_for_update(skip_locked=True)
        if self._connection.execute(statement).one_or_none() is None:
            return None
        runs = select(run.c.dagster_run_id).where(run.c.workflow_execution_id == execution_id).order_by(run.c.id)
        return self._connection.execute(runs).scalars().all()

    def remove(self, execution_id: WorkflowExecutionId) -> None:
        """Delete a locked execution with its signals, attempts, runs and model calls."""
        for table in (signal, activity, run):
            self._connection.execute(delete(table).where(table.c.workflow_execution_id == execution_id))
        self._connection.execute(delete(execution).where(execution.c.id == execution_id))


def _is_removable(organization_id: OrganizationId, older_than_seconds: float) -> tuple[ColumnElement[bool], ...]:
    return (*_ended_long_ago(organization_id, older_than_seconds), execution.c.parent_execution_id.is_(None))


def _ended_long_ago(organization_id: OrganizationId, older_than_seconds: float) -> tuple[ColumnElement[bool], ...]:
    carried = select(run.c.id).where(run.c.workflow_execution_id == execution.c.id, run.c.outcome.is_(None)).exists()
    return (
        execution.c.organization_id == organization_id,
        execution.c.status != ExecutionStatus.RUNNING,
        execution.c.completed_at < CLOCK - seconds(older_than_seconds),
        ~carried,
    )
