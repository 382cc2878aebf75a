"""`beep up` as a user has it: one command, one Ctrl-C, and nothing left behind however it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from beep_orchestration import embedded
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import Services, find_owner, running_services
from beep_orchestration.supervisor.home import free_port
from beep_orchestration.supervisor.readiness import ask, find_readiness
from tests.cli.conftest import TEXT
from tests.waiting import wait_until

pytestmark = pytest.mark.integration
BEEP = [sys.executable, "-c", "from beep_orchestration.cli import main; main()"]
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class User:
    """A user with a data folder and an embedded PostgreSQL of their own."""

    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """What the user set."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEEP_")}
        return inherited | {"BEEP_DATA_FOLDER": str(self.folder), "BEEP_PORT": str(self.port)}

    @property
    def settings(self) -> Settings:
        """As their commands read them."""
        return Settings(data_folder=self.folder, port=self.port)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command of `beep` as a process in a session of its own."""
        with subprocess.Popen(
            [*BEEP, *arguments],
            env=self.environment,
            cwd=CHECKOUT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `beep`, to its end."""
        command = [*BEEP, *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=CHECKOUT, text=True, capture_output=True, timeout=120, check=False
        )

    def processes(self) -> list[psutil.Process]:
        """All processes that have to do with the data folder, by their arguments or their environment."""
        return [process for process in psutil.process_iter() if process.pid != os.getpid() and self._concerns(process)]

    def fork_servers(self) -> set[int]:
        """When each fork server that listens began to."""
        found = set()
        for listening in (self.folder / "dagster" / "run_workers" / "servers").glob("*/server.sock"):
            with suppress(FileNotFoundError):  # it has stopped listening meanwhile
                found.add(listening.stat().st_mtime_ns)
        return found

    def _concerns(self, process: psutil.Process) -> bool:
        try:
            words = [*process.cmdline(), *process.environ().values()]
            return process.status() != psutil.STATUS_ZOMBIE and any(str(self.folder) in word for word in words)
        except psutil.Error:
            return False


@pytest.fixture
def user() -> Iterator[User]:
    folder = Path(tempfile.mkdtemp(prefix="beep-test-"))
    yield User(folder, free_port("127.0.0.1"))
    shutil.rmtree(folder, ignore_errors=True)


def _ready(up: subprocess.Popen[str]) -> dict[str, Any]:
    assert up.stdout is not None
    line = up.stdout.readline()
    assert line, up.communicate()
    ready: dict[str, Any] = json.loads(line)
    return ready


def test_a_killed_owner_leaves_no_process_and_loses_no_execution_and_one_ctrl_c_ends_everything(
    user: User, tmp_path: Path
) -> None:
    """Of the second owner the database dies, too."""
    before = set(CHECKOUT.iterdir())
    document = tmp_path / "long.txt"
    document.write_text(TEXT * 200)
    with user.running("up", "--json") as up:
        ready = _ready(up)
        assert set(ready["pids"]) == {"code server", "webserver", "daemon", "API server"}
        assert find_readiness(ready["url"], "beep_orchestration") is not None
        started = user.call("start", str(document), "--json")
        execution_id = json.loads(started.stdout)["execution_id"]
        with WorkflowService.connect(user.settings) as service:
            wait_until(lambda: service.get_status(execution_id).activities, description="the run has begun")
        up.kill()
        up.wait(30)
        wait_until(lambda: user.processes() == [], timeout=60, description="the guard has ended everything")
        assert up.communicate() == ("", "")
    with user.running("up", "--json") as up:
        _ready(up)
        assert user.call("watch", execution_id).returncode == 0
        first = _postmaster(user)
        psutil.Process(first).kill()
        wait_until(lambda: embedded.find_socket_folder(user.folder / "postgres") and _postmaster(user) != first)
        assert user.call("list", "--json").returncode == 0
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGINT)  # an impatient user
        assert up.wait(60) == 0
        assert user.processes() == []
        assert up.communicate() == ("", "warning: the embedded PostgreSQL had ended and was started again\n")
    assert set(CHECKOUT.iterdir()) <= before  # nothing is written into the checkout


ENDING = """
import contextlib, sys, time
from beep_orchestration.cli.invocation import ended_by_signals
with contextlib.suppress(KeyboardInterrupt), ended_by_signals():
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        print("ending", flush=True)
        sys.stdin.readline()
print("ended", flush=True)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda signum: signum.name)
def test_each_signal_ends_and_none_cuts_the_ending_short(signum: signal.Signals) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", ENDING], cwd=CHECKOUT, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        assert process.stdout.readline() == "ending\n"
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(again)
        assert process.communicate("\n", timeout=30)[0] == "ended\n"
        assert process.returncode == 0


def _postmaster(user: User) -> int:
    return int((user.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def test_a_kill_during_the_start_leaves_no_process(user: User) -> None:
    with user.running("up", "--json") as up:
        wait_until((user.folder / "postgres").exists, timeout=60)
        up.kill()
        up.wait(30)
        wait_until(lambda: user.processes() == [], timeout=60, description="the guard has ended everything")
    wait_until(lambda: find_owner(user.folder) is None)  # the guard's last descriptor closes after it left the list


def test_a_second_up_is_refused_and_the_first_one_goes_on(services: Services) -> None:
    settings = services.settings
    user = User(settings.data_folder, free_port("127.0.0.1"))
    refused = user.call("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: process {os.getpid()} runs the services of ")
    assert len(refused.stderr.splitlines()) == 1
    assert find_readiness(services.url, settings.code_location) is not None


def test_a_taken_port_is_refused_before_anything_starts(user: User) -> None:
    with socket.create_server(("127.0.0.1", user.port)):
        refused = user.call("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: BEEP_PORT: cannot listen on 127.0.0.1:{user.port} ")
    assert not (user.folder / "postgres").exists()


@pytest.mark.parametrize("name", ["code server", "webserver", "daemon", "API server"])
def test_a_service_that_dies_is_started_again_and_work_goes_on(services: Services, name: str) -> None:
    first = services.pids[name]
    psutil.Process(first).kill()
    wait_until(lambda: services.pids.get(name, first) != first, description=f"another {name} runs")
    with WorkflowService.connect(services.settings) as service:
        execution_id = service.start("extraction", {"document_id": name, "text": TEXT})
        assert service.wait(execution_id, timeout_seconds=120).status == "completed"


def test_what_services_and_runs_write_is_for_their_user_alone(services: Services) -> None:
    with WorkflowService.connect(services.settings) as service:
        execution_id = service.start("extraction", {"document_id": "private", "text": TEXT})
        assert service.wait(execution_id, timeout_seconds=120).status == "completed"
    folder = services.settings.data_folder
    written = [path for name in ("logs", "step_output") for path in (folder / name).rglob("*")]
    assert {"code server.log", "API server.log"} <= {path.name for path in written}
    assert any(path.suffix == ".out" for path in written)
    assert [path for path in (folder / "dagster", *written) if path.stat().st_mode & 0o077] == []


CODE = """
import dagster as dg

@dg.op
def nothing() -> None:
    pass

@dg.job(name={name!r})
def only() -> None:
    nothing()

defs = dg.Definitions(jobs=[only])
"""
JOBS = "query { repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }"


def test_changed_code_is_loaded_again_and_broken_code_ends_nothing(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code" / "changing_location.py"
    code.parent.mkdir()
    code.write_text(CODE.format(name="first"))
    monkeypatch.setenv("PYTHONPATH", str(code.parent))
    monkeypatch.syspath_prepend(str(code.parent))
    settings = Settings(
        database_url=SecretStr(empty_database_url),
        data_folder=tmp_path / "data",
        port=free_port("127.0.0.1"),
        code_location="changing",
    )
    user = User(settings.data_folder, settings.port)
    told: list[str] = []
    with running_services(settings, told.append, definitions=code.stem, reload=True) as services:
        before = services.pids
        assert _jobs(services) == {"first"}
        wait_until(user.fork_servers, 240, "a fork server waits for the first run")
        first_server = user.fork_servers()
        code.write_text("this is not Python")
        wait_until(lambda: _location_error(services) is not None, 60, "the fault is shown")
        code.write_text(CODE.format(name="second"))
        wait_until(lambda: _location_error(services) is None and _jobs(services) == {"second"}, 60, "the code is new")
        assert services.pids == before
        wait_until(lambda: any("loaded again" in line for line in told), description="it is told")
        wait_until(lambda: user.fork_servers() - first_server, 240, "a fork server has the new code")
        assert any("does not load" in line for line in told)
    assert user.processes() == []


def _location_error(services: Services) -> str | None:
    found = find_readiness(services.url, services.settings.code_location)
    assert found is not None
    return found.location_error


def _jobs(services: Services) -> set[str]:
    """The names of the jobs that the webserver knows, without those that Dagster makes itself."""
    (repository,) = ask(services.url, {"query": JOBS}, 10)["data"]["repositoriesOrError"]["nodes"]
    return {job["name"] for job in repository["jobs"] if not job["name"].startswith("__")}


def test_commands_find_the_port_of_the_services_of_their_data_folder(services: Services) -> None:
    settings: Settings = services.settings
    assert settings.database_url is not None
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEEP_")}
    environment = inherited | {
        "BEEP_DATA_FOLDER": str(settings.data_folder),
        "BEEP_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    command = [*BEEP, "start", "-", "--wait"]
    run = subprocess.run(
        command, env=environment, cwd=CHECKOUT, text=True, input=TEXT, capture_output=True, timeout=120, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "completed in" in run.stdout
