"""The services from their start to their end."""

import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from os import getpid
from pathlib import Path

from pydantic import SecretStr

from beep_orchestration import embedded
from beep_orchestration.errors import BeepError, ConfigurationError, DagsterUnavailableError
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import migrate
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor.child import Child, make_children
from beep_orchestration.supervisor.code_changes import reload_at_changes
from beep_orchestration.supervisor.guard import Guard
from beep_orchestration.supervisor.home import CODE_SOCKET, check_port
from beep_orchestration.supervisor.ownership import SOCKETS_PREFIX, Owner, Ownership
from beep_orchestration.supervisor.postgres import EmbeddedPostgres
from beep_orchestration.supervisor.readiness import find_readiness, is_api_ready

logger = logging.getLogger(__name__)

_START_SECONDS = 120.0
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 4.0

_POSTGRES_DELAY = 5.0
_DEFINITIONS = "beep_orchestration.definitions"

Report = Callable[[str], None]


class Services:
    """Code server, webserver, daemon and API server of one owner, and the database that they share.

    `settings` are those that programs need to reach them: with the database's URL, embedded or not.
    """

    def __init__(
        self,
        settings: Settings,
        children: list[Child],
        warm_up: Child,
        *,
        code_socket: Path,
        postgres: EmbeddedPostgres | None,
        guard: Guard,
        report: Report,
    ) -> None:
        self.settings = settings
        self._children = children
        self._warm_up = warm_up
        self._code_socket = code_socket
        self._postgres = postgres
        self._guard = guard
        self._report = report
        self._stopping = threading.Event()
        self._is_cold = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="services", daemon=True)
        self._gave_up: str | None = None

    @property
    def url(self) -> str:
        """The address of the Dagster UI."""
        return self.settings.url

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, by name; one that is being started again is missing."""
        return {child.name: child.pid for child in self._children if child.pid is not None}

    def wait(self) -> None:
        """Return never, unless a process is given up: raises `ConfigurationError` then. Interrupted by signals."""
        while not self._stopping.wait(3600):
            pass
        if self._gave_up is not None:
            raise ConfigurationError(self._gave_up)

    def start(self) -> None:
        """Start all and wait until a run could be launched. Raises `ConfigurationError`, `DagsterUnavailableError`.

        The code server comes first: webserver and daemon look for it once, and then not again for ten seconds.
        """
        started_at = time.time()
        code_server, *others = self._children
        code_server.start()
        self._wait_while(lambda: None if self._code_socket.exists() else "the code location is not loaded")
        for child in others:
            child.start()
        self._wait_while(lambda: self._find_problem(started_at))
        self.warm_up()
        self._watcher.start()

    def warm_up(self) -> None:
        """Have the next run find its fork server started, with the code as it is now; returns before that is so.

        If it fails, the run starts the server itself, or tells what is wrong with the code.
        """
        self._is_cold.set()

    def _wait_while(self, find_problem: Callable[[], str | None]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while (problem := find_problem()) is not None:
            for child in self._children:
                if (end := child.find_end()) is not None:
                    raise ConfigurationError(end)
            if time.monotonic() > deadline:
                logs = ", ".join(str(child.log) for child in self._children)
                raise DagsterUnavailableError(self.url, f"after {_START_SECONDS:g} s: {problem}; see {logs}")
            time.sleep(_POLL_SECONDS)

    def _find_problem(self, started_at: float) -> str | None:
        location = self.settings.code_location
        readiness = find_readiness(self.url, location)
        if readiness is None:
            return "the webserver does not answer"
        if readiness.location_error is not None:
            return f"the code location is not loaded: {readiness.location_error}"
        if silent := readiness.silent_since(started_at):
            return f"no heartbeat yet from: {', '.join(silent)}"
        return None if is_api_ready(self.settings.api_url) else "the API server does not answer"

    def _watch(self) -> None:
        """Start again what ends, in its own time, until it ends too often."""
        while not self._stopping.wait(_POLL_SECONDS * 2):
            self._guard.keep()
            self._keep_postgres()
            self._keep_warm()
            for child in self._children:
                if (end := child.find_end()) is not None:
                    self._report_end(child, end)
                if child.is_given_up:
                    self._gave_up = f"the {child.name} keeps ending; see {child.log}"
                    self._stopping.set()
                    return
                child.start_if_due()

    def _keep_warm(self) -> None:
        self._warm_up.find_end()  # its log says how
        if self._is_cold.is_set() and self._warm_up.pid is None:
            self._is_cold.clear()
            self._warm_up.start()

    def _keep_postgres(self) -> None:
        """Start the embedded PostgreSQL again if it died, or was stopped by a command that had started it before us."""
        if self._postgres is None or self._postgres.is_running:
            return
        try:
            self._postgres.ensure()
        except BeepError as error:
            self._report(f"the embedded PostgreSQL does not start: {error}")
            self._stopping.wait(_POSTGRES_DELAY)
        else:
            self._report("the embedded PostgreSQL had ended and was started again")

    def _report_end(self, child: Child, end: str) -> None:
        follows = "it is given up" if child.is_given_up else f"it is started again in {child.delay:g} s"
        self._report(f"{end}; {follows}")

    def stop(self) -> None:
        """Ask all to end and wait for a while; who does not is left to the guard."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for child in (self._warm_up, *self._children):
            child.ask_to_end()
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in (self._warm_up, *self._children):
            child.wait(deadline - time.monotonic())


@contextmanager
def running_services(
    settings: Settings, report: Report = logger.warning, *, definitions: str = _DEFINITIONS, reload: bool = False
) -> Iterator[Services]:
    """Run the services of a data folder as long as the block lasts; inside it a run can be launched at once.

    `definitions` is the module of the code location; with `reload` it is loaded again whenever its code changes.

    The schema is brought up to date first. A process that ends is started again, with growing delays and a limited
    number of times; `report` is told. However the block or this process ends, also by SIGKILL, no process that was
    started stays behind, run workers included: executions under way go on when the services run again.

    Raises:
        ConfigurationError: the port is taken, the services of this folder run already, a file or the folder is wrong,
            or a process ends right after its start (with what it told of it).
        DatabaseUnavailableError, SchemaVersionError: the database does not answer, or is newer than the code.
        DagsterUnavailableError: the services are not ready after two minutes.
    """
    owner = Owner(getpid(), settings.host, settings.port, settings.api_port)
    with ExitStack() as stack:
        ownership = stack.enter_context(Ownership.taken(settings.data_folder, owner))
        check_port(settings.host, settings.port)
        check_port(settings.api_host, settings.api_port, "BEEP_API_PORT")
        ownership.remove_remains()
        mark, folder = secrets.token_hex(16), Path(tempfile.mkdtemp(prefix=SOCKETS_PREFIX))
        owner = replace(owner, folder=str(folder))
        ownership.announce(owner)
        guard = Guard(mark, folder, settings.data_folder, ownership.descriptor)
        stack.callback(guard.release)
        settings, postgres = _with_database(settings, guard)
        children, warm_up = make_children(settings, folder, mark, definitions, reload=reload)
        services = Services(
            settings, children, warm_up, code_socket=folder / CODE_SOCKET, postgres=postgres, guard=guard, report=report
        )
        stack.callback(services.stop)
        services.start()
        if reload:
            stack.enter_context(_reloading(services, definitions, report))
        ownership.announce(replace(owner, is_ready=True))
        yield services


@contextmanager
def _reloading(services: Services, definitions: str, report: Report) -> Iterator[None]:
    stopping = threading.Event()

    def tell(names: str, problem: str | None) -> None:
        if problem is None:
            services.warm_up()
        report(f"{names} changed; {problem or 'the code is loaded again'}")

    arguments = (definitions, services.url, services.settings.code_location, tell, stopping)
    watcher = threading.Thread(target=reload_at_changes, args=arguments, name="code changes", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopping.set()
        watcher.join(_GRACE_SECONDS)  # a reload under way ends with the services


def _with_database(settings: Settings, guard: Guard) -> tuple[Settings, EmbeddedPostgres | None]:
    """The settings with the URL of a database whose schema is up to date, and the server if it is the embedded one."""
    postgres = None
    if settings.database_url is None:
        postgres = EmbeddedPostgres(settings.data_folder, guard.own_postgres)
        settings = settings.model_copy(update={"database_url": SecretStr(postgres.ensure())})
    with embedded.database_url(settings) as url:
        _migrate(url)
    return settings, postgres


def _migrate(url: str) -> None:
    database = Database(url)
    try:
        migrate(database.engine)
    finally:
        database.close()
