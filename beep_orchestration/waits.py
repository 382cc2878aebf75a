"""Waiting between activities: for a signal, a time, the end of a child; recorded once, like an activity.

A wait is a row of its own, of activity type `wait`. Its deadline is on the database's clock and is decided when the
wait begins, so it holds over crashes, parking and restarts. How it ended is its recorded output, which later runs
recall.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from beep_orchestration.changes import BeginWait, CompleteAttempt, EndWait, FailAttempt
from beep_orchestration.claims import Claim
from beep_orchestration.commits import CheckpointWriter
from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import IncompleteStageError
from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import WAIT, ActivityStatus, ErrorInfo, Wait
from beep_orchestration.parking import Parked
from beep_orchestration.persistence import ActivityRow, Database, SignalRow
from beep_orchestration.persistence.activities import NewAttempt
from beep_orchestration.persistence.notifications import LONGEST_SILENCE_SECONDS
from beep_orchestration.persistence.rows import ReceivedSignal
from beep_orchestration.signals import SignalReader


class Waits:
    """The waits of one claimed execution; `writer` is None for a completed one, whose waits can only be recalled."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        writer: CheckpointWriter | None,
        reader: SignalReader,
        *,
        park_after_seconds: float,
    ) -> None:
        self._database = database
        self._claim = claim
        self._writer = writer
        self._reader = reader
        self.park_after_seconds = park_after_seconds
        self._known: dict[str, ActivityRow] | None = None

    def wait(
        self, name: str, signals: Sequence[str] = (), *, seconds: float | None = None, until: datetime | None = None
    ) -> ReceivedSignal | None:
        """The first signal of these names that no checkpoint has used; None when the deadline comes before it.

        A signal that was sent before the deadline wins, whenever it is looked for; a later one is kept for whoever asks
        next. Called again with the same `name`, in this run or a later one, it answers the same.

        Raises `Parked` after a short while without either; `ExecutionCancelledError`, `ClaimLostError`.
        """
        row = self.recorded(name)
        if row is not None:
            return None if row.output is None else ReceivedSignal.model_validate(row.output)
        begun = self.begin(name, signals, seconds=seconds, until=until)
        try:
            signal = self.take(begun)
            received = None if signal is None else ReceivedSignal.of(signal)
            output = "null" if received is None else received.model_dump_json()
            self.end(begun, output, () if signal is None else (signal.id,))
            return received
        finally:
            self.dismiss(begun)

    def recorded(self, name: str) -> ActivityRow | None:
        """The wait of that name, if it has ended."""
        row = self.find(name)
        return row if row is not None and row.status is ActivityStatus.COMPLETED else None

    def find(self, name: str) -> ActivityRow | None:
        """The newest attempt at a wait as it was when this was first asked for any, or the one that has ended it."""
        return self._load_known().get(name)

    def begin(
        self,
        name: str,
        signals: Sequence[str] = (),
        *,
        seconds: float | None = None,
        until: datetime | None = None,
        child: WorkflowExecutionId | None = None,
    ) -> BeginWait:
        """Commit that the execution waits. The deadline is the one that was decided when this was first called."""
        row, writer = self.find(name), self.claimed_writer()
        now = self.load_clock()
        deadline = until if seconds is None else now + timedelta(seconds=seconds)
        wait = Wait(activity_name=name, signals=tuple(signals), since=now, deadline=deadline, child=child)
        if row is not None:  # an earlier run began to wait, and decided until when
            earlier = Wait.model_validate({**row.input, "activity_name": name})
            wait = earlier.model_copy(update={"signals": wait.signals})
        is_new = row is None or row.status is not ActivityStatus.PENDING
        begun = BeginWait(attempt=self._attempt(writer, wait, row), wait=wait, is_new=is_new)
        writer.commit(begun).result()
        return begun

    def take(self, begun: BeginWait, *, may_park: Callable[[], bool] = lambda: True) -> SignalRow | None:
        """The signal that is waited for, or None at the deadline, or once the wait is dismissed.

        Raises `Parked` if neither comes within a short while, unless it may not park yet.
        """
        wait, writer = begun.wait, self.claimed_writer()
        park_at = time.monotonic() + self.park_after_seconds
        with writer.stop_listener(self._reader.interrupt):
            while True:
                patience = max(park_at - time.monotonic(), 0.0) if may_park() else LONGEST_SILENCE_SECONDS
                left = math.inf if wait.deadline is None else (wait.deadline - self.load_clock()).total_seconds()
                signal = self._reader.take(wait.signals, begun.attempt.id, timeout=min(patience, max(left, 0.0)))
                if writer.stopped is not None:
                    raise writer.stopped
                if signal is not None and (wait.deadline is None or signal.created_at <= wait.deadline):
                    return signal
                is_late = wait.deadline is not None and self.load_clock() >= wait.deadline
                if is_late or self._reader.is_over_for(begun.attempt.id):
                    return None
                if time.monotonic() >= park_at and may_park():
                    raise Parked(wait)

    def end(
        self,
        begun: BeginWait,
        output: str,
        consumed: tuple[WorkflowSignalId, ...],
        *,
        won: CompleteAttempt | None = None,
        superseded: tuple[str, ...] = (),
    ) -> None:
        """Commit how the wait ended; see `EndWait`."""
        end = EndWait(attempt=begun.attempt, output=output, consumed=consumed, won=won, superseded=superseded)
        self.claimed_writer().commit(end).result()

    def fail(self, begun: BeginWait, error: ErrorInfo) -> None:
        """Commit that what was waited for will not come."""
        self.claimed_writer().commit(FailAttempt(attempt=begun.attempt, error=error)).result()

    def dismiss(self, begun: BeginWait) -> None:
        """Let whoever takes for this wait return, and others take what it took."""
        self._reader.dismiss(begun.attempt.id)

    def claimed_writer(self) -> CheckpointWriter:
        """What commits; raises `IncompleteStageError` for a completed execution, which waits for nothing."""
        if self._writer is None:
            known = self._load_known()
            raise IncompleteStageError(self._claim.execution.id, WAIT, len(known), len(known) + 1)
        return self._writer

    def load_clock(self) -> datetime:
        """The time on the database's clock."""
        with self._database.transaction() as tables:
            return tables.executions.load_clock()

    def _load_known(self) -> dict[str, ActivityRow]:
        if self._known is None:
            with self._database.transaction() as tables:
                self._known = tables.activities.load_latest(self._claim.execution.id, WAIT)
        return self._known

    def _attempt(self, writer: CheckpointWriter, wait: Wait, row: ActivityRow | None) -> NewAttempt:
        stored = wait.model_dump(mode="json", exclude={"activity_name"})
        is_pending = row is not None and row.status is ActivityStatus.PENDING
        number = 1 if row is None else row.attempt_number if is_pending else row.attempt_number + 1
        return NewAttempt(
            id=row.id if row is not None and is_pending else WorkflowActivityId.new(),
            workflow_execution_id=self._claim.execution.id,
            organization_id=self._claim.execution.organization_id,
            activity_name=wait.activity_name,
            activity_type=WAIT,
            attempt_number=number,
            input=stored,
            input_digest=canonical_digest(stored),
            code_version="wait-1",
            epoch=writer.epoch,
        )
