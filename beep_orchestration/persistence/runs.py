"""Rows of `knowledge_workflow_run`: the Dagster runs that carry executions, their claims and leases."""

from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from beep_orchestration.ids import OrganizationId, WorkflowExecutionId, WorkflowRunId
from beep_orchestration.models import RunOutcome
from beep_orchestration.persistence.executions import CLOCK, seconds
from beep_orchestration.persistence.rows import RunRow
from beep_orchestration.tables import run

_COLUMNS = (
    *run.c,
    func.extract("epoch", CLOCK - run.c.lease_expires_at).label("lease_over_seconds"),
)


class Runs:
    """Saves and loads runs within one transaction; leases are on the database's clock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, dagster_run_id: str, execution_id: WorkflowExecutionId, organization_id: OrganizationId) -> None:
        """Record that a Dagster run was launched for an execution; a run that is known already stays as it is."""
        statement = (
            insert(run)
            .values(
                id=WorkflowRunId.new(),
                workflow_execution_id=execution_id,
                organization_id=organization_id,
                dagster_run_id=dagster_run_id,
                created_at=CLOCK,
            )
            .on_conflict_do_nothing(index_elements=["dagster_run_id"])
        )
        self._connection.execute(statement)

    def find(self, dagster_run_id: str) -> RunRow | None:
        """The row of a Dagster run."""
        row = self._connection.execute(select(*_COLUMNS).where(run.c.dagster_run_id == dagster_run_id)).one_or_none()
        return None if row is None else _run_row(row)

    def list_of(self, execution_id: WorkflowExecutionId) -> list[RunRow]:
        """The runs of an execution, oldest first."""
        statement = select(*_COLUMNS).where(run.c.workflow_execution_id == execution_id).order_by(run.c.id)
        return [_run_row(row) for row in self._connection.execute(statement)]

    def list_open(self, execution_id: WorkflowExecutionId) -> list[RunRow]:
        """The runs of an execution that have not ended as far as the tables know, oldest first."""
        return [row for row in self.list_of(execution_id) if row.outcome is None]

    def list_all_open(self, *, limit: int, after: WorkflowRunId | None = None) -> list[RunRow]:
        """A page of all organizations' open runs in the order of their ids, for the reconciler."""
        statement = select(*_COLUMNS).where(run.c.outcome.is_(None)).order_by(run.c.id).limit(limit)
        if after is not None:
            statement = statement.where(run.c.id > after)
        return [_run_row(row) for row in self._connection.execute(statement)]

    def find_holder(self, execution_id: WorkflowExecutionId, epoch: int) -> RunRow | None:
        """The run that holds the claim of this epoch, unless it has ended."""
        statement = select(*_COLUMNS).where(
            run.c.workflow_execution_id == execution_id, run.c.epoch == epoch, run.c.outcome.is_(None)
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _run_row(row)

    def claim(self, dagster_run_id: str, epoch: int, lease_seconds: float) -> None:
        """Note the epoch that a run has begun, and its lease; a run that had ended is open again."""
        statement = (
            update(run)
            .where(run.c.dagster_run_id == dagster_run_id)
            .values(
                epoch=epoch,
                lease_expires_at=CLOCK + seconds(lease_seconds),
                started_at=func.coalesce(run.c.started_at, CLOCK),
                ended_at=None,
                outcome=None,
            )
        )
        self._connection.execute(statement)

    def renew_lease(self, dagster_run_id: str, epoch: int, lease_seconds: float) -> bool:
        """Keep the claim for longer; false, and no change, if the run has ended or claimed again."""
        statement = (
            update(run)
            .where(and_(run.c.dagster_run_id == dagster_run_id, run.c.epoch == epoch, run.c.outcome.is_(None)))
            .values(lease_expires_at=CLOCK + seconds(lease_seconds))
        )
        return self._connection.execute(statement).rowcount == 1

    def release_lease(self, dagster_run_id: str, epoch: int) -> None:
        """Let another run claim at once; the run itself ends when Dagster says how."""
        statement = (
            update(run)
            .where(run.c.dagster_run_id == dagster_run_id, run.c.epoch == epoch)
            .values(lease_expires_at=CLOCK)
        )
        self._connection.execute(statement)

    def end(self, dagster_run_id: str, outcome: RunOutcome, *, epoch: int | None = None) -> bool:
        """Record how a run ended, once; with an epoch only if that is its latest claim."""
        statement = (
            update(run)
            .where(run.c.dagster_run_id == dagster_run_id, run.c.outcome.is_(None))
            .values(outcome=outcome, ended_at=CLOCK)
        )
        if epoch is not None:
            statement = statement.where(run.c.epoch == epoch)
        return self._connection.execute(statement).rowcount == 1


def _run_row(row: Row[Any]) -> RunRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["id"] = WorkflowRunId(values["id"])
    values["workflow_execution_id"] = WorkflowExecutionId(values["workflow_execution_id"])
    values["organization_id"] = OrganizationId(values["organization_id"])
    over = values["lease_over_seconds"]
    values["lease_over_seconds"] = None if over is None else float(over)
    values["outcome"] = None if values["outcome"] is None else RunOutcome(values["outcome"])
    return RunRow(**values)
