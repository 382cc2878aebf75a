"""Running executions that do not go on although they could: what nobody should ever find."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH, aggregate_order_by

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import PROGRESS_SIGNAL, ExecutionStatus
from beep_orchestration.persistence.executions import CLOCK, has_open_run, is_paused, seconds
from beep_orchestration.tables import execution, run, signal


class Trouble(StrEnum):
    """Why an execution does not go on."""

    UNKNOWN_TYPE = "unknown_type"
    NOT_LAUNCHED = "not_launched"
    NOT_WOKEN = "not_woken"
    LEASE_OVER = "lease_over"


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """How many executions of a workflow type do not go on for one reason, and the oldest of them."""

    trouble: Trouble
    workflow_type: str
    count: int
    execution_id: WorkflowExecutionId


class StuckExecutions:
    """Looks for such executions, of all organizations, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_all(self, *, patience_seconds: float, known_types: Collection[str] | None) -> list[Stuck]:
        """Those that have been due for longer than that, or are of a type that is not among the known ones.

        `not_launched`: accepted or parked, its time or signal has come, and there is no run. `not_woken`: parked, and a
        signal that it waits for is stored. `lease_over`: the run that carries it is silent. What is paused may wait.
        """
        trouble = _trouble(CLOCK - seconds(patience_seconds), known_types).label("trouble")
        found = (
            select(trouble, execution.c.workflow_type, execution.c.id, execution.c.started_at)
            .where(execution.c.status == ExecutionStatus.RUNNING, ~is_paused())
            .subquery()
        )
        oldest_first = func.array_agg(aggregate_order_by(found.c.id, found.c.started_at, found.c.id))
        statement = (
            select(found.c.trouble, found.c.workflow_type, func.count(), oldest_first[1])
            .where(found.c.trouble.is_not(None))
            .group_by(found.c.trouble, found.c.workflow_type)
            .order_by(found.c.trouble, found.c.workflow_type)
        )
        return [
            Stuck(
                trouble=Trouble(name),
                workflow_type=workflow_type,
                count=count,
                execution_id=WorkflowExecutionId(oldest),
            )
            for name, workflow_type, count, oldest in self._connection.execute(statement)
        ]

    def count_running(self) -> int:
        """How many executions of all organizations run or wait."""
        statement = select(func.count()).where(execution.c.status == ExecutionStatus.RUNNING)
        counted: int = self._connection.execute(statement).scalar_one()
        return counted


def _trouble(before: Any, known_types: Collection[str] | None) -> Any:
    runs_of_it = select(run.c.id).where(run.c.workflow_execution_id == execution.c.id)
    is_silent = runs_of_it.where(
        run.c.epoch == execution.c.epoch, run.c.outcome.is_(None), run.c.lease_expires_at <= before
    ).exists()
    is_due = (execution.c.launch_at <= before) | (~runs_of_it.exists() & (execution.c.started_at <= before))
    has_signal = (
        select(signal.c.id)
        .where(
            signal.c.workflow_execution_id == execution.c.id,
            signal.c.consumed_by.is_(None),
            signal.c.signal_name != PROGRESS_SIGNAL,  # so that the index of the unconsumed answers
            signal.c.created_at <= before,
            func.jsonb_path_exists(
                execution.c.checkpoint,
                cast("$.waiting_for[*].signals[*] ? (@ == $name)", JSONPATH),
                func.jsonb_build_object("name", signal.c.signal_name),
            ),
        )
        .exists()
    )
    troubles: list[tuple[Any, str]] = [
        (is_silent, Trouble.LEASE_OVER),
        (~has_open_run() & is_due, Trouble.NOT_LAUNCHED),
        (~has_open_run() & has_signal, Trouble.NOT_WOKEN),
    ]
    if known_types is not None:
        troubles.insert(0, (execution.c.workflow_type.not_in(known_types), Trouble.UNKNOWN_TYPE))
    return case(*troubles)
