"""Random interleavings of everything that can happen to an execution, against PostgreSQL and a small model of it."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from beep_orchestration.changes import BeginStage, Change, CompleteAttempt, EndExecution, FailAttempt, StartAttempt
from beep_orchestration.claims import Claim
from beep_orchestration.commits import CheckpointWriter
from beep_orchestration.endings import cancel_execution
from beep_orchestration.errors import ClaimLostError, ExecutionCancelledError, WorkflowStateError
from beep_orchestration.history import read_history
from beep_orchestration.models import EXECUTION_TRANSITIONS, STATE_SIGNAL, ActivityStatus, ExecutionStatus, StateChange
from beep_orchestration.persistence import ActivityRow, Database
from beep_orchestration.persistence.activities import NewAttempt
from tests.durability.histories import Rebuilt, rebuilt
from tests.durability.workflow import LONG_LEASE, STAGE, assert_consistent, attempts, claim, end_leases, load, start
from tests.factories import ERROR, new_attempt, with_signal

ACTIVITIES = [f"{STAGE}-{number}" for number in range(4)]
RUNS = ["run-1", "run-2", "run-3"]
LONG_WAIT = 30.0


@dataclass
class Holder:
    """A run as it sees itself: it believes in its claim until a commit is refused."""

    writer: CheckpointWriter
    epoch: int
    open: dict[str, NewAttempt] = field(default_factory=dict)


@dataclass
class Expected:
    """What the tables ought to say."""

    status: ExecutionStatus = ExecutionStatus.RUNNING
    epoch: int = 0
    completed: set[str] = field(default_factory=set)
    made: dict[str, int] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    told: list[StateChange] = field(default_factory=lambda: [StateChange.ACCEPTED])


class Interleavings(RuleBasedStateMachine):
    database: Database

    @initialize()
    def accept(self) -> None:
        self.execution = start(self.database)
        self.expected, self.signals, self.begun = Expected(), 0, 0
        self.holders: list[Holder] = []
        self.before_epoch: dict[int, dict[str, ActivityRow]] = {}

    @rule(run=st.sampled_from(RUNS), is_reexecution=st.booleans())
    def claims(self, run: str, is_reexecution: bool) -> None:  # noqa: FBT001 - Hypothesis calls it
        run, status = f"{run}-of-{self.execution}", self.expected.status
        end_leases(self.database, self.execution)
        try:
            held = claim(self.database, self.execution, run, is_reexecution=is_reexecution)
        except (ExecutionCancelledError, WorkflowStateError):
            assert status in (ExecutionStatus.CANCELLED, ExecutionStatus.FAILED)
            assert not is_reexecution or run in self.expected.claimed
            return
        if status is ExecutionStatus.COMPLETED:
            assert held.epoch is None
            return
        is_resumed = status is not ExecutionStatus.RUNNING
        assert not is_resumed or (is_reexecution and run not in self.expected.claimed)
        self.expected.claimed.add(run)
        self._begins(held, epochs=2 if is_resumed else 1)

    def _begins(self, held: Claim, *, epochs: int) -> None:
        assert held.epoch == self.expected.epoch + epochs
        self.expected.status, self.expected.epoch = ExecutionStatus.RUNNING, held.epoch
        self.expected.told += [StateChange.RESUMED] * (epochs - 1) + [StateChange.CLAIMED]
        self.expected.running.clear()
        self.before_epoch[held.epoch] = {row.id: row for row in attempts(self.database, self.execution)}
        holder = Holder(CheckpointWriter(self.database, held, lease_seconds=LONG_LEASE), held.epoch)
        self.holders.append(holder)
        begin = BeginStage(activity_type=STAGE, total=len(ACTIVITIES), done=len(self.expected.completed))
        assert self._commits(holder, begin)
        self.begun += 1

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), name=st.sampled_from(ACTIVITIES))
    def starts_an_attempt(self, data: st.DataObject, name: str) -> None:
        holder = data.draw(st.sampled_from(self.holders))
        if name in holder.open or name in self.expected.completed or name in self._names_under_way():
            return
        number = self.expected.made.get(name, 0) + 1
        row = load(self.database, self.execution)
        attempt = new_attempt(row, activity_name=name, attempt_number=number, epoch=holder.epoch)
        if self._commits(holder, StartAttempt(attempt=attempt)):
            self.expected.made[name] = number
            self.expected.running.add(attempt.id)
            holder.open[name] = attempt

    def _names_under_way(self) -> set[str]:
        return {
            name
            for holder in self.holders
            for name, attempt in holder.open.items()
            if attempt.id in self.expected.running
        }

    @precondition(lambda self: any(holder.open for holder in self.holders))
    @rule(data=st.data(), succeeds=st.booleans())
    def ends_an_attempt(self, data: st.DataObject, succeeds: bool) -> None:  # noqa: FBT001 - Hypothesis calls it
        holder = data.draw(st.sampled_from([holder for holder in self.holders if holder.open]))
        name = data.draw(st.sampled_from(sorted(holder.open)))
        attempt = holder.open.pop(name)
        change = CompleteAttempt(attempt=attempt, output="1") if succeeds else FailAttempt(attempt=attempt, error=ERROR)
        if self._commits(holder, change, attempt):
            self.expected.running.remove(attempt.id)
            self.expected.completed |= {name} if succeeds else set()

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), succeeds=st.booleans())
    def ends_the_execution(self, data: st.DataObject, succeeds: bool) -> None:  # noqa: FBT001 - Hypothesis calls it
        holder = data.draw(st.sampled_from(self.holders))
        if succeeds and holder.open:
            return
        change = EndExecution(output={"by": holder.epoch}) if succeeds else EndExecution(error=ERROR)
        if self._commits(holder, change):
            self.expected.status = ExecutionStatus.COMPLETED if succeeds else ExecutionStatus.FAILED
            self.expected.told.append(StateChange(self.expected.status))
            self.expected.running.clear()

    def _commits(self, holder: Holder, change: Change, ended: NewAttempt | None = None) -> bool:
        may = self.expected.status is ExecutionStatus.RUNNING and holder.epoch == self.expected.epoch
        may = may and holder.writer.stopped is None and (ended is None or ended.id in self.expected.running)
        try:
            holder.writer.commit(change).result(LONG_WAIT)
        except (ClaimLostError, ExecutionCancelledError):
            assert not may
            self.holders.remove(holder)
            holder.writer.close()
            return False
        assert may, "a run without the claim has committed"
        return True

    @rule()
    def cancels(self) -> None:
        with self.database.transaction() as tables:
            cancelled_now = cancel_execution(tables, self.execution)
        assert bool(cancelled_now) == (self.expected.status is ExecutionStatus.RUNNING)
        if cancelled_now:
            self.expected.status = ExecutionStatus.CANCELLED
            self.expected.told.append(StateChange.CANCELLED)
            self.expected.running.clear()

    @rule()
    def resumes(self) -> None:
        with self.database.transaction() as tables:
            resumed = tables.executions.resume(self.execution, launch_after_seconds=0)
        assert resumed == (ExecutionStatus.RUNNING in EXECUTION_TRANSITIONS[self.expected.status])
        if resumed:
            self.expected.status = ExecutionStatus.RUNNING
            self.expected.epoch += 1
            self.expected.told.append(StateChange.RESUMED)

    @rule()
    def is_signalled(self) -> None:
        with self.database.transaction() as tables:
            with_signal(tables, self.execution)
        self.signals += 1

    @invariant()
    def the_tables_say_what_the_model_says(self) -> None:
        with self.database.transaction() as tables:
            row, made = tables.executions.load(self.execution), tables.activities.list_attempts(self.execution)
            signals = tables.signals.load(self.execution, limit=10_000)
        assert (row.status, row.epoch) == (self.expected.status, self.expected.epoch)
        done = [attempt.activity_name for attempt in made if attempt.status is ActivityStatus.COMPLETED]
        assert sorted(done) == sorted(self.expected.completed)
        assert {attempt.id for attempt in made if attempt.status is ActivityStatus.RUNNING} == self.expected.running
        told = [signal.payload["change"] for signal in signals if signal.signal_name == STATE_SIGNAL]
        assert told == self.expected.told
        expected = len(told) + self.begun + self.signals + len(done)
        assert [signal.sequence for signal in signals] == list(range(1, expected + 1))
        assert rebuilt(read_history(self.database, self.execution)) == Rebuilt.of(row)
        self._nothing_of_an_old_epoch_has_changed({attempt.id: attempt for attempt in made})

    def _nothing_of_an_old_epoch_has_changed(self, now: dict[str, ActivityRow]) -> None:
        for epoch, before in self.before_epoch.items():
            assert {key: row for key, row in now.items() if row.epoch < epoch} == before

    def teardown(self) -> None:
        for holder in self.holders:
            holder.writer.close()
        assert_consistent(self.database, self.execution)


@pytest.mark.timeout(120)
def test_every_interleaving_keeps_the_guarantees(database: Database) -> None:
    machine = type("InterleavingsOnThisDatabase", (Interleavings,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
