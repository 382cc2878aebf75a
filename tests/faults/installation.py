"""The real services on a real PostgreSQL, and what a test does to them and asks of them."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from psycopg import connect
from pydantic import SecretStr

from beep_orchestration import embedded
from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_key
from beep_orchestration.models import ExecutionStatus, Json, WorkflowStatus
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings, load_settings
from beep_orchestration.supervisor import running_services
from beep_orchestration.supervisor.home import free_port
from beep_orchestration.supervisor.services import Services
from beep_orchestration.workflow_types import EXTRACTION
from tests.faults.control import FOLDER_VARIABLE, Control
from tests.faults.journal import Journal
from tests.faults.proxy import Proxy
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
LIMIT_SECONDS = 90.0
SERVICES = 4


@dataclass(frozen=True)
class Postgres:
    """The server, by its data folder; `url` goes past the proxy and stays the same over restarts."""

    folder: Path
    url: str

    @property
    def socket(self) -> Path:
        """Where the server listens; raises `ConnectionError` while it does not."""
        found = embedded.find_socket_folder(self.folder / "postgres")
        if found is None:
            raise ConnectionError("the server is away")
        return next(found.glob(".s.PGSQL.*[0-9]"))

    @property
    def pid(self) -> int:
        """The postmaster's process."""
        return int((self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    def stop_immediately(self) -> None:
        """As `pg_ctl stop -m immediate`: no checkpoint, no farewell; returns when the server is gone."""
        postmaster = psutil.Process(self.pid)
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(30)

    def start(self) -> None:
        """Start the server, which recovers from its log."""
        embedded.start(self.folder)

    def ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows that a statement yields, or none; committed."""
        with connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True)
class Installation:
    """What a fault test works with. `service` goes past the proxy: its caller is not what the faults are for."""

    services: Services
    postgres: Postgres
    proxy: Proxy
    control: Control
    journal: Journal
    folder: Path
    database: Database
    service: WorkflowService

    def start(self, given: Json, workflow_type: str = EXTRACTION.name, **options: str) -> str:
        """Accept an execution and have it launched; its id."""
        return self.service.start(workflow_type, given, **options)

    def id_of(self, idempotency_key: str) -> WorkflowExecutionId:
        """The id that an execution started with that key will have: faults for it can be armed before it is there."""
        return execution_id_for_key(self.services.settings.organization, EXTRACTION.name, idempotency_key)

    def wait(self, execution_id: str, timeout: float = LIMIT_SECONDS) -> WorkflowStatus:
        """Wait for the end of an execution; raises `TimeoutError` with what is known of it."""
        try:
            return self.service.wait(execution_id, timeout_seconds=timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.describe(execution_id)}") from error

    def wait_completed(self, execution_ids: Sequence[str], timeout: float = LIMIT_SECONDS) -> None:
        """Wait until all of them are completed; raises `AssertionError` if one ends otherwise."""
        for execution_id in execution_ids:
            status = self.wait(execution_id, timeout)
            assert status.status is ExecutionStatus.COMPLETED, f"{status.error}\n{self.describe(execution_id)}"

    def worker(self, execution_id: str) -> psutil.Process:
        """The process that carries the execution now, waited for."""
        return wait_until(lambda: self._find_worker(execution_id), description=f"{execution_id} has a worker")

    def _find_worker(self, execution_id: str) -> psutil.Process | None:
        runs = self.postgres.ask(
            "SELECT dagster_run_id FROM knowledge_workflow_run WHERE workflow_execution_id = %s AND outcome IS NULL",
            execution_id,
        )
        tags = self.postgres.ask(
            "SELECT value::jsonb ->> 'pid' FROM run_tags WHERE key = 'beep/worker' AND run_id = ANY(%s)",
            [str(run) for (run,) in runs],
        )
        found = (self.find_process(int(str(pid))) for (pid,) in tags)
        return next((worker for worker in found if worker is not None), None)

    def process(self, name: str) -> psutil.Process:
        """The code server, webserver or daemon that runs now."""
        pid = wait_until(lambda: self.services.pids.get(name), description=f"the {name} runs")
        return psutil.Process(pid)

    def kill(self, name: str) -> int:
        """Kill the code server, webserver or daemon; the supervisor starts it again. Its pid."""
        killed = self.process(name)
        killed.kill()
        return int(killed.pid)

    def fork_servers(self) -> list[psutil.Process]:
        """The fork servers of this installation, without their children."""
        found = [process for process in self.all_processes() if _is_fork_server(process)]
        pids = {process.pid for process in found}
        return [process for process in found if _parent(process) not in pids]

    def find_process(self, pid: int) -> psutil.Process | None:
        """The living process of that number, if it is one of this installation's; numbers are soon used again."""
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.environ().get("BEEP_DATA_FOLDER") == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    @property
    def _mark(self) -> str:
        return str(self.folder / "services")

    def all_processes(self) -> list[psutil.Process]:
        """Every living process of this installation's services, workers included."""
        return [process for pid in psutil.pids() if (process := self.find_process(pid)) is not None]

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until each of the services has said that it works."""
        wait_until(self._are_ready, timeout, "the services are ready")

    def _are_ready(self) -> bool:
        pids = self.services.pids
        if len(pids) < SERVICES:
            return False
        with suppress(psutil.NoSuchProcess):
            return self.services._find_problem(psutil.Process(pids["daemon"]).create_time()) is None
        return False

    def describe(self, execution_id: str) -> str:
        """What the tables and Dagster say of an execution, for the message of a failure."""
        parts = {
            "execution": "SELECT status, epoch, launch_at, launches, error FROM knowledge_workflow_execution "
            "WHERE id = %s",
            "runs": "SELECT r.dagster_run_id, r.epoch, r.lease_expires_at, r.outcome, d.status "
            "FROM knowledge_workflow_run r LEFT JOIN runs d ON d.run_id = r.dagster_run_id "
            "WHERE workflow_execution_id = %s",
            "activities": "SELECT activity_name, attempt_number, status, epoch, error ->> 'message' "
            "FROM knowledge_workflow_activity WHERE workflow_execution_id = %s AND status <> 'completed'",
            "events": "SELECT e.timestamp, coalesce("
            "e.event::jsonb #>> '{dagster_event,event_specific_data,error,message}', "
            "e.event::jsonb #>> '{dagster_event,message}') FROM event_logs e "
            "JOIN knowledge_workflow_run r ON r.dagster_run_id = e.run_id WHERE workflow_execution_id = %s "
            "AND e.dagster_event_type IN ('ENGINE_EVENT', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED', 'STEP_FAILURE') "
            "ORDER BY e.id DESC LIMIT 12",
        }
        lines = [f"now: {self.postgres.ask('SELECT clock_timestamp()')}"]
        for name, statement in parts.items():
            lines += [f"{name}:", *(f"  {row}" for row in self.postgres.ask(statement, execution_id))]
        return "\n".join(lines)


@contextmanager
def postgres_server(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Iterator[Postgres]:
    """A server of its own, in that folder or a new one."""
    made = folder or Path(tempfile.mkdtemp(prefix="beep-faults-pg-"))
    with patch.dict(os.environ, environment or {}):
        url, _ = embedded.start(made)
    server = Postgres(made, url)
    try:
        for setting in ("full_page_writes = off", "synchronous_commit = on"):
            server.ask(f"ALTER SYSTEM SET {setting}")
        server.ask("SELECT pg_reload_conf()")
        yield server
    finally:
        embedded.stop(made)
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)


@contextmanager
def installed(
    environment: Mapping[str, str] | None = None,
    *,
    on: tuple[Postgres, Path] | None = None,
    **settings: object,
) -> Iterator[Installation]:
    """The services with the test location, on a server of their own behind a proxy; all ends with the block.

    `on` is a server, and a folder of an earlier installation or for a new one, that outlast the block.
    """
    folder = Path(tempfile.mkdtemp(prefix="beep-faults-")) if on is None else on[1]
    with ExitStack() as stack:
        if on is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "code").touch()
        postgres = stack.enter_context(postgres_server()) if on is None else on[0]
        proxy = Proxy(lambda: postgres.socket)
        stack.callback(proxy.close)
        variables = {FOLDER_VARIABLE: str(folder), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        stack.callback(load_settings.cache_clear)
        stack.enter_context(patch.dict(os.environ, variables | dict(environment or {})))
        load_settings.cache_clear()
        given = {"port": free_port(HOST), "host": HOST} | settings
        configured = Settings.model_validate(
            given | {"database_url": SecretStr(proxy.url), "data_folder": folder / "services"}
        )
        services = stack.enter_context(
            running_services(configured, lambda _: None, definitions="tests.faults.location")
        )
        database = Database(postgres.url)
        stack.callback(database.close)
        dagster = DagsterClient(HOST, configured.port, code_location=configured.code_location, timeout_seconds=15)
        service = WorkflowService(database, dagster, configured.organization, configured)
        made = Installation(
            services, postgres, proxy, Control(folder), Journal(folder / "journal"), folder, database, service
        )
        try:
            yield made
        finally:
            _wake_all(made)


def _is_fork_server(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("beep_orchestration.engine.forkserver" in argument for argument in process.cmdline())
    return False


def _parent(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.ppid())
    return 0


def _wake_all(made: Installation) -> None:
    """A stopped process would not end before its guard's patience does."""
    for process in made.all_processes():
        with suppress(psutil.Error):
            process.resume()
