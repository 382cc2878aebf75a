"""Generations of the fork server: the code that runs is the code on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterEventType, DagsterRunStatus

from beep_orchestration.engine.dagster_internals import DagsterLaunchFailedError
from beep_orchestration.engine.launcher_process import find_start_time
from beep_orchestration.engine.warming import warm_up
from beep_orchestration.models import Json
from beep_orchestration.settings import load_settings
from tests.durability.workflow import end_sessions
from tests.engine.installation import Installation, descriptors, installation, read, sockets
from tests.waiting import wait_until

HOOK = "def load():\n    print('hook has run', flush=True)\n"
HOOKS_OF_WORKERS = """
import os
import threading
from pathlib import Path

def fail():
    raise RuntimeError("this hook cannot")

def hang():
    threading.Event().wait(60)  # whoever is left behind ends in the end

def note():
    with (Path(__file__).parent / "prepared").open("a") as prepared:
        prepared.write(f"{os.getpid()}\\n")
"""


@pytest.fixture
def dagster(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


@pytest.fixture
def workflow_storage(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Json]:
    """Our storage, on a database without tables, as `dagster.yaml` has it."""
    monkeypatch.setenv("BEEP_DATABASE_URL", empty_database_url)
    load_settings.cache_clear()
    yield {"custom": {"module": "beep_orchestration.engine.storage", "class": "WorkflowStorage", "config": {}}}
    load_settings.cache_clear()


def edit(dagster: Installation, old: str, new: str) -> None:
    source = dagster.location_file.read_text()
    assert old in source
    dagster.location_file.write_text(source.replace(old, new))


def test_changed_code_is_run_and_old_workers_keep_theirs(dagster: Installation) -> None:
    old_run, old_files = dagster.launch("wait")
    read(old_files / "waiting.json")
    [old_server] = dagster.server_pids()
    edit(dagster, 'ANSWER = "before"', 'ANSWER = "after"')
    _, files = dagster.launch("describe")
    process = read(files / "process.json")
    assert process["answer"] == "after"
    assert process["parent"] != old_server
    assert dagster.worker(old_run).is_alive()
    assert dagster.launcher.terminate(old_run)
    dagster.wait_for_status(old_run, DagsterRunStatus.CANCELED)
    wait_until(lambda: dagster.server_pids() == [process["parent"]], description="the old server has ended")


def test_data_that_was_read_with_the_code_is_as_on_disk(dagster: Installation) -> None:
    data = dagster.folder / "answer.txt"
    data.write_text("before")
    edit(dagster, 'ANSWER = "before"', 'ANSWER = Path(__file__).with_name("answer.txt").read_text()')
    _, files = dagster.launch("describe")
    assert read(files / "process.json")["answer"] == "before"
    data.write_text("after")
    _, files = dagster.launch("describe")
    assert read(files / "process.json")["answer"] == "after"


def test_a_server_is_started_before_the_first_run_and_again_for_changed_code(dagster: Installation) -> None:
    workspace = dagster.folder / "workspace.yaml"
    location = {"relative_path": dagster.location_file.name, "working_directory": str(dagster.location_file.parent)}
    workspace.write_text(yaml.safe_dump({"load_from": [{"python_file": location}]}))
    servers = []
    for answer in ("before", "after"):
        assert warm_up(dagster.instance, workspace) == []
        servers += dagster.server_pids()
        _, files = dagster.launch("describe")
        process = read(files / "process.json")
        assert (process["answer"], process["parent"]) == (answer, servers[-1])
        if answer == "before":
            edit(dagster, 'ANSWER = "before"', 'ANSWER = "after"')
    assert len(set(servers)) == 2
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


def test_preload_hook_runs_once_before_the_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hooks_of_test.py").write_text(HOOK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with installation(tmp_path, {"preload": ["hooks_of_test:load"]}) as dagster:
        for _ in range(2):
            run_id, _ = dagster.launch("describe")
            dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
        [log] = (tmp_path / "home" / "run_workers" / "servers").glob("*/server.log")
        assert log.read_text().count("hook has run") == 1


def test_a_worker_that_was_forked_ahead_is_prepared_while_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hooks_of_test.py").write_text(HOOKS_OF_WORKERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with installation(tmp_path, {"prepare": ["hooks_of_test:fail", "hooks_of_test:note"]}) as dagster:
        dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
        spare, prepared = dagster.wait_for_spare(), tmp_path / "prepared"
        wait_until(
            lambda: prepared.exists() and str(spare) in prepared.read_text().split(),
            description="the process is prepared",
        )
        dagster.wait_for_run_of(spare)
        [log] = (tmp_path / "home" / "run_workers" / "servers").glob("*/server.log")
        assert "this hook cannot" in log.read_text()


def test_a_worker_that_is_not_prepared_yet_keeps_no_run_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hooks_of_test.py").write_text(HOOKS_OF_WORKERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with installation(tmp_path, {"prepare": ["hooks_of_test:hang"]}) as dagster:
        dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
        unready = dagster.wait_for_spare()
        run_id, _ = dagster.launch("describe")
        dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
        assert dagster.worker(run_id).pid != unready
        edit(dagster, 'ANSWER = "before"', 'ANSWER = "after"')
        run_id, _ = dagster.launch("describe")
        dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
        wait_until(lambda: find_start_time(unready) is None, description="the process ends with its server's work")


@pytest.mark.parametrize("setting", ["preload", "prepare"])
def test_unknown_hook_is_named(tmp_path: Path, setting: str) -> None:
    with installation(tmp_path, {setting: ["json:no_such_function"]}) as dagster:
        run_id, _ = dagster.create_run("describe")
        with pytest.raises(DagsterLaunchFailedError) as caught:
            dagster.instance.submit_run(run_id, dagster.context.create_request_context())
        error = str(caught.value.serializable_error_info)
        assert f"run_launcher.config.{setting}: no function 'json:no_such_function'" in error


def test_idle_server_ends_and_is_started_again(tmp_path: Path) -> None:
    with installation(tmp_path, {"idle_timeout_seconds": 1}) as dagster:
        for _ in range(2):
            run_id, _ = dagster.launch("describe")
            dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
            wait_until(lambda: not dagster.server_pids(), description="the idle server has ended")


def test_server_keeps_no_connection_to_postgresql(tmp_path: Path, workflow_storage: Json) -> None:
    with installation(tmp_path, storage=workflow_storage) as dagster:
        run_id, _ = dagster.launch("describe")
        dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
        dagster.wait_for_death(run_id)
        [server] = dagster.server_pids()
        spare = dagster.wait_for_spare()
        wait_until(lambda: len(sockets(descriptors(spare))) > 1, description="the process has a connection of its own")
        # The one that it listens on, and the one to its spare, of which it lets the other end go when it has forked.
        wait_until(lambda: len(sockets(descriptors(server))) == 2, description="the server has no connection")
        assert [run.run_id for run in dagster.instance.get_runs()] == [run_id]  # what was rehearsed is not stored
        with dagster.instance.event_log_storage.index_connection() as connection:
            stored = connection.exec_driver_sql("SELECT DISTINCT run_id FROM event_logs").scalars().all()
        assert stored == [run_id]
        assert [log.name for log in Path(dagster.instance.storage_directory()).iterdir()] == [run_id]


def test_a_worker_whose_connection_was_lost_while_it_waited_carries_its_run(
    tmp_path: Path, empty_database_url: str, workflow_storage: Json
) -> None:
    with installation(tmp_path, storage=workflow_storage) as dagster:
        dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
        spare = dagster.wait_for_spare()
        wait_until(lambda: len(sockets(descriptors(spare))) > 1, description="the process has a connection of its own")
        assert end_sessions(empty_database_url)
        dagster.instance.run_storage._engine.dispose()  # type: ignore[attr-defined] - of this process, which just used them
        dagster.wait_for_run_of(spare)


def test_the_events_of_a_run_are_its_status_and_its_times(tmp_path: Path, workflow_storage: Json) -> None:
    """With retries Dagster itself looks at what ends a run, to mark one that it will run again."""
    for enabled in (False, True):
        folder = tmp_path / str(enabled)
        folder.mkdir()
        retries = {"enabled": enabled, "max_retries": 1}
        with installation(folder, storage=workflow_storage, run_retries=retries) as dagster:
            run_id, _ = dagster.launch("fail")
            dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)
            record = dagster.instance.get_run_record_by_id(run_id)
            assert record is not None
            assert record.start_time is not None
            assert record.end_time is not None
            assert record.start_time <= record.end_time
            if enabled:
                wait_until(lambda: "dagster/will_retry" in dagster.run(run_id).tags, description="the run is marked")  # noqa: B023 - called here
            else:
                assert "dagster/will_retry" not in record.dagster_run.tags


def test_home_with_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with installation(folder) as dagster:
        run_id, _ = dagster.launch("describe")
        dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
