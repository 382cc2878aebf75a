"""One thread per claimed execution that commits what its activities reached.

Activities run side by side; their changes meet here and those that wait at the same moment share one transaction. An
activity goes on only when the transaction that holds its change is committed, so sharing costs no guarantee. The same
thread renews the lease while nothing else happens, and learns there that the execution was cancelled or claimed by
another run.
"""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Literal

from beep_orchestration import faults
from beep_orchestration.changes import Change, ChangeGroup, EndExecution, StartAttempt, StartChild
from beep_orchestration.claims import Claim
from beep_orchestration.endings import complete_execution, fail_execution
from beep_orchestration.errors import (
    BeepError,
    ClaimLostError,
    DatabaseUnavailableError,
    ExecutionCancelledError,
    ExecutionPausedError,
)
from beep_orchestration.ids import WorkflowSignalId
from beep_orchestration.models import PROGRESS_SIGNAL, ActivityStatus, Checkpoint, ErrorInfo, ExecutionStatus, Json
from beep_orchestration.persistence import Database, WorkflowPersistence
from beep_orchestration.persistence.signals import NewSignal

logger = logging.getLogger(__name__)

_Item = tuple[Change, Future[None]]
"""A change and who waits for it."""

_When = Literal["before", "after"]
_ATTEMPT_POINTS: dict[_When, faults.FaultPoint] = {"before": "before_attempt_commit", "after": "after_attempt_commit"}
_CHECKPOINT_POINTS: dict[_When, faults.FaultPoint] = {
    "before": "before_checkpoint_commit",
    "after": "after_checkpoint_commit",
}
_CHILD_POINTS: dict[_When, faults.FaultPoint] = {"before": "before_child_commit", "after": "after_child_commit"}
_COMPLETION_POINTS: dict[_When, faults.FaultPoint] = {
    "before": "before_completion_commit",
    "after": "after_completion_commit",
}

_PAUSABLE = (StartAttempt, StartChild)
_SUPERSEDED = ErrorInfo(type="Superseded", message="another branch of its race was first")
_MAXIMUM_GROUP = 200
_TICK_SECONDS = 1.0
_RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


class CheckpointWriter:
    """Commits changes under a claim.

    `commit` returns a future that ends when the change is durable, or with the error that stopped the writer. After a
    lost connection the transaction is sent again, unless its rows show that it had been committed. Raises through the
    futures `ExecutionCancelledError` and `ClaimLostError`; after either nothing more is committed.
    """

    def __init__(self, database: Database, claim: Claim, *, lease_seconds: float) -> None:
        if claim.epoch is None:
            raise ValueError("a completed execution has nothing to commit")
        self._database = database
        self._execution = claim.execution
        self._run_id = claim.dagster_run_id
        self._epoch = claim.epoch
        self._lease_seconds = lease_seconds
        self._leased_at = claim.leased_at
        self._checkpoint = claim.execution.checkpoint.model_copy(update={"waiting_for": (), "paused_for": None})
        self._current_activity = claim.execution.current_activity
        self._queue: queue.SimpleQueue[list[_Item] | None] = queue.SimpleQueue()
        self._stopped: BeepError | None = None
        self._is_committed_now = False
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._work, name="checkpoint-writer", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """The epoch under which this writer commits."""
        return self._epoch

    @property
    def stopped(self) -> BeepError | None:
        """Why nothing more can be committed, None while all is well."""
        return self._stopped

    @property
    def lease_is_over(self) -> bool:
        """Whether the lease has run out as far as this process knows: another run may have claimed the execution."""
        return time.monotonic() >= self._leased_at + self._lease_seconds

    @contextmanager
    def stop_listener(self, listener: Callable[[], object]) -> Iterator[None]:
        """Within the block, have a function called when nothing more can be committed, from the writer's thread."""
        with self._lock:
            self._listeners.append(listener)
            if self._stopped is not None:
                listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def commit(self, change: Change) -> Future[None]:
        """Have a change committed together with others that wait now."""
        return self.commit_together(change)[0]

    def commit_together(self, *changes: Change) -> list[Future[None]]:
        """Have changes committed in one transaction; a future for each. One that is refused takes no other with it."""
        futures: list[Future[None]] = [Future() for _ in changes]
        for future in futures:
            future.set_running_or_notify_cancel()  # who stops waiting must not take it from the thread that settles it
        with self._lock:
            if self._stopped is None:
                self._queue.put(list(zip(changes, futures, strict=True)))
            else:
                for future in futures:
                    future.set_exception(self._stopped)
        return futures

    def close(self) -> None:
        """Commit what waits and end the thread; the claim stays, for its lease."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                self._settle(batch)
            except BeepError as error:
                self._stop(error, batch)
                return

    def _settle(self, batch: list[_Item]) -> None:
        """Commit the changes and tell those who wait; one that the database refuses does not take others with it."""
        try:
            self._commit_batch(batch)
        except ExecutionPausedError as error:
            self._settle_paused(batch, error)
        except BeepError:
            raise
        except Exception as error:
            if len(batch) > 1 and not self._is_committed_now:
                for item in batch:
                    self._settle([item])
                return
            logger.exception("a change is refused")
            for _, future in batch:
                future.set_exception(error)
        else:
            for _, future in batch:
                future.set_result(None)

    def _settle_paused(self, batch: list[_Item], paused: ExecutionPausedError) -> None:
        """Commit all but the attempts and children that would start: what is under way may end."""
        self._settle([item for item in batch if not isinstance(item[0], _PAUSABLE)])
        for change, future in batch:
            if isinstance(change, _PAUSABLE):
                future.set_exception(paused)

    def _next_batch(self) -> list[_Item] | None:
        """The changes that wait now; an empty list when it is time to look at the claim; None at the end."""
        batch: list[_Item] = []
        try:
            items = self._queue.get(timeout=min(_TICK_SECONDS, self._lease_seconds / 3))
            while items is not None:
                batch.extend(items)
                if len(batch) >= _MAXIMUM_GROUP:
                    return batch
                items = self._queue.get_nowait()
        except queue.Empty:
            return batch
        if batch:
            self._queue.put(None)  # the end was asked for: commit these first
            return batch
        return None

    def _commit_batch(self, batch: list[_Item]) -> None:
        group = ChangeGroup.of([change for change, _ in batch])
        for attempt in itertools.count():
            try:
                self._commit_group(group, is_repeated=attempt > 0)
            except DatabaseUnavailableError as error:
                delay = _RECONNECT_SECONDS[min(attempt, len(_RECONNECT_SECONDS) - 1)]
                logger.warning("checkpoint not committed, trying again in %s s: %s", delay, error)
                if self._closing.wait(delay) and attempt > len(_RECONNECT_SECONDS):
                    raise
            else:
                return

    def _commit_group(self, group: ChangeGroup, *, is_repeated: bool) -> None:
        checkpoint, progress = group.advance(self._checkpoint)
        current = group.newest_activity(self._current_activity)
        self._is_committed_now = False
        self._fault_points(group, "before")
        if is_repeated or not self._is_written_at_once(group, current, checkpoint, progress):
            self._write(group, current, checkpoint, progress, is_repeated=is_repeated)
        self._is_committed_now = True
        self._checkpoint, self._current_activity = checkpoint, current
        self._fault_points(group, "after")

    def _is_written_at_once(
        self, group: ChangeGroup, current: str | None, checkpoint: Checkpoint, progress: list[Json]
    ) -> bool:
        """Commit what most groups consist of by one statement; false, and no change, if more is to do or to say."""
        if not group.is_plain or self._renewal_is_due():
            return False
        with self._database.statement() as tables:
            return tables.checkpoints.write(
                self._execution.id,
                self._epoch,
                current_activity=current,
                checkpoint=checkpoint,
                begun=[start.attempt for start in group.started],
                completed=[(complete.attempt.id, complete.output) for complete in group.completed],
                progress=progress,
            )

    def _write(
        self,
        group: ChangeGroup,
        current: str | None,
        checkpoint: Checkpoint,
        progress: list[Json],
        *,
        is_repeated: bool,
    ) -> None:
        with self._database.transaction() as tables:
            if group.is_empty:
                self._check_claim(tables)
            elif not (is_repeated and self._is_committed(tables, group)):
                if group.ended:
                    tables.executions.lock_parent(self._execution.id)
                sequence = self._advance(tables, group, current, checkpoint, len(progress))
                self._write_rows(tables, group, progress, sequence)
            if self._renewal_is_due():
                self._renew_lease(tables)

    def _advance(
        self, tables: WorkflowPersistence, group: ChangeGroup, current: str | None, checkpoint: Checkpoint, signals: int
    ) -> int:
        advanced = tables.executions.advance(
            self._execution.id,
            self._epoch,
            current_activity=current,
            checkpoint=checkpoint,
            signals=signals,
            is_progress=bool(group.yielded),
        )
        if advanced is None:
            self._check_claim(tables)
            raise ClaimLostError(self._execution.id, self._run_id, "the execution has ended")
        if advanced.is_paused and (group.started or group.children):
            raise ExecutionPausedError(self._execution.id)
        return advanced.sequence

    def _write_rows(self, tables: WorkflowPersistence, group: ChangeGroup, progress: list[Json], sequence: int) -> None:
        tables.activities.retire([retired for stage in group.stages for retired in stage.retired])
        tables.activities.retire([change.retired for change in group.started if change.retired is not None])
        tables.activities.save([change.attempt for change in group.started if not change.is_pending])
        pending = [change.attempt for change in group.started if change.is_pending]
        tables.activities.save_pending([(begun.attempt, 0.0) for begun in group.begun_waits if begun.is_new])
        pending += [ended.attempt for ended in group.ended_waits]
        started = tables.activities.start_pending(pending)
        completed = tables.activities.complete([(change.attempt.id, change.output) for change in group.yielded])
        failed = tables.activities.fail([(change.attempt.id, change.error) for change in group.failed])
        if (started, completed, failed) != (len(pending), len(group.yielded), len(group.failed)):
            raise ClaimLostError(self._execution.id, self._run_id, "an attempt of this run was closed by another")
        tables.activities.save_pending([(c.retry, c.wait_seconds) for c in group.failed if c.retry is not None])
        if any(change.pauses for change in group.failed):
            tables.executions.pause(self._execution.id)
        tables.activities.fail_open(self._execution.id, _SUPERSEDED, names=group.superseded)
        used = [(signal_id, change.attempt.id) for change in group.yielded for signal_id in change.consumed]
        if tables.signals.consume(used) != len(used):
            raise ClaimLostError(self._execution.id, self._run_id, "a signal was consumed by another")
        tables.signals.save(
            [
                NewSignal(
                    id=WorkflowSignalId.new(),
                    workflow_execution_id=self._execution.id,
                    organization_id=self._execution.organization_id,
                    signal_name=PROGRESS_SIGNAL,
                    payload=payload,
                    sequence=sequence - len(progress) + number,
                )
                for number, payload in enumerate(progress, start=1)
            ]
        )
        for start in group.children:
            self._start_child(tables, start)
        for end in group.ended:
            self._end(tables, end)

    def _start_child(self, tables: WorkflowPersistence, start: StartChild) -> None:
        """The child is due at once. The lock on its parent's row keeps who ends the parent from missing it."""
        if start.new is None:
            is_started = tables.executions.resume(start.child_id, launch_after_seconds=0)
        else:
            is_started = tables.executions.save(start.new)
        if is_started:
            tables.children.tell_started(self._execution.id, start.child_id, start.name)

    def _end(self, tables: WorkflowPersistence, end: EndExecution) -> None:
        if end.error is not None:
            error = ErrorInfo(type="ExecutionFailed", message="the execution failed while the activity was under way")
            tables.activities.fail_open(self._execution.id, error)
            fail_execution(tables, self._execution, end.error, epoch=self._epoch)
        else:
            complete_execution(tables, self._execution, self._epoch, end.output or {})

    def _is_committed(self, tables: WorkflowPersistence, group: ChangeGroup) -> bool:
        """Whether a transaction whose answer was lost took effect: all of it did if one of its rows shows it.

        The lock waits for that transaction if the server is still at it.
        """
        status = tables.executions.load(self._execution.id, lock=True).status
        self._check_claim(tables)
        expected = [
            *((change.attempt.id, ActivityStatus.COMPLETED) for change in group.yielded),
            *((change.attempt.id, ActivityStatus.FAILED) for change in group.failed),
            *((change.attempt.id, ActivityStatus.RUNNING) for change in group.started),
            *((change.attempt.id, ActivityStatus.PENDING) for change in group.begun_waits if change.is_new),
        ]
        for attempt_id, attempt_status in expected:
            return tables.activities.find_status(attempt_id) is attempt_status
        for end in group.ended:
            return status is (ExecutionStatus.COMPLETED if end.error is None else ExecutionStatus.FAILED)
        return False

    def _check_claim(self, tables: WorkflowPersistence) -> None:
        """Raise the reason if this run may not commit any more."""
        execution = tables.executions.load(self._execution.id)
        if execution.epoch != self._epoch:
            raise ClaimLostError(self._execution.id, self._run_id, "another run has claimed it")
        if execution.status is ExecutionStatus.CANCELLED:
            raise ExecutionCancelledError(self._execution.id)

    def _renewal_is_due(self) -> bool:
        return time.monotonic() >= self._leased_at + self._lease_seconds / 3

    def _renew_lease(self, tables: WorkflowPersistence) -> None:
        asked_at = time.monotonic()
        if not tables.runs.renew_lease(self._run_id, self._epoch, self._lease_seconds):
            raise ClaimLostError(self._execution.id, self._run_id, "the run has been ended from outside")
        self._leased_at = asked_at

    def _stop(self, error: BeepError, batch: list[_Item]) -> None:
        with self._lock:
            self._stopped = error
            for listener in self._listeners:
                listener()
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
        while True:
            try:
                items = self._queue.get_nowait()
            except queue.Empty:
                break
            for _, future in items or ():
                future.set_exception(error)

    def _fault_points(self, group: ChangeGroup, when: _When) -> None:
        for start in group.started:
            faults.reached(_ATTEMPT_POINTS[when], start.attempt.activity_name)
        for complete in group.completed:
            faults.reached(_CHECKPOINT_POINTS[when], complete.attempt.activity_name)
        for child in group.children:
            faults.reached(_CHILD_POINTS[when], child.name)
        for _ in group.ended:
            faults.reached(_COMPLETION_POINTS[when], self._execution.id)
