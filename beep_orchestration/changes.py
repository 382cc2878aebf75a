"""What an activity asks to have committed, and what a group of such changes makes of the checkpoint; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import Checkpoint, ErrorInfo, Json, StageProgress, Wait
from beep_orchestration.persistence.activities import NewAttempt
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.projections import progress_payload


@dataclass(frozen=True, kw_only=True)
class BeginStage:
    """The activities of a type are known: how many there are, and how many earlier runs completed.

    `retired` are checkpoints of activities that the present code does not have.
    """

    activity_type: str
    total: int
    done: int
    retired: tuple[tuple[WorkflowActivityId, ErrorInfo], ...] = ()


@dataclass(frozen=True, kw_only=True)
class StartAttempt:
    """An attempt begins; `is_pending` if its row waits already, `retired` is the checkpoint that it replaces."""

    attempt: NewAttempt
    is_pending: bool = False
    retired: tuple[WorkflowActivityId, ErrorInfo] | None = None


@dataclass(frozen=True, kw_only=True)
class CompleteAttempt:
    """An attempt yielded its output, as JSON text; it used these signals."""

    attempt: NewAttempt
    output: str
    consumed: tuple[WorkflowSignalId, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FailAttempt:
    """An attempt, or a wait, failed; `retry` is the next one, which waits for its time, so many seconds from now.

    If it `pauses`, the execution is paused, for that error.
    """

    attempt: NewAttempt
    error: ErrorInfo
    retry: NewAttempt | None = None
    wait_seconds: float = 0.0
    pauses: bool = False


@dataclass(frozen=True, kw_only=True)
class BeginWait:
    """The execution waits: for a signal, for a time, or for both. `is_new` unless an earlier run began to wait."""

    attempt: NewAttempt
    wait: Wait
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class EndWait:
    """What was waited for has come: this signal, or none but the time.

    If it was a race, an activity may have `won` it, and those that are `superseded` have lost it.
    """

    attempt: NewAttempt
    output: str
    consumed: tuple[WorkflowSignalId, ...] = ()
    won: CompleteAttempt | None = None
    superseded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StartChild:
    """The execution starts a child; without `new` the child is there already, and is resumed."""

    child_id: WorkflowExecutionId
    name: str
    new: NewExecution | None = None


@dataclass(frozen=True, kw_only=True)
class EndExecution:
    """The execution is completed with an output, or failed with an error; `last` is the attempt that yielded it."""

    output: Json | None = None
    error: ErrorInfo | None = None
    last: CompleteAttempt | None = None


@dataclass(frozen=True)
class ConfirmClaim:
    """Nothing changes: the claim is looked at, and its lease renewed if that is due."""


Change = (
    BeginStage
    | StartAttempt
    | CompleteAttempt
    | FailAttempt
    | BeginWait
    | EndWait
    | StartChild
    | EndExecution
    | ConfirmClaim
)


@dataclass
class ChangeGroup:
    """Changes of one transaction, sorted by what they do."""

    stages: list[BeginStage] = field(default_factory=list)
    started: list[StartAttempt] = field(default_factory=list)
    completed: list[CompleteAttempt] = field(default_factory=list)
    failed: list[FailAttempt] = field(default_factory=list)
    begun_waits: list[BeginWait] = field(default_factory=list)
    ended_waits: list[EndWait] = field(default_factory=list)
    children: list[StartChild] = field(default_factory=list)
    ended: list[EndExecution] = field(default_factory=list)

    @classmethod
    def of(cls, changes: Sequence[Change]) -> "ChangeGroup":  # noqa: C901 - one case for each kind of change
        """The changes by kind, each kind in its order."""
        group = cls()
        for change in changes:
            match change:
                case BeginStage():
                    group.stages.append(change)
                case StartAttempt():
                    group.started.append(change)
                case CompleteAttempt():
                    group.completed.append(change)
                case FailAttempt():
                    group.failed.append(change)
                case BeginWait():
                    group.begun_waits.append(change)
                case EndWait():
                    group.ended_waits.append(change)
                    group.completed.extend([change.won] if change.won else [])
                case StartChild():
                    group.children.append(change)
                case EndExecution():
                    group.ended.append(change)
                    group.completed.extend([change.last] if change.last else [])
                case ConfirmClaim():
                    pass
        return group

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not any(vars(self).values())

    @property
    def yielded(self) -> list[CompleteAttempt | EndWait]:
        """What has an output now."""
        return [*self.completed, *self.ended_waits]

    @property
    def is_plain(self) -> bool:
        """Whether attempts begin and are completed, and nothing else happens: nearly all groups are like that."""
        retires = any(stage.retired for stage in self.stages) or any(start.retired for start in self.started)
        adopts = any(start.is_pending for start in self.started)
        consumes = any(complete.consumed for complete in self.completed)
        others = self.failed or self.begun_waits or self.ended_waits or self.children or self.ended
        return not (self.is_empty or retires or adopts or consumes or others)

    @property
    def superseded(self) -> list[str]:
        """The activities that have lost their race."""
        return [name for ended in self.ended_waits for name in ended.superseded]

    def newest_activity(self, current: str | None) -> str | None:
        """The execution's current activity after these changes."""
        if self.ended:
            return None
        newest = self.started[-1:] or self.completed[-1:] or self.ended_waits[-1:] or self.begun_waits[-1:]
        return newest[0].attempt.activity_name if newest else current

    def advance(self, checkpoint: Checkpoint) -> tuple[Checkpoint, list[Json]]:
        """The checkpoint after these changes, and the progress that begun types and completed attempts make."""
        stages = dict(checkpoint.stages)
        payloads: list[Json] = []
        for begin in self.stages:
            attempts = stages[begin.activity_type].attempts if begin.activity_type in stages else 0
            stages[begin.activity_type] = StageProgress(done=begin.done, total=begin.total, attempts=attempts)
            payloads.append(progress_payload(begin.activity_type, None, stages[begin.activity_type]))
        for start in self.started:
            kind = start.attempt.activity_type
            stages[kind] = stages[kind].model_copy(update={"attempts": stages[kind].attempts + 1})
        waits = {wait.activity_name: wait for wait in checkpoint.waiting_for}
        for begun in self.begun_waits:
            if begun.wait.signals or begun.wait.deadline or begun.wait.child:
                waits[begun.wait.activity_name] = begun.wait
            if begun.is_new:
                kind = begun.attempt.activity_type
                stage = stages.get(kind, StageProgress(done=0, total=0))
                is_first = begun.attempt.attempt_number == 1
                stages[kind] = StageProgress(done=stage.done, total=stage.total + is_first, attempts=stage.attempts + 1)
        for ended in self.ended_waits:
            if ended.won is not None:
                kind = ended.won.attempt.activity_type
                stages[kind] = stages[kind].model_copy(update={"total": stages[kind].total + 1})
        for change in self.yielded:
            kind = change.attempt.activity_type
            waits.pop(change.attempt.activity_name, None)
            stages[kind] = stages[kind].model_copy(update={"done": stages[kind].done + 1})
            payloads.append(progress_payload(kind, change.attempt.activity_name, stages[kind]))
        for failed in self.failed:
            waits.pop(failed.attempt.activity_name, None)
        causes = [failed.error.model_copy(update={"stack": None}) for failed in self.failed if failed.pauses]
        paused_for = causes[-1] if causes else checkpoint.paused_for
        return Checkpoint(stages=stages, waiting_for=tuple(waits.values()), paused_for=paused_for), payloads
