"""The sensors: they launch what was accepted, project what Dagster says, repair what a dead process could not write.

Everything here is a repeatable look at the tables and at Dagster, bounded per tick; no user waits for a tick alone,
because the service and the runs write the same things themselves when they can.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
from opentelemetry import metrics

from beep_orchestration import embedded
from beep_orchestration.dagster_client import EXECUTION_TAG, ORGANIZATION_TAG, tags_of_launch
from beep_orchestration.digests import canonical_digest
from beep_orchestration.engine.dagster_internals import WorkerStatus
from beep_orchestration.engine.launcher_worker import is_at_work, is_launch_abandoned
from beep_orchestration.errors import InvalidIdError, InvalidInputError
from beep_orchestration.extraction import decode_document
from beep_orchestration.extraction.model import text_digest
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId, WorkflowRunId, execution_id_for_key
from beep_orchestration.jobs import WORKFLOW_JOBS
from beep_orchestration.models import RunOutcome
from beep_orchestration.persistence import Database, ExecutionRow, RunRow, WorkflowPersistence
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.persistence.schema import check_schema
from beep_orchestration.projections import run_outcome
from beep_orchestration.reconciliation import record_run_end
from beep_orchestration.settings import Settings, load_settings
from beep_orchestration.workflow_types import EXTRACTION, WORKFLOW_TYPES, get_workflow_type

_LAUNCHES_PER_TICK = 50
_RUNS_PER_TICK = 200
_FILES_PER_TICK = 20
_TICK_SECONDS = 5
_MOST_BYTES_A_CHARACTER = 4
_LEASES_OF_SILENCE = 2
_SUBMISSION_SECONDS = 120.0
"""Longer than a run that was created may wait to be submitted, which is a minute at the most."""
_SETTLED_SECONDS = 2.0
"""A file that changed a moment ago may still be being written."""

_OPEN_STATUSES = [status for status in dg.DagsterRunStatus if run_outcome(status) is None]


_meter = metrics.get_meter("beep_orchestration")
_launch_lag = _meter.create_gauge("beep.launch_lag", "s", "by how long the most overdue launch is late")
_disagreements = _meter.create_counter("beep.reconciled_runs", "1", "runs whose end the reconciler saw first")


@contextmanager
def _database() -> Iterator[Database]:
    """The tables for a tick; raises `SchemaVersionError`, which the UI shows, rather than work on another schema."""
    with embedded.database_url(load_settings()) as url:
        database = Database(url, pool_size=1)
        try:
            check_schema(database.engine)
            yield database
        finally:
            database.close()


@dg.sensor(
    name="dispatcher",
    jobs=WORKFLOW_JOBS,
    minimum_interval_seconds=_TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches executions that were accepted while Dagster was away, or whose run ended before they did.",
)
def dispatcher(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each execution that is due; taking it and asking twice are excluded by its row's lock."""
    settings = load_settings()
    with _database() as database:
        with database.transaction() as tables:
            _launch_lag.set(tables.executions.load_launch_lag())
            due = tables.executions.take_launchable(
                limit=_LAUNCHES_PER_TICK,
                workflow_types=list(WORKFLOW_TYPES),
                next_try_seconds=settings.launch_grace_seconds,
            )
        if not due:
            yield dg.SkipReason("no execution waits for a run")
        for execution in due:
            with database.transaction() as tables:
                is_known = _record_unknown_runs(context.instance, tables, execution)
                earlier = tables.runs.list_of(execution.id)
            if not is_known:
                yield _run_request(execution, earlier)


def _record_unknown_runs(instance: dg.DagsterInstance, tables: WorkflowPersistence, execution: ExecutionRow) -> bool:
    """Whether Dagster has an open run for the execution already: the answer to its launch was lost.

    One that the tables know has parked, or is lost; until Dagster says so too, and be that never, it keeps none back.
    """
    filters = dg.RunsFilter(tags={EXECUTION_TAG: execution.id}, statuses=_OPEN_STATUSES)
    unknown = [run for run in instance.get_runs(filters) if tables.runs.find(run.run_id) is None]
    for run in unknown:
        tables.runs.save(run.run_id, execution.id, execution.organization_id)
    return bool(unknown)


def _run_request(execution: ExecutionRow, earlier: list[RunRow]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{execution.id}/{execution.updated_at.isoformat()}",
        job_name=get_workflow_type(execution.workflow_type).job_name,
        tags=tags_of_launch(execution, earlier),
    )


def _projection(status: dg.DagsterRunStatus, says: str) -> dg.SensorDefinition:
    """A sensor that projects one status of runs into the tables."""

    @dg.run_status_sensor(
        run_status=status,
        name=f"project_{status.value.lower()}_runs",
        monitored_jobs=WORKFLOW_JOBS,
        minimum_interval_seconds=_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Records in the tables that a run {says}, also if it was launched or stopped in the UI.",
    )
    def project(context: dg.RunStatusSensorContext) -> None:
        with _database() as database, database.transaction() as tables:
            project_run(tables, context.dagster_run)

    return project


def project_run(tables: WorkflowPersistence, run: dg.DagsterRun) -> None:
    """Bring the tables to what Dagster says of a run; runs that carry no execution of ours are left alone."""
    try:
        execution_id = WorkflowExecutionId(run.tags.get(EXECUTION_TAG, ""))
        organization_id = OrganizationId(run.tags.get(ORGANIZATION_TAG, ""))
    except InvalidIdError:
        return
    if tables.executions.find(execution_id, organization_id, lock=True) is None:
        return
    tables.runs.save(run.run_id, execution_id, organization_id)
    outcome = run_outcome(run.status)
    if outcome is not None:
        maximum = load_settings().maximum_launches_without_progress
        record_run_end(tables, run.run_id, outcome, maximum_launches=maximum)


projections = [
    _projection(dg.DagsterRunStatus.QUEUED, "waits for its turn"),
    _projection(dg.DagsterRunStatus.SUCCESS, "succeeded"),
    _projection(dg.DagsterRunStatus.FAILURE, "failed, or failed to start"),
    _projection(dg.DagsterRunStatus.CANCELED, "was cancelled"),
]


@dg.sensor(
    name="reconciler",
    minimum_interval_seconds=_TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Compares every run that the tables hold open with Dagster, and ends those whose worker is gone.",
)
def reconciler(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """A page of open runs a tick, round and round; what the projections missed is seen here."""
    with _database() as database:
        with database.transaction() as tables:
            after = WorkflowRunId(context.cursor) if context.cursor else None
            page = tables.runs.list_all_open(limit=_RUNS_PER_TICK, after=after)
        known = (
            {
                run.run_id: run
                for run in context.instance.get_runs(dg.RunsFilter(run_ids=[row.dagster_run_id for row in page]))
            }
            if page
            else {}
        )
        changed = 0
        for row in page:
            try:
                changed += _reconcile(context.instance, database, row, known.get(row.dagster_run_id))
            except Exception:  # one run that cannot be dealt with must not keep the others waiting
                context.log.exception(f"run {row.dagster_run_id} is left for the next tick")
    _disagreements.add(changed)
    context.update_cursor(page[-1].id if len(page) == _RUNS_PER_TICK else "")
    return dg.SkipReason(f"{len(page)} open runs compared, {changed} ended")


def _reconcile(instance: dg.DagsterInstance, database: Database, row: RunRow, run: dg.DagsterRun | None) -> bool:
    outcome = RunOutcome.LOST if run is None else run_outcome(run.status)
    if outcome is None and run is not None and (reason := _find_loss(instance, database, row, run)) is not None:
        instance.report_run_failed(run, reason)
        outcome = RunOutcome.LOST
    if outcome is None:
        return False
    with database.transaction() as tables:
        maximum = load_settings().maximum_launches_without_progress
        record_run_end(tables, row.dagster_run_id, outcome, maximum_launches=maximum)
    return True


def _find_loss(instance: dg.DagsterInstance, database: Database, row: RunRow, run: dg.DagsterRun) -> str | None:
    """Why an open run will not go on, None if it may."""
    if (
        run.status is dg.DagsterRunStatus.STARTED
        and _is_abandoned(database, row)
        and not _may_go_on(instance, run, row)
    ):
        return f"its lease was over at {row.lease_expires_at} and was not renewed"
    if run.status is dg.DagsterRunStatus.STARTING and is_launch_abandoned(instance, run.run_id):
        return "the process that launched it ended before it had a worker"
    if run.status is dg.DagsterRunStatus.NOT_STARTED and _is_never_submitted(instance, database, run):
        return "the process that created it ended before it was submitted"
    return None


def _is_never_submitted(instance: dg.DagsterInstance, database: Database, run: dg.DagsterRun) -> bool:
    """Whether a run was created so long ago that nobody can be about to submit it; Dagster leaves it so for ever."""
    record = instance.get_run_record_by_id(run.run_id)
    with database.transaction() as tables:
        now = tables.executions.load_clock()
    return record is not None and now - record.create_timestamp > timedelta(seconds=_SUBMISSION_SECONDS)


def _may_go_on(instance: dg.DagsterInstance, run: dg.DagsterRun, row: RunRow) -> bool:
    """Whether a run whose lease is over may go on: its worker is busy, or run monitoring will replace it.

    A worker that loads something large may be in one call that lets no other thread renew the lease. So one that lives
    and was not stopped has two leases more; after them it is taken to be hung, or cut off.
    """
    launcher = instance.run_launcher
    if not (instance.run_monitoring_enabled and launcher.supports_check_run_worker_health):
        return False
    if launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING:
        patience = _LEASES_OF_SILENCE * load_settings().lease_seconds
        return is_at_work(run) and row.lease_over_seconds is not None and row.lease_over_seconds < patience
    return instance.count_resume_run_attempts(run.run_id) < instance.run_monitoring_max_resume_run_attempts


def _is_abandoned(database: Database, row: RunRow) -> bool:
    """Whether a run that holds the claim of a running execution has let its lease end."""
    if row.epoch is None or not row.lease_is_over:
        return False
    with database.transaction() as tables:
        execution = tables.executions.load(row.workflow_execution_id)
        current = tables.runs.find(row.dagster_run_id)
    return not execution.status.is_terminal and current is not None and current.lease_is_over


@dg.sensor(
    name="inbox",
    jobs=WORKFLOW_JOBS,
    minimum_interval_seconds=_TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts one execution for each new document file in the folder that BEEP_INBOX_FOLDER names.",
)
def inbox(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Each file once, by its content; a file that cannot be used is reported once, and again only if it changes."""
    settings = load_settings()
    folder = settings.inbox_folder
    if folder is None or not folder.is_dir():
        yield dg.SkipReason("BEEP_INBOX_FOLDER is not set" if folder is None else f"{folder} is no folder")
        return
    seen: dict[str, list[int]] = json.loads(context.cursor) if context.cursor else {}
    present = _settled_files(folder)
    new = [path for path, stamp in present.items() if seen.get(path.name) != stamp][:_FILES_PER_TICK]
    unread: set[str] = set()
    with _database() as database:
        for path in new:
            try:
                execution = _accept(database, path, settings)
            except OSError as error:
                context.log.error(f"{path.name} cannot be read and will be tried again: {error}")
                unread.add(path.name)
            except InvalidInputError as error:
                context.log.error(f"{path.name} is refused: {error}")
            else:
                if execution is not None:
                    yield _run_request(execution, [])
    names = {path.name for path in present}
    read = {path.name: present[path] for path in new if path.name not in unread}
    context.update_cursor(json.dumps({name: stamp for name, stamp in (seen | read).items() if name in names}))
    if not new:
        yield dg.SkipReason(f"no new file in {folder}")


def _settled_files(folder: Path) -> dict[Path, list[int]]:
    """Files by name, with what tells a changed one, that were not written to a moment ago."""
    files: dict[Path, list[int]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            stat = path.stat()
            if abs(time.time() - stat.st_mtime) >= _SETTLED_SECONDS:  # a copy may be dated in the future
                files[path] = [stat.st_mtime_ns, stat.st_size]
    return files


def _accept(database: Database, path: Path, settings: Settings) -> ExecutionRow | None:
    """Store an execution for the file, unless one with its name and content is stored already."""
    limit = settings.maximum_document_characters
    if path.stat().st_size > _MOST_BYTES_A_CHARACTER * limit:
        raise InvalidInputError("text", f"is longer than {limit} characters", "raise BEEP_MAXIMUM_DOCUMENT_CHARACTERS")
    text = decode_document(path.read_bytes())
    raw = {"document_id": path.name, "text": text, "title": path.stem, "source_uri": path.resolve().as_uri()}
    parsed = EXTRACTION.parse_input(raw).model_dump(mode="json")
    key = f"inbox:{path.name}:{text_digest(text)}"
    new = NewExecution(
        id=execution_id_for_key(settings.organization, EXTRACTION.name, key),
        organization_id=settings.organization,
        workflow_type=EXTRACTION.name,
        workflow_version=EXTRACTION.version,
        input=parsed,
        input_digest=canonical_digest(parsed),
        about=EXTRACTION.about_of(parsed),
        idempotency_key=key,
    )
    with database.transaction() as tables:
        is_new = tables.executions.save(new, launch_after_seconds=settings.launch_grace_seconds)
        return tables.executions.load(new.id) if is_new else None


SENSORS: list[dg.SensorDefinition] = [dispatcher, *projections, reconciler, inbox]
