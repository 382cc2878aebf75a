"""The status of an execution as it can be rebuilt from its history alone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from beep_orchestration.events import AttemptStarted, HistoryEntry, Progress, StateChanged
from beep_orchestration.models import ExecutionStatus, StageProgress, WorkflowStatus
from beep_orchestration.persistence import ExecutionRow


@dataclass
class Rebuilt:
    """The numbers of a status."""

    status: ExecutionStatus = ExecutionStatus.RUNNING
    stages: dict[str, StageProgress] = field(default_factory=dict)
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, now: ExecutionRow | WorkflowStatus) -> Self:
        """What the tables say, to be compared."""
        stages = now.activities if isinstance(now, WorkflowStatus) else now.checkpoint.stages
        return cls(now.status, dict(stages), None if now.error is None else _without_stack(now.error))


def _without_stack(error: Any) -> dict[str, Any]:
    values: dict[str, Any] = error.model_dump(exclude={"stack"})
    return values


def rebuilt(entries: Iterable[HistoryEntry]) -> Rebuilt:
    """The status after these entries."""
    status = Rebuilt()
    attempts: Counter[str] = Counter()
    for entry in entries:
        match entry:
            case StateChanged():
                status.status = entry.change.status
                status.error = None if entry.error is None else _without_stack(entry.error)
            case Progress():
                status.stages[entry.activity_type] = StageProgress(done=entry.done, total=entry.total)
            case AttemptStarted():
                attempts[entry.activity_type] += 1
    for kind, stage in status.stages.items():
        status.stages[kind] = stage.model_copy(update={"attempts": attempts[kind]})
    return status
