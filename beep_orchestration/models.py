"""The words of the product as types: states and their transitions, and what callers get back."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from beep_orchestration.ids import OrganizationId, WorkflowExecutionId


class ExecutionStatus(StrEnum):
    """Where an execution stands; docs/states.md draws it."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether only an explicit resume can change it."""
        return self is not ExecutionStatus.RUNNING


class Standing(StrEnum):
    """The status of an execution as people want to know it: of one that runs, whether it waits or is paused.

    Where executions are chosen by it, `running` are all that run, also those that wait or are paused.
    """

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ActivityStatus(StrEnum):
    """Where one attempt of an activity stands. `pending` waits for its retry time."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class RunOutcome(StrEnum):
    """How a Dagster run that carried an execution ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    PARKED = "parked"


class ModelCallStatus(StrEnum):
    """What came of a call to a language model. All but `recalled` and `refused` are paid, or may be."""

    SENT = "sent"
    ANSWERED = "answered"
    UNUSABLE = "unusable"
    LOST = "lost"
    REFUSED = "refused"
    RECALLED = "recalled"


EXECUTION_TRANSITIONS: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = MappingProxyType(
    {
        ExecutionStatus.RUNNING: frozenset(
            {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
        ),
        ExecutionStatus.FAILED: frozenset({ExecutionStatus.RUNNING}),
        ExecutionStatus.CANCELLED: frozenset({ExecutionStatus.RUNNING}),
        ExecutionStatus.COMPLETED: frozenset(),
    }
)
"""The only changes of an execution's status. Those back to `running` are an explicit resume."""

ACTIVITY_TRANSITIONS: Mapping[ActivityStatus, frozenset[ActivityStatus]] = MappingProxyType(
    {
        ActivityStatus.PENDING: frozenset({ActivityStatus.RUNNING, ActivityStatus.FAILED}),
        ActivityStatus.RUNNING: frozenset({ActivityStatus.COMPLETED, ActivityStatus.FAILED}),
        ActivityStatus.COMPLETED: frozenset({ActivityStatus.FAILED}),
        ActivityStatus.FAILED: frozenset(),
    }
)
"""The only changes of an attempt's status. `completed -> failed` retires what other code or input recorded."""


def sources_of(target: ExecutionStatus) -> frozenset[ExecutionStatus]:
    """The statuses from which an execution may become `target`."""
    return frozenset(source for source, targets in EXECUTION_TRANSITIONS.items() if target in targets)


def activity_sources_of(target: ActivityStatus) -> frozenset[ActivityStatus]:
    """The statuses from which an attempt may become `target`."""
    return frozenset(source for source, targets in ACTIVITY_TRANSITIONS.items() if target in targets)


PROGRESS_SIGNAL = "progress"
STATE_SIGNAL = "state"
RESERVED_SIGNALS = frozenset({PROGRESS_SIGNAL, STATE_SIGNAL})
"""The names of the signals that executions write about themselves; senders may not use them."""


class StateChange(StrEnum):
    """What a `state` signal tells, in the transaction that makes the change."""

    ACCEPTED = "accepted"
    CLAIMED = "claimed"
    PARKED = "parked"
    PAUSED = "paused"
    PAUSE_ENDED = "pause_ended"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RESUMED = "resumed"
    CHILD_STARTED = "child_started"
    CHILD_ENDED = "child_ended"

    @property
    def status(self) -> ExecutionStatus:
        """The execution's status after the change."""
        match self:
            case StateChange.COMPLETED | StateChange.FAILED | StateChange.CANCELLED:
                return ExecutionStatus(self.value)
            case (
                StateChange.ACCEPTED
                | StateChange.CLAIMED
                | StateChange.PARKED
                | StateChange.PAUSED
                | StateChange.PAUSE_ENDED
                | StateChange.RESUMED
                | StateChange.CHILD_STARTED
                | StateChange.CHILD_ENDED
            ):
                return ExecutionStatus.RUNNING


WAIT = "wait"
"""The activity type of waits."""

PAUSE_SIGNAL = "pause"
RESUME_SIGNAL = "resume"
"""The signals that every workflow type takes: activities under way end and none starts; and on again."""


class Model(BaseModel):
    """An immutable value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorInfo(Model):
    """An error as it is stored: never with secrets, never with text that jsonb cannot hold."""

    type: str
    message: str
    activity_name: str | None = None
    attempt: int | None = None
    stack: str | None = None


class StageProgress(Model):
    """How far the activities of one type are; `attempts` counts their tries, repeated ones included."""

    done: int
    total: int
    attempts: int = 0


class ModelUsage(Model):
    """What calls to a language model have consumed, as far as it is known; `cost` is in the currency of the prices.

    `unanswered` calls were sent and brought no answer, so that nobody but the provider knows what they cost; `recalled`
    answers were paid before and cost nothing. `unpriced` calls are those whose price is unknown.
    """

    calls: int = 0
    recalled: int = 0
    unanswered: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


GRANT_BUDGET_SIGNAL = "grant_budget"
"""The name of the signal that lets an execution spend its budget for language models once more."""


class Wait(Model):
    """What an execution waits for while none of its activities can run: one of these signals, or the deadline.

    Or for the end of a `child`.
    """

    activity_name: str
    signals: tuple[str, ...] = ()
    since: datetime
    deadline: datetime | None = None
    child: WorkflowExecutionId | None = None

    def describe(self) -> str:
        """What is waited for, in words."""
        parts = [f"signal {' or '.join(repr(name) for name in self.signals)}"] if self.signals else []
        if self.child is not None:
            parts.append(f"the end of {self.child}")
        if self.deadline is not None:
            parts.append(f"{'until ' if parts else ''}{self.deadline.isoformat(timespec='seconds')}")
        return f"{self.activity_name} waits for {' '.join(parts)}"


class PauseScope(StrEnum):
    """Whom a pause stops."""

    EXECUTION = "execution"
    ORGANIZATION = "organization"
    INSTANCE = "instance"


class Pause(Model):
    """Why no activity starts: somebody, or the failure of an activity, has paused the execution or all of them."""

    scope: PauseScope = Field(description="the execution itself, all of its organization, or all of the instance")
    since: datetime
    reason: str | None = Field(default=None, description="what whoever paused it says")

    def describe(self) -> str:
        """With whom, since when and why, in words that go on from 'paused'."""
        whom = {
            PauseScope.EXECUTION: "",
            PauseScope.ORGANIZATION: "with its organization ",
            PauseScope.INSTANCE: "with the whole instance ",
        }
        return f"{whom[self.scope]}{self.when_and_why()}"

    def when_and_why(self) -> str:
        """Since when, and the reason if there is one."""
        why = "" if self.reason is None else f" ({self.reason})"
        return f"since {self.since:%Y-%m-%d %H:%M:%S %Z}{why}"

    def ended_by(self, execution_id: WorkflowExecutionId) -> str:
        """The command that lets the execution, and whatever is paused with it, go on."""
        options = {
            PauseScope.EXECUTION: execution_id,
            PauseScope.ORGANIZATION: "--all",
            PauseScope.INSTANCE: "--instance",
        }
        return f"beep resume {options[self.scope]}"


class Checkpoint(Model):
    """What an execution has durably reached, by activity type in the order of their first activity.

    `waiting_for` is what its present run waits for, or what its last run parked for. `paused_for` is the failure that
    paused it, without its stack, until another run goes on.
    """

    stages: dict[str, StageProgress] = {}
    waiting_for: tuple[Wait, ...] = ()
    paused_for: ErrorInfo | None = None


class Child(Model):
    """An execution that another one has started, and what that one calls it."""

    name: str
    execution_id: WorkflowExecutionId
    workflow_type: str
    status: ExecutionStatus


class WorkflowStatus(Model):
    """What `get_status` answers: one consistent reading of the tables."""

    execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    workflow_type: str
    workflow_version: int
    about: str | None = Field(default=None, description="what its input says that it is about, in one line for people")
    status: ExecutionStatus
    current_activity: str | None
    activities: dict[str, StageProgress] = Field(description="done, total and attempts per activity type")
    waiting_for: tuple[Wait, ...] = Field(default=(), description="signals and deadlines that let it go on")
    paused_at: datetime | None = Field(default=None, description="since when no activity starts, by the signal `pause`")
    paused_for: ErrorInfo | None = Field(default=None, description="the failure of an activity that paused it")
    pauses: tuple[Pause, ...] = Field(
        default=(), description="every pause that keeps it back while it is running: its own, and those of all"
    )
    parent_execution_id: WorkflowExecutionId | None = Field(default=None, description="the execution that started it")
    children: tuple[Child, ...] = Field(
        default=(), description="the first twenty executions that it has started; the list of its children has all"
    )
    children_by_status: dict[ExecutionStatus, int] = Field(
        default={}, description="how many executions it has started, by how they stand"
    )
    attempts: int = Field(description="attempts of all activities, retries included")
    language_model: dict[str, ModelUsage] = Field(
        default={}, description="what calls to a language model consumed, per activity type that made any"
    )
    started_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    error: ErrorInfo | None
    dagster_run_ids: tuple[str, ...] = Field(description="oldest first")
    dagster_url: str | None = Field(description="the newest run in the Dagster UI")

    @property
    def standing(self) -> Standing:
        """In one word; the live pages say the same."""
        if self.status is not ExecutionStatus.RUNNING:
            return Standing(self.status)
        if self.pauses:
            return Standing.PAUSED
        return Standing.WAITING if self.waiting_for else Standing.RUNNING


class Started(Model):
    """An execution was accepted: it is stored, and runs, or will."""

    execution_id: WorkflowExecutionId
    is_new: bool = Field(description="false if an earlier start with the idempotency key had accepted it")
    pauses: tuple[Pause, ...] = Field(default=(), description="what keeps a new one from being launched")


class ExecutionPage(Model):
    """A page of executions, newest first; `cursor` is None on the last one."""

    executions: tuple[WorkflowStatus, ...]
    cursor: str | None


class CancelResult(Model):
    """Who won: `status` is the execution's final state, `cancelled_now` whether this call brought it about."""

    execution_id: WorkflowExecutionId
    status: Literal[ExecutionStatus.CANCELLED, ExecutionStatus.COMPLETED, ExecutionStatus.FAILED]
    cancelled_now: bool


class Pruned(Model):
    """What retention has removed, or with `is_dry_run` would remove."""

    executions: int
    dagster_runs: int | None = Field(default=None, description="not counted before they are removed")
    is_dry_run: bool = False


class RetryPolicy(Model):
    """How often an activity is tried and how long it waits in between, in seconds.

    The wait before attempt n is `min(first_delay * 2 ** (n - 2), maximum_delay)`, of which a random half is taken off
    ("equal jitter"), so that activities which failed together do not return together.
    """

    maximum_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    first_delay: Annotated[float, Field(ge=0)] = 1.0
    maximum_delay: Annotated[float, Field(ge=0)] = 60.0


Json = dict[str, Any]
