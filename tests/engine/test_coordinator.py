"""The run queue: who waits is launched when there is room, which a run that ends makes."""

from pathlib import Path

from dagster import DagsterRunStatus

from beep_orchestration.engine.coordinator import PromptRunCoordinator
from tests.engine.installation import Installation, Installations

QUEUE = {
    "module": "beep_orchestration.engine.coordinator",
    "class": "PromptRunCoordinator",
    "config": {"max_concurrent_runs": 2},
}


def coordinator_of(dagster: Installation) -> PromptRunCoordinator:
    coordinator = dagster.instance.run_coordinator
    assert isinstance(coordinator, PromptRunCoordinator)
    return coordinator


def start_the_fork_server(dagster: Installation) -> None:
    origin = dagster.run(dagster.create_run("wait")[0]).job_code_origin
    assert origin is not None
    dagster.launcher.warm_up(origin.repository_origin)


def test_a_run_that_is_ending_gives_its_place_on_once(tmp_path: Path, installations: Installations) -> None:
    with installations.make(tmp_path, run_coordinator=QUEUE) as dagster:
        start_the_fork_server(dagster)
        first, second, third, fourth = (dagster.launch("wait")[0] for _ in range(4))
        dagster.wait_for_status(first, DagsterRunStatus.STARTED)
        dagster.wait_for_status(second, DagsterRunStatus.STARTED)
        coordinator = coordinator_of(dagster)
        coordinator.launch_queued()
        assert dagster.run(third).status is DagsterRunStatus.QUEUED
        coordinator.launch_queued(ending=first)
        dagster.wait_for_status(third, DagsterRunStatus.STARTED)
        coordinator.launch_queued(ending=first)
        coordinator.launch_queued(ending=second)
        assert dagster.run(fourth).status is DagsterRunStatus.QUEUED


def test_a_run_that_has_ended_already_makes_no_more_room(tmp_path: Path, installations: Installations) -> None:
    with installations.make(tmp_path, run_coordinator=QUEUE) as dagster:
        start_the_fork_server(dagster)
        ended, _ = dagster.launch("describe")
        dagster.wait_for_status(ended, DagsterRunStatus.SUCCESS)
        first, second, third = (dagster.launch("wait")[0] for _ in range(3))
        dagster.wait_for_status(first, DagsterRunStatus.STARTED)
        dagster.wait_for_status(second, DagsterRunStatus.STARTED)
        coordinator_of(dagster).launch_queued(ending=ended)
        assert dagster.run(third).status is DagsterRunStatus.QUEUED
