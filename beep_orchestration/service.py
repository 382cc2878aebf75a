"""`WorkflowService`: start, ask, signal, cancel and resume executions from a program."""

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from beep_orchestration import embedded, faults
from beep_orchestration.dagster_client import DagsterClient, tags_of_launch
from beep_orchestration.digests import canonical_digest
from beep_orchestration.endings import cancel_execution, check_parent_runs
from beep_orchestration.errors import (
    DagsterUnavailableError,
    DatabaseUnavailableError,
    IdempotencyConflictError,
    InvalidInputError,
    JobNotLoadedError,
    ManyStartError,
    WorkflowNotFoundError,
    WorkflowStartError,
    WorkflowStateError,
    WorkflowVersionError,
)
from beep_orchestration.events import ExecutionEvent, HistoryEntry
from beep_orchestration.extraction.model import Example
from beep_orchestration.history import read_history
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId, WorkflowSignalId, execution_id_for_key
from beep_orchestration.models import (
    PAUSE_SIGNAL,
    RESERVED_SIGNALS,
    RESUME_SIGNAL,
    CancelResult,
    ExecutionPage,
    ExecutionStatus,
    Json,
    ModelUsage,
    Pause,
    Pruned,
    StageProgress,
    Standing,
    Started,
    Wait,
    WorkflowStatus,
)
from beep_orchestration.persistence import Database, ExecutionRow, RunRow, WorkflowPersistence
from beep_orchestration.persistence.notifications import EXECUTION_ENDED, LONGEST_SILENCE_SECONDS
from beep_orchestration.persistence.pauses import EVERYONE
from beep_orchestration.persistence.rows import NewExecution, ReceivedSignal, StatusRow
from beep_orchestration.persistence.schema import check_schema
from beep_orchestration.persistence.signals import NewSignal
from beep_orchestration.refusals import check_text, parse_object, stored_object
from beep_orchestration.retention import prune
from beep_orchestration.settings import Settings, load_settings
from beep_orchestration.stored_examples import stored_input
from beep_orchestration.tracing import current_trace_parent, tracer
from beep_orchestration.watching import EventReader, follow
from beep_orchestration.workflow_types import WORKFLOW_TYPES, get_workflow_type, load_workflow_modules

logger = logging.getLogger(__name__)

_LAUNCHES_AT_ONCE = 4
_LONGEST_RESTART_SECONDS = 30.0
_WOKEN_AT_ONCE = 50
_LONGEST_NAME = 200
_LONGEST_KEY = 500
_LONGEST_REASON = 2_000
_LONGEST_RETENTION_DAYS = 36_500
_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class _Sent:
    """A signal that its sender may send."""

    name: str
    payload: Json
    sender_key: str | None


class WorkflowService:
    """The executions of one organization.

    Everything it says comes from the tables; Dagster is asked to launch and to terminate runs only. Any method raises
    `DatabaseUnavailableError` if PostgreSQL does not answer. Safe to use from several threads.
    """

    def __init__(
        self, database: Database, dagster: DagsterClient, organization_id: OrganizationId, settings: Settings
    ) -> None:
        self._database = database
        self._dagster = dagster
        self._organization_id = organization_id
        self._settings = settings

    @classmethod
    @contextmanager
    def connect(cls, settings: Settings | None = None, *, organization_id: str | None = None) -> Iterator[Self]:
        """A service for the configured database and Dagster; starts the embedded PostgreSQL if it is not running.

        Raises `SchemaVersionError` unless the schema is exactly the one of this code.
        """
        settings = settings or load_settings()
        organization = OrganizationId(organization_id or settings.organization)
        dagster = DagsterClient(
            settings.host,
            settings.port,
            code_location=settings.code_location,
            timeout_seconds=settings.dagster_timeout_seconds,
        )
        with embedded.database_url(settings) as url:
            database = Database(url)
            try:
                check_schema(database.engine)
                yield cls(database, dagster, organization, settings)
            finally:
                database.close()

    def start(
        self,
        workflow_type: str,
        input: Mapping[str, Any] | BaseModel,  # noqa: A002 - the specification's name
        *,
        idempotency_key: str | None = None,
    ) -> WorkflowExecutionId:
        """Accept an execution and have it launched; its id.

        The execution is stored before Dagster is asked. If Dagster does not answer, the id is returned all the same
        and the dispatcher launches the execution when Dagster is back: nothing is lost, and nothing runs twice. With
        an idempotency key that was used before, the id of that execution is returned and nothing is launched.

        Raises:
            WorkflowStartError: unknown type or invalid input, of which the cause names field and remedy.
            IdempotencyConflictError: the key was used with another input.
        """
        return self.start_or_get(workflow_type, input, idempotency_key=idempotency_key).execution_id

    def start_or_get(
        self,
        workflow_type: str,
        input: Mapping[str, Any] | BaseModel,  # noqa: A002 - as in `start`
        *,
        idempotency_key: str | None = None,
    ) -> Started:
        """As `start`, and tells whether the execution is new."""
        with tracer.start_as_current_span("WorkflowService.start") as span:
            new = self._new_execution(workflow_type, input, idempotency_key)
            span.set_attribute("beep.execution_id", new.id)
            with self._database.transaction() as tables:
                stored, is_new = self._accept(tables, new)
                pauses = tables.pauses.list_for(self._organization_id) if is_new else []
            faults.reached("after_execution_commit", new.id)
            if is_new and not pauses:
                self._launch(stored, [])
            return Started(execution_id=stored.id, is_new=is_new, pauses=tuple(pauses))

    def signal_with_start(
        self,
        workflow_type: str,
        input: Mapping[str, Any] | BaseModel,  # noqa: A002 - as in `start`
        signal_name: str,
        payload: Mapping[str, Any],
        *,
        idempotency_key: str,
        sender_key: str | None = None,
    ) -> WorkflowExecutionId:
        """Send a signal to the execution of that key, and start it first if there is none; its id.

        Both are stored in one transaction, so no caller finds the execution without the signal. Called again with the
        same `sender_key` the signal is one. Raises what `start` and `signal` raise; then neither is stored.
        """
        with tracer.start_as_current_span("WorkflowService.signalWithStart"):
            new = self._new_execution(workflow_type, input, idempotency_key)
            sent = self._checked_signal(new.workflow_type, signal_name, payload, sender_key)
            with self._database.transaction() as tables:
                stored, is_new = self._accept(tables, new)
                _, is_awaited = self._send(tables, self._load(tables, stored.id, lock=True), sent)
                is_paused = bool(tables.pauses.list_for(self._organization_id))
            if is_new and not is_paused:
                self._launch(stored, [])
            elif is_awaited:
                self._launch_due(stored.id)
            return stored.id

    def teach(self, name: str, examples: Sequence[Example]) -> None:
        """Store examples under a name, which an input may give in the place of its `examples`.

        A set that had the name is replaced; what was started with it keeps it. Raises `InvalidInputError`.
        """
        check_text("name", name, _LONGEST_KEY)
        stored = [example.model_dump(mode="json") for example in examples]
        with self._database.transaction() as tables:
            tables.example_sets.save(self._organization_id, name, stored)

    def start_many(
        self,
        workflow_type: str,
        inputs: Sequence[Mapping[str, Any] | BaseModel],
        *,
        idempotency_keys: Sequence[str] | None = None,
    ) -> tuple[WorkflowExecutionId, ...]:
        """Accept many executions together and have them launched; their ids in the order of the inputs.

        All of them are stored, in one transaction, or none. From then on each is as after `start`: it will run, and
        once only, also if this call is cut short while Dagster is being asked, for then the dispatcher launches the
        rest. Returns when Dagster has been asked for every one, which takes some tens of milliseconds each. With
        idempotency keys, one for each input, a repeated call answers with the same ids and launches what is not
        launched yet.

        Raises:
            ManyStartError: an input or a key is refused; `index` says which, the cause is what `start` would raise.
        """
        with tracer.start_as_current_span("WorkflowService.startMany"):
            keys = _checked_keys(idempotency_keys, len(inputs))
            new = [
                self._of_many(workflow_type, index, *one) for index, one in enumerate(zip(inputs, keys, strict=True))
            ]
            with self._database.transaction() as tables:
                by_id = sorted(enumerate(new), key=lambda one: one[1].id)  # calls that share keys wait in one order
                accepted = {index: self._accept_of_many(tables, index, each) for index, each in by_id}
            stored = [accepted[index] for index in range(len(new))]
            faults.reached("after_execution_commit")
            with ThreadPoolExecutor(_LAUNCHES_AT_ONCE, thread_name_prefix="start-many") as launching:
                list(launching.map(self._launch_due, stored))
            return tuple(stored)

    def get_status(self, execution_id: str) -> WorkflowStatus:
        """How an execution stands, in one consistent reading. Raises `WorkflowNotFoundError`."""
        with tracer.start_as_current_span("WorkflowService.getStatus"), self._database.transaction() as tables:
            return self._status(tables.statuses.load(WorkflowExecutionId(execution_id), self._organization_id))

    def signal(
        self, execution_id: str, signal_name: str, payload: Mapping[str, Any], *, sender_key: str | None = None
    ) -> WorkflowSignalId:
        """Send a signal to a running execution; the id of its row.

        It is stored before anything else happens, so it is not lost, and one that comes before the workflow asks for it
        is kept. If the execution is parked for it, a run is launched; should this process die before it is, the
        sensors launch it. A repeated call with the same sender's key stores nothing new.

        Every workflow type takes `pause`, after which activities under way end and none starts, and `resume`.

        Raises `WorkflowNotFoundError`; `WorkflowStateError` if the execution has ended; `InvalidInputError`, with the
        field named, for a signal that the workflow type does not declare or a payload that is not of its model.
        """
        with tracer.start_as_current_span("WorkflowService.signal"):
            execution, signal_id, is_awaited = self._store_signal(execution_id, signal_name, payload, sender_key)
            if is_awaited:
                self._launch_due(execution.id)
            return signal_id

    def pause(self, execution_id: str, reason: str | None = None) -> bool:
        """Send the signal `pause`, with the reason as its note. False if the execution was paused already.

        The reason that was given first stays. Raises what `signal` raises.
        """
        with tracer.start_as_current_span("WorkflowService.pause"):
            execution, _, _ = self._store_signal(execution_id, PAUSE_SIGNAL, {"note": reason}, None)
            return execution.paused_at is None

    def cancel(self, execution_id: str) -> CancelResult:
        """Cancel a running execution and its children that run; the answer says who won.

        After this returns no activity of the execution commits, even if Dagster or the run does not answer. Calling it
        again, or after the execution has ended, changes nothing. Completed activities are kept for `resume`.
        Raises `WorkflowNotFoundError`.
        """
        with tracer.start_as_current_span("WorkflowService.cancel"):
            with self._database.transaction() as tables:
                execution = self._load(tables, execution_id)
                cancelled = cancel_execution(tables, execution.id)
                status = tables.executions.load(execution.id).status
                open_runs = [run for each in cancelled for run in tables.runs.list_open(each)]
            for run in open_runs:
                self._terminate(run)
            return CancelResult(execution_id=execution.id, status=status, cancelled_now=bool(cancelled))

    def resume(self, execution_id: str) -> WorkflowStatus:
        """Let a failed, cancelled or paused execution go on, or a running one that no run carries.

        Completed activities are kept.

        Two calls at once resume it once. Raises `WorkflowNotFoundError`; `WorkflowStateError` if it is completed, is
        running and paused with its organization or the instance, is being carried by a run, waits for a signal, or is
        the child of an execution that has ended; `WorkflowVersionError` if the code here may not carry it on.
        """
        with tracer.start_as_current_span("WorkflowService.resume"):
            with self._database.transaction() as tables:
                execution = self._load(tables, execution_id, lock=True)
                runs = tables.runs.list_of(execution.id)
                grace = self._settings.launch_grace_seconds
                if tables.executions.end_pause(execution.id):
                    is_ours = tables.executions.take(execution.id, next_try_seconds=grace)
                else:
                    _check_resumable(execution, runs, tables.pauses.list_for(self._organization_id))
                    check_parent_runs(tables, execution)
                    is_ours = tables.executions.resume(
                        execution.id, launch_after_seconds=grace
                    ) or tables.executions.take(execution.id, next_try_seconds=grace)
            if is_ours:
                self._launch(execution, runs)
            return self.get_status(execution.id)

    def pause_organization(self, reason: str | None = None, *, everyone: bool = False) -> bool:
        """Let no activity start in any execution of the organization, or of the whole instance with `everyone`.

        Activities under way end and are recorded, then their runs park; what is started meanwhile is accepted and
        waits. After this returns none starts, nor does one that was about to. Holds until `end_organization_pause`,
        over restarts. False if it was paused already.
        """
        check_text("reason", reason, _LONGEST_REASON)
        with self._database.transaction() as tables:
            return tables.pauses.save(EVERYONE if everyone else self._organization_id, reason)

    def end_organization_pause(self, *, everyone: bool = False) -> bool:
        """Let executions go on; those that are due are launched within a tick. False if there was no such pause."""
        with self._database.transaction() as tables:
            return tables.pauses.remove(EVERYONE if everyone else self._organization_id)

    def launch_due(self) -> int:
        """Launch executions, of all organizations, that had parked and whose time or signal has come; how many.

        And children that their parents have started.

        Two callers never launch the same one.
        """
        load_workflow_modules()
        with self._database.transaction() as tables:
            due = tables.executions.take_launchable(
                limit=_WOKEN_AT_ONCE,
                workflow_types=list(WORKFLOW_TYPES),
                next_try_seconds=self._settings.launch_grace_seconds,
                is_waiting=True,
            )
            runs = {execution.id: tables.runs.list_of(execution.id) for execution in due}
        for execution in due:
            self._launch(execution, runs[execution.id])
        return len(due)

    def result(self, execution_id: str) -> Json:
        """The output of a completed execution.

        Raises `WorkflowNotFoundError`, `WorkflowStateError` before completion.
        """
        with tracer.start_as_current_span("WorkflowService.result"), self._database.transaction() as tables:
            execution = self._load(tables, execution_id)
            output = tables.executions.load_output(execution.id)
            if output is None:
                raise WorkflowStateError(execution.id, execution.status, "it has no result")
            return output

    def load_input(self, execution_id: str) -> Json:
        """The input that an execution was started with. Raises `WorkflowNotFoundError`."""
        with self._database.transaction() as tables:
            return tables.executions.load_input(self._load(tables, execution_id).id)

    def load_outputs(self, execution_id: str, *activity_types: str) -> dict[str, Sequence[Any]]:
        """The outputs of the activities that are completed so far, by activity type. Raises `WorkflowNotFoundError`."""
        with self._database.transaction() as tables:
            execution = self._load(tables, execution_id)
            return {
                kind: tuple(tables.activities.load_completed_outputs(execution.id, kind).values())
                for kind in activity_types
            }

    def load_signals(self, execution_id: str, *names: str) -> Sequence[ReceivedSignal]:
        """The signals of these names that were sent to an execution, in order, whether they are consumed or not.

        Raises `WorkflowNotFoundError`.
        """
        with self._database.transaction() as tables:
            execution = self._load(tables, execution_id)
            rows = tables.signals.load_named(execution.id, names)
        return [ReceivedSignal.of(row) for row in rows]

    def check_health(self) -> None:
        """Raise `DatabaseUnavailableError` or `SchemaVersionError` unless the tables can be used."""
        check_schema(self._database.engine)

    def list(
        self,
        *,
        status: ExecutionStatus | Standing | None = None,
        workflow_type: str | None = None,
        parent_execution_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """A page of the organization's executions, or of one's children, newest first.

        `running` ones are all that run; `Standing.WAITING` and `Standing.PAUSED` choose among them. Give a page's
        cursor to get the next one. Raises `InvalidInputError` for a limit, a cursor or a type that cannot
        be, `InvalidIdError` for a parent.
        """
        check_text("workflow_type", workflow_type, _LONGEST_NAME)
        with tracer.start_as_current_span("WorkflowService.list"), self._database.transaction() as tables:
            rows = tables.statuses.list_newest(
                self._organization_id,
                limit=_checked_limit(limit),
                status=status,
                workflow_type=workflow_type,
                parent_id=None if parent_execution_id is None else WorkflowExecutionId(parent_execution_id),
                before=None if cursor is None else _parse_cursor(cursor),
            )
        cursor = _cursor(rows[-1].execution) if len(rows) == limit else None
        return ExecutionPage(executions=tuple(map(self._status, rows)), cursor=cursor)

    def get_usage(self, *, account: str | None = None) -> dict[str, ModelUsage]:
        """What the organization's executions have consumed of language models, by activity type.

        With an account, those only that were started with it. Executions that were removed count no more. Raises
        `InvalidInputError` for an account that none can have.
        """
        check_text("account", account, _LONGEST_NAME)
        with tracer.start_as_current_span("WorkflowService.getUsage"), self._database.transaction() as tables:
            return tables.model_calls.load_usage_of_account(self._organization_id, account)

    def prune(self, older_than_days: float, *, dry_run: bool = False) -> Pruned:
        """Remove the organization's executions that ended longer ago than that, with their runs in Dagster.

        What is running, or carried by a run, is never removed; what is resumed meanwhile neither. An idempotency key
        of a removed execution starts a new one. A dry run counts only, and asks nothing of Dagster.

        Raises `InvalidInputError`, and `DagsterUnavailableError`: what was removed before stays removed.
        """
        if not 0 <= older_than_days <= _LONGEST_RETENTION_DAYS:
            raise InvalidInputError(
                "older_than_days", f"{older_than_days} is not between 0 and {_LONGEST_RETENTION_DAYS}", "give days"
            )
        with tracer.start_as_current_span("WorkflowService.prune"):
            limit = older_than_days * _SECONDS_A_DAY
            if not dry_run:
                return prune(self._database, self._dagster, self._organization_id, older_than_seconds=limit)
            with self._database.transaction() as tables:
                found = tables.ended.count(self._organization_id, older_than_seconds=limit)
            return Pruned(executions=found, is_dry_run=True)

    def wait(self, execution_id: str, *, timeout_seconds: float | None = None) -> WorkflowStatus:
        """Wait until an execution has ended; its status then.

        The database tells when that is; while it cannot be heard, the tables are looked at once a second. A database
        that is away for less than half a minute, as when it is restarted, is waited for too. Raises
        `WorkflowNotFoundError`, `TimeoutError`.
        """
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        news = threading.Event()
        with self._database.notifications.subscription(EXECUTION_ENDED, WorkflowExecutionId(execution_id), news.set):
            while not (status := self._patient_status(execution_id, deadline)).status.is_terminal:
                if (seconds_left := deadline - time.monotonic()) <= 0:
                    raise TimeoutError(f"execution {execution_id} is still {status.status} after {timeout_seconds:g} s")
                news.wait(min(seconds_left, LONGEST_SILENCE_SECONDS))
                news.clear()
        return status

    def watch(self, execution_id: str, *, after: int = 0) -> Iterator[ExecutionEvent]:
        """What an execution tells until it has ended: its progress, changes of its state, signals that were sent to it.

        Events come in the order of their `sequence`, each once, beginning after the one that is given: who was cut off
        goes on with the last that it has, and misses nothing. Several steps of an activity type may come as one event,
        the last of them, so that there are some tens in a second at most, however many activities run. A database that
        is away for less than half a minute is waited for. Raises `WorkflowNotFoundError`, `InvalidInputError`.
        """
        return follow(self.event_reader(execution_id, after=after))

    def event_reader(self, execution_id: str, *, after: int = 0) -> EventReader:
        """What `watch` reads with, for those who may not block while they wait. Raises as `watch`."""
        reader = EventReader(self._database, WorkflowExecutionId(execution_id), self._organization_id, after=after)
        with self._database.transaction() as tables:
            self._load(tables, execution_id)
        return reader

    def history(self, execution_id: str) -> Iterator[HistoryEntry]:
        """Every attempt, signal, run and change of state of an execution, in order, as they are at the first entry.

        Read as a stream: however many there are, few are in memory. Take them without long pauses, or close the
        iterator, for it holds a database connection. Raises `WorkflowNotFoundError`.
        """
        with self._database.transaction() as tables:
            execution = self._load(tables, execution_id)
        return read_history(self._database, execution.id)

    def _patient_status(self, execution_id: str, deadline: float) -> WorkflowStatus:
        give_up_at = min(deadline, time.monotonic() + _LONGEST_RESTART_SECONDS)
        while True:
            try:
                return self.get_status(execution_id)
            except DatabaseUnavailableError:
                if time.monotonic() >= give_up_at:
                    raise
                time.sleep(LONGEST_SILENCE_SECONDS)

    def _new_execution(
        self, workflow_type: str, raw: Mapping[str, Any] | BaseModel, idempotency_key: str | None
    ) -> NewExecution:
        try:
            kind = get_workflow_type(workflow_type)
            stored = stored_input(self._database, self._organization_id, kind, raw)
            check_text("idempotency_key", idempotency_key, _LONGEST_KEY)
        except InvalidInputError as error:
            raise WorkflowStartError(workflow_type, str(error)) from error
        return NewExecution(
            id=WorkflowExecutionId.new()
            if idempotency_key is None
            else execution_id_for_key(self._organization_id, workflow_type, idempotency_key),
            organization_id=self._organization_id,
            workflow_type=kind.name,
            workflow_version=kind.version,
            input=stored,
            input_digest=canonical_digest(stored),
            about=kind.about_of(stored),
            idempotency_key=idempotency_key,
            trace_parent=current_trace_parent(),
        )

    def _of_many(
        self, workflow_type: str, index: int, raw: Mapping[str, Any] | BaseModel, key: str | None
    ) -> NewExecution:
        try:
            return self._new_execution(workflow_type, raw, key)
        except WorkflowStartError as error:
            raise ManyStartError(workflow_type, index, error) from error

    def _accept_of_many(self, tables: WorkflowPersistence, index: int, new: NewExecution) -> WorkflowExecutionId:
        """Store it due at once: who launches it, this call or the dispatcher, takes it first."""
        try:
            stored, _ = self._accept(tables, new, launch_after_seconds=0)
        except IdempotencyConflictError as error:
            raise ManyStartError(new.workflow_type, index, error) from error
        return stored.id

    def _launch(self, execution: ExecutionRow, earlier: Sequence[RunRow]) -> None:
        kind = get_workflow_type(execution.workflow_type)
        try:
            run_id = self._dagster.launch(kind.job_name, tags_of_launch(execution, earlier))
        except (DagsterUnavailableError, JobNotLoadedError) as error:
            logger.warning("execution %s is accepted and will be launched later: %s", execution.id, error)
            return
        faults.reached("after_submit", execution.id)
        try:
            with self._database.transaction() as tables:
                tables.runs.save(run_id, execution.id, execution.organization_id)
        except DatabaseUnavailableError as error:
            logger.warning("run %s of execution %s will be recorded when it starts: %s", run_id, execution.id, error)

    def _terminate(self, run: RunRow) -> None:
        try:
            self._dagster.terminate(run.dagster_run_id)
        except DagsterUnavailableError as error:
            logger.warning("run %s was not told to stop; it cannot commit any more: %s", run.dagster_run_id, error)

    def _load(self, tables: WorkflowPersistence, execution_id: str, *, lock: bool = False) -> ExecutionRow:
        return tables.executions.load(WorkflowExecutionId(execution_id), self._organization_id, lock=lock)

    def _accept(
        self, tables: WorkflowPersistence, new: NewExecution, *, launch_after_seconds: float | None = None
    ) -> tuple[ExecutionRow, bool]:
        """The stored execution, and whether it is new; raises `IdempotencyConflictError`."""
        grace = self._settings.launch_grace_seconds if launch_after_seconds is None else launch_after_seconds
        is_new = tables.executions.save(new, launch_after_seconds=grace)
        stored = tables.executions.load(new.id, self._organization_id)
        if stored.input_digest != new.input_digest:
            key = new.idempotency_key or ""
            raise IdempotencyConflictError(new.workflow_type, key, stored.id, stored.input_digest)
        return stored, is_new

    def _checked_signal(
        self, workflow_type: str, name: str, payload: Mapping[str, Any], sender_key: str | None
    ) -> _Sent:
        check_text("sender_key", sender_key, _LONGEST_KEY)
        check_text("signal_name", name, _LONGEST_NAME)
        if name in RESERVED_SIGNALS:
            raise InvalidInputError("signal_name", f"{name!r} is written by executions only", "choose another name")
        limit = self._settings.maximum_signal_bytes
        stored_object(payload, "payload", most_bytes=limit, remedy="send less, or raise BEEP_MAXIMUM_SIGNAL_BYTES")
        model = get_workflow_type(workflow_type).signal_model(name)
        parsed = parse_object(model, payload, "payload")
        return _Sent(name, parsed.model_dump(mode="json", exclude_unset=True), sender_key)

    def _store_signal(
        self, execution_id: str, name: str, payload: Mapping[str, Any], sender_key: str | None
    ) -> tuple[ExecutionRow, WorkflowSignalId, bool]:
        """Check a signal, which may load modules, before its execution's row is held; the execution as it was then."""
        with self._database.transaction() as tables:
            workflow_type = self._load(tables, execution_id).workflow_type
            new = self._checked_signal(workflow_type, name, payload, sender_key)
            execution = self._load(tables, execution_id, lock=True)
            signal_id, is_awaited = self._send(tables, execution, new)
        faults.reached("after_signal_commit", execution.id)
        return execution, signal_id, is_awaited

    def _send(self, tables: WorkflowPersistence, execution: ExecutionRow, sent: _Sent) -> tuple[WorkflowSignalId, bool]:
        """Store a signal under the lock of the execution's row; its id, and whether the execution is due by it."""
        earlier = None if sent.sender_key is None else tables.signals.find_sent(execution.id, sent.sender_key)
        if earlier is not None:
            return earlier.id, False
        if execution.status.is_terminal:
            raise WorkflowStateError(execution.id, execution.status, "it takes no signals any more")
        signal = NewSignal(
            id=WorkflowSignalId.new(),
            workflow_execution_id=execution.id,
            organization_id=execution.organization_id,
            signal_name=sent.name,
            payload=sent.payload,
            sequence=tables.executions.reserve_signals(execution.id, 1),
            sender_key=sent.sender_key,
            trace_parent=current_trace_parent(),
        )
        tables.signals.send(signal)
        if sent.name == PAUSE_SIGNAL:
            tables.executions.pause(execution.id, sent.payload.get("note"))
            return signal.id, False
        if sent.name == RESUME_SIGNAL:
            return signal.id, tables.executions.end_pause(execution.id)
        is_awaited = any(sent.name in wait.signals for wait in execution.checkpoint.waiting_for)
        if is_awaited:
            tables.executions.wake(execution.id)
        return signal.id, is_awaited

    def _launch_due(self, execution_id: WorkflowExecutionId) -> None:
        """Launch an execution that is due, unless a run carries it or another caller launches it."""
        with self._database.transaction() as tables:
            grace = self._settings.launch_grace_seconds
            if not tables.executions.take(execution_id, next_try_seconds=grace):
                return
            execution, runs = tables.executions.load(execution_id), tables.runs.list_of(execution_id)
        self._launch(execution, runs)

    def _status(self, row: StatusRow) -> WorkflowStatus:
        execution, run_ids = row.execution, row.dagster_run_ids
        stages = _in_order(execution)
        paused_at = execution.paused_at if execution.status is ExecutionStatus.RUNNING else None
        return WorkflowStatus(
            execution_id=execution.id,
            organization_id=execution.organization_id,
            workflow_type=execution.workflow_type,
            workflow_version=execution.workflow_version,
            about=execution.about,
            status=execution.status,
            current_activity=execution.current_activity,
            activities=stages,
            parent_execution_id=execution.parent_execution_id,
            children=row.children,
            children_by_status=row.children_by_status,
            attempts=sum(stage.attempts for stage in stages.values()),
            language_model=row.language_model,
            started_at=execution.started_at,
            updated_at=execution.updated_at,
            completed_at=execution.completed_at,
            waiting_for=_awaited(execution),
            pauses=row.pauses,
            paused_at=paused_at,
            paused_for=None if paused_at is None else execution.checkpoint.paused_for,
            error=execution.error,
            dagster_run_ids=run_ids,
            dagster_url=self._dagster.run_url(run_ids[-1]) if run_ids else None,
        )


def _awaited(execution: ExecutionRow) -> tuple[Wait, ...]:
    """What lets the execution go on. Without a pause of its own that is no `resume`, whatever pause it parked for.

    What has ended waits for nothing; its checkpoint keeps the waits, for a resume.
    """
    waits = execution.checkpoint.waiting_for if execution.status is ExecutionStatus.RUNNING else ()
    return tuple(wait for wait in waits if execution.paused_at is not None or wait.signals != (RESUME_SIGNAL,))


def _check_resumable(execution: ExecutionRow, runs: Sequence[RunRow], pauses: Sequence[Pause]) -> None:
    if execution.status is ExecutionStatus.COMPLETED:
        raise WorkflowStateError(execution.id, execution.status, "it is done; read it with 'beep graph'")
    if execution.status is ExecutionStatus.RUNNING and pauses:
        held = " and ".join(f"paused {pause.describe()}" for pause in pauses)
        remedy = " and ".join(repr(pause.ended_by(execution.id)) for pause in pauses)
        raise WorkflowStateError(execution.id, execution.status, f"it is {held}; all go on with {remedy}")
    if execution.status is ExecutionStatus.RUNNING and any(run.outcome is None for run in runs):
        raise WorkflowStateError(execution.id, execution.status, "a run carries it already")
    if execution.status is ExecutionStatus.RUNNING and execution.launch_at is None:
        names = " or ".join(name for wait in execution.checkpoint.waiting_for for name in wait.signals)
        problem = f"it waits for a signal; send {names}" if names else "it waits for its child, and goes on by itself"
        raise WorkflowStateError(execution.id, execution.status, problem)
    kind = get_workflow_type(execution.workflow_type)
    if not kind.can_carry(execution.workflow_version):
        raise WorkflowVersionError(execution.id, kind.name, execution.workflow_version, kind.version)


def _checked_keys(keys: Sequence[str] | None, inputs: int) -> Sequence[str | None]:
    if keys is None:
        return [None] * inputs
    if len(keys) != inputs or len(set(keys)) != inputs:
        problem = f"are {len(keys)}, {len(set(keys))} of them different, for {inputs} inputs"
        raise InvalidInputError("idempotency_keys", problem, "give one for each input, each once")
    return keys


def _in_order(execution: ExecutionRow) -> dict[str, StageProgress]:
    """The stages in the order of the workflow; those that the present code does not know come last."""
    kind = WORKFLOW_TYPES.get(execution.workflow_type)
    known = [] if kind is None else [stage.name for stage in kind.activity_types]
    names = sorted(
        execution.checkpoint.stages, key=lambda name: (name not in known, known.index(name) if name in known else 0)
    )
    return {name: execution.checkpoint.stages[name] for name in names}


def _checked_limit(limit: int) -> int:
    if not 1 <= limit <= 1_000:  # noqa: PLR2004 - a page, not a dump
        raise InvalidInputError("limit", f"{limit} is not between 1 and 1000", "ask for a page and follow its cursor")
    return limit


def _cursor(row: ExecutionRow) -> str:
    return f"{row.started_at.isoformat()}|{row.id}"


def _parse_cursor(cursor: str) -> tuple[datetime, WorkflowExecutionId]:
    started_at, _, execution_id = cursor.partition("|")
    try:
        return datetime.fromisoformat(started_at), WorkflowExecutionId(execution_id)
    except (ValueError, InvalidInputError) as error:
        raise InvalidInputError(
            "cursor", "is not the cursor of a page", "leave it out to begin at the newest"
        ) from error


__all__ = ["WorkflowNotFoundError", "WorkflowService", "WorkflowStartError"]
