"""Waiting between activities: for a signal, for a time, for whichever comes first; recorded once, like an activity.

A wait is a row of its own, of activity type `wait`. Its deadline is on the database's clock and is decided when the
wait begins, so it holds over crashes, parking and restarts. How it ended is its recorded output, which later runs
recall.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from beep_orchestration.changes import BeginWait, EndWait
from beep_orchestration.claims import Claim
from beep_orchestration.commits import CheckpointWriter
from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import IncompleteStageError
from beep_orchestration.ids import WorkflowActivityId
from beep_orchestration.models import ActivityStatus, Wait
from beep_orchestration.parking import Parked
from beep_orchestration.persistence import ActivityRow, Database, SignalRow
from beep_orchestration.persistence.activities import NewAttempt
from beep_orchestration.signals import SignalReader

WAIT = "wait"
"""The activity type of waits."""


class ReceivedSignal(BaseModel):
    """A signal that ended a wait. `payload` is the workflow type's model of it; as it is stored, that model's JSON."""

    name: str
    payload: Any
    sequence: int
    sent_at: datetime


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
        self._park_after_seconds = park_after_seconds
        self._known: dict[str, ActivityRow] | None = None

    def wait(
        self, name: str, signals: Sequence[str] = (), *, seconds: float | None = None, until: datetime | None = None
    ) -> ReceivedSignal | None:
        """The first signal of these names that no checkpoint has used; None when the deadline comes before it.

        A signal that was sent before the deadline wins, whenever it is looked for; a later one is kept for whoever asks
        next. Called again with the same `name`, in this run or a later one, it answers the same.

        Raises `Parked` after a short while without either; `ExecutionCancelledError`, `ClaimLostError`.
        """
        known = self._load_known()
        row = known.get(name)
        if row is not None and row.status is ActivityStatus.COMPLETED:
            return None if row.output is None else ReceivedSignal.model_validate(row.output)
        if self._writer is None:
            raise IncompleteStageError(self._claim.execution.id, WAIT, len(known), len(known) + 1)
        now = self._load_clock()
        deadline = until if seconds is None else now + timedelta(seconds=seconds)
        wait = Wait(activity_name=name, signals=tuple(signals), since=now, deadline=deadline)
        if row is not None:  # an earlier run began to wait, and decided until when
            begun = Wait.model_validate({**row.input, "activity_name": name})
            wait = begun.model_copy(update={"signals": wait.signals})
        attempt = self._attempt(self._writer, wait, row)
        is_new = row is None or row.status is not ActivityStatus.PENDING
        return self._wait(self._writer, BeginWait(attempt=attempt, wait=wait, is_new=is_new), now)

    def _wait(self, writer: CheckpointWriter, begin: BeginWait, now: datetime) -> ReceivedSignal | None:
        writer.commit(begin).result()
        try:
            signal = self._take(writer, begin.wait, begin.attempt.id, now)
            received = None if signal is None else _received(signal)
            output = "null" if received is None else received.model_dump_json()
            consumed = () if signal is None else (signal.id,)
            writer.commit(EndWait(attempt=begin.attempt, output=output, consumed=consumed)).result()
            return received
        finally:
            self._reader.forget(begin.attempt.id)

    def _take(self, writer: CheckpointWriter, wait: Wait, taker: WorkflowActivityId, now: datetime) -> SignalRow | None:
        """The signal, or None at the deadline; raises `Parked` if neither comes soon."""
        park_at = time.monotonic() + self._park_after_seconds
        with writer.stop_listener(self._reader.interrupt):
            while True:
                patience = max(park_at - time.monotonic(), 0.0)
                left = patience if wait.deadline is None else max((wait.deadline - now).total_seconds(), 0.0)
                signal = self._reader.take(wait.signals, taker, timeout=min(patience, left))
                if writer.stopped is not None:
                    raise writer.stopped
                if signal is not None and (wait.deadline is None or signal.created_at <= wait.deadline):
                    return signal
                now = self._load_clock()
                if wait.deadline is not None and now >= wait.deadline:
                    return None
                if time.monotonic() >= park_at:
                    raise Parked(wait)

    def _load_clock(self) -> datetime:
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


def _received(signal: SignalRow) -> ReceivedSignal:
    return ReceivedSignal(
        name=signal.signal_name, payload=signal.payload, sequence=signal.sequence, sent_at=signal.created_at
    )
