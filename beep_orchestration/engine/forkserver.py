"""The fork server: has a code location loaded and forks one worker per run from it, the next one ahead of its run.

Single-threaded, without a database connection or channel of its own, so that nothing of the kind crosses the fork.
Started by a launcher (`forkserver_client`), shared by all launchers of the instance. It ends

- when the process named by `BEEP_OWNER_PID` ends; the workers are killed with it, and resumed when all is up again;
- without such an owner, after an idle time with no workers;
- when the code on disk changes: it takes no more runs, and ends after its last worker.

If it dies, its workers go on; the next launch starts another.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from beep_orchestration.engine.dagster_internals import (
    serializable_error_info_from_exc_info,
    serialize_value,
)
from beep_orchestration.engine.forkserver_preload import Loaded, load
from beep_orchestration.engine.forkserver_protocol import (
    MAXIMUM_LINE_BYTES,
    ForkServerSettings,
    LaunchRequest,
    Message,
    Outdated,
    Ready,
    Refused,
    Request,
    WarmUpRequest,
    parse_request,
    socket_address,
)
from beep_orchestration.engine.forkserver_spare import Spare, wait_for_run
from beep_orchestration.engine.forkserver_worker import carry_run, live_as, report_death
from beep_orchestration.engine.launcher_worker import WorkerExit, WorkerFiles, WorkerIdentity

OWNER_VARIABLE = "BEEP_OWNER_PID"
QUIET_SECONDS = 0.2
"""How long nothing has to happen before the next spare is forked, which takes time from what happens."""


class ForkServer:
    """One generation: listens, forks, waits for what it has forked."""

    def __init__(self, settings: ForkServerSettings, loaded: Loaded, listener: socket.socket) -> None:
        self._settings = settings
        self._loaded = loaded
        self._files = WorkerFiles(settings.worker_folder)
        self._listener: socket.socket | None = listener
        self._spare: Spare | None = None
        self._workers: dict[WorkerIdentity, LaunchRequest] = {}
        self._reporters: set[int] = set()
        self._owner = _open_owner()
        # Holds every descriptor that the server opens, so that a child can close them all.
        self._selector = selectors.DefaultSelector()
        self._watch(listener, self._accept)
        if self._owner is not None:
            self._watch(self._owner, self._end_with_owner)

    def serve(self) -> None:
        """Serve until the owner has ended, or nothing is left to do."""
        while self._listener or self._workers or self._reporters:
            lacks_spare = self._listener is not None and self._spare is None
            ready = self._selector.select(QUIET_SECONDS if lacks_spare else self._idle_timeout())
            if not ready and lacks_spare:
                self._fork_spare()
            elif not ready:
                self._stop_listening()
            for key, _ in ready:
                key.data()

    def _idle_timeout(self) -> float | None:
        busy = self._owner is not None or self._workers or self._reporters
        return None if busy else self._settings.idle_timeout_seconds

    def _watch(self, source: socket.socket | int, callback: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, callback)

    def _accept(self) -> None:
        if self._listener is not None:
            connection, _ = self._listener.accept()
            connection.settimeout(0)
            self._watch(connection, partial(self._receive, connection, bytearray()))

    def _receive(self, connection: socket.socket, line: bytearray) -> None:
        received = connection.recv(MAXIMUM_LINE_BYTES)
        line += received
        if received and not line.endswith(b"\n") and len(line) < MAXIMUM_LINE_BYTES:
            return
        self._selector.unregister(connection)
        connection.settimeout(None)
        with connection:
            if line.endswith(b"\n"):
                self._answer(connection, parse_request(line))

    def _answer(self, connection: socket.socket, request: Request) -> None:
        changed = self._loaded.sources.find_changed()
        if self._listener is None or changed is not None:
            self._stop_listening()  # before the answer: whoever gets it must not find this server again
            _send(connection, Outdated(changed=str(changed)))
            return
        match request:
            case LaunchRequest():
                self._launch(connection, request)
            case WarmUpRequest():
                _send(connection, Ready())

    def _launch(self, connection: socket.socket, request: LaunchRequest) -> None:
        try:
            pid = self._employ_spare(request, connection) or self._fork(lambda: self._carry(request, connection))
        except OSError as error:
            _send(connection, Refused(reason=f"the fork server cannot fork a run worker: {error}"))
            return
        identity = WorkerIdentity.of_child(pid)
        self._workers[identity] = request
        descriptor = os.pidfd_open(pid)
        self._watch(descriptor, partial(self._reap_worker, descriptor, identity))

    def _carry(self, request: LaunchRequest, connection: socket.socket) -> int:
        return carry_run(self._loaded.instance, request, connection, self._files.output_path(request.run_id))

    def _fork_spare(self) -> None:
        ours, theirs = socket.socketpair()

        def main() -> int:
            ours.close()
            self._loaded.prepare()
            return wait_for_run(theirs, self._carry)

        with theirs, suppress(OSError):  # without one, a run forks its own, and tells what hinders that
            self._spare = Spare(self._fork(main), ours)
            self._watch(ours, self._hear_spare)

    def _employ_spare(self, request: LaunchRequest, connection: socket.socket) -> int | None:
        """The process that carries the run now; None if none is ready. No run waits for one to be."""
        if self._spare is None or not self._spare.is_ready:
            return None
        spare, self._spare = self._spare, None
        self._selector.unregister(spare.channel)
        if spare.employ(request, connection):
            return spare.pid
        os.waitpid(spare.pid, 0)
        return None

    def _hear_spare(self) -> None:
        if self._spare is not None and not self._spare.hear():
            self._dismiss_spare()

    def _dismiss_spare(self) -> None:
        """It has done nothing yet, whatever it is at; or it had ended."""
        if self._spare is not None:
            self._selector.unregister(self._spare.channel)
            self._spare.channel.close()
            os.kill(self._spare.pid, signal.SIGKILL)  # nobody else's: a child not waited for keeps its number
            os.waitpid(self._spare.pid, 0)
            self._spare = None

    def _fork(self, main: Callable[[], int]) -> int:
        pid = os.fork()
        if pid == 0:
            self._close_descriptors()
            live_as(main)
        return pid

    def _close_descriptors(self) -> None:
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()

    def _reap_worker(self, descriptor: int, identity: WorkerIdentity) -> None:
        self._unwatch(descriptor)
        request = self._workers.pop(identity)
        worker_exit = self._wait_for_group(identity, request)
        if worker_exit.status != 0:
            self._fork_reporter(request, identity, worker_exit)

    def _wait_for_group(self, identity: WorkerIdentity, request: LaunchRequest) -> WorkerExit:
        """Let no process of the run outlive its worker, and record how that ended before it is gone."""
        with suppress(ProcessLookupError):
            os.killpg(identity.pid, signal.SIGKILL)  # nobody else's: a worker not waited for keeps its number
        worker_exit = WorkerExit(run_id=request.run_id, status=_wait_for_status(identity.pid))
        with suppress(OSError):  # a full disk must not take the other workers' server away
            self._files.record_exit(identity, worker_exit)
        os.waitpid(identity.pid, 0)
        return worker_exit

    def _fork_reporter(self, request: LaunchRequest, identity: WorkerIdentity, worker_exit: WorkerExit) -> None:
        pid = self._fork(lambda: report_death(self._loaded.instance, request, identity, worker_exit))
        self._reporters.add(pid)
        descriptor = os.pidfd_open(pid)
        self._watch(descriptor, partial(self._reap_reporter, descriptor, pid))

    def _reap_reporter(self, descriptor: int, pid: int) -> None:
        self._unwatch(descriptor)
        self._reporters.remove(pid)
        os.waitpid(pid, 0)

    def _unwatch(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            with socket_address(self._settings.server_folder) as address:
                Path(address).unlink()  # before closing: a launcher that finds nothing starts the next server
            self._listener.close()
            self._listener = None
            self._dismiss_spare()

    def _end_with_owner(self) -> None:
        self._stop_listening()
        for identity, request in self._workers.items():
            self._wait_for_group(identity, request)
        raise SystemExit(0)


def main(thresholds: tuple[int, int, int]) -> None:
    """Become a detached process, load, tell the launcher, serve: the program that a launcher starts.

    Until all is loaded the threshold of Python's garbage collection is 0, for none to take place; then it is set to
    these, unless the code that was loaded has set others.
    """
    settings = ForkServerSettings.model_validate_json(sys.stdin.read())
    lock, ready = int(sys.argv[1]), int(sys.argv[2])
    if os.fork() != 0:
        os._exit(0)  # the server is nobody's child: its launcher may end at any time, and needs not wait for it
    _keep_from_children(lock, ready)
    signal.alarm(settings.start_timeout_seconds)  # a load that hangs must not hold the start lock for ever
    try:
        server = ForkServer(settings, load(settings), _listen(settings))
    except BaseException:  # noqa: BLE001 (whatever the code does, the launcher gets an answer)
        traceback.print_exc()
        error = serialize_value(serializable_error_info_from_exc_info(sys.exc_info()))
        os.write(ready, Refused(reason="the fork server cannot load the code location", error=error).line())
        os._exit(1)  # whatever threads the code has started
    if gc.get_threshold()[0] == 0:
        gc.set_threshold(*thresholds)
    signal.alarm(0)
    os.write(ready, Ready().line())
    os.close(ready)
    os.close(lock)
    server.serve()


def _keep_from_children(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _listen(settings: ForkServerSettings) -> socket.socket:
    WorkerFiles(settings.worker_folder).prune()
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(0)
    with socket_address(settings.server_folder) as address:
        Path(address).unlink(missing_ok=True)  # left by a server that was killed; the start lock keeps others away
        listener.bind(address)
        Path(address).chmod(0o600)
    listener.listen(128)
    return listener


def _wait_for_status(pid: int) -> int:
    """The exit code, or minus the signal, of a child that stays to be waited for."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if ended is None:
        raise ChildProcessError(pid)
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _open_owner() -> int | None:
    """A pidfd of the process with which the server ends; raises if it has ended already."""
    owner = os.environ.get(OWNER_VARIABLE)
    return os.pidfd_open(int(owner)) if owner else None


def _send(connection: socket.socket, message: Message) -> None:
    with suppress(OSError):
        connection.sendall(message.line())
