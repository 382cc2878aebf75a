"""Executions with what other tables know of them: all that a status says, in one reading."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, ScalarSelect, cast, column, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from beep_orchestration.errors import WorkflowNotFoundError
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import (
    RESUME_SIGNAL,
    STATE_SIGNAL,
    Child,
    ExecutionStatus,
    ModelUsage,
    Pause,
    PauseScope,
    Standing,
    StateChange,
)
from beep_orchestration.persistence.executions import EXECUTION_COLUMNS, execution_row, is_paused
from beep_orchestration.persistence.model_calls import USAGE
from beep_orchestration.persistence.pauses import EVERYONE, PAUSE_FIELDS
from beep_orchestration.persistence.rows import ExecutionRow, StatusRow
from beep_orchestration.persistence.signals import UNCONSUMED
from beep_orchestration.tables import execution, model_call, pause, run, signal

CHILDREN_IN_A_STATUS = 20
"""A status has the first ones, and the list of an execution's children all."""

_child = execution.alias("child")


class Statuses:
    """Loads statuses by one statement each, so that what one says of several tables was true at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self, execution_id: WorkflowExecutionId, organization_id: OrganizationId) -> StatusRow:
        """The status of an execution; raises `WorkflowNotFoundError`."""
        statement = _STATUSES.where(execution.c.organization_id == organization_id, execution.c.id == execution_id)
        row = self._connection.execute(statement).one_or_none()
        if row is None:
            raise WorkflowNotFoundError(execution_id)
        return _status_row(row)

    def list_newest(
        self,
        organization_id: OrganizationId,
        *,
        limit: int,
        status: ExecutionStatus | Standing | None = None,
        workflow_type: str | None = None,
        parent_id: WorkflowExecutionId | None = None,
        before: tuple[datetime, WorkflowExecutionId] | None = None,
    ) -> list[StatusRow]:
        """A page of executions, newest first; `before` is the start time and id of the last one of the page before."""
        statement = _STATUSES.where(execution.c.organization_id == organization_id)
        if status is not None:
            statement = statement.where(_stands(Standing(status)))
        if workflow_type is not None:
            statement = statement.where(execution.c.workflow_type == workflow_type)
        if parent_id is not None:
            statement = statement.where(execution.c.parent_execution_id == parent_id)
        if before is not None:
            statement = statement.where(tuple_(execution.c.started_at, execution.c.id) < tuple_(*before))
        statement = statement.order_by(execution.c.started_at.desc(), execution.c.id.desc()).limit(limit)
        return [_status_row(row) for row in self._connection.execute(statement)]


def _stands(standing: Standing) -> Any:
    """Whether the status of an execution would say so."""
    is_running = execution.c.status == ExecutionStatus.RUNNING
    match standing:
        case Standing.WAITING:
            return is_running & ~is_paused() & _is_waiting()
        case Standing.PAUSED:
            return is_running & is_paused()
        case Standing.RUNNING | Standing.COMPLETED | Standing.FAILED | Standing.CANCELLED:
            return execution.c.status == standing


def _is_waiting() -> Any:
    """Whether one that is not paused waits; the end of a pause, for which it parked, is none that it waits for then."""
    wait = func.jsonb_array_elements(execution.c.checkpoint["waiting_for"]).table_valued(column("value", JSONB))
    return select(wait.c.value).where(wait.c.value["signals"] != cast([RESUME_SIGNAL], JSONB)).exists()


def _reason() -> ScalarSelect[Any]:
    """Why the execution itself is paused: what the newest signal says that told of its pause."""
    told = select(signal.c.payload["reason"].astext).where(
        execution.c.paused_at.is_not(None),
        signal.c.workflow_execution_id == execution.c.id,
        signal.c.signal_name == STATE_SIGNAL,
        signal.c.payload["change"].astext == StateChange.PAUSED,
        *UNCONSUMED,
    )
    return told.order_by(signal.c.sequence.desc()).limit(1).scalar_subquery()


def _pauses_of_all() -> ScalarSelect[Any]:
    """Those of its organization and of everyone."""
    fields = _object(PAUSE_FIELDS)
    concerns = pause.c.organization_id.in_((execution.c.organization_id, EVERYONE))
    ordered = aggregate_order_by(fields, (pause.c.organization_id == EVERYONE))
    return select(func.jsonb_agg(ordered)).where(concerns).scalar_subquery()


def _run_ids() -> ScalarSelect[Any]:
    ids = func.array_agg(aggregate_order_by(run.c.dagster_run_id, run.c.id))
    return select(ids).where(run.c.workflow_execution_id == execution.c.id).scalar_subquery()


def _usage() -> ScalarSelect[Any]:
    used = (
        select(model_call.c.activity_type, *USAGE)
        .where(model_call.c.workflow_execution_id == execution.c.id)
        .group_by(model_call.c.activity_type)
        .correlate(execution)
        .subquery("used")
    )
    amounts = _object({amount.name: used.c[amount.name] for amount in USAGE})
    return select(func.jsonb_object_agg(used.c.activity_type, amounts)).scalar_subquery()


def _first_children() -> ScalarSelect[Any]:
    first = (
        select(_child.c.id, _child.c.child_name, _child.c.workflow_type, _child.c.status, _child.c.started_at)
        .where(_child.c.parent_execution_id == execution.c.id)
        .order_by(_child.c.started_at, _child.c.id)
        .limit(CHILDREN_IN_A_STATUS)
        .correlate(execution)
        .subquery("first")
    )
    child = _object(
        {
            "name": first.c.child_name,
            "execution_id": first.c.id,
            "workflow_type": first.c.workflow_type,
            "status": first.c.status,
        }
    )
    return select(func.jsonb_agg(aggregate_order_by(child, first.c.started_at, first.c.id))).scalar_subquery()


def _children_by_status() -> ScalarSelect[Any]:
    counted = (
        select(_child.c.status, func.count().label("children"))
        .where(_child.c.parent_execution_id == execution.c.id)
        .group_by(_child.c.status)
        .correlate(execution)
        .subquery("counted")
    )
    return select(func.jsonb_object_agg(counted.c.status, counted.c.children)).scalar_subquery()


def _object(fields: Mapping[str, Any]) -> Any:
    return func.jsonb_build_object(*(part for field in fields.items() for part in field))


def _status_row(row: Sequence[Any]) -> StatusRow:
    reason, pauses, run_ids, usage, children, counts = row[len(EXECUTION_COLUMNS) :]
    loaded = execution_row(row[: len(EXECUTION_COLUMNS)])
    return StatusRow(
        execution=loaded,
        pauses=_pauses(loaded, reason, pauses or ()),
        dagster_run_ids=tuple(run_ids or ()),
        language_model={kind: ModelUsage.model_validate(used) for kind, used in (usage or {}).items()},
        children=tuple(Child.model_validate(child) for child in children or ()),
        children_by_status={status: counts[status] for status in ExecutionStatus if status in (counts or {})},
    )


def _pauses(loaded: ExecutionRow, reason: str | None, of_all: Sequence[Any]) -> tuple[Pause, ...]:
    """What keeps a running execution back; one that has ended is kept back by nothing."""
    if loaded.status is not ExecutionStatus.RUNNING:
        return ()
    since = loaded.paused_at
    own = () if since is None else (Pause(scope=PauseScope.EXECUTION, since=since, reason=reason),)
    return (*own, *map(Pause.model_validate, of_all))


_STATUSES = select(
    *EXECUTION_COLUMNS,
    _reason(),
    _pauses_of_all(),
    _run_ids(),
    _usage(),
    _first_children(),
    _children_by_status(),
)
