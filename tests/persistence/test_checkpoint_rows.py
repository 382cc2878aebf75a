"""What a run reached is written whole, by one statement, or refused whole."""

import json
from typing import Any

import pytest

from beep_orchestration.ids import WorkflowActivityId
from beep_orchestration.models import ActivityStatus, Checkpoint, StageProgress
from beep_orchestration.persistence import ExecutionRow, WorkflowPersistence
from tests.factories import claimed, new_attempt, with_attempt

CHECKPOINT = Checkpoint(stages={"mentions": StageProgress(done=1, total=2, attempts=2)})


def write(tables: WorkflowPersistence, execution: ExecutionRow, **overrides: Any) -> bool:
    values: dict[str, Any] = {
        "current_activity": "mentions-1",
        "checkpoint": CHECKPOINT,
        "begun": [],
        "completed": [],
        "progress": [],
    }
    epoch = overrides.pop("epoch", execution.epoch)
    return tables.checkpoints.write(execution.id, epoch, **values | overrides)


def test_checkpoint_attempts_outputs_and_progress_are_written_together(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    first = with_attempt(tables, execution)
    told = len(tables.signals.load(execution.id, limit=100))
    begun = new_attempt(execution, activity_name="mentions-1", input={"text": 'quotes " and \\ and \u2028'})
    progress: list[dict[str, Any]] = [{"activity": "mentions-0"}, {"activity": "other"}]
    output = {"found": ["a", None, 1.5]}
    assert write(tables, execution, begun=[begun], completed=[(first.id, json.dumps(output))], progress=progress)
    row = tables.executions.load(execution.id)
    assert (row.current_activity, row.checkpoint) == ("mentions-1", CHECKPOINT)
    one, other = tables.activities.list_attempts(execution.id)
    assert (one.status, one.output) == (ActivityStatus.COMPLETED, output)
    assert {name: getattr(other, name) for name in vars(begun)} == vars(begun)
    assert other.status is ActivityStatus.RUNNING
    signals = tables.signals.load(execution.id, after=told, limit=100)
    assert [(signal.sequence, signal.payload) for signal in signals] == [
        (told + 1, progress[0]),
        (told + 2, progress[1]),
    ]
    assert tables.executions.reserve_signals(execution.id, 1) == told + 3


@pytest.mark.parametrize("reason", ["epoch", "cancelled", "completed before", "never begun", "paused"])
def test_nothing_is_written_if_anything_stands_in_the_way(tables: WorkflowPersistence, reason: str) -> None:
    execution = claimed(tables)
    good = with_attempt(tables, execution)
    bad = with_attempt(tables, execution, ActivityStatus.COMPLETED, activity_name="mentions-2").id
    completed = [(good.id, "1")]
    match reason:
        case "cancelled":
            assert tables.executions.cancel(execution.id)
        case "completed before":
            completed.append((bad, "2"))
        case "never begun":
            completed.append((WorkflowActivityId.new(), "2"))
        case "paused":
            assert tables.pauses.save(execution.organization_id, None)
    before = _everything(tables, execution)
    epoch = execution.epoch + (reason == "epoch")
    begun = [new_attempt(execution, activity_name="mentions-1")]
    assert not write(tables, execution, epoch=epoch, begun=begun, completed=completed, progress=[{"activity": "x"}])
    assert _everything(tables, execution) == before


def test_while_paused_what_is_under_way_may_be_completed(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempt = with_attempt(tables, execution)
    assert tables.pauses.save(execution.organization_id, None)
    assert write(tables, execution, completed=[(attempt.id, "1")])


def test_only_a_completed_activity_gives_workers_a_new_chance(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempt = new_attempt(execution)
    assert write(tables, execution, begun=[attempt])
    assert tables.executions.load(execution.id).launches == 1
    assert write(tables, execution, completed=[(attempt.id, "1")])
    assert tables.executions.load(execution.id).launches == 0


def _everything(tables: WorkflowPersistence, execution: ExecutionRow) -> object:
    return (
        tables.executions.load(execution.id),
        [(row.id, row.status, row.output) for row in tables.activities.list_attempts(execution.id)],
        tables.signals.load(execution.id, limit=100),
    )
