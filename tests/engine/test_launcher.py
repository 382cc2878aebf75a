"""The run launcher: what holds for a run and its worker, whoever dies."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from beep_orchestration.engine.dagster_internals import WorkerStatus
from beep_orchestration.engine.launcher import PreloadedRunLauncher
from beep_orchestration.engine.launcher_process import end_process, find_start_time
from beep_orchestration.engine.launcher_worker import WORKER_TAG, is_at_work
from beep_orchestration.errors import ConfigurationError
from tests.engine.installation import Installation, descriptors, read, sockets
from tests.waiting import wait_until

LONGEST_SOCKET_ADDRESS = 107


def kill_servers(dagster: Installation) -> list[int]:
    """Kill the fork servers; returns who they were."""
    killed = dagster.server_pids()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not dagster.server_pids(), description="fork servers are gone")
    return killed


def test_run_succeeds_in_a_worker_of_its_own(dagster: Installation) -> None:
    run_id, files = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    process = read(files / "process.json")
    assert process["pid"] == dagster.worker(run_id).pid
    assert process["session"] == process["group"] == process["pid"]
    assert process["parent"] in dagster.server_pids()


def test_home_may_have_a_path_longer_than_a_socket_address(dagster: Installation) -> None:
    assert len(os.fsencode(dagster.instance.root_directory)) > LONGEST_SOCKET_ADDRESS
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)


def test_nothing_of_the_server_crosses_the_fork(dagster: Installation) -> None:
    dagster.launch("wait")  # the server watches another worker meanwhile
    run_id, files = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    process = read(files / "process.json")
    assert process["python_threads"] == ["MainThread"]
    assert process["native_threads"] == 1
    assert process["collects_garbage"]  # which the server does not while it loads
    [server] = dagster.server_pids()
    assert not sockets(process["descriptors"]) & sockets(descriptors(server))
    assert "anon_inode:[pidfd]" not in process["descriptors"]
    # The one that may be there belongs to the event loop that Dagster makes for a step.
    assert process["descriptors"].count("anon_inode:[eventpoll]") <= 1


def test_server_holds_no_connection_and_no_thread(dagster: Installation) -> None:
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
    [server] = dagster.server_pids()
    assert [path.name for path in Path(f"/proc/{server}/task").iterdir()] == [str(server)]
    dagster.wait_for_spare()
    assert len(sockets(descriptors(server))) == 2  # the one that it listens on, and the one to its spare
    assert not [target for target in descriptors(server) if ".db" in target]


def test_a_run_is_carried_by_a_process_that_was_forked_ahead_of_it(dagster: Installation) -> None:
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
    spare = dagster.wait_for_spare()
    _, files = dagster.wait_for_run_of(spare)
    assert read(files / "process.json")["pid"] == spare
    assert dagster.wait_for_spare() != spare


def test_a_spare_that_was_killed_is_missed_by_no_run(dagster: Installation) -> None:
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
    spare = dagster.wait_for_spare()
    os.kill(spare, signal.SIGKILL)
    run_id, _ = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    assert dagster.worker(run_id).pid != spare


def test_workers_draw_different_random_numbers(dagster: Installation) -> None:
    folders = [dagster.launch("draw")[1] for _ in range(2)]
    numbers = [read(folder / "number.json")["number"] for folder in folders]
    assert numbers[0] != numbers[1]


def test_worker_runs_its_own_exit_functions_and_none_of_its_parents(dagster: Installation) -> None:
    run_id, files = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    dagster.wait_for_death(run_id)
    assert (files / "exit-functions-of-run").read_text() == f"{dagster.worker(run_id).pid}\n"
    of_import = dagster.folder / "exit-functions-of-import"
    assert not of_import.exists() or str(dagster.worker(run_id).pid) not in of_import.read_text().split()


def test_worker_killed_by_a_signal_fails_its_run_and_no_other(dagster: Installation) -> None:
    other, _ = dagster.launch("wait")
    servers = dagster.server_pids()
    run_id, _ = dagster.launch("die")
    dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)
    worker = dagster.worker(run_id)
    assert f"Run worker {worker.pid} on {worker.host} was killed by SIGSEGV." in dagster.messages(run_id)
    assert "Segmentation fault" in (dagster.launcher.get_run_worker_debug_info(dagster.run(run_id)) or "")
    assert dagster.server_pids() == servers
    assert dagster.worker(other).is_alive()


def test_worker_that_ended_well_leaves_no_files(dagster: Installation) -> None:
    run_id, _ = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    dagster.wait_for_death(run_id)
    worker = dagster.worker(run_id)
    left = [path.name for path in (Path(dagster.instance.root_directory) / "run_workers").rglob("*")]
    assert not [name for name in left if run_id in name or f"-{worker.pid}-{worker.start_time}" in name]


def test_mistake_in_a_step_is_reported_by_the_worker_alone(dagster: Installation) -> None:
    run_id, _ = dagster.launch("fail")
    dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)
    dagster.wait_for_death(run_id)
    dagster.wait_for_status(dagster.launch("describe")[0], DagsterRunStatus.SUCCESS)
    assert not [message for message in dagster.messages(run_id) if "exited with code" in message]


def test_terminated_run_is_cancelled(dagster: Installation) -> None:
    run_id, files = dagster.launch("wait")
    read(files / "waiting.json")
    assert dagster.launcher.terminate(run_id)
    dagster.wait_for_status(run_id, DagsterRunStatus.CANCELED)
    dagster.wait_for_death(run_id)


def test_worker_that_refuses_to_end_is_killed_with_its_group_and_only_then_cancelled(dagster: Installation) -> None:
    run_id, files = dagster.launch("refuse_to_end")
    group = read(files / "waiting.json")
    assert dagster.launcher.terminate(run_id)
    assert dagster.run(run_id).status == DagsterRunStatus.CANCELING
    assert dagster.worker(run_id).is_alive()
    dagster.wait_for_status(run_id, DagsterRunStatus.CANCELED)
    assert find_start_time(group["pid"]) is None
    assert find_start_time(group["child"]) is None
    assert any("SIGKILL" in message for message in dagster.messages(run_id))


def test_processes_of_a_run_end_with_its_worker(dagster: Installation) -> None:
    run_id, files = dagster.launch("refuse_to_end")
    group = read(files / "waiting.json")
    os.kill(group["pid"], signal.SIGKILL)
    dagster.wait_for_status(run_id, DagsterRunStatus.FAILURE)
    wait_until(lambda: find_start_time(group["child"]) is None, description="the child has ended")


def test_reused_pid_is_neither_alive_nor_signalled(dagster: Installation) -> None:
    run_id, files = dagster.launch("wait")
    pid = read(files / "waiting.json")["pid"]
    identity = dagster.worker(run_id)
    later = identity.model_copy(update={"start_time": identity.start_time + 1})
    assert identity.is_alive()
    assert not later.is_alive()
    dagster.instance.add_run_tags(run_id, {WORKER_TAG: later.model_dump_json()})
    assert dagster.launcher.check_run_worker_health(dagster.run(run_id)).status == WorkerStatus.FAILED
    end_process(pid, later.start_time, grace_seconds=0)
    assert dagster.launcher.terminate(run_id)
    assert dagster.run(run_id).status == DagsterRunStatus.CANCELED
    assert identity.is_alive()
    dagster.instance.add_run_tags(run_id, {WORKER_TAG: identity.model_dump_json()})


def test_worker_is_at_work_unless_it_is_stopped_or_dead(dagster: Installation) -> None:
    run_id, files = dagster.launch("wait")
    pid = read(files / "waiting.json")["pid"]
    assert is_at_work(dagster.run(run_id))
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: not is_at_work(dagster.run(run_id)), description="it is stopped")
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: is_at_work(dagster.run(run_id)), description="it goes on")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_at_work(dagster.run(run_id)), description="it is dead")
    unlaunched, _ = dagster.create_run("describe")
    assert not is_at_work(dagster.run(unlaunched))


def test_worker_of_an_earlier_boot_is_dead_and_of_another_host_unknown(dagster: Installation) -> None:
    run_id, files = dagster.launch("wait")
    read(files / "waiting.json")  # until then its worker writes the run's tags too
    identity = dagster.worker(run_id)
    assert not identity.model_copy(update={"boot_id": "an earlier one"}).is_alive()
    elsewhere = identity.model_copy(update={"boot_id": "another", "host": "elsewhere"})
    dagster.instance.add_run_tags(run_id, {WORKER_TAG: elsewhere.model_dump_json()})
    with pytest.raises(ConfigurationError, match="elsewhere"):
        dagster.launcher.check_run_worker_health(dagster.run(run_id))
    dagster.instance.add_run_tags(run_id, {WORKER_TAG: identity.model_dump_json()})


def test_health_of_finished_and_of_unlaunched_runs(dagster: Installation) -> None:
    started, _ = dagster.launch("wait")
    assert dagster.launcher.check_run_worker_health(dagster.run(started)).status == WorkerStatus.RUNNING
    finished, _ = dagster.launch("describe")
    dagster.wait_for_status(finished, DagsterRunStatus.SUCCESS)
    dagster.wait_for_death(finished)
    assert dagster.launcher.check_run_worker_health(dagster.run(finished)).status == WorkerStatus.SUCCESS
    unlaunched, _ = dagster.create_run("describe")
    assert dagster.launcher.check_run_worker_health(dagster.run(unlaunched)).status == WorkerStatus.NOT_FOUND


def test_workers_survive_their_server_and_the_next_launch_starts_another(dagster: Installation) -> None:
    orphan, files = dagster.launch("wait")
    read(files / "waiting.json")
    killed = kill_servers(dagster)
    assert dagster.launcher.check_run_worker_health(dagster.run(orphan)).status == WorkerStatus.RUNNING
    run_id, _ = dagster.launch("describe")
    dagster.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    assert not set(dagster.server_pids()) & set(killed)
    assert dagster.launcher.terminate(orphan)
    dagster.wait_for_status(orphan, DagsterRunStatus.CANCELED)


def test_concurrent_first_launches_start_one_server(dagster: Installation) -> None:
    kill_servers(dagster)
    runs = [dagster.create_run("describe") for _ in range(4)]
    workspace = dagster.context.create_request_context()
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(lambda run: dagster.instance.submit_run(run[0], workspace), runs))
    parents = {read(files / "process.json")["parent"] for _, files in runs}
    assert parents == set(dagster.server_pids())
    assert len(parents) == 1


def test_server_serves_other_processes_and_outlives_them(dagster: Installation) -> None:
    kill_servers(dagster)
    run_id, files = dagster.create_run("wait")
    home = dagster.instance.root_directory
    code = "import dagster, sys; dagster.DagsterInstance.from_config(sys.argv[1]).launch_run(sys.argv[2], None)"
    with subprocess.Popen([sys.executable, "-c", code, home, run_id], start_new_session=True) as launching:
        assert launching.wait() == 0
    with pytest.raises(ProcessLookupError):  # neither server nor worker gets a Ctrl-C that is meant for the launcher
        os.killpg(launching.pid, 0)
    read(files / "waiting.json")
    [server] = dagster.server_pids()
    _, more_files = dagster.launch("describe")
    assert read(more_files / "process.json")["parent"] == server
    assert dagster.worker(run_id).is_alive()


def test_unreleased_worker_ends_and_has_done_nothing(dagster: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    store = dagster.instance.add_run_tags

    def fail(run_id: str, tags: dict[str, str]) -> None:
        if WORKER_TAG in tags:
            raise ConnectionError("the database is away")
        store(run_id, tags)

    dagster.launch("describe")  # a server is there
    before = set(dagster.children(of_a_run=True))
    with monkeypatch.context() as patch:
        patch.setattr(dagster.instance, "add_run_tags", fail)
        run_id, files = dagster.create_run("describe")
        with pytest.raises(ConnectionError):
            dagster.launcher._start_worker(dagster.run(run_id), resume=False)
    wait_until(lambda: set(dagster.children(of_a_run=True)) <= before, description="the worker has ended")
    assert dagster.run(run_id).status == DagsterRunStatus.NOT_STARTED
    assert not list(files.iterdir())
    assert not dagster.messages(run_id)


def test_server_and_workers_end_with_their_owner(dagster: Installation, owner: subprocess.Popen[bytes]) -> None:
    kill_servers(dagster)
    run_id, files = dagster.launch("wait")
    read(files / "waiting.json")
    owner.kill()
    wait_until(lambda: not dagster.server_pids(), description="the server has ended")
    assert not dagster.worker(run_id).is_alive()
    assert dagster.run(run_id).status == DagsterRunStatus.STARTED  # for run monitoring to resume
    assert "SIGKILL" in str(dagster.launcher.check_run_worker_health(dagster.run(run_id)).msg)


def test_folder_that_others_can_enter_is_refused(dagster: Installation) -> None:
    folder = Path(dagster.instance.root_directory) / "run_workers"
    run_id, _ = dagster.create_run("describe")
    folder.chmod(0o750)
    try:
        with pytest.raises(ConfigurationError, match="0700"):
            dagster.launcher._start_worker(dagster.run(run_id), resume=False)
    finally:
        folder.chmod(0o700)


def test_socket_is_the_users_alone(dagster: Installation) -> None:
    dagster.launch("describe")
    [folder] = (Path(dagster.instance.root_directory) / "run_workers" / "servers").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "server.sock").stat().st_mode & 0o777 == 0o600


def test_platform_without_safe_forks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigurationError, match="DefaultRunLauncher"):
        PreloadedRunLauncher()
