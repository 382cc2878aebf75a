"""What the tests of this folder run: activities that keep a journal of their calls, and runs that carry them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text

from beep_orchestration.activities import Activity, ActivityRunner
from beep_orchestration.claims import Claim, Launch, claim_execution
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import PROGRESS_SIGNAL, RESERVED_SIGNALS, ActivityStatus, RetryPolicy
from beep_orchestration.persistence import ActivityRow, Database, ExecutionRow, SignalRow
from tests.factories import ORGANIZATION, accepted

STAGE = "mentions"
AT_ONCE = RetryPolicy(maximum_attempts=3, first_delay=0, maximum_delay=0)
LONG_LEASE = 60.0
LATER = datetime.max.replace(tzinfo=UTC)


class Number(BaseModel):
    """The input of an activity."""

    number: int


@dataclass
class Journal:
    """The side effects of activities: how often each was called, whatever the tables say."""

    calls: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str) -> int:
        """Count a call; how many there were with this one."""
        with self._lock:
            self.calls[name] += 1
            return self.calls[name]

    def activity(self, number: int, call: Callable[[], Any] | None = None, **overrides: Any) -> Activity[Any]:
        """`mentions-<number>`: notes its call, then does what `call` does, or yields its number."""
        name = f"{STAGE}-{number}"
        return _activity(name, number, partial(self._call, name, call or (lambda: number)), **overrides)

    def async_activity(self, number: int, call: Callable[[], Any], **overrides: Any) -> Activity[Any]:
        """As `activity`, with a coroutine function."""
        name = f"{STAGE}-{number}"

        async def noted() -> Any:
            self.note(name)
            return await call()

        return _activity(name, number, noted, **overrides)

    def activities(self, count: int, **overrides: Any) -> list[Activity[Any]]:
        """That many activities, each of which yields its number."""
        return [self.activity(number, **overrides) for number in range(count)]

    def _call(self, name: str, call: Callable[[], Any]) -> Any:
        self.note(name)
        return call()


def _activity(name: str, number: int, call: Callable[[], Any], **overrides: Any) -> Activity[Any]:
    values: dict[str, Any] = {"output_type": int, "code_version": "1", "retry": AT_ONCE} | overrides
    return Activity(name=name, input=Number(number=number), call=call, **values)


@dataclass
class FailsFirst:
    """A call that raises what it is given, one after the other, and then yields a value."""

    errors: list[BaseException]
    value: Any = 0

    def __call__(self) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.value


def start(database: Database, **overrides: Any) -> WorkflowExecutionId:
    """An accepted execution that no run carries yet."""
    with database.transaction() as tables:
        return accepted(tables, **overrides).id


def claim(
    database: Database,
    execution_id: WorkflowExecutionId,
    run: str = "run-1",
    *,
    lease_seconds: float = LONG_LEASE,
    is_reexecution: bool = False,
) -> Claim:
    """The claim of that run."""
    launch = Launch(
        execution_id=execution_id,
        organization_id=ORGANIZATION,
        dagster_run_id=run,
        reexecuted_at=LATER if is_reexecution else None,
    )
    return claim_execution(database, launch, lease_seconds=lease_seconds)


@contextmanager
def running(
    database: Database,
    execution_id: WorkflowExecutionId,
    run: str = "run-1",
    *,
    lease_seconds: float = LONG_LEASE,
    is_reexecution: bool = False,
) -> Iterator[ActivityRunner]:
    """A run that carries the execution. It ends without giving its claim back, like one that is killed."""
    held = claim(database, execution_id, run, lease_seconds=lease_seconds, is_reexecution=is_reexecution)
    runner = ActivityRunner(database, held, lease_seconds=lease_seconds)
    try:
        yield runner
    finally:
        runner.close()


def end_leases(database: Database, execution_id: WorkflowExecutionId) -> None:
    """Let the time of every lease be over, as it is some seconds after a worker has died."""
    with database.transaction() as tables:
        statement = (
            "UPDATE knowledge_workflow_run SET lease_expires_at = clock_timestamp() WHERE workflow_execution_id = :id"
        )
        tables.connection.execute(text(statement), {"id": execution_id})


def attempts(database: Database, execution_id: WorkflowExecutionId) -> list[ActivityRow]:
    """Every attempt, by activity and number."""
    with database.transaction() as tables:
        rows = tables.activities.list_attempts(execution_id)
    return sorted(rows, key=lambda row: (row.activity_name, row.attempt_number))


def statuses(database: Database, execution_id: WorkflowExecutionId) -> dict[str, list[str]]:
    """The statuses of the attempts of each activity, in the order of their numbers."""
    found: dict[str, list[str]] = {}
    for row in attempts(database, execution_id):
        found.setdefault(row.activity_name, []).append(str(row.status))
    return found


def completed(database: Database, execution_id: WorkflowExecutionId) -> list[str]:
    """The names of the completed activities."""
    return [row.activity_name for row in attempts(database, execution_id) if row.status is ActivityStatus.COMPLETED]


def load(database: Database, execution_id: WorkflowExecutionId) -> ExecutionRow:
    """The execution's row."""
    with database.transaction() as tables:
        return tables.executions.load(execution_id)


def signals(database: Database, execution_id: WorkflowExecutionId) -> list[SignalRow]:
    """All signals, in order."""
    with database.transaction() as tables:
        return tables.signals.load(execution_id, limit=100_000)


def sent_signals(database: Database, execution_id: WorkflowExecutionId) -> list[SignalRow]:
    """The signals that were sent to an execution, in order, without those that it writes about itself."""
    return [signal for signal in signals(database, execution_id) if signal.signal_name not in RESERVED_SIGNALS]


def assert_consistent(database: Database, execution_id: WorkflowExecutionId) -> None:
    """What was committed was committed whole: rows, checkpoint and progress say the same."""
    names = completed(database, execution_id)
    assert len(names) == len(set(names))
    stages = load(database, execution_id).checkpoint.stages
    assert {row.activity_type for row in attempts(database, execution_id)} <= stages.keys()
    assert sum(stage.done for stage in stages.values()) == len(names)
    sent = signals(database, execution_id)
    assert [signal.sequence for signal in sent] == list(range(1, len(sent) + 1))
    progress = [signal.payload["activity"] for signal in sent if signal.signal_name == PROGRESS_SIGNAL]
    assert sorted(filter(None, progress)) == sorted(names)


def snapshot(database: Database, execution_id: WorkflowExecutionId) -> tuple[object, ...]:
    """Everything that the tables say of an execution, its runs apart."""
    return load(database, execution_id), attempts(database, execution_id), signals(database, execution_id)


def settings_without_dagster() -> dict[str, str]:
    """Nothing listens at that port."""
    return {"BEEP_HOST": "127.0.0.1", "BEEP_PORT": "1"}
