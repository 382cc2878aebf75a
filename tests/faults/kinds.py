"""The faults of a campaign: how each is injected, and how it proves that it hit work under way."""

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import psutil

from beep_orchestration.dagster_client import DagsterClient, launch_tags
from beep_orchestration.errors import BeepError, WorkflowStateError
from beep_orchestration.workflow_types import get_workflow_type
from tests.faults.control import Point, Proof
from tests.faults.installation import HOST, Installation
from tests.faults.journal import Entry, Follower, Key
from tests.faults.proxy import Trouble
from tests.waiting import wait_until

HIT_SECONDS = 15.0

Member = tuple[str, str, int, datetime | None]
"""An execution, its status, how many activities it has completed, and when it was resumed."""


class MissedError(Exception):
    """The fault hit no work: its round is played again."""


@dataclass(frozen=True)
class Hit:
    """That a fault hit work, when (Unix time), and the executions whose worker it ended."""

    at: float
    proof: str
    died: tuple[str, ...] = ()

    def recovery(self, begins: Mapping[Key, list[Entry]]) -> float | None:
        """Seconds from the death of a worker to the next call for its execution; None if nothing was left to call."""
        later = [
            entry.at - self.at
            for (execution_id, _), entries in begins.items()
            if execution_id in self.died
            for entry in entries
            if entry.at > self.at
        ]
        return min(later, default=None)


@dataclass(frozen=True)
class Scene:
    """What a fault is injected into. Callbacks on `background` undo what outlives its round."""

    installation: Installation
    follower: Follower
    source: random.Random
    background: ExitStack

    def busy(self) -> Entry:
        """A call that is under way in a living process, waited for."""
        found = wait_until(self._find_busy, HIT_SECONDS, "a call is under way")
        if found is None:
            raise MissedError("nothing is under way")
        return found

    def _find_busy(self) -> Entry | None:
        found = [entry for entry in self.follower.under_way() if self.is_running(entry)]
        return self.source.choice(found) if found else None

    def is_running(self, entry: Entry) -> bool:
        """Whether the process that made the call runs; a process that has its number by now is another one."""
        worker = self.installation.find_process(entry.pid)
        return worker is not None and worker.create_time() <= entry.at and worker.status() != psutil.STATUS_STOPPED

    def busy_child(self) -> tuple[Entry, str]:
        """A call of a child that is under way in a living process, and the child's parent; waited for."""
        return wait_until(self._find_busy_child, HIT_SECONDS, "a child is at work")

    def _find_busy_child(self) -> tuple[Entry, str] | None:
        busy = {entry.execution_id: entry for entry in self.follower.under_way() if self.is_running(entry)}
        statement = """
            SELECT id, parent_execution_id FROM knowledge_workflow_execution
            WHERE parent_execution_id IS NOT NULL AND id = ANY(%s)
        """
        found = self.installation.postgres.ask(statement, list(busy))
        return self.source.choice([(busy[child], parent) for child, parent in found]) if found else None

    def check_hit(self, entry: Entry) -> None:
        """Raise `MissedError` if that call has ended by now."""
        if entry not in self.follower.under_way(entry.pid):
            raise MissedError(f"{entry.activity} was over")


@dataclass(frozen=True)
class Kind:
    """A kind of fault. At least `pause_seconds` pass before it comes again."""

    name: str
    inject: Callable[[Scene], Hit]
    weight: int = 1
    pause_seconds: float = 0.0


def kill_at(point: Point, scene: Scene) -> Hit:
    """A worker ends itself at a named point of an activity, or of its execution's completion."""
    stage = scene.source.choice(("mentions-*", "mentions-*", "entities-*", "relations-*", "chunk", "assemble"))
    proof = _killed_at(point, "*" if "completion" in point else stage, scene)
    return Hit(proof.at, f"{proof.subject} of {proof.execution_id}", (proof.execution_id or "",))


def kill_waiting_at(point: Point, scene: Scene) -> Hit:
    """A worker ends itself when it starts a child, or parks: its execution's next call may be a long time off."""
    proof = _killed_at(point, "*", scene)
    return Hit(proof.at, f"{proof.subject} of {proof.execution_id}")


def _killed_at(point: Point, subject: str, scene: Scene) -> Proof:
    control = scene.installation.control
    fault = control.arm(point, scene.source.choice(("kill", "kill", "segfault")), subject=subject)
    try:
        return control.wait_for(fault, HIT_SECONDS)
    except TimeoutError:
        if control.disarm(fault):
            raise
        return control.wait_for(fault)


def kill_any_time(scene: Scene) -> Hit:
    """A worker is killed from outside, wherever it is."""
    time.sleep(scene.source.uniform(0, 0.5))
    entry = scene.busy()
    psutil.Process(entry.pid).kill()
    at = time.time()
    scene.check_hit(entry)
    return Hit(at, f"{entry.activity} of {entry.execution_id}", (entry.execution_id,))


def stop_worker(seconds: tuple[float, float], scene: Scene) -> Hit:
    """A worker is stopped, and continues after a while: before its lease is over, or long after."""
    entry = scene.busy()
    worker = psutil.Process(entry.pid)
    worker.suspend()
    at = time.time()
    scene.background.callback(_resume, worker)
    scene.check_hit(entry)
    _later(scene.source.uniform(*seconds), partial(_resume, worker))
    died = (entry.execution_id,) if seconds[0] > scene.installation.services.settings.lease_seconds else ()
    return Hit(at, f"{entry.activity} of {entry.execution_id}", died)


def kill_fork_server(scene: Scene) -> Hit:
    """The fork server is killed; its workers go on."""
    entry = scene.busy()
    for server in scene.installation.fork_servers():
        with suppress(psutil.NoSuchProcess):  # a process that waited for a run ends by itself with its server
            server.kill()
    scene.check_hit(entry)
    return Hit(time.time(), f"beside {entry.activity} of {entry.execution_id}")


def kill_service(name: str, scene: Scene) -> Hit:
    """The code server, webserver or daemon is killed."""
    entry = scene.busy()
    scene.installation.kill(name)
    scene.check_hit(entry)
    return Hit(time.time(), f"beside {entry.activity} of {entry.execution_id}")


def kill_service_and_worker(name: str, scene: Scene) -> Hit:
    """A service and a worker are killed together."""
    entry = scene.busy()
    scene.installation.kill(name)
    psutil.Process(entry.pid).kill()
    at = time.time()
    scene.check_hit(entry)
    return Hit(at, f"{entry.activity} of {entry.execution_id}", (entry.execution_id,))


def restart_postgres(scene: Scene) -> Hit:
    """PostgreSQL ends at once, without a farewell, and comes back within two seconds."""
    entry = scene.busy()
    scene.installation.postgres.stop_immediately()
    at = time.time()
    time.sleep(scene.source.uniform(0, 2))
    scene.installation.postgres.start()
    return Hit(at, f"during {entry.activity} of {entry.execution_id}")


def end_sessions(scene: Scene) -> Hit:
    """PostgreSQL ends every session but the one that asks for it."""
    entry = scene.busy()
    ended = scene.installation.postgres.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    scene.check_hit(entry)
    return Hit(time.time(), f"{ended[0][0]} sessions, during {entry.activity} of {entry.execution_id}")


def swallow_answer(scene: Scene) -> Hit:
    """The server commits and the worker's connection ends before it hears of it."""
    entry = scene.busy()
    with scene.installation.proxy.trouble(Trouble(entry.pid, swallows=1)) as trouble:
        wait_until(lambda: trouble.swallowed or not scene.is_running(entry), HIT_SECONDS, "a commit was swallowed")
    if not trouble.swallowed:
        raise MissedError(f"worker {entry.pid} committed nothing more")
    return Hit(time.time(), f"a commit of {entry.execution_id}")


def cut_worker_off(scene: Scene) -> Hit:
    """All connections of a worker end, and none is made for a while; or they stay open and nothing passes."""
    entry = scene.busy()
    is_cut = scene.source.random() < 0.5
    with scene.installation.proxy.trouble(Trouble(entry.pid, cut=is_cut, frozen=not is_cut)):
        scene.check_hit(entry)
        time.sleep(scene.source.uniform(0.5, 3))
    return Hit(time.time(), f"{'cut' if is_cut else 'frozen'}, {entry.activity} of {entry.execution_id}")


def slow_network(scene: Scene) -> Hit:
    """Every message to PostgreSQL is late for a while."""
    entry = scene.busy()
    with scene.installation.proxy.trouble(Trouble(delay=(0.02, 0.1))):
        time.sleep(scene.source.uniform(1, 3))
    return Hit(time.time(), f"from {entry.activity} of {entry.execution_id} on")


def cancel_and_resume(scene: Scene) -> Hit:
    """An execution is cancelled while it works, must stand still, and is resumed."""
    entry = scene.busy()
    return _cancel_and_resume(scene, entry.execution_id, f"{entry.activity} of {entry.execution_id}")


def cancel_parent(scene: Scene) -> Hit:
    """A parent is cancelled while a child of it works: both must stand still, and are resumed together."""
    entry, parent = scene.busy_child()
    return _cancel_and_resume(scene, parent, f"{parent} while {entry.activity} of {entry.execution_id}")


def _cancel_and_resume(scene: Scene, execution_id: str, proof: str) -> Hit:
    result = scene.installation.service.cancel(execution_id)
    at = time.time()
    if not result.cancelled_now:
        raise MissedError(f"{execution_id} was {result.status} already")
    before = _family(scene, execution_id)
    if any(status == "running" for _, status, _, _ in before):
        raise AssertionError(f"{execution_id} is cancelled and not all of its children have ended: {before}")
    time.sleep(scene.source.uniform(0, 2))
    after = _family(scene, execution_id)
    if any(_went_on(one, other) for one, other in zip(before, after, strict=True)):
        raise AssertionError(f"{execution_id} went on after its cancellation: {before}, then {after}")
    wait_until(partial(_has_resumed, scene, execution_id), 60, f"{execution_id} is resumed")
    return Hit(at, proof)


def _went_on(before: Member, after: Member) -> bool:
    """Whether a member has done something although nobody resumed it; its parent's resume may have."""
    return before != after and before[-1] == after[-1]


def _family(scene: Scene, execution_id: str) -> list[Member]:
    """An execution and its children."""
    statement = """
        SELECT id, status, (
            SELECT count(*) FROM knowledge_workflow_activity AS activity
            WHERE activity.status = 'completed' AND workflow_execution_id = execution.id
        ), resumed_at
        FROM knowledge_workflow_execution AS execution WHERE id = %s OR parent_execution_id = %s ORDER BY id
    """
    return [(*row,) for row in scene.installation.postgres.ask(statement, execution_id, execution_id)]


def _has_resumed(scene: Scene, execution_id: str) -> bool:
    try:
        scene.installation.service.resume(execution_id)
    except WorkflowStateError:
        return True
    except BeepError:
        return False
    return True


def pause_and_resume(scene: Scene) -> Hit:
    """An execution is paused while it works: what is under way ends, nothing starts, and later it goes on."""
    entry = scene.busy()
    return _pause_and_resume(scene, entry.execution_id, f"{entry.activity} of {entry.execution_id}")


def pause_parent(scene: Scene) -> Hit:
    """A parent is paused while a child of it works; the child may go on, and end before the pause does."""
    entry, parent = scene.busy_child()
    return _pause_and_resume(scene, parent, f"{parent} while {entry.activity} of {entry.execution_id}")


def _pause_and_resume(scene: Scene, execution_id: str, proof: str) -> Hit:
    installation = scene.installation
    try:
        installation.service.signal(execution_id, "pause", {})
    except WorkflowStateError as error:
        raise MissedError(f"{execution_id} had ended") from error
    at = time.time()
    open_attempts = (
        "SELECT count(*) FROM knowledge_workflow_activity WHERE status = 'running' AND workflow_execution_id = %s"
    )
    with suppress(TimeoutError):  # a worker that is cut off meanwhile leaves its attempt open
        wait_until(lambda: installation.postgres.ask(open_attempts, execution_id) == [(0,)], HIT_SECONDS)
    time.sleep(scene.source.uniform(0, 2))
    begun = """
        SELECT activity_name FROM knowledge_workflow_activity WHERE status <> 'pending'
        AND workflow_execution_id = %s AND activity_type <> 'wait' AND started_at > to_timestamp(%s) + interval '1 s'
        UNION SELECT child_name FROM knowledge_workflow_execution
        WHERE parent_execution_id = %s AND started_at > to_timestamp(%s) + interval '1 s'
    """
    if names := installation.postgres.ask(begun, execution_id, at, execution_id, at):
        raise AssertionError(f"{execution_id} began {names} while it was paused")
    wait_until(partial(_is_sent, scene, execution_id), 60, f"{execution_id} goes on")
    return Hit(at, proof)


def _is_sent(scene: Scene, execution_id: str) -> bool:
    try:
        scene.installation.service.signal(execution_id, "resume", {})
    except WorkflowStateError:
        return True
    except BeepError:
        return False
    return True


def start_twice(scene: Scene) -> Hit:
    """Eight callers start with one key at once; they must get one execution, to which the load adds nothing.

    A child has no key: then it is its parent.
    """
    entry, installation = scene.busy(), scene.installation
    statement = """
        SELECT started.id, started.workflow_type, started.input, started.idempotency_key
        FROM knowledge_workflow_execution AS busy JOIN knowledge_workflow_execution AS started
        ON started.id = coalesce(busy.parent_execution_id, busy.id) WHERE busy.id = %s
    """
    stored = installation.postgres.ask(statement, entry.execution_id)
    if not stored:
        raise AssertionError(f"{entry.execution_id} is in the journal ({entry}) and not in the tables")
    execution_id, kind, raw, key = stored[0]
    with ThreadPoolExecutor(8) as callers:
        answers = set(callers.map(lambda _: installation.start(raw, kind, idempotency_key=key), range(8)))
    if answers != {execution_id}:
        raise AssertionError(f"{execution_id} was started as {answers}")
    return Hit(time.time(), f"{execution_id} during {entry.activity} of {entry.execution_id}")


def launch_twice(scene: Scene) -> Hit:
    """A second run is launched for an execution that a run carries."""
    entry, settings = scene.busy(), scene.installation.services.settings
    kind = get_workflow_type(scene.installation.service.get_status(entry.execution_id).workflow_type)
    tags = launch_tags(entry.execution_id, settings.organization, kind.name, kind.version, None)
    client = DagsterClient(HOST, settings.port, code_location=settings.code_location, timeout_seconds=15)
    with suppress(BeepError):
        client.launch(kind.job_name, tags)
    return Hit(time.time(), f"{entry.activity} of {entry.execution_id}")


def change_code(scene: Scene) -> Hit:
    """A file of the code location changes: the next run needs another fork server."""
    entry = scene.busy()
    (scene.installation.folder / "code").touch()
    scene.check_hit(entry)
    return Hit(time.time(), f"beside {entry.activity} of {entry.execution_id}")


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGCONT)


KINDS = (
    Kind("kill worker at any time", kill_any_time, 8),
    Kind("kill worker before an attempt", partial(kill_at, "before_attempt_commit"), 3),
    Kind("kill worker after an attempt", partial(kill_at, "after_attempt_commit"), 3),
    Kind("kill worker inside an activity", partial(kill_at, "inside_activity"), 5),
    Kind("kill worker before a checkpoint", partial(kill_at, "before_checkpoint_commit"), 4),
    Kind("kill worker after a checkpoint", partial(kill_at, "after_checkpoint_commit"), 6),
    Kind("kill worker before completion", partial(kill_at, "before_completion_commit"), 2),
    Kind("kill worker after completion", partial(kill_at, "after_completion_commit"), 2),
    Kind("stop worker for a moment", partial(stop_worker, (0.5, 4.0)), 3),
    Kind("stop worker past its lease", partial(stop_worker, (22.0, 40.0)), 2, 20),
    Kind("kill fork server", kill_fork_server, 3, 20),
    Kind("kill code server", partial(kill_service, "code server"), 3, 75),
    Kind("kill webserver", partial(kill_service, "webserver"), 3, 75),
    Kind("kill daemon", partial(kill_service, "daemon"), 3, 75),
    Kind("kill code server and worker", partial(kill_service_and_worker, "code server"), 2, 150),
    Kind("restart PostgreSQL", restart_postgres, 4, 45),
    Kind("end all sessions", end_sessions, 4, 15),
    Kind("swallow the answer to a commit", swallow_answer, 6),
    Kind("cut worker off PostgreSQL", cut_worker_off, 4),
    Kind("slow network", slow_network, 2),
    Kind("kill worker before it starts a child", partial(kill_waiting_at, "before_child_commit"), 2),
    Kind("kill worker after it started a child", partial(kill_waiting_at, "after_child_commit"), 2),
    Kind("kill worker before it parks", partial(kill_waiting_at, "before_park_commit"), 2),
    Kind("kill worker after it parked", partial(kill_waiting_at, "after_park_commit"), 2),
    Kind("cancel and resume", cancel_and_resume, 6),
    Kind("cancel a parent and resume", cancel_parent, 5),
    Kind("pause and resume", pause_and_resume, 5),
    Kind("pause a parent and resume", pause_parent, 4),
    Kind("start again with the same key", start_twice, 3),
    Kind("launch a second run", launch_twice, 3),
    Kind("change the code", change_code, 1, 60),
)
