"""Rows of `knowledge_workflow_activity`: one for each attempt of each activity."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, bindparam, case, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert

from beep_orchestration.ids import OrganizationId, WorkflowActivityId, WorkflowExecutionId
from beep_orchestration.models import WAIT, ActivityStatus, ErrorInfo, Json, activity_sources_of
from beep_orchestration.persistence.executions import CLOCK, seconds
from beep_orchestration.persistence.rows import ActivityRow, AttemptRow
from beep_orchestration.tables import activity

_COLUMNS = (
    *(column for column in activity.c if column.name != "created_at"),
    func.greatest(0, func.extract("epoch", activity.c.started_at - CLOCK)).label("wait_seconds"),
)


_ATTEMPT_COLUMNS = (
    activity.c.id,
    activity.c.activity_name,
    activity.c.activity_type,
    activity.c.status,
    activity.c.attempt_number,
    activity.c.error.op("-")("stack").label("error"),
    activity.c.started_at,
    activity.c.completed_at,
    activity.c.epoch,
    func.coalesce(activity.c.completed_at == activity.c.started_at, False).label("has_never_started"),
)
_ROWS_AT_A_TIME = 500
_IS_WAIT = activity.c.activity_type == WAIT
_OPEN = (ActivityStatus.PENDING, ActivityStatus.RUNNING)


@dataclass(frozen=True, kw_only=True)
class NewAttempt:
    """One try of one activity that is about to be made."""

    id: WorkflowActivityId
    workflow_execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    activity_name: str
    activity_type: str
    attempt_number: int
    input: Json
    input_digest: str
    code_version: str
    epoch: int


class Activities:
    """Saves and loads attempts within one transaction. Each change of status is a compare-and-set."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, attempts: Sequence[NewAttempt]) -> None:
        """Store new attempts as `running`."""
        if attempts:
            rows = [vars(attempt) | {"status": ActivityStatus.RUNNING} for attempt in attempts]
            self._connection.execute(insert(activity).values(started_at=CLOCK), rows)

    def save_pending(self, attempts: Sequence[tuple[NewAttempt, float]]) -> None:
        """Store attempts that wait for their retry time, so many seconds from now: their `started_at` is that time."""
        for attempt, wait_seconds in attempts:
            values = vars(attempt) | {"status": ActivityStatus.PENDING}
            self._connection.execute(insert(activity).values(**values, started_at=CLOCK + seconds(wait_seconds)))

    def start_pending(self, attempts: Sequence[NewAttempt]) -> int:
        """`pending -> running`, with the input, code and epoch of who runs them now; how many changed is the answer.

        A retry starts now; a wait started when it was stored.
        """
        if not attempts:
            return 0
        statement = (
            update(activity)
            .where(activity.c.id == bindparam("attempt_id"), _may_become(ActivityStatus.RUNNING))
            .values(
                status=ActivityStatus.RUNNING,
                input=bindparam("new_input"),
                input_digest=bindparam("new_input_digest"),
                code_version=bindparam("new_code_version"),
                epoch=bindparam("new_epoch"),
                started_at=case((_IS_WAIT, activity.c.started_at), else_=CLOCK),
            )
        )
        rows = [
            {
                "attempt_id": attempt.id,
                "new_input": attempt.input,
                "new_input_digest": attempt.input_digest,
                "new_code_version": attempt.code_version,
                "new_epoch": attempt.epoch,
            }
            for attempt in attempts
        ]
        return self._connection.execute(statement, rows).rowcount

    def complete(self, outputs: Sequence[tuple[WorkflowActivityId, str]]) -> int:
        """`running -> completed` with these outputs, given as JSON text; how many changed is the answer."""
        if not outputs:
            return 0
        statement = (
            update(activity)
            .where(activity.c.id == bindparam("attempt_id"), _may_become(ActivityStatus.COMPLETED))
            .values(
                status=ActivityStatus.COMPLETED,
                output=cast(bindparam("attempt_output", type_=Text), JSONB),
                completed_at=CLOCK,
            )
        )
        rows = [{"attempt_id": attempt_id, "attempt_output": output} for attempt_id, output in outputs]
        return self._connection.execute(statement, rows).rowcount

    def fail(self, errors: Sequence[tuple[WorkflowActivityId, ErrorInfo]]) -> int:
        """`running -> failed`, and of a wait `pending -> failed`; how many changed is the answer."""
        return self._close(errors, *_OPEN)

    def retire(self, errors: Sequence[tuple[WorkflowActivityId, ErrorInfo]]) -> int:
        """`completed -> failed` for checkpoints that may not be used any more; how many changed is the answer."""
        return self._close(errors, ActivityStatus.COMPLETED)

    def _close(self, errors: Sequence[tuple[WorkflowActivityId, ErrorInfo]], *sources: ActivityStatus) -> int:
        if not errors:
            return 0
        statement = (
            update(activity)
            .where(activity.c.id == bindparam("attempt_id"), _is_one_of(sources))
            .values(status=ActivityStatus.FAILED, error=bindparam("attempt_error", type_=JSONB), completed_at=CLOCK)
        )
        rows = [
            {"attempt_id": attempt_id, "attempt_error": error.model_dump(mode="json")} for attempt_id, error in errors
        ]
        return self._connection.execute(statement, rows).rowcount

    def fail_running(self, execution_id: WorkflowExecutionId, error: ErrorInfo) -> int:
        """Close every attempt that a process left `running`; how many changed is the answer."""
        statement = (
            update(activity)
            .where(activity.c.workflow_execution_id == execution_id, activity.c.status == ActivityStatus.RUNNING)
            .values(status=ActivityStatus.FAILED, error=error.model_dump(mode="json"), completed_at=CLOCK)
        )
        return self._connection.execute(statement).rowcount

    def fail_open(
        self, execution_id: WorkflowExecutionId, error: ErrorInfo, *, names: Sequence[str] | None = None
    ) -> int:
        """Close every attempt that is under way or waits for its retry, or those of some activities.

        A retry that waited has the same start as end, because it never started.
        """
        if names is not None and not names:
            return 0
        now = func.statement_timestamp()  # one time for both, which clock_timestamp() would not be
        is_unstarted = (activity.c.status == ActivityStatus.PENDING) & ~_IS_WAIT
        statement = (
            update(activity)
            .where(activity.c.workflow_execution_id == execution_id, activity.c.status.in_(_OPEN))
            .values(
                status=ActivityStatus.FAILED,
                error=error.model_dump(mode="json"),
                started_at=case((is_unstarted, now), else_=activity.c.started_at),
                completed_at=now,
            )
        )
        if names is not None:
            statement = statement.where(activity.c.activity_name.in_(names))
        return self._connection.execute(statement).rowcount

    def list_open_names(self, execution_id: WorkflowExecutionId, *, limit: int) -> list[str]:
        """Names of activities with an attempt under way or waiting."""
        statement = (
            select(activity.c.activity_name)
            .where(activity.c.workflow_execution_id == execution_id, activity.c.status.in_(_OPEN))
            .order_by(activity.c.activity_name)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())

    def load_latest(self, execution_id: WorkflowExecutionId, activity_type: str) -> dict[str, ActivityRow]:
        """The newest attempt of each activity of a type, or its completed one, by activity name."""
        statement = (
            select(*_COLUMNS)
            .ext(distinct_on(activity.c.activity_name))
            .where(activity.c.workflow_execution_id == execution_id, activity.c.activity_type == activity_type)
            .order_by(
                activity.c.activity_name,
                (activity.c.status == ActivityStatus.COMPLETED).desc(),
                activity.c.attempt_number.desc(),
            )
        )
        return {row.activity_name: row for row in map(_activity_row, self._connection.execute(statement))}

    def load_completed_outputs(self, execution_id: WorkflowExecutionId, activity_type: str) -> dict[str, Any]:
        """The outputs of the completed activities of a type, by activity name."""
        statement = select(activity.c.activity_name, activity.c.output).where(
            activity.c.workflow_execution_id == execution_id,
            activity.c.activity_type == activity_type,
            activity.c.status == ActivityStatus.COMPLETED,
        )
        return {row.activity_name: row.output for row in self._connection.execute(statement)}

    def load_code_versions(self, execution_id: WorkflowExecutionId, activity_types: Sequence[str]) -> dict[str, str]:
        """Under which code each completed activity of these types was recorded, by activity name."""
        statement = select(activity.c.activity_name, activity.c.code_version).where(
            activity.c.workflow_execution_id == execution_id,
            activity.c.activity_type.in_(activity_types),
            activity.c.status == ActivityStatus.COMPLETED,
        )
        return {row.activity_name: row.code_version for row in self._connection.execute(statement)}

    def find_status(self, attempt_id: WorkflowActivityId) -> ActivityStatus | None:
        """The status of one attempt, None if it was never stored."""
        status = self._connection.execute(
            select(activity.c.status).where(activity.c.id == attempt_id)
        ).scalar_one_or_none()
        return None if status is None else ActivityStatus(status)

    def list_attempts(self, execution_id: WorkflowExecutionId) -> list[ActivityRow]:
        """Every attempt of an execution in the order in which they were made."""
        statement = (
            select(*_COLUMNS)
            .where(activity.c.workflow_execution_id == execution_id)
            .order_by(activity.c.started_at, activity.c.activity_name, activity.c.attempt_number)
        )
        return [_activity_row(row) for row in self._connection.execute(statement)]

    def stream_attempts(self, execution_id: WorkflowExecutionId) -> Iterator[AttemptRow]:
        """Every attempt of an execution in the order of `started_at`, however many there are, a few at a time."""
        statement = (
            select(*_ATTEMPT_COLUMNS)
            .where(activity.c.workflow_execution_id == execution_id)
            .order_by(activity.c.started_at, activity.c.id)
        )
        for row in self._connection.execute(statement, execution_options={"yield_per": _ROWS_AT_A_TIME}):
            yield _attempt_row(row)

    def count_completed(self, execution_id: WorkflowExecutionId) -> int:
        """How many activities of an execution are completed."""
        statement = select(func.count()).where(
            activity.c.workflow_execution_id == execution_id, activity.c.status == ActivityStatus.COMPLETED
        )
        return self._connection.execute(statement).scalar_one()


def _attempt_row(row: Row[Any]) -> AttemptRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["id"] = WorkflowActivityId(values["id"])
    values["status"] = ActivityStatus(values["status"])
    values["error"] = None if values["error"] is None else ErrorInfo.model_validate(values["error"])
    return AttemptRow(**values)


def as_stored(output: str) -> Any:
    """The value that is read from jsonb if this JSON text is written to it.

    Keys come in an order of jsonb's own, and numbers are decimal: whole ones that were written with an exponent have
    none, and zero has no sign.
    """
    return json.loads(output, object_pairs_hook=_in_order_of_jsonb, parse_float=_decimal)


def _in_order_of_jsonb(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(sorted(pairs, key=lambda pair: (len(key := pair[0].encode()), key)))


def _decimal(number: str) -> float | int:
    is_whole = "e" in number and (exact := Decimal(number)) == exact.to_integral_value()
    return int(exact) if is_whole else float(number) + 0.0


def _may_become(target: ActivityStatus) -> ColumnElement[bool]:
    return _is_one_of(sorted(activity_sources_of(target)))


def _is_one_of(sources: Sequence[ActivityStatus]) -> ColumnElement[bool]:
    """Not an IN list: SQLAlchemy cannot expand one in a statement that is executed for many rows."""
    return or_(*(activity.c.status == source for source in sources))


def _activity_row(row: Row[Any]) -> ActivityRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["id"] = WorkflowActivityId(values["id"])
    values["workflow_execution_id"] = WorkflowExecutionId(values["workflow_execution_id"])
    values["organization_id"] = OrganizationId(values["organization_id"])
    values["status"] = ActivityStatus(values["status"])
    values["error"] = None if values["error"] is None else ErrorInfo.model_validate(values["error"])
    values["wait_seconds"] = float(values["wait_seconds"])
    return ActivityRow(**values)
