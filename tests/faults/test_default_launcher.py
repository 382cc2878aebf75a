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


def test_02_killed_inside_an_activity(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "kill", subject="mentions-1")
    execution_id = installation.start(document(3, 102, concurrency=1))
    installation.control.wait_for(fault, LIMIT_SECONDS)
    installation.wait_completed([execution_id], LIMIT_SECONDS)
    assert installation.fork_servers() == []
    assert installation.journal.calls(execution_id, "mentions-0") == 1
    assert_sound(installation, [execution_id], faults=1)


def test_07_killed_together_with_the_code_server(installation: Installation) -> None:
    """Dagster alone shows such a run as started for ever."""
    installation.wait_ready()
    fault = installation.control.arm("inside_activity", "hang", subject="mentions-1")
    execution_id = installation.start(document(3, 107))
    proof = installation.control.wait_for(fault, LIMIT_SECONDS)
    installation.kill("code server")
    psutil.Process(proof.pid).kill()
    installation.wait_completed([execution_id], LIMIT_SECONDS)
    assert_sound(installation, [execution_id], faults=2)


def test_10_stopped_past_its_lease_and_back_when_a_successor_works(installation: Installation) -> None:
    installation.wait_ready()
    fault = installation.control.arm("before_checkpoint_commit", "stop", subject="mentions-1")
    execution_id = installation.start(document(3, 110, concurrency=1))
    zombie = psutil.Process(installation.control.wait_for(fault, LIMIT_SECONDS).pid)
    installation.wait_completed([execution_id], LIMIT_SECONDS)
    zombie.resume()
    wait_until(lambda: _has_ended(zombie), 60, "the zombie has ended")
    assert installation.service.get_status(execution_id).status is ExecutionStatus.COMPLETED
    assert_sound(installation, [execution_id], faults=2)


def test_31_cancelled_while_the_code_server_is_dead_commits_nothing_and_resumes(installation: Installation) -> None:
    """Dagster alone calls such a run cancelled after three minutes, and its process goes on to write."""
    installation.wait_ready()
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-1", seconds=3)
    execution_id = installation.start(document(3, 131))
    worker = psutil.Process(installation.control.wait_for(fault, LIMIT_SECONDS).pid)
    installation.kill("code server")
    assert installation.service.cancel(execution_id).cancelled_now
    kept = _checkpoints(installation, execution_id)
    wait_until(lambda: _has_ended(worker), 60, "the worker has ended by itself")
    assert _checkpoints(installation, execution_id) == kept
    installation.wait_ready()
    installation.service.resume(execution_id)
    installation.wait_completed([execution_id], LIMIT_SECONDS)
    assert_sound(installation, [execution_id], faults=2)


def _has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _checkpoints(installation: Installation, execution_id: str) -> list[tuple[object, ...]]:
    statement = (
        "SELECT activity_name FROM knowledge_workflow_activity "
        "WHERE status = 'completed' AND workflow_execution_id = %s ORDER BY 1"
    )
    return installation.postgres.ask(statement, execution_id)
