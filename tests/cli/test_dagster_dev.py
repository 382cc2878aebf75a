"""`dagster dev` in the checkout: Dagster's own command on our storage, launcher and embedded PostgreSQL."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beep_orchestration import embedded
from beep_orchestration.supervisor.readiness import find_readiness
from tests.cli.conftest import TEXT
from tests.cli.test_up import CHECKOUT, User, user
from tests.waiting import wait_until

__all__ = ["user"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
LIMIT_SECONDS = 180.0


@pytest.fixture
def dev(user: User) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in user.environment.items() if name != "DAGSTER_HOME"}
    command = [Path(sys.executable).with_name("dagster"), "dev", "--port", str(user.port)]
    log = (user.folder / "dev.log").open("wb")
    with log, subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            for left in user.processes():  # a fork server without an owner waits for work for ten minutes
                left.kill()
            process.kill()
            embedded.stop(user.folder)


def test_dagster_dev_makes_the_database_runs_what_is_started_and_stops_the_server(
    user: User, dev: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    document = tmp_path / "notes.txt"
    document.write_text(TEXT)
    wait_until(lambda: _is_ready(user), LIMIT_SECONDS, "Dagster is ready")
    started = user.call("start", str(document), "--wait")
    assert (started.returncode, started.stderr) == (0, "")
    assert "completed in" in started.stdout
    dev.send_signal(signal.SIGINT)
    assert dev.wait(LIMIT_SECONDS) is not None
    assert embedded.find_socket_folder(user.folder / "postgres") is None
    assert [path.name for path in CHECKOUT.iterdir() if path.name.startswith(".tmp_dagster_home")] == []


def _is_ready(user: User) -> bool:
    found = find_readiness(f"http://127.0.0.1:{user.port}", "beep_orchestration")
    return found is not None and found.location_error is None
