"""Executions that an execution starts, as its children, and waits for.

A child is an execution like any other, of the same organization. Its id follows from its parent's and its name, its row
is stored under its parent's claim, and the wait for its end is recorded like any other. So it is started once, whoever
dies in between, and its parent holds no process while it works.
"""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from beep_orchestration.changes import BeginWait, StartChild
from beep_orchestration.claims import Claim
from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import ChildFailedError, ExecutionPausedError, InvalidInputError
from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import RESUME_SIGNAL, ErrorInfo, ExecutionStatus, Json, Wait
from beep_orchestration.parking import Parked
from beep_orchestration.persistence import ActivityRow, Database, ExecutionRow
from beep_orchestration.persistence.notifications import EXECUTION_ENDED, LONGEST_SILENCE_SECONDS
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.refusals import check_text, stored_object
from beep_orchestration.stored_examples import stored_input
from beep_orchestration.tracing import current_trace_parent
from beep_orchestration.waits import Waits
from beep_orchestration.workflow_types import get_workflow_type

_LONGEST_NAME = 200
_CANCELLED = ErrorInfo(type="Cancelled", message="it was cancelled")


class Children:
    """The children of one claimed execution, in the process of the run that claimed it."""

    def __init__(self, database: Database, claim: Claim, waits: Waits) -> None:
        self._database = database
        self._parent = claim.execution
        self._waits = waits
        self._named: dict[str, str] = {}
        self._ended: dict[str, Json | ChildFailedError] = {}

    def start(self, name: str, workflow_type: str, raw: Mapping[str, Any] | BaseModel) -> WorkflowExecutionId:
        """Start the child of that name unless an earlier call, of this run or another, has; its id.

        What the child was first started with counts. One that had failed, or was cancelled, before the parent was
        resumed is resumed with it. Raises `InvalidInputError`, and nothing is started; `Parked` while the parent is
        paused; `ExecutionCancelledError`, `ClaimLostError`.
        """
        self._check_name(name, workflow_type, raw)
        if name not in self._ended and (recorded := self._find_recorded(name)) is not None:
            self._ended[name] = recorded
        child_id = self._id(name)
        if name in self._ended:
            return child_id
        row = self._find(child_id)
        if row is None:
            new = self._new(child_id, name, workflow_type, raw)
            self._commit(StartChild(child_id=child_id, name=name, new=new))
        elif self._is_to_be_resumed(row):
            self._commit(StartChild(child_id=child_id, name=name))
        return child_id

    def result(self, name: str, workflow_type: str, raw: Mapping[str, Any] | BaseModel) -> Json:
        """The output of the child of that name, which is started if it is not yet, and waited for.

        Recorded once: a later run gets the same output, or the same failure until the parent is resumed.

        Raises `ChildFailedError` if the child has failed or was cancelled; `Parked` after a short while without its
        end; what `start` raises.
        """
        child_id = self.start(name, workflow_type, raw)
        if name not in self._ended:
            begun = self._waits.begin(_wait_name(name), child=child_id)
            self._ended[name] = self._record(begun, name, self._await(begun, child_id))
        ended = self._ended[name]
        if isinstance(ended, ChildFailedError):
            raise ended
        return ended

    def _id(self, name: str) -> WorkflowExecutionId:
        return execution_id_for_child(self._parent.id, name)

    def _find_recorded(self, name: str) -> Json | ChildFailedError | None:
        """What an earlier run has recorded of a child's end; a failure counts until the parent is resumed."""
        row = self._waits.find(_wait_name(name))
        if row is None or row.error is None:
            output: Json | None = None if row is None else row.output
            return output
        is_retried = self._is_before_resume(row)
        return None if is_retried else ChildFailedError(name, self._id(name), row.error.type, row.error.message)

    def _check_name(self, name: str, workflow_type: str, raw: Mapping[str, Any] | BaseModel) -> None:
        """Refuse a name that no child can have, and one that this run has given to another child."""
        check_text("name", name, _LONGEST_NAME)
        given = raw.model_dump(mode="json") if isinstance(raw, BaseModel) else stored_object(raw, "input")
        digest = canonical_digest({"workflow_type": workflow_type, "input": given})
        if self._named.setdefault(name, digest) != digest:
            raise InvalidInputError("name", f"{name!r} is the name of another child", "give each child its own")

    def _new(
        self, child_id: WorkflowExecutionId, name: str, workflow_type: str, raw: Mapping[str, Any] | BaseModel
    ) -> NewExecution:
        kind, organization_id = get_workflow_type(workflow_type), self._parent.organization_id
        stored = stored_input(self._database, organization_id, kind, raw)
        return NewExecution(
            id=child_id,
            organization_id=organization_id,
            workflow_type=kind.name,
            workflow_version=kind.version,
            input=stored,
            input_digest=canonical_digest(stored),
            about=kind.about_of(stored),
            trace_parent=current_trace_parent() or self._parent.trace_parent,
            parent_execution_id=self._parent.id,
            child_name=name,
        )

    def _commit(self, start: StartChild) -> None:
        try:
            self._waits.claimed_writer().commit(start).result()
        except ExecutionPausedError:
            since = self._waits.load_clock()
            raise Parked(Wait(activity_name=_wait_name(start.name), signals=(RESUME_SIGNAL,), since=since)) from None

    def _find(self, child_id: WorkflowExecutionId) -> ExecutionRow | None:
        with self._database.transaction() as tables:
            return tables.executions.find(child_id)

    def _is_to_be_resumed(self, child: ExecutionRow) -> bool:
        has_ended_so = child.status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
        return has_ended_so and self._is_before_resume(child)

    def _is_before_resume(self, row: ActivityRow | ExecutionRow) -> bool:
        """Whether a row was closed before the parent was resumed."""
        resumed_at = self._parent.resumed_at
        return resumed_at is not None and row.completed_at is not None and row.completed_at <= resumed_at

    def _await(self, begun: BeginWait, child_id: WorkflowExecutionId) -> ExecutionRow:
        """The child when it has ended, which its parent's row says too: see `park` for the end that comes later."""
        writer, news = self._waits.claimed_writer(), threading.Event()
        park_at = time.monotonic() + self._waits.park_after_seconds
        listening = self._database.notifications.subscription(EXECUTION_ENDED, child_id, news.set)
        with writer.stop_listener(news.set), listening:
            while True:
                news.clear()
                with self._database.transaction() as tables:
                    child = tables.executions.load(child_id)
                if writer.stopped is not None:
                    raise writer.stopped
                if child.status.is_terminal:
                    return child
                if (seconds_left := park_at - time.monotonic()) <= 0:
                    raise Parked(begun.wait)
                news.wait(min(seconds_left, LONGEST_SILENCE_SECONDS))

    def _record(self, begun: BeginWait, name: str, child: ExecutionRow) -> Json | ChildFailedError:
        with self._database.transaction() as tables:
            output = tables.executions.load_output(child.id)
        if output is not None:
            self._waits.end(begun, json.dumps(output), ())
            return output
        cause = child.error or _CANCELLED
        error = ErrorInfo(type=cause.type, message=cause.message, activity_name=begun.wait.activity_name)
        self._waits.fail(begun, error)
        return ChildFailedError(name, child.id, error.type, error.message)


def _wait_name(name: str) -> str:
    return f"child:{name}"
