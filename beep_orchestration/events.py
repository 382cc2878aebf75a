"""What an execution tells about itself, as types: the events that can be watched, and the entries of its history."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import (
    ActivityStatus,
    ErrorInfo,
    ExecutionStatus,
    Json,
    Model,
    RunOutcome,
    StateChange,
    Wait,
)


class Entry(Model):
    """Something that happened to an execution, at a time of the database's clock."""

    at: datetime


class Told(Entry):
    """What a signal tells; its `sequence` is its place among all signals of the execution, and a reader's cursor."""

    sequence: int


class Progress(Told):
    """An activity is completed; or, without `activity_name`, the activities of a type are known and begin."""

    kind: Literal["progress"] = "progress"
    activity_type: str
    activity_name: str | None
    done: int
    total: int


class StateChanged(Told):
    """The execution's state has changed. `epoch` is the one after the change."""

    kind: Literal["state"] = "state"
    change: StateChange
    epoch: int
    dagster_run_id: str | None = Field(default=None, description="the run that has claimed the execution")
    worker: int | None = Field(
        default=None,
        description="which worker of that run it is, counted from 1: a run goes on in another one when its worker is "
        "dead; in the history only",
    )
    error: ErrorInfo | None = Field(default=None, description="why it failed; without the stack")
    reason: str | None = Field(default=None, description="why it was paused, as whoever paused it says")
    waiting_for: tuple[Wait, ...] = Field(default=(), description="what it is parked for")
    child: WorkflowExecutionId | None = Field(default=None, description="the child that has started or ended")
    child_name: str | None = Field(default=None, description="what the execution calls the child that has started")
    child_status: ExecutionStatus | None = Field(default=None, description="how the child has ended")


class SignalSent(Told):
    """A signal was sent to the execution."""

    kind: Literal["signal"] = "signal"
    signal_id: WorkflowSignalId
    signal_name: str
    sender_key: str | None = None
    payload: Json | None = Field(default=None, description="in the history only")
    consumed_by: WorkflowActivityId | None = Field(default=None, description="the attempt that used it")


class AttemptEntry(Entry):
    """One try of one activity."""

    attempt_id: WorkflowActivityId
    activity_type: str
    activity_name: str
    attempt: int = Field(description="counted from 1")
    epoch: int = Field(description="the claim under which it was made")


class AttemptDue(AttemptEntry):
    """The attempt waits for its retry time, which `at` is."""

    kind: Literal["attempt_due"] = "attempt_due"


class AttemptStarted(AttemptEntry):
    """The attempt began."""

    kind: Literal["attempt_started"] = "attempt_started"


class AttemptEnded(AttemptEntry):
    """The attempt is completed, or has failed. A checkpoint that may not be used any more has failed as well."""

    kind: Literal["attempt_ended"] = "attempt_ended"
    status: Literal[ActivityStatus.COMPLETED, ActivityStatus.FAILED]
    error: ErrorInfo | None = Field(default=None, description="without the stack")


class RunLaunched(Entry):
    """A Dagster run was launched for the execution, or is first known of."""

    kind: Literal["run_launched"] = "run_launched"
    dagster_run_id: str


class RunEnded(Entry):
    """A Dagster run that was to carry the execution has ended."""

    kind: Literal["run_ended"] = "run_ended"
    dagster_run_id: str
    outcome: RunOutcome


ExecutionEvent = Annotated[Progress | StateChanged | SignalSent, Field(discriminator="kind")]
"""What can be watched."""

HistoryEntry = Annotated[
    Progress | StateChanged | SignalSent | AttemptDue | AttemptStarted | AttemptEnded | RunLaunched | RunEnded,
    Field(discriminator="kind"),
]
"""What a history has."""
