"""The first of several branches: activities, a signal, a time. The winner is recorded once, and later runs recall it.

A race is a wait that activities may end too: one row of activity type `wait`, whose output names the winner. The
transaction that records it consumes the signal that won, or completes the activity that won, and closes the attempts
of the others, so that no reader finds a race with two winners.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from beep_orchestration.activities import Activity, ActivityRunner
from beep_orchestration.changes import BeginWait, CompleteAttempt
from beep_orchestration.errors import ActivityFailedError, ExecutionPausedError
from beep_orchestration.ids import WorkflowSignalId
from beep_orchestration.interrupts import run_until_asked_to_end
from beep_orchestration.models import RESUME_SIGNAL
from beep_orchestration.parking import Parked
from beep_orchestration.persistence import ActivityRow
from beep_orchestration.persistence.rows import ReceivedSignal
from beep_orchestration.waits import Waits


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """A branch that ends with the first signal of these names, or with nothing after `seconds`, or at `until`."""

    signals: tuple[str, ...] = ()
    seconds: float | None = None
    until: datetime | None = None

    def deadline(self, since: datetime) -> datetime | None:
        """When it ends without a signal, if the race began at `since`."""
        return self.until if self.seconds is None else since + timedelta(seconds=self.seconds)


Branch = Activity[Any] | Awaited


@dataclass(frozen=True)
class Winner:
    """Which branch was first, and what came of it: an activity's output, a `ReceivedSignal`, or None at a deadline."""

    branch: str
    value: Any


class _Record(BaseModel):
    """A winner as it is stored; an activity's output stands in the activity's own row."""

    branch: str
    signal: ReceivedSignal | None = None


@dataclass(frozen=True, kw_only=True)
class _Success:
    """What a branch came to, and what is committed with it if it is the first."""

    record: _Record
    value: Any
    won: CompleteAttempt | None = None
    consumed: tuple[WorkflowSignalId, ...] = ()


class Races:
    """The races of one stage, in the process of the run that claimed its execution."""

    def __init__(self, waits: Waits, runner: ActivityRunner, activity_type: str) -> None:
        self._waits = waits
        self._runner = runner
        self._activity_type = activity_type
        self._contending = 0

    def run(self, name: str, branches: Mapping[str, Branch]) -> Winner:
        """Which branch is first; called again with the same `name`, in this run or a later one, it answers the same.

        The others are interrupted: a coroutine is cancelled, a thread given up; a signal that they wait for is kept. A
        branch that fails is out of the race, and its error is raised if none is left. Signals and deadlines count from
        their own time, whenever they are looked at. When only they are left this raises `Parked` after a short while.
        Raises `ActivityFailedError`, `ExecutionCancelledError`, `ClaimLostError`.
        """
        activities = {branch: each for branch, each in branches.items() if isinstance(each, Activity)}
        recorded = self._waits.recorded(name)
        if recorded is not None:
            return self._recall(recorded, activities)
        awaited = {branch: each for branch, each in branches.items() if isinstance(each, Awaited)}
        names = dict.fromkeys(signal for each in awaited.values() for signal in each.signals)
        now = self._waits.load_clock()
        deadlines = [deadline for each in awaited.values() if (deadline := each.deadline(now)) is not None]
        begun = self._waits.begin(name, tuple(names), until=min(deadlines, default=None))
        first = run_until_asked_to_end(self._first(begun, activities, awaited))
        branch = first.record.branch
        others = tuple(each.name for other, each in activities.items() if other != branch)
        self._waits.end(begun, first.record.model_dump_json(), first.consumed, won=first.won, superseded=others)
        if branch in activities:
            self._runner.count_winner(self._activity_type, activities[branch], first.value)
        return Winner(branch, first.value)

    def _recall(self, row: ActivityRow, activities: Mapping[str, Activity[Any]]) -> Winner:
        record = _Record.model_validate(row.output)
        activity = activities.get(record.branch)
        value = record.signal if activity is None else self._runner.recall(self._activity_type, activity)
        return Winner(record.branch, value)

    async def _first(
        self, begun: BeginWait, activities: Mapping[str, Activity[Any]], awaited: Mapping[str, Awaited]
    ) -> _Success:
        latest = await asyncio.to_thread(self._runner.enter_race, self._activity_type)
        self._contending = len(activities)
        tasks = [
            asyncio.create_task(self._contend(branch, activity, latest)) for branch, activity in activities.items()
        ]
        if awaited:
            tasks.append(asyncio.create_task(self._await(begun, awaited)))
        loop = asyncio.get_running_loop()
        failures: list[ActivityFailedError] = []
        with self._runner.stop_listener(lambda: loop.call_soon_threadsafe(_cancel_all, tasks)):
            try:
                for task in asyncio.as_completed(tasks):
                    try:
                        return await task
                    except ActivityFailedError as failure:
                        failures.append(failure)
                    except ExecutionPausedError:
                        pass
            except asyncio.CancelledError:
                raise (self._runner.stopped or failures[0]) from None
            finally:
                self._waits.dismiss(begun)
                _cancel_all(tasks)
                await asyncio.gather(*tasks, return_exceptions=True)
        if len(failures) < len(activities):
            raise Parked(begun.wait.model_copy(update={"signals": (RESUME_SIGNAL,)}))
        raise failures[0]

    async def _contend(self, branch: str, activity: Activity[Any], latest: Mapping[str, ActivityRow]) -> _Success:
        try:
            won, output = await self._runner.contend(self._activity_type, activity, latest)
        finally:
            self._contending -= 1
        return _Success(record=_Record(branch=branch), value=output, won=won)

    async def _await(self, begun: BeginWait, awaited: Mapping[str, Awaited]) -> _Success:
        signal = await asyncio.to_thread(self._waits.take, begun, may_park=lambda: self._contending == 0)
        if signal is not None:
            branch = next(name for name, each in awaited.items() if signal.signal_name in each.signals)
            received = ReceivedSignal.of(signal)
            return _Success(record=_Record(branch=branch, signal=received), value=received, consumed=(signal.id,))
        since = begun.wait.since
        deadlines = {name: deadline for name, each in awaited.items() if (deadline := each.deadline(since)) is not None}
        return _Success(record=_Record(branch=min(deadlines, key=lambda name: deadlines[name])), value=None)


def _cancel_all(tasks: "list[asyncio.Task[_Success]]") -> None:
    for task in tasks:
        task.cancel()
