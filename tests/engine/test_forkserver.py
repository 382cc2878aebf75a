"""Generations of the fork server: the code that runs is the code on disk."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterEventType, DagsterRunStatus

from beep_orchestration.engine.dagster_internals import DagsterLaunchFailedError
from beep_orchestration.engine.launcher_process import find_start_time
from beep_orchestration.engine.warming import warm_up
from tests.engine.installation import Installation, Installations, read
from tests.waiting import wait_until

HOOKS = """
import os
import threading
from pathlib import Path

def load():
    print("loading", flush=True)

def fail():
    raise RuntimeError("this hook cannot")

def hang():
    threading.Event().wait(60)  # whoever is left behind ends in the end

def note():
    with (Path(__file__).parent / "prepared").open("a") as prepared:
        prepared.write(f"{os.getpid()}\\n")
"""


@pytest.fixture
def dagster(tmp_path: Path, installations: Installations) -> Iterator[Installation]:
    with installations.make(tmp_path) as made:
        yield made


@pytest.fixture
def hooks_of_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of hooks that fork servers can import."""
    module = tmp_path / "hooks_of_test.py"
    module.write_text(HOOKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return module


def edit(dagster: Installation, old: str, new: str) -> None:
    source = dagster.location_file.read_text()
    assert old in source
    dagster.location_file.write_text(source.replace(old, new))


def test_changed_code_and_data_are_run_and_old_workers_keep_theirs(dagster: Installation) -> None:
    old_run, old_files = dagster.launch("wait")
    read(old_files / "waiting.json")
    [old_server] = dagster.server_pids()
    data = dagster.folder / "answer.txt"
    data.write_text("after")
    edit(dagster, 'ANSWER = "before"', 'ANSWER = Path(__file__).with_name("answer.txt").read_text()')
    _, files = dagster.launch("describe")
    process = read(files / "process.json")
    assert process["answer"] == "after"
    assert process["parent"] != old_server
    assert dagster.worker(old_run).is_alive()
    assert dagster.launcher.terminate(old_run)
    dagster.wait_for_status(old_run, DagsterRunStatus.CANCELED)
    wait_until(lambda: dagster.server_pids() == [process["parent"]], description="the old server has ended")
    data.write_text("later")  # what was read with the code is part of it
    _, files = dagster.launch("describe")
    assert read(files / "process.json")["answer"] == "later"


def test_a_server_is_started_before_the_first_run_and_again_for_changed_code(dagster: Installation) -> None:
    workspace = dagster.folder / "workspace.yaml"
    location = {"relative_path": dagster.location_file.name, "working_directory": str(dagster.location_file.parent)}
    workspace.write_text(yaml.safe_dump({"load_from": [{"python_file": location}]}))
    assert warm_up(dagster.instance, workspace) == []
    [first] = dagster.server_pids()
    run_id, files = dagster.launch("describe")
    process = read(files / "process.json")
    assert (process["answer"], process["parent"]) == ("before", first)
    edit(dagster, 'ANSWER = "before"', 'ANSWER = "after"')
    origin = dagster.run(run_id).job_code_origin
    assert origin is not None
    dagster.launcher.warm_up(origin.repository_origin)
    [second] = wait_until(lambda: set(dagster.server_pids()) - {first}, description="another server is there")
    _, files = dagster.launch("describe")
    process = read(files / "process.json")
    assert (process["answer"], process["parent"]) == ("after", second)
    dagster.location_file.write_text("raise RuntimeError('not today')\n")
    assert warm_up(dagster.instance, workspace) == []  # it has no runs to wait for


def test_code_that_does_not_load_fails_the_run_and_heals_when_corrected(dagster: Installation) -> None:
    working = dagster.location_file.read_text()
    first, _ = dagster.create_run("describe")
    second, files = dagster.create_run("describe")
    workspace = dagster.context.create_request_context()
    dagster.location_file.write_text("raise RuntimeError('not today')\n")
    with pytest.raises(DagsterLaunchFailedError):
        dagster.instance.submit_run(first, workspace)
    assert dagster.run(first).status == DagsterRunStatus.FAILURE
    events = dagster.instance.all_logs(first, of_type=DagsterEventType.ENGINE_EVENT)
    errors = [event.get_dagster_event().engine_event_data.error for event in events]
    assert "not today" in str(errors)
    dagster.location_file.write_text(working)
    dagster.instance.submit_run(second, workspace)
    assert read(files / "process.json")["answer"] == "before"


def test_code_that_starts_threads_is_refused_by_name(dagster: Installation) -> None:
    run_id, _ = dagster.create_run("describe")
    with dagster.location_file.open("a") as source:
        source.write("\nthreading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n")
    with pytest.raises(DagsterLaunchFailedError) as caught:
        dagster.instance.submit_run(run_id, dagster.context.create_request_context())
    assert "poller" in str(caught.value.serializable_error_info)
    wait_until(lambda: not dagster.server_pids(), description="the server has ended")


@pytest.mark.usefixtures("hooks_of_test")
def test_hooks_run_once_before_the_fork_and_in_each_worker_that_waits(
    tmp_path: Path, installations: Installations
) -> None:
    hooks = {"preload": ["hooks_of_test:load"], "prepare": ["hooks_of_test:fail", "hooks_of_test:note"]}
    with installations.make(tmp_path, hooks) as dagster:
        dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
        spare, prepared = dagster.wait_for_spare(), tmp_path / "prepared"
        wait_until(
            lambda: prepared.exists() and str(spare) in prepared.read_text().split(),
            description="the process is prepared",
        )
        dagster.wait_for_run_of(spare)
        [log] = (tmp_path / "home" / "run_workers" / "servers").glob("*/server.log")
        assert log.read_text().count("loading") == 1
        assert "this hook cannot" in log.read_text()


@pytest.mark.usefixtures("hooks_of_test")
def test_a_worker_that_is_not_prepared_yet_keeps_no_run_waiting(
    tmp_path: Path, installations: Installations, owner: subprocess.Popen[bytes]
) -> None:
    with installations.make(tmp_path, {"prepare": ["hooks_of_test:hang"]}) as dagster:
        dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
        unready = dagster.wait_for_spare()
        run_id, _ = dagster.launch("describe")
        dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
        assert dagster.worker(run_id).pid != unready
        owner.kill()
        wait_until(lambda: find_start_time(unready) is None, description="the process ends with its server's work")


@pytest.mark.usefixtures("hooks_of_test")
def test_a_superseded_server_ends_a_process_that_is_not_prepared_yet(
    tmp_path: Path, installations: Installations
) -> None:
    """Also while a worker of its own keeps the server itself."""
    with installations.make(tmp_path, {"prepare": ["hooks_of_test:hang"]}) as dagster:
        old_run, files = dagster.launch("wait")
        read(files / "waiting.json")
        unready = dagster.wait_for_spare()
        edit(dagster, 'ANSWER = "before"', 'ANSWER = "after"')
        dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
        wait_until(lambda: find_start_time(unready) is None, description="the process of the old server has ended")
        assert dagster.worker(old_run).is_alive()


def test_code_that_switches_garbage_collection_off_keeps_it_off(dagster: Installation) -> None:
    edit(dagster, 'ANSWER = "before"', 'ANSWER = "before"\ngc.disable()')
    _, files = dagster.launch("describe")
    assert not read(files / "process.json")["collects_garbage"]


def test_unknown_hooks_are_named(tmp_path: Path, installations: Installations) -> None:
    hooks = {"preload": ["json:no_such_function"], "prepare": ["no_such_module:function", "json:dumps"]}
    with installations.make(tmp_path, hooks) as dagster:
        run_id, _ = dagster.create_run("describe")
        with pytest.raises(DagsterLaunchFailedError) as caught:
            dagster.instance.submit_run(run_id, dagster.context.create_request_context())
        error = str(caught.value.serializable_error_info)
        assert "run_launcher.config.preload: no function 'json:no_such_function'" in error
        assert "run_launcher.config.prepare: no function 'no_such_module:function'" in error
        assert "json:dumps" not in error


def test_idle_server_ends_and_is_started_again(tmp_path: Path, installations: Installations) -> None:
    with installations.make(tmp_path, {"idle_timeout_seconds": 1}) as dagster:
        for _ in range(2):
            run_id, _ = dagster.launch("describe")
            dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
            wait_until(lambda: not dagster.server_pids(), description="the idle server has ended")
