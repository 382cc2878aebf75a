"""With run monitoring: a run whose worker has died is resumed by another worker."""

import logging
import os
import signal
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from beep_orchestration.engine.dagster_internals import WorkerStatus
from tests.engine.installation import Installation, Installations, read
from tests.waiting import wait_until

MAXIMUM_RESUMES = 2
MONITORING = {"enabled": True, "max_resume_run_attempts": MAXIMUM_RESUMES}


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory, installations: Installations) -> Iterator[Installation]:
    with installations.make(tmp_path_factory.mktemp("installation"), run_monitoring=MONITORING) as made:
        yield made


def kill_worker(dagster: Installation, run_id: str) -> None:
    os.kill(dagster.worker(run_id).pid, signal.SIGKILL)
    dagster.wait_for_death(run_id)


def monitor(dagster: Installation) -> None:
    errors = list(execute_run_monitoring_iteration(dagster.context, logging.getLogger("monitoring")))
    assert errors.count(None) == len(errors)


def test_run_of_a_killed_worker_is_resumed_and_succeeds(dagster: Installation) -> None:
    run_id, files = dagster.launch("wait_once")
    read(files / "waiting.json")
    killed = dagster.worker(run_id)
    kill_worker(dagster, run_id)
    health = dagster.launcher.check_run_worker_health(dagster.run(run_id))
    assert health.status == WorkerStatus.FAILED
    assert "was killed by SIGKILL" in str(health.msg)
    monitor(dagster)
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    assert dagster.worker(run_id) != killed
    assert any("was killed by SIGKILL" in message for message in dagster.messages(run_id))


def test_run_whose_worker_dies_each_time_fails_in_the_end(dagster: Installation) -> None:
    run_id, _ = dagster.launch("die")
    for _ in range(MAXIMUM_RESUMES + 1):
        dagster.wait_for_death(run_id)
        monitor(dagster)
    dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)

    def deaths() -> int:
        return sum("was killed by SIGSEGV." in message for message in dagster.messages(run_id))

    wait_until(lambda: deaths() == MAXIMUM_RESUMES + 1, description="each death is an event")


def test_terminating_a_run_whose_worker_is_dead_cancels_it(dagster: Installation) -> None:
    run_id, files = dagster.launch("wait")
    read(files / "waiting.json")
    kill_worker(dagster, run_id)
    assert dagster.run(run_id).status == DagsterRunStatus.STARTED
    assert dagster.launcher.terminate(run_id)
    assert dagster.run(run_id).status == DagsterRunStatus.CANCELED
