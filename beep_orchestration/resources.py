"""The workflow resource: the claimed execution that a run's ops work for."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr

from beep_orchestration import embedded, faults
from beep_orchestration.activities import Activity, ActivityRunner
from beep_orchestration.children import Children
from beep_orchestration.claims import Claim, Launch, claim_execution
from beep_orchestration.dagster_client import (
    DAGSTER_PARENT_TAG,
    DAGSTER_ROOT_TAG,
    EXECUTION_TAG,
    NEXT_RUN_TAG,
    ORGANIZATION_TAG,
    PARENT_TAG,
    PARKED_TAG,
    tags_of_launch,
)
from beep_orchestration.digests import canonical_digest
from beep_orchestration.engine.coordinator import PromptRunCoordinator
from beep_orchestration.errors import (
    ActivityFailedError,
    ClaimLostError,
    DatabaseUnavailableError,
    ExecutionCancelledError,
    WorkflowNotFoundError,
    WorkflowStateError,
    WorkflowVersionError,
)
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId, execution_id_for_run
from beep_orchestration.models import Checkpoint, Wait
from beep_orchestration.parking import park
from beep_orchestration.persistence import Database, ExecutionRow, process_database
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.persistence.schema import check_schema
from beep_orchestration.projections import error_info, storable_text
from beep_orchestration.settings import Settings, load_settings
from beep_orchestration.stored_examples import stored_input
from beep_orchestration.waits import Waits
from beep_orchestration.workflow_types import WorkflowType, get_workflow_type

Output = TypeVar("Output")

logger = logging.getLogger(__name__)

_NOTHING_TO_RECORD = (
    WorkflowStateError,
    WorkflowNotFoundError,
    WorkflowVersionError,
)
"""Raised before the execution is claimed, or because it is not any more."""


@dataclass(frozen=True)
class ExecutionSession:
    """A claimed execution, in the process of the run that claimed it."""

    database: Database
    claim: Claim
    runner: ActivityRunner
    waits: Waits
    children: Children
    workflow_type: WorkflowType
    parked: list[Wait] = field(default_factory=list)

    @property
    def execution_id(self) -> WorkflowExecutionId:
        """The execution that the run carries."""
        return self.claim.execution.id

    @cached_property
    def input(self) -> Any:
        """The execution's input as the workflow type's model."""
        with self.database.transaction() as tables:
            return self.workflow_type.input_model.model_validate(tables.executions.load_input(self.execution_id))

    def run(self, activity_type: str, activities: Sequence[Activity[Output]], *, concurrency: int) -> list[Output]:
        """See `ActivityRunner.run`."""
        return self.runner.run(activity_type, activities, concurrency=concurrency)

    def run_last(self, activity_type: str, activity: Activity[Output]) -> Output:
        """See `ActivityRunner.run_last`."""
        return self.runner.run_last(activity_type, activity)

    def load_outputs(self, activity_type: str) -> tuple[dict[str, Any], int]:
        """The recorded outputs of a type by activity name, and how many there have to be."""
        with self.database.transaction() as tables:
            checkpoint: Checkpoint = tables.executions.load(self.execution_id).checkpoint
            outputs = tables.activities.load_completed_outputs(self.execution_id, activity_type)
        stage = checkpoint.stages.get(activity_type)
        return outputs, 0 if stage is None else stage.total

    def load_code_versions(self, *activity_types: str) -> dict[str, str]:
        """Under which code, or by which extractor, each completed activity of these types was recorded, by name."""
        with self.database.transaction() as tables:
            return tables.activities.load_code_versions(self.execution_id, activity_types)

    def close(self) -> bool:
        """Stop committing and give the claim back, so that another run need not wait for the lease.

        Whether the execution is parked now: it waits for what this run's ops could not wait for.
        """
        is_stopped = self.runner.stopped is not None
        self.runner.close()
        if self.claim.epoch is None:
            return False
        if self.parked and not is_stopped and self._park():
            return True
        with self.database.transaction() as tables:
            tables.runs.release_lease(self.claim.dagster_run_id, self.claim.epoch)
        return False

    def _park(self) -> bool:
        faults.reached("before_park_commit", self.execution_id)
        with self.database.transaction() as tables:
            is_parked = park(tables, self.claim, tuple(self.parked))
        faults.reached("after_park_commit", self.execution_id)
        return is_parked


class WorkflowResource(dg.ConfigurableResource[Any]):
    """Claims the run's execution when first asked for it, and holds the claim while the run's process works."""

    _context: dg.InitResourceContext | None = PrivateAttr(default=None)
    _stack: ExitStack = PrivateAttr(default_factory=ExitStack)
    _session: ExecutionSession | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["WorkflowResource"]:
        """Called by Dagster around the steps that one process runs."""
        self._context, self._session = context, None
        with ExitStack() as self._stack:
            yield self

    @contextmanager
    def claimed(self, config: Mapping[str, Any] | None = None) -> Iterator[ExecutionSession]:
        """The execution that the run carries; a failure inside the block is committed as the execution's failure.

        `config` is the input of the execution that a run from the launchpad creates. Every error is raised as a
        `dagster.Failure` that Dagster does not retry, and without its cause: Dagster stores what it is given, and only
        our own rows are rid of secrets.
        """
        try:
            yield self.session(config)
        except ClaimLostError as error:
            self._leave_run_to_its_new_worker()
            raise _failure(error) from None
        except ExecutionCancelledError as error:
            self._report_cancelling()
            raise _failure(error) from None
        except (*_NOTHING_TO_RECORD, DatabaseUnavailableError) as error:
            raise _failure(error) from None
        except Exception as error:  # noqa: BLE001 - raised again, without its cause
            self._fail(error)
            raise _failure(error) from None

    def session(self, config: Mapping[str, Any] | None = None) -> ExecutionSession:
        """The session of this process, opened at the first call.

        Raises what `claim_execution` raises, and `SchemaVersionError` before any change: code that does not fit the
        schema refuses its runs, and their executions wait for code that does.
        """
        if self._session is None:
            self._session = self._open(config)
        return self._session

    def _open(self, config: Mapping[str, Any] | None) -> ExecutionSession:
        context = self._context
        if context is None or context.run is None or context.instance is None:
            raise dg.DagsterInvariantViolationError("the workflow resource works inside a run only")
        settings = load_settings()
        workflow_type = get_workflow_type(context.run.job_name)
        launch = _launch_of(context.instance, context.run, settings)
        database = process_database(self._stack.enter_context(embedded.database_url(settings)))
        self._stack.callback(database.close)
        check_schema(database.engine)
        if EXECUTION_TAG not in context.run.tags and config is not None:
            grace = settings.launch_grace_seconds
            created = _create_execution(database, launch, workflow_type, config, launch_after=grace)
            context.instance.add_run_tags(context.run.run_id, tags_of_launch(created, []))
        claim = claim_execution(database, launch, lease_seconds=settings.lease_seconds)
        runner = ActivityRunner(database, claim, lease_seconds=settings.lease_seconds)
        waits = runner.waits(park_after_seconds=settings.park_after_seconds)
        children = Children(database, claim, waits)
        session = ExecutionSession(database, claim, runner, waits, children, workflow_type)
        self._stack.callback(_close, session, context.instance)
        _link_parked_run(context.instance, context.run)
        return session

    def _report_cancelling(self) -> None:
        """Let Dagster show the run as cancelled, not as failed, also if we saw the cancel before it told us."""
        context = self._context
        if context is None or context.run is None or context.instance is None:
            return
        run = context.instance.get_run_by_id(context.run.run_id)
        if run is not None and run.status is dg.DagsterRunStatus.STARTED:
            context.instance.report_run_canceling(run)

    def _leave_run_to_its_new_worker(self) -> None:
        """End this process at once if another worker carries the same run: its events are that worker's to write."""
        session = self._session
        if session is None or session.claim.epoch is None:
            return
        with session.database.transaction() as tables:
            run = tables.runs.find(session.claim.dagster_run_id)
        if run is not None and run.epoch is not None and run.epoch > session.claim.epoch:
            logger.error("run %s has a new worker; this one ends without a word to Dagster", run.dagster_run_id)
            os._exit(os.EX_TEMPFAIL)

    def _fail(self, error: Exception) -> None:
        if self._session is None:
            return
        if isinstance(error, ActivityFailedError):
            info = error_info(error, activity_name=error.activity_name, attempt=error.attempt)
            info = info.model_copy(update={"type": error.error_type})
        else:
            info = error_info(error)
        try:
            self._session.runner.fail(info)
        except ClaimLostError:
            self._leave_run_to_its_new_worker()
        except ExecutionCancelledError:
            self._report_cancelling()


def _close(session: ExecutionSession, instance: dg.DagsterInstance) -> None:
    """End the session, let the UI's list of runs say what a parked one waits for, and give the run's place on."""
    run_id = session.claim.dagster_run_id
    if session.close():
        says = "; ".join(wait.describe() for wait in session.parked)
        instance.add_run_tags(run_id, {PARKED_TAG: says})
    if isinstance(instance.run_coordinator, PromptRunCoordinator):
        try:
            instance.run_coordinator.launch_queued(ending=run_id)
        except Exception as error:  # noqa: BLE001 - whatever it is: when this run has ended they are launched again
            logger.warning("runs that wait are not launched before run %s has ended: %s", run_id, error)


def _link_parked_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Let the run that parked name the one that goes on."""
    parent = instance.get_run_by_id(run.tags[PARENT_TAG]) if PARENT_TAG in run.tags else None
    if parent is not None and PARKED_TAG in parent.tags:
        instance.add_run_tags(parent.run_id, {NEXT_RUN_TAG: run.run_id})


def _failure(error: Exception) -> dg.Failure:
    return dg.Failure(storable_text(f"{type(error).__name__}: {error}"), allow_retries=False)


def _launch_of(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> Launch:
    root_run_id = run.tags.get(DAGSTER_ROOT_TAG, run.run_id)
    execution_id = run.tags.get(EXECUTION_TAG) or execution_id_for_run(root_run_id)
    parent = run.tags.get(DAGSTER_PARENT_TAG)
    is_reexecution = parent is not None and parent != run.tags.get(PARENT_TAG)
    return Launch(
        execution_id=WorkflowExecutionId(execution_id),
        organization_id=OrganizationId(run.tags.get(ORGANIZATION_TAG, settings.organization)),
        dagster_run_id=run.run_id,
        reexecuted_at=_created_at(instance, run) if is_reexecution else None,
    )


def _created_at(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime | None:
    record = instance.get_run_record_by_id(run.run_id)
    return None if record is None else record.create_timestamp


def _create_execution(
    database: Database, launch: Launch, workflow_type: WorkflowType, config: Mapping[str, Any], *, launch_after: float
) -> ExecutionRow:
    stored = stored_input(database, launch.organization_id, workflow_type, config)
    new = NewExecution(
        id=launch.execution_id,
        organization_id=launch.organization_id,
        workflow_type=workflow_type.name,
        workflow_version=workflow_type.version,
        input=stored,
        input_digest=canonical_digest(stored),
        about=workflow_type.about_of(stored),
    )
    with database.transaction() as tables:
        tables.executions.save(new, launch_after_seconds=launch_after)
        tables.runs.save(launch.dagster_run_id, launch.execution_id, launch.organization_id)
        return tables.executions.load(launch.execution_id, launch.organization_id)
