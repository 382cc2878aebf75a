"""One row of each table as a typed value."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from beep_orchestration.ids import (
    OrganizationId,
    WorkflowActivityId,
    WorkflowExecutionId,
    WorkflowRunId,
    WorkflowSignalId,
)
from beep_orchestration.models import (
    ActivityStatus,
    Checkpoint,
    Child,
    ErrorInfo,
    ExecutionStatus,
    Json,
    ModelUsage,
    Pause,
    RunOutcome,
)


@dataclass(frozen=True, kw_only=True)
class NewExecution:
    """What the caller of `start` decides; the database adds the times."""

    id: WorkflowExecutionId
    organization_id: OrganizationId
    workflow_type: str
    workflow_version: int
    input: Json
    input_digest: str
    about: str | None
    idempotency_key: str | None = None
    trace_parent: str | None = None
    parent_execution_id: WorkflowExecutionId | None = None
    child_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionRow:
    """An execution without its input and output, which may be large."""

    id: WorkflowExecutionId
    organization_id: OrganizationId
    workflow_type: str
    workflow_version: int
    status: ExecutionStatus
    current_activity: str | None
    error: ErrorInfo | None
    checkpoint: Checkpoint
    started_at: datetime
    completed_at: datetime | None
    updated_at: datetime
    input_digest: str
    epoch: int
    launch_at: datetime | None
    launches: int
    paused_at: datetime | None
    resumed_at: datetime | None
    trace_parent: str | None
    parent_execution_id: WorkflowExecutionId | None
    about: str | None


@dataclass(frozen=True, kw_only=True)
class StatusRow:
    """An execution with what pauses it, its runs, oldest first, its first children and what it consumed of models."""

    execution: ExecutionRow
    pauses: tuple[Pause, ...]
    dagster_run_ids: tuple[str, ...]
    language_model: dict[str, ModelUsage]
    children: tuple[Child, ...]
    children_by_status: dict[ExecutionStatus, int]


@dataclass(frozen=True, kw_only=True)
class ActivityRow:
    """One attempt of one activity."""

    id: WorkflowActivityId
    workflow_execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    activity_name: str
    activity_type: str
    status: ActivityStatus
    attempt_number: int
    input: Json
    output: Any
    error: ErrorInfo | None
    started_at: datetime
    completed_at: datetime | None
    epoch: int
    input_digest: str
    code_version: str
    wait_seconds: float


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    """One attempt without its input and output; `has_never_started` if it was closed while it waited for its time.

    The error has no stack.
    """

    id: WorkflowActivityId
    activity_name: str
    activity_type: str
    status: ActivityStatus
    attempt_number: int
    error: ErrorInfo | None
    started_at: datetime
    completed_at: datetime | None
    epoch: int
    has_never_started: bool


@dataclass(frozen=True, kw_only=True)
class SignalRow:
    """A message to, or a progress event of, an execution."""

    id: WorkflowSignalId
    workflow_execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    signal_name: str
    payload: Json
    created_at: datetime
    sequence: int
    sender_key: str | None
    consumed_by: WorkflowActivityId | None
    trace_parent: str | None


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A Dagster run that carries, or carried, an execution. `epoch` is null until it claims.

    `lease_over_seconds` says since when, on the database's clock, its lease has been over; negative while it lasts.
    """

    id: WorkflowRunId
    workflow_execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    dagster_run_id: str
    created_at: datetime
    epoch: int | None
    lease_expires_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    outcome: RunOutcome | None
    lease_over_seconds: float | None = field(compare=False)

    @property
    def lease_is_over(self) -> bool:
        """Whether another run may claim the execution."""
        return self.lease_over_seconds is None or self.lease_over_seconds >= 0


class ReceivedSignal(BaseModel):
    """A signal that ended a wait. `payload` is the workflow type's model of it; as it is stored, that model's JSON."""

    name: str
    payload: Any
    sequence: int
    sent_at: datetime

    @classmethod
    def of(cls, signal: SignalRow) -> "ReceivedSignal":
        """As it is stored."""
        return cls(name=signal.signal_name, payload=signal.payload, sequence=signal.sequence, sent_at=signal.created_at)
