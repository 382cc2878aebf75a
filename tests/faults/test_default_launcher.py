"""Dagster's default launcher, where ours cannot fork: what the tables guarantee holds; dead workers are seen later."""

from collections.abc import Iterator
from unittest.mock import patch

import psutil
import pytest
import yaml

from beep_orchestration.models import ExecutionStatus
from beep_orchestration.supervisor import home
from tests.faults.conftest import ACTIVITY_TIMEOUT, SHORT
from tests.faults.documents import document
from tests.faults.installation import Installation, installed
from tests.faults.invariants import assert_sound
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 180.0
"""A worker imports everything anew, and a dead one is noticed by the end of its lease."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The services with `dagster.yaml` as docs/operating.md has it for systems where processes cannot be forked."""
    instance = yaml.safe_load(home.INSTANCE_FILE.read_text())
    del instance["run_launcher"]
    del instance["run_monitoring"]["max_resume_run_attempts"]
    file = tmp_path_factory.mktemp("instance") / "dagster.yaml"
    file.write_text(yaml.safe_dump(instance))
    with (
        patch.object(home, "INSTANCE_FILE", file),
        installed({"FAULTS_TIMEOUT": str(4 * ACTIVITY_TIMEOUT)}, **SHORT) as made,
    ):
        yield made


def test_02_one_is_killed_and_another_stopped_past_its_lease(installation: Installation) -> None:
    """The other, case 10, is back when a successor works."""
    control, named = installation.control, {key: installation.id_of(key) for key in ("killed", "stopped")}
    kill = control.arm("inside_activity", "kill", subject="mentions-1", execution_id=named["killed"])
    stop = control.arm("before_checkpoint_commit", "stop", subject="mentions-1", execution_id=named["stopped"])
    killed, stopped = (
        installation.start(document(3, seed, concurrency=1), idempotency_key=key)
        for key, seed in (("killed", 102), ("stopped", 110))
    )
    zombie = psutil.Process(control.wait_for(stop, LIMIT_SECONDS).pid)
    control.wait_for(kill, LIMIT_SECONDS)
    installation.wait_completed([killed, stopped], LIMIT_SECONDS)
    zombie.resume()
    wait_until(lambda: _has_ended(zombie), 60, "the zombie has ended")
    assert installation.service.get_status(stopped).status is ExecutionStatus.COMPLETED
    assert installation.journal.calls(killed, "mentions-0") == 1
    assert installation.fork_servers() == []
    assert_sound(installation, [killed, stopped], faults=3)


def test_07_the_code_server_is_killed_with_one_and_another_is_cancelled_meanwhile(installation: Installation) -> None:
    """Dagster alone shows the first as started for ever.

    It calls the other, case 31, cancelled after three minutes, and its process goes on to write.
    """
    installation.wait_ready()
    control = installation.control
    hang = control.arm("inside_activity", "hang", subject="mentions-1", execution_id=installation.id_of("hanging"))
    killed = installation.start(document(3, 107), idempotency_key="hanging")
    hanging = psutil.Process(control.wait_for(hang, LIMIT_SECONDS).pid)
    pause = control.arm("inside_activity", "pause", subject="mentions-1", seconds=3)
    cancelled = installation.start(document(3, 131))
    worker = psutil.Process(control.wait_for(pause, LIMIT_SECONDS).pid)
    installation.kill("code server")
    hanging.kill()
    assert installation.service.cancel(cancelled).cancelled_now
    kept = _checkpoints(installation, cancelled)
    wait_until(lambda: _has_ended(worker), 60, "the worker has ended by itself")
    assert _checkpoints(installation, cancelled) == kept
    installation.wait_ready()
    installation.service.resume(cancelled)
    installation.wait_completed([killed, cancelled], LIMIT_SECONDS)
    assert_sound(installation, [killed, cancelled], faults=4)


def _has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _checkpoints(installation: Installation, execution_id: str) -> list[tuple[object, ...]]:
    statement = (
        "SELECT activity_name FROM knowledge_workflow_activity "
        "WHERE status = 'completed' AND workflow_execution_id = %s ORDER BY 1"
    )
    return installation.postgres.ask(statement, execution_id)
