"""Rows of `knowledge_workflow_execution`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, cast, func, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from beep_orchestration.errors import WorkflowNotFoundError
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import Checkpoint, ErrorInfo, ExecutionStatus, Json, StateChange, sources_of
from beep_orchestration.persistence.pauses import EVERYONE
from beep_orchestration.persistence.rows import ExecutionRow, NewExecution
from beep_orchestration.persistence.state_changes import NEXT_SEQUENCE, told
from beep_orchestration.tables import execution, pause, run

EXECUTION_COLUMNS = (
    execution.c.id,
    execution.c.organization_id,
    execution.c.workflow_type,
    execution.c.workflow_version,
    execution.c.status,
    execution.c.current_activity,
    execution.c.error,
    execution.c.checkpoint,
    execution.c.started_at,
    execution.c.completed_at,
    execution.c.updated_at,
    execution.c.input_digest,
    execution.c.epoch,
    execution.c.launch_at,
    execution.c.launches,
    execution.c.paused_at,
    execution.c.resumed_at,
    execution.c.trace_parent,
    execution.c.parent_execution_id,
    execution.c.about,
)
_COLUMN_NAMES = tuple(column.name for column in EXECUTION_COLUMNS)

# The wall clock of the database at the moment of the statement; now() would be the start of the transaction.
CLOCK = func.clock_timestamp()


def seconds(count: float) -> Any:
    """An interval of that many seconds, in SQL."""
    return func.make_interval(0, 0, 0, 0, 0, 0, count)


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """What a run learns when it records what it reached: the last reserved sequence, and whether it has to pause."""

    sequence: int
    is_paused: bool


class Executions:
    """Saves and loads executions within one transaction. Each change of status is a compare-and-set."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, new: NewExecution, *, launch_after_seconds: float = 0) -> bool:
        """Store a new execution as `running`; false, and nothing stored, if its id or idempotency key exists.

        The dispatcher launches it after that many seconds unless a run carries it by then.
        """
        statement = (
            insert(execution)
            .values(
                id=new.id,
                organization_id=new.organization_id,
                workflow_type=new.workflow_type,
                workflow_version=new.workflow_version,
                status=ExecutionStatus.RUNNING,
                input=new.input,
                input_digest=new.input_digest,
                idempotency_key=new.idempotency_key,
                trace_parent=new.trace_parent,
                parent_execution_id=new.parent_execution_id,
                child_name=new.child_name,
                about=new.about,
                started_at=CLOCK,
                updated_at=CLOCK,
                launch_at=CLOCK + seconds(launch_after_seconds),
                signal_sequence=1,
            )
            .on_conflict_do_nothing()
        )
        return self._is_changed(told(statement, StateChange.ACCEPTED))

    def find(
        self, execution_id: WorkflowExecutionId, organization_id: OrganizationId | None = None, *, lock: bool = False
    ) -> ExecutionRow | None:
        """The execution, or None if there is none, or none of that organization.

        `lock` holds it to the transaction's end, and before it its parent, as `lock_parent` does.
        """
        if lock:
            self.lock_parent(execution_id)
        statement = _of(select(*EXECUTION_COLUMNS), execution_id, organization_id)
        row = self._connection.execute(statement.with_for_update() if lock else statement).one_or_none()
        return None if row is None else execution_row(row)

    def load(
        self, execution_id: WorkflowExecutionId, organization_id: OrganizationId | None = None, *, lock: bool = False
    ) -> ExecutionRow:
        """As `find`; raises `WorkflowNotFoundError`."""
        row = self.find(execution_id, organization_id, lock=lock)
        if row is None:
            raise WorkflowNotFoundError(execution_id)
        return row

    def lock_parent(self, execution_id: WorkflowExecutionId) -> None:
        """Hold an execution's parent, if it has one, to the transaction's end.

        Whoever may end an execution does this before anything else, for the end of a child is told to its parent and
        that of a parent ends its children: if all lock a parent before its children, none waits for the other.
        """
        child = execution.alias("child")
        statement = (
            select(execution.c.id)
            .join(child, child.c.parent_execution_id == execution.c.id)
            .where(child.c.id == execution_id)
            .with_for_update(of=execution)
        )
        self._connection.execute(statement)

    def load_input(self, execution_id: WorkflowExecutionId, organization_id: OrganizationId | None = None) -> Json:
        """The execution's input; raises `WorkflowNotFoundError`."""
        loaded: Json = self._load_column(execution.c.input, execution_id, organization_id)
        return loaded

    def load_output(
        self, execution_id: WorkflowExecutionId, organization_id: OrganizationId | None = None
    ) -> Json | None:
        """The execution's output, None before it is completed; raises `WorkflowNotFoundError`."""
        loaded: Json | None = self._load_column(execution.c.output, execution_id, organization_id)
        return loaded

    def take_launchable(
        self, *, limit: int, workflow_types: Sequence[str], next_try_seconds: float, is_waiting: bool = False
    ) -> list[ExecutionRow]:
        """Running executions that are due for a launch and that no open run carries; this call launches them.

        Two callers never take the same one: rows locked by the other are skipped, and a taken one is not due again
        before `next_try_seconds`, by which time its run is known. With `is_waiting` only those that had parked, and
        children, whom nobody launches who started them.
        """
        had_parked = execution.c.checkpoint["waiting_for"] != cast([], JSONB)
        is_child = execution.c.parent_execution_id.is_not(None)
        launchable = (
            select(execution.c.id)
            .where(
                execution.c.status == ExecutionStatus.RUNNING,
                execution.c.workflow_type.in_(workflow_types),
                # clock_timestamp() is volatile, and so could not be looked up in the index
                execution.c.launch_at <= func.statement_timestamp(),
                had_parked | is_child if is_waiting else true(),
                ~has_open_run(),
                ~is_paused(),
            )
            .order_by(execution.c.launch_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("launchable")  # evaluated once; a plan may evaluate a subquery for each row, and pass the limit
        )
        statement = _launched(execution.c.id.in_(select(launchable.c.id)), next_try_seconds).returning(
            *EXECUTION_COLUMNS
        )
        return [execution_row(row) for row in self._connection.execute(statement)]

    def load_launch_lag(self) -> float:
        """By how many seconds the most overdue launch is late; 0 while none is due."""
        due = select(func.min(execution.c.launch_at)).where(
            execution.c.status == ExecutionStatus.RUNNING,
            execution.c.launch_at <= func.statement_timestamp(),
            ~has_open_run(),
            ~is_paused(),
        )
        lag = func.extract("epoch", CLOCK - due.scalar_subquery())
        return float(self._connection.execute(select(func.coalesce(lag, 0))).scalar_one())

    def take(self, execution_id: WorkflowExecutionId, *, next_try_seconds: float) -> bool:
        """As `take_launchable` for one execution; false if it is not due or an open run carries it."""
        due = (
            (execution.c.id == execution_id)
            & (execution.c.status == ExecutionStatus.RUNNING)
            & (execution.c.launch_at <= CLOCK)
            & ~has_open_run()
            & ~is_paused()
        )
        return self._connection.execute(_launched(due, next_try_seconds)).rowcount == 1

    def schedule_launch(self, execution_id: WorkflowExecutionId, delay_seconds: float) -> None:
        """Take the claim from whoever holds it, and make a running execution due for a launch after a delay."""
        statement = (
            update(execution)
            .where(execution.c.id == execution_id, execution.c.status == ExecutionStatus.RUNNING)
            .values(launch_at=CLOCK + seconds(delay_seconds), epoch=execution.c.epoch + 1)
        )
        self._connection.execute(statement)

    def wake(self, execution_id: WorkflowExecutionId) -> None:
        """Make a running execution due for a launch now, because what it waits for has come."""
        statement = (
            update(execution)
            .where(execution.c.id == execution_id, execution.c.status == ExecutionStatus.RUNNING)
            .values(launch_at=CLOCK)
        )
        self._connection.execute(statement)

    def load_clock(self) -> datetime:
        """The time on the database's clock."""
        now: datetime = self._connection.execute(select(CLOCK)).scalar_one()
        return now

    def park(
        self, execution_id: WorkflowExecutionId, epoch: int, *, wake_at: datetime | None, checkpoint: Checkpoint
    ) -> bool:
        """Let an execution wait without a run, until that time or until it is woken; the claim is given up.

        False, and no change, without the claim.
        """
        statement = (
            update(execution)
            .where(_claimed(execution_id, epoch))
            .values(
                launch_at=wake_at,
                launches=0,
                epoch=execution.c.epoch + 1,
                current_activity=None,
                checkpoint=checkpoint.model_dump(mode="json"),
                updated_at=CLOCK,
                signal_sequence=NEXT_SEQUENCE,
            )
        )
        waiting_for = {"waiting_for": execution.c.checkpoint["waiting_for"]}
        return self._is_changed(told(statement, StateChange.PARKED, from_row=waiting_for))

    def pause(self, execution_id: WorkflowExecutionId, reason: str | None = None) -> bool:
        """Let no activity of a running execution start any more; false, and no change, if it is paused or has ended.

        The signal that tells of the change keeps the reason.
        """
        statement = (
            update(execution)
            .where(
                execution.c.id == execution_id,
                execution.c.status == ExecutionStatus.RUNNING,
                execution.c.paused_at.is_(None),
            )
            .values(paused_at=CLOCK, updated_at=CLOCK, signal_sequence=NEXT_SEQUENCE)
        )
        return self._is_changed(told(statement, StateChange.PAUSED, None if reason is None else {"reason": reason}))

    def end_pause(self, execution_id: WorkflowExecutionId) -> bool:
        """Let a paused execution go on; it is due for a launch now. False, and no change, if it is not paused."""
        statement = (
            update(execution)
            .where(
                execution.c.id == execution_id,
                execution.c.status == ExecutionStatus.RUNNING,
                execution.c.paused_at.is_not(None),
            )
            .values(paused_at=None, launch_at=CLOCK, updated_at=CLOCK, signal_sequence=NEXT_SEQUENCE)
        )
        return self._is_changed(told(statement, StateChange.PAUSE_ENDED))

    def claim(self, execution_id: WorkflowExecutionId, dagster_run_id: str) -> int | None:
        """Begin the next epoch of a running execution and return it; None if the execution is not running."""
        statement = (
            update(execution)
            .where(execution.c.id == execution_id, execution.c.status == ExecutionStatus.RUNNING)
            .values(
                epoch=execution.c.epoch + 1,
                launches=execution.c.launches + 1,
                updated_at=CLOCK,
                signal_sequence=NEXT_SEQUENCE,
            )
        )
        change = told(statement, StateChange.CLAIMED, {"dagster_run_id": dagster_run_id})
        epoch: int | None = self._connection.execute(change).scalar_one_or_none()
        return epoch

    def advance(
        self,
        execution_id: WorkflowExecutionId,
        epoch: int,
        *,
        current_activity: str | None,
        checkpoint: Checkpoint,
        signals: int,
        is_progress: bool,
    ) -> Advanced | None:
        """Record what a run reached and reserve `signals` sequence numbers; None, and no change, without the claim.

        The answer has the last reserved number, and whether the execution is paused. The row stays locked to the
        transaction's end, so whatever else the transaction writes for this execution is written under the claim.
        Progress means that an activity is completed: it gives workers that die later a new chance.
        """
        statement = (
            update(execution)
            .where(_claimed(execution_id, epoch))
            .values(
                current_activity=current_activity,
                checkpoint=checkpoint.model_dump(mode="json"),
                signal_sequence=execution.c.signal_sequence + signals,
                updated_at=CLOCK,
                **({"launches": 0} if is_progress else {}),
            )
            .returning(execution.c.signal_sequence, is_paused().label("is_paused"))
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else Advanced(sequence=row.signal_sequence, is_paused=row.is_paused)

    def reserve_signals(self, execution_id: WorkflowExecutionId, signals: int) -> int:
        """Lock the execution and reserve sequence numbers for signals sent to it; the last one is the answer.

        Raises `WorkflowNotFoundError`.
        """
        statement = (
            update(execution)
            .where(execution.c.id == execution_id)
            .values(signal_sequence=execution.c.signal_sequence + signals)
            .returning(execution.c.signal_sequence)
        )
        sequence: int | None = self._connection.execute(statement).scalar_one_or_none()
        if sequence is None:
            raise WorkflowNotFoundError(execution_id)
        return sequence

    def complete(self, execution_id: WorkflowExecutionId, epoch: int, output: Json) -> bool:
        """`running -> completed` by the run that holds the claim; false, and no change, otherwise."""
        return self._end(execution_id, StateChange.COMPLETED, epoch=epoch, output=output)

    def fail(self, execution_id: WorkflowExecutionId, error: ErrorInfo, *, epoch: int | None = None) -> bool:
        """`running -> failed`; with an epoch only by the run that holds that claim. False, and no change, otherwise."""
        stored = error.model_dump(mode="json")
        told_error = error.model_dump(mode="json", exclude={"stack"})
        return self._end(execution_id, StateChange.FAILED, {"error": told_error}, epoch=epoch, error=stored)

    def cancel(self, execution_id: WorkflowExecutionId) -> bool:
        """`running -> cancelled`; false, and no change, if the execution has ended before."""
        return self._end(execution_id, StateChange.CANCELLED)

    def resume(self, execution_id: WorkflowExecutionId, *, launch_after_seconds: float) -> bool:
        """`failed -> running` or `cancelled -> running`, to be launched as by `save`.

        False, and no change, otherwise. A run that carried the execution before cannot commit any more.
        """
        statement = (
            update(execution)
            .where(execution.c.id == execution_id, execution.c.status.in_(sources_of(ExecutionStatus.RUNNING)))
            .values(
                status=ExecutionStatus.RUNNING,
                completed_at=None,
                error=None,
                updated_at=CLOCK,
                launch_at=CLOCK + seconds(launch_after_seconds),
                launches=0,
                paused_at=None,
                resumed_at=CLOCK,
                epoch=execution.c.epoch + 1,
                signal_sequence=NEXT_SEQUENCE,
            )
        )
        return self._is_changed(told(statement, StateChange.RESUMED))

    def _is_changed(self, change: Select[Any]) -> bool:
        return self._connection.execute(change).one_or_none() is not None

    def _end(
        self,
        execution_id: WorkflowExecutionId,
        change: StateChange,
        details: Json | None = None,
        *,
        epoch: int | None = None,
        **values: Any,
    ) -> bool:
        statement = (
            update(execution)
            .where(execution.c.id == execution_id, execution.c.status.in_(sources_of(change.status)))
            .values(
                status=change.status,
                current_activity=None,
                completed_at=CLOCK,
                updated_at=CLOCK,
                signal_sequence=NEXT_SEQUENCE,
                **values,
            )
        )
        if epoch is not None:
            statement = statement.where(execution.c.epoch == epoch)
        return self._is_changed(told(statement, change, details))

    def _load_column(
        self, column: Any, execution_id: WorkflowExecutionId, organization_id: OrganizationId | None
    ) -> Any:
        row = self._connection.execute(_of(select(column), execution_id, organization_id)).one_or_none()
        if row is None:
            raise WorkflowNotFoundError(execution_id)
        return row[0]


def _of(
    statement: Select[Any], execution_id: WorkflowExecutionId, organization_id: OrganizationId | None
) -> Select[Any]:
    statement = statement.where(execution.c.id == execution_id)
    return statement if organization_id is None else statement.where(execution.c.organization_id == organization_id)


def has_open_run() -> Any:
    """Whether a run carries the execution, or is to, as far as the tables know."""
    return select(run.c.id).where(run.c.workflow_execution_id == execution.c.id, run.c.outcome.is_(None)).exists()


def is_paused() -> Any:
    """Whether the execution, its organization or the whole instance is paused."""
    paused = select(pause.c.organization_id).where(pause.c.organization_id.in_((execution.c.organization_id, EVERYONE)))
    return execution.c.paused_at.is_not(None) | paused.exists()


def _launched(condition: Any, next_try_seconds: float) -> Any:
    """What is launched waits for nothing any more: its run looks for itself, and another signal launches no other."""
    return (
        update(execution)
        .where(condition)
        .values(
            launch_at=CLOCK + seconds(next_try_seconds),
            checkpoint=func.jsonb_set(execution.c.checkpoint, cast(["waiting_for"], ARRAY(Text)), cast([], JSONB)),
            updated_at=CLOCK,
        )
    )


def _claimed(execution_id: WorkflowExecutionId, epoch: int) -> Any:
    return (
        (execution.c.id == execution_id)
        & (execution.c.epoch == epoch)
        & (execution.c.status == ExecutionStatus.RUNNING)
    )


def execution_row(values: Sequence[Any]) -> ExecutionRow:
    """The execution in a row of `EXECUTION_COLUMNS`."""
    row = dict(zip(_COLUMN_NAMES, values, strict=True))
    row["id"] = WorkflowExecutionId(row["id"])
    row["organization_id"] = OrganizationId(row["organization_id"])
    parent = row["parent_execution_id"]
    row["parent_execution_id"] = None if parent is None else WorkflowExecutionId(parent)
    row["status"] = ExecutionStatus(row["status"])
    row["error"] = None if row["error"] is None else ErrorInfo.model_validate(row["error"])
    row["checkpoint"] = Checkpoint.model_validate(row["checkpoint"] or {})
    return ExecutionRow(**row)
