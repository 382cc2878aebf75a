"""The durable activity runner: runs the activities of one type side by side, each at most once to completion."""

import asyncio
import inspect
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from beep_orchestration.changes import (
    BeginStage,
    Change,
    CompleteAttempt,
    ConfirmClaim,
    EndExecution,
    FailAttempt,
    StartAttempt,
)
from beep_orchestration.claims import Claim
from beep_orchestration.commits import CheckpointWriter
from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import (
    ActivityFailedError,
    BeepError,
    BudgetUsedUpError,
    ExecutionPausedError,
    IncompleteStageError,
    InvalidInputError,
    PermanentActivityError,
    RetryLaterError,
)
from beep_orchestration.extraction import activity_order
from beep_orchestration.heartbeats import beating
from beep_orchestration.ids import WorkflowActivityId
from beep_orchestration.interrupts import run_until_asked_to_end
from beep_orchestration.models import RESUME_SIGNAL, ActivityStatus, ErrorInfo, Json, RetryPolicy, Wait
from beep_orchestration.parking import Parked
from beep_orchestration.persistence import ActivityRow, Database
from beep_orchestration.persistence.activities import NewAttempt, as_stored
from beep_orchestration.projections import error_info
from beep_orchestration.signals import SignalReader, receiving
from beep_orchestration.threads import DaemonThreads
from beep_orchestration.tracing import continued_span
from beep_orchestration.waits import Waits
from beep_orchestration.workflow_types import get_workflow_type

Output = TypeVar("Output")

_LONGEST_RETRY_AFTER_SECONDS = 3_600.0
_COMPENSATED = ErrorInfo(type="Compensated", message="the execution failed after it, and what it did was undone")

COMPENSATION = "compensation"
"""The activity type of compensations."""

_NEVER_RETRIED = (PermanentActivityError, InvalidInputError)


@dataclass(frozen=True, kw_only=True)
class Activity(Generic[Output]):
    """A unit of work whose output is recorded once per execution.

    `call` may be a coroutine function or a function that blocks; the latter runs in a thread. It may be called again
    after a crash or a failure, never after its output was committed. `input` is what is stored and, by its digest,
    decides with `code_version` whether a stored output may be used.

    An attempt that takes longer than `timeout` seconds in all, or is silent for `heartbeat_timeout` seconds, has
    failed: a coroutine is cancelled, a thread given up and interrupted when it next runs Python code.

    When its attempts are used up the activity has failed, or with `on_failure="pause"` the execution is paused and a
    resume tries again. `compensate` undoes what it did, given its output, if the execution fails after it: see
    `ActivityRunner.fail`.
    """

    name: str
    input: BaseModel
    call: Callable[[], Output] | Callable[[], Awaitable[Output]]
    output_type: Any
    code_version: str
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float | None = None
    heartbeat_timeout: float | None = None
    on_failure: Literal["fail", "pause"] = "fail"
    compensate: Callable[[Output], Any] | None = None

    def input_json(self) -> Json:
        """The input as it is stored."""
        return self.input.model_dump(mode="json")

    def input_digest(self) -> str:
        """SHA-256 of the stored input's canonical JSON."""
        return canonical_digest(self.input_json())


class _Undone(BaseModel):
    """The input of a compensation: which attempt it undoes."""

    activity_name: str
    attempt_number: int


@dataclass
class _Counted:
    """What the activities yielded that this run's stage has named, and completed ones that it has not named yet."""

    outputs: dict[str, Any] = field(default_factory=dict)
    unnamed: dict[str, ActivityRow] = field(default_factory=dict)
    total: int = 0
    is_ended: bool = False


class ActivityRunner:
    """Runs activities for one claimed execution.

    A completed activity is never run again: its recorded output is used, whichever run recorded it. An activity under
    way when its process dies is run again as a new attempt. When one fails for good, those under way are awaited and
    recorded, none is begun, and `ActivityFailedError` is raised. After a cancellation or a lost claim nothing is
    recorded any more and those under way are abandoned; `ExecutionCancelledError` or `ClaimLostError` is raised.

    A process that was stopped or cut off past its lease looks at its claim before it makes the next call, so a call
    beside a successor's is left to one stopped in the very moment between that look and the call; it records nothing.
    """

    def __init__(self, database: Database, claim: Claim, *, lease_seconds: float) -> None:
        self._database = database
        self._claim = claim
        is_replay = claim.epoch is None
        self._writer = None if is_replay else CheckpointWriter(database, claim, lease_seconds=lease_seconds)
        self._signals = SignalReader(database, claim.execution.id)
        self._counted: dict[str, _Counted] = {}
        self._is_ended = False
        self._compensations: dict[str, tuple[Activity[Any], Any]] = {}

    @property
    def stopped(self) -> BeepError | None:
        """Why nothing more can be committed, None while all is well."""
        return None if self._writer is None else self._writer.stopped

    def stop_listener(self, listener: Callable[[], object]) -> AbstractContextManager[None]:
        """See `CheckpointWriter.stop_listener`."""
        return nullcontext() if self._writer is None else self._writer.stop_listener(listener)

    def waits(self, *, park_after_seconds: float) -> Waits:
        """The execution's waits, under the same claim."""
        return Waits(self._database, self._claim, self._writer, self._signals, park_after_seconds=park_after_seconds)

    def run(self, activity_type: str, activities: Sequence[Activity[Output]], *, concurrency: int) -> list[Output]:
        """Run, or recall, the activities of one type; their outputs in the order of the activities.

        A stage may call this several times. What failed for good is not tried again before the execution is resumed:
        `ActivityFailedError` is raised as it was the first time, so that a stage which catches it goes on as it did.
        """
        return self._run(activity_type, activities, concurrency=concurrency)

    def run_last(self, activity_type: str, activity: Activity[Output]) -> Output:
        """Run, or recall, the activity whose output is the execution's; nothing may follow.

        Unless it was recorded before, its completion and the execution's are one transaction.
        """
        [output] = self._run(activity_type, [activity], concurrency=1, is_last=True)
        if not self._is_ended:
            self.end_stage(activity_type)
            self.complete(as_json(output))
        return output

    def _run(
        self, activity_type: str, activities: Sequence[Activity[Output]], *, concurrency: int, is_last: bool = False
    ) -> list[Output]:
        latest = self._load_latest(activity_type)
        for activity in activities:
            self._raise_failure(activity, latest.get(activity.name))
        recorded = {a.name: latest[a.name].output for a in activities if self._is_reusable(a, latest.get(a.name))}
        adapters = _Adapters()
        outputs = {a.name: recalled(adapters.of(a), recorded[a.name]) for a in activities if a.name in recorded}
        missing = [activity for activity in activities if activity.name not in recorded]
        if self._writer is not None:
            begin = self._count(activity_type, [activity.name for activity in activities], latest)
            redone = sum(1 for a in missing if a.name in latest and latest[a.name].status is ActivityStatus.COMPLETED)
            stage = self._stage(self._writer, activity_type, latest, concurrency, adapters)
            stage.is_last = is_last and not self._counted[activity_type].unnamed
            try:
                run_until_asked_to_end(stage.run(replace(begin, done=begin.done - redone), missing))
            finally:
                outputs |= stage.outputs
                self._counted[activity_type].outputs |= outputs
                self._may_have_to_undo([(a, outputs[a.name]) for a in activities if a.name in outputs])
            if stage.is_last and missing:
                self._is_ended = self._counted[activity_type].is_ended = True
        elif missing:
            raise IncompleteStageError(self._claim.execution.id, activity_type, len(recorded), len(activities))
        return [cast(Output, outputs[activity.name]) for activity in activities]

    def enter_race(self, activity_type: str) -> dict[str, ActivityRow]:
        """Count a stage's activities before some of them race; the newest attempt of each."""
        latest = self._load_latest(activity_type)
        if self._writer is not None:
            self._writer.commit(self._count(activity_type, (), latest)).result()
        return latest

    async def contend(
        self, activity_type: str, activity: Activity[Output], latest: Mapping[str, ActivityRow]
    ) -> tuple[CompleteAttempt | None, Output]:
        """Try an activity as `run` does; what it yields is for the race to commit; None if it is recorded."""
        row = latest.get(activity.name)
        self._raise_failure(activity, row)
        if self._writer is None or (row is not None and self._is_reusable(activity, row)):
            return None, self._recalled(activity, row)
        return await self._stage(self._writer, activity_type, latest, 1, _Adapters()).contend(activity)

    def count_winner(self, activity_type: str, activity: Activity[Output], output: Output) -> None:
        """The activity has won its race: it is one of its stage's."""
        self._may_have_to_undo([(activity, output)])
        counted = self._counted[activity_type]
        if counted.unnamed.pop(activity.name, None) is None:
            counted.total += 1
        counted.outputs[activity.name] = output

    def recall(self, activity_type: str, activity: Activity[Output]) -> Output:
        """The output of an activity that won a race, whatever its code is now."""
        latest = self._load_latest(activity_type)
        self._count(activity_type, [activity.name], latest)
        output = self._recalled(activity, latest.get(activity.name))
        self._counted[activity_type].outputs[activity.name] = output
        self._may_have_to_undo([(activity, output)])
        return output

    def end_stage(self, activity_type: str) -> None:
        """Retire what other code recorded for a stage whose present code did not name it."""
        counted = self._counted.get(activity_type)
        if counted is None or self._writer is None or self._is_ended:
            return
        total = len(counted.outputs)
        if counted.unnamed or counted.total != total:
            retired = tuple(_retired(row) for row in counted.unnamed.values())
            self._writer.commit(
                BeginStage(activity_type=activity_type, total=total, done=total, retired=retired)
            ).result()
        counted.is_ended = True

    def find_outputs(self, activity_type: str) -> list[Any] | None:
        """What the activities of a stage yielded, in their order, if it ended in this process; else the tables know."""
        counted = self._counted.get(activity_type)
        if counted is None or not counted.is_ended:
            return None
        return [counted.outputs[name] for name in sorted(counted.outputs, key=activity_order)]

    def _count(self, activity_type: str, names: Iterable[str], latest: Mapping[str, ActivityRow]) -> BeginStage:
        """Completed activities that the stage has not named yet count too: it may name them later."""
        counted = self._counted.setdefault(activity_type, _Counted())
        named = counted.outputs.keys() | names
        completed = {name for name, row in latest.items() if row.status is ActivityStatus.COMPLETED}
        counted.unnamed = {name: latest[name] for name in completed - named}
        counted.total = len(named | completed)
        return BeginStage(activity_type=activity_type, total=counted.total, done=len(completed))

    def _stage(
        self,
        writer: CheckpointWriter,
        activity_type: str,
        latest: Mapping[str, ActivityRow],
        concurrency: int,
        adapters: "_Adapters",
    ) -> "_Stage":
        return _Stage(self._database, writer, self._signals, self._claim, activity_type, latest, concurrency, adapters)

    def _load_latest(self, activity_type: str) -> dict[str, ActivityRow]:
        if activity_type not in self._claim.execution.checkpoint.stages.keys() | self._counted.keys():
            return {}  # a type is counted in the transaction of its first attempt, if not before
        with self._database.transaction() as tables:
            return tables.activities.load_latest(self._claim.execution.id, activity_type)

    def _recalled(self, activity: Activity[Output], row: ActivityRow | None) -> Output:
        if row is None or row.status is not ActivityStatus.COMPLETED:
            raise IncompleteStageError(self._claim.execution.id, activity.name, 0, 1)
        return cast(Output, recalled(TypeAdapter(activity.output_type), row.output))

    def _raise_failure(self, activity: Activity[Any], row: ActivityRow | None) -> None:
        """Raise `ActivityFailedError` if this very activity has failed for good since the execution was resumed."""
        if activity.on_failure == "pause" or row is None or row.error is None or row.error.activity_name is None:
            return  # a retry would follow it, or it was interrupted: errors of activities name them
        if row.error.type == BudgetUsedUpError.__name__:
            return  # it made no call, and may have been granted another budget since
        resumed_at = self._claim.execution.resumed_at
        if resumed_at is not None and row.completed_at is not None and row.completed_at <= resumed_at:
            return
        if self._is_same(activity, row):
            raise ActivityFailedError(activity.name, row.attempt_number, row.error.type, row.error.message)

    def _is_same(self, activity: Activity[Any], row: ActivityRow) -> bool:
        """Whether a row tells of this input and code; that of a completed execution does of any."""
        is_same = row.input_digest == activity.input_digest() and row.code_version == activity.code_version
        return is_same or self._writer is None

    def _is_reusable(self, activity: Activity[Any], row: ActivityRow | None) -> bool:
        """Whether the recorded output counts; that of a completed execution does under any code."""
        return row is not None and row.status is ActivityStatus.COMPLETED and self._is_same(activity, row)

    def complete(self, output: Json) -> None:
        """Commit the execution's output; nothing happens if it was completed before."""
        if self._writer is not None:
            self._writer.commit(EndExecution(output=output)).result()
            self._is_ended = True

    def fail(self, error: ErrorInfo) -> None:
        """Undo what is to be undone, then commit the execution's failure with this error.

        The compensations of completed activities that this run has run or recalled are called in the reverse order of
        their completion. Each is an activity of type `compensation`, so it is recorded once, and another run goes on
        where this one dies. One that fails for good stops neither the others nor the failure. What was undone is no
        checkpoint any more: a resume does it again. Nothing happens if this run has lost its claim or the execution has
        ended.
        """
        if self._writer is None or self._writer.stopped is not None:
            return
        undone = self._undo()
        changes = [*self._retiring(undone), EndExecution(error=error)]
        for future in self._writer.commit_together(*changes):
            future.result()

    def _may_have_to_undo(self, done: Iterable[tuple[Activity[Any], Any]]) -> None:
        self._compensations |= {activity.name: (activity, output) for activity, output in done if activity.compensate}

    def _undo(self) -> list[ActivityRow]:
        """Run the compensations; the rows of the activities that were undone."""
        if not self._compensations:
            return []
        undone = []
        for row in self._load_completed():
            if row.activity_name not in self._compensations:
                continue
            compensation = _compensation(*self._compensations[row.activity_name], row)
            with suppress(ActivityFailedError):  # it is a row, and the execution's own error is the one to keep
                self.run(COMPENSATION, [compensation], concurrency=1)
                undone.append(row)
        return undone

    def _retiring(self, undone: Sequence[ActivityRow]) -> list[Change]:
        completed = Counter(row.activity_type for row in self._load_completed()) if undone else Counter[str]()
        by_type: dict[str, list[ActivityRow]] = {}
        for row in undone:
            by_type.setdefault(row.activity_type, []).append(row)
        return [
            BeginStage(
                activity_type=kind,
                total=completed[kind],
                done=completed[kind] - len(rows),
                retired=tuple((row.id, _COMPENSATED) for row in rows),
            )
            for kind, rows in by_type.items()
        ]

    def _load_completed(self) -> list[ActivityRow]:
        """The completed activities, the last one first."""
        with self._database.transaction() as tables:
            rows = tables.activities.list_attempts(self._claim.execution.id)
        ended = [(row.completed_at, row) for row in rows if row.status is ActivityStatus.COMPLETED and row.completed_at]
        return [row for _, row in sorted(ended, key=lambda each: each[0], reverse=True)]

    def close(self) -> None:
        """Commit what waits and stop; the claim ends with its lease, or with the run."""
        self._signals.interrupt()
        if self._writer is not None:
            self._writer.close()


@dataclass(frozen=True)
class _Next:
    """An activity whose turn it is, and the start of its attempt, which may have to wait for its retry time."""

    activity: Activity[Any]
    start: StartAttempt
    wait_seconds: float


@dataclass
class _Stage:
    """The activities of one type under way in one event loop.

    The commit that completes an activity starts the next one too, so that each costs one commit.
    """

    database: Database
    writer: CheckpointWriter
    signals: SignalReader
    claim: Claim
    activity_type: str
    latest: Mapping[str, ActivityRow]
    concurrency: int
    adapters: "_Adapters"
    outputs: dict[str, Any] = field(default_factory=dict)
    failure: BaseException | None = None
    is_paused: bool = False
    is_last: bool = False
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, begin: BeginStage, activities: Sequence[Activity[Any]]) -> dict[str, Any]:
        waiting = map(self._next, activities)
        first = list(islice(waiting, self.concurrency))
        try:
            await self._commit(begin, *(each.start for each in first if not each.wait_seconds))
        except ExecutionPausedError:
            raise Parked(await asyncio.to_thread(self._pause)) from None
        self.threads = DaemonThreads(self.concurrency)
        workers = [asyncio.create_task(self._work(each, waiting)) for each in first]
        loop = asyncio.get_running_loop()
        try:
            with self.writer.stop_listener(lambda: loop.call_soon_threadsafe(_cancel_all, workers)):
                await asyncio.gather(*workers, return_exceptions=True)
        finally:
            self.threads.close()
        if self.writer.stopped is not None:
            raise self.writer.stopped
        if self.failure is not None:
            raise self.failure
        if self.is_paused:
            raise Parked(await asyncio.to_thread(self._pause))
        return self.outputs

    async def contend(self, activity: Activity[Output]) -> tuple[CompleteAttempt, Output]:
        """Run an activity whose output is not to be committed unless it is the first."""
        one = self._next(activity)
        self.threads = DaemonThreads(1)
        try:
            if not one.wait_seconds:
                await self._commit(one.start)
            return await self._yielded(one)
        finally:
            self.threads.close()

    def _pause(self) -> Wait:
        with self.database.transaction() as tables:
            since = tables.executions.load_clock()
        return Wait(activity_name=self.activity_type, signals=(RESUME_SIGNAL,), since=since)

    async def _work(self, first: _Next, waiting: Iterator[_Next]) -> None:
        following: _Next | None = first
        try:
            while following is not None:
                following = await self._run(following, waiting)
        except ExecutionPausedError:
            self.is_paused = True
            self.ending.set()
        except Exception as error:  # noqa: BLE001 - kept, and raised when the others under way have ended
            self._fail(error)

    def _fail(self, failure: BaseException) -> None:
        """Let no activity begin and no retry wait any more; the first failure is the stage's."""
        self.failure = self.failure or failure
        self.ending.set()

    async def _run(self, one: _Next, waiting: Iterator[_Next]) -> _Next | None:
        """Run an activity to its completion; the next one, whose attempt has begun by then unless it has to wait."""
        complete, output = await self._yielded(one)
        return await self._complete(one.activity, complete, output, waiting)

    async def _yielded(self, one: _Next) -> tuple[CompleteAttempt, Any]:
        """Try an activity until it yields its output, or has used up its attempts."""
        activity, start = one.activity, one.start
        last_attempt = start.attempt.attempt_number + activity.retry.maximum_attempts - 1
        if one.wait_seconds:
            await self._sleep_unless_ending(one.wait_seconds)
            await self._commit(start)
        while True:
            attempt = start.attempt
            if self.writer.lease_is_over:  # stopped, or cut off, since the attempt was committed: another may be at it
                await self._commit(ConfirmClaim())
            try:
                result = await self._execute(activity, attempt)
                text, output = storable_output(activity, result, self.adapters.of(activity))
            except asyncio.CancelledError:
                self.signals.dismiss(attempt.id)
                raise
            except Exception as error:  # noqa: BLE001 - whatever an activity raises is its failure
                self.signals.forget(attempt.id)
                retry = await self._record_failure(activity, attempt, error, last_attempt)
                start = StartAttempt(attempt=retry, is_pending=True)
                await self._commit(start)
            else:
                used = self.signals.taken_by(attempt.id)
                return CompleteAttempt(attempt=attempt, output=text, consumed=used), output

    async def _complete(
        self, activity: Activity[Any], complete: CompleteAttempt, output: Any, waiting: Iterator[_Next]
    ) -> _Next | None:
        following = next(waiting, None) if self.failure is None and not self.is_paused else None
        is_due = following is not None and not following.wait_seconds
        change = EndExecution(output=as_json(output), last=complete) if self.is_last else complete
        completed, *begun = self.writer.commit_together(change, *([following.start] if following and is_due else []))
        await asyncio.wrap_future(completed)
        self.signals.forget(complete.attempt.id)
        self.outputs[activity.name] = output
        await _all_of(begun)
        return following

    def _next(self, activity: Activity[Any]) -> _Next:
        return _Next(activity, *self._first_start(activity))

    def _first_start(self, activity: Activity[Any]) -> tuple[StartAttempt, float]:
        """The next attempt as the rows of earlier runs have it, and how many seconds it has yet to wait."""
        row = self.latest.get(activity.name)
        if row is None:
            return StartAttempt(attempt=self._new_attempt(activity, 1)), 0.0
        if row.status is ActivityStatus.PENDING:
            attempt = self._new_attempt(activity, row.attempt_number, attempt_id=row.id)
            return StartAttempt(attempt=attempt, is_pending=True), row.wait_seconds
        attempt = self._new_attempt(activity, row.attempt_number + 1)
        if row.status is not ActivityStatus.COMPLETED:
            return StartAttempt(attempt=attempt), 0.0
        return StartAttempt(attempt=attempt, retired=_retired(row)), 0.0

    def _new_attempt(
        self, activity: Activity[Any], number: int, attempt_id: WorkflowActivityId | None = None
    ) -> NewAttempt:
        return NewAttempt(
            id=attempt_id or WorkflowActivityId.new(),
            workflow_execution_id=self.claim.execution.id,
            organization_id=self.claim.execution.organization_id,
            activity_name=activity.name,
            activity_type=self.activity_type,
            attempt_number=number,
            input=activity.input_json(),
            input_digest=activity.input_digest(),
            code_version=activity.code_version,
            epoch=self.writer.epoch,
        )

    async def _execute(self, activity: Activity[Any], attempt: NewAttempt) -> Any:
        kind = get_workflow_type(self.claim.execution.workflow_type)
        silence = activity.heartbeat_timeout
        async with asyncio.timeout(activity.timeout) as whole, asyncio.timeout(silence) as pulse:
            try:
                with self._span(attempt), beating(pulse, silence), receiving(self.signals, kind, attempt.id):
                    return await self._call(activity)
            except asyncio.CancelledError as error:
                if whole.expired():
                    raise TimeoutError(f"no result within {activity.timeout:g} s") from None
                if pulse.expired():
                    raise TimeoutError(f"no heartbeat within {silence:g} s") from None
                if _is_cancelled():
                    raise
                raise RuntimeError(f"{activity.name} was cancelled from within") from error

    def _span(self, attempt: NewAttempt) -> AbstractContextManager[None]:
        execution = self.claim.execution
        attributes = {"beep.execution_id": execution.id, "beep.activity_name": attempt.activity_name}
        return continued_span(f"activity.{attempt.activity_type}", execution.trace_parent, attributes)

    async def _call(self, activity: Activity[Any]) -> Any:
        if inspect.iscoroutinefunction(activity.call):
            try:
                return await activity.call()
            except SystemExit as error:
                raise RuntimeError(f"the activity called sys.exit({error.code!r})") from error
        future = self.threads.submit(cast("Callable[[], Any]", activity.call))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self.threads.abandon(future)
            raise

    async def _record_failure(
        self, activity: Activity[Any], attempt: NewAttempt, error: Exception, last_attempt: int
    ) -> NewAttempt:
        """Close the attempt and wait for the time of the next one, or raise if there is none."""
        info = error_info(error, activity_name=activity.name, attempt=attempt.attempt_number)
        is_last = attempt.attempt_number >= last_attempt or self.failure is not None
        if isinstance(error, _NEVER_RETRIED) or is_last:
            if activity.on_failure == "pause":
                await self._commit(FailAttempt(attempt=attempt, error=info, pauses=True))
                raise ExecutionPausedError(self.claim.execution.id) from error
            failure = ActivityFailedError(activity.name, attempt.attempt_number, info.type, info.message)
            self._fail(failure)  # before the commit: whoever completes meanwhile begins nothing more
            await self._commit(FailAttempt(attempt=attempt, error=info))
            raise failure from error
        retry = self._new_attempt(activity, attempt.attempt_number + 1)
        made = activity.retry.maximum_attempts - (last_attempt - attempt.attempt_number)
        wait_seconds = retry_delay(activity.retry, made, error)
        await self._commit(FailAttempt(attempt=attempt, error=info, retry=retry, wait_seconds=wait_seconds))
        await self._sleep_unless_ending(wait_seconds)
        return retry

    async def _sleep_unless_ending(self, seconds: float) -> None:
        """Wait for the retry time; another's failure, or a pause, ends the wait and with it this activity."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)
        if self.failure is not None:
            raise self.failure
        if self.is_paused:
            raise ExecutionPausedError(self.claim.execution.id)

    async def _commit(self, *changes: Change) -> None:
        await _all_of(self.writer.commit_together(*changes))


class _Adapters:
    """What reads and writes outputs, made once for each type of output: making one costs more than using it."""

    def __init__(self) -> None:
        self._by_identity: dict[int, TypeAdapter[Any]] = {}  # types that are equal may read differently: unions

    def of(self, activity: Activity[Any]) -> TypeAdapter[Any]:
        """The adapter of an activity's output type."""
        key = id(activity.output_type)  # of an object that lives on in its activity
        if key not in self._by_identity:
            self._by_identity[key] = TypeAdapter(activity.output_type)
        return self._by_identity[key]


def _compensation(activity: Activity[Any], output: Any, row: ActivityRow) -> Activity[None]:
    async def undo_async() -> None:
        await cast("Callable[[Any], Awaitable[Any]]", activity.compensate)(output)

    def undo() -> None:
        cast("Callable[[Any], Any]", activity.compensate)(output)

    return Activity(
        name=f"{COMPENSATION}-{row.activity_name}-{row.attempt_number}",
        input=_Undone(activity_name=row.activity_name, attempt_number=row.attempt_number),
        call=undo_async if inspect.iscoroutinefunction(activity.compensate) else undo,
        output_type=None,
        code_version="compensation-1",
        retry=activity.retry,
        timeout=activity.timeout,
        heartbeat_timeout=activity.heartbeat_timeout,
    )


def as_json(output: Any) -> Json:
    """An execution's output, a model or a JSON object, as it is stored."""
    return output.model_dump(mode="json") if isinstance(output, BaseModel) else cast(Json, output)


def retry_delay(policy: RetryPolicy, attempts_made: int, error: BaseException) -> float:
    """Seconds before the next attempt: see `RetryPolicy`; at least what a `RetryLaterError` asks for, up to an hour."""
    longest: float = min(policy.first_delay * 2 ** (attempts_made - 1), policy.maximum_delay)
    delay = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
    if not isinstance(error, RetryLaterError):
        return delay
    return max(delay, min(error.seconds, _LONGEST_RETRY_AFTER_SECONDS))


def storable_output(activity: Activity[Output], output: Output, adapter: TypeAdapter[Any]) -> tuple[str, Output]:
    """The output as JSON text that jsonb can hold, and as every later run will recall it from there.

    Raises `PermanentActivityError` if it cannot be stored, or not be read back.
    """
    try:
        text = adapter.dump_json(output, warnings="error").decode()
        as_later = cast(Output, recalled(adapter, as_stored(text)))
    except (ValueError, TypeError) as error:
        raise PermanentActivityError(f"the output of {activity.name} cannot be stored: {error}") from error
    if "\\u0000" in text.replace("\\\\", ""):
        raise PermanentActivityError(f"the output of {activity.name} holds NUL, which PostgreSQL cannot store")
    return text, as_later


def recalled(adapter: TypeAdapter[Any], stored: Any) -> Any:
    """A stored output as its type has it: read as JSON, of which unions and strict models make other values."""
    return adapter.validate_json(to_json(stored))


def _retired(row: ActivityRow) -> tuple[WorkflowActivityId, ErrorInfo]:
    message = f"recorded by code {row.code_version} from another input or by other code than is running now"
    return row.id, ErrorInfo(type="CheckpointRetired", message=message)


async def _all_of(futures: Sequence["Future[None]"]) -> None:
    for future in futures:
        await asyncio.wrap_future(future)


def _is_cancelled() -> bool:
    """Whether it is the present task that was cancelled, not something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cancel_all(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
