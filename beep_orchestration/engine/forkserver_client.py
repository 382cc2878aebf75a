"""The launcher's side of a fork server: find it, start it if it is missing, have it fork a worker."""

import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from beep_orchestration.engine.dagster_internals import (
    DagsterLaunchFailedError,
    SerializableErrorInfo,
    deserialize_value,
)
from beep_orchestration.engine.forkserver_protocol import (
    MAXIMUM_LINE_BYTES,
    RELEASE,
    Forked,
    ForkServerSettings,
    LaunchRequest,
    Outdated,
    Ready,
    Refused,
    Reply,
    Request,
    WarmUpRequest,
    parse_reply,
    socket_address,
)
from beep_orchestration.engine.launcher_worker import WorkerIdentity, private_folder

MAXIMUM_GENERATIONS = 5
"""Servers that one launch asks in turn while the code keeps changing under it."""

ANSWER_SECONDS = 30

_PROGRAM = (
    "import gc; thresholds = gc.get_threshold(); gc.set_threshold(0); "
    "from beep_orchestration.engine.forkserver import main; main(thresholds)"
)
"""Collecting garbage would take a quarter of the time to load, so it begins afterwards.

By its threshold, since code that is loaded may switch the collection off for good, and that is to stay.
"""


class ForkedWorker:
    """A worker that exists and waits; it runs nothing unless it is released, and exits when this is closed."""

    def __init__(self, identity: WorkerIdentity, connection: socket.socket) -> None:
        self.identity = identity
        self._connection = connection

    def release(self) -> None:
        """Let the worker run; raises `DagsterLaunchFailedError` if it has ended already."""
        try:
            self._connection.sendall(RELEASE)
        except OSError as error:
            raise launch_failed(f"run worker {self.identity.pid} ended before it could start") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()


class ForkServerClient:
    """The fork server of one code location in one Python environment, whichever process started it.

    Safe to use from any number of threads and processes at once: at most one server is started.
    """

    def __init__(self, settings: ForkServerSettings, executable: str) -> None:
        self._settings = settings
        self._executable = executable
        self._folder = private_folder(settings.server_folder)

    def fork_worker(self, request: LaunchRequest) -> ForkedWorker:
        """A new worker for the run, forked from a server that holds the code on disk; starts that server if need be.

        Raises `DagsterLaunchFailedError`, with what went wrong in the user's code if it was that.
        """
        answer, connection = self._ask_current(request)
        match answer:
            case Forked(worker=identity):
                return ForkedWorker(identity, connection)
            case unexpected:
                connection.close()
                raise launch_failed(f"the fork server answered a launch by {unexpected.kind!r}")

    def is_running(self) -> bool:
        """Whether a server answers now."""
        connection = self._find_connection()
        if connection is None:
            return False
        connection.close()
        return True

    def ensure_started(self) -> None:
        """Have a server that holds the code on disk; returns when it is ready. Raises `DagsterLaunchFailedError`."""
        _, connection = self._ask_current(WarmUpRequest())
        connection.close()

    def _ask_current(self, request: Request) -> tuple[Forked | Ready, socket.socket]:
        """The answer of a server that holds the code on disk, and the connection on which it came."""
        changed = "?"
        for _ in range(MAXIMUM_GENERATIONS):
            connection = self._connect_or_start()
            match _ask(connection, request):
                case Forked() | Ready() as answer:
                    return answer, connection
                case Refused() as refused:
                    connection.close()
                    raise _refused(refused)
                case Outdated() as outdated:
                    connection.close()
                    changed = outdated.changed
                case None:  # it ended between the connection and the answer: a newer one will do
                    connection.close()
        raise launch_failed(f"the code location's files keep changing ({changed}); launch again when they are at rest")

    def _connect_or_start(self) -> socket.socket:
        connection = self._find_connection()
        if connection is not None:
            return connection
        with self._start_lock() as lock:
            connection = self._find_connection()  # another launcher may have started it meanwhile
            if connection is None:
                self._start(lock)
                connection = self._find_connection()
        if connection is None:
            raise launch_failed("the fork server ended as soon as it was ready" + self._log_tail())
        return connection

    def _find_connection(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_SECONDS)
        try:
            with socket_address(self._folder) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        return connection

    @contextmanager
    def _start_lock(self) -> Iterator[int]:
        """One start at a time; a server that is starting holds the lock as well, even if its launcher dies."""
        lock = os.open(self._folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _start(self, lock: int) -> None:
        readable, writable = os.pipe()
        with os.fdopen(readable, "rb") as ready:
            try:
                self._spawn(lock, writable)
            finally:
                os.close(writable)
            answer = parse_reply(ready.readline(MAXIMUM_LINE_BYTES))
        match answer:
            case Ready():
                return
            case Refused() as refused:
                raise _refused(refused)
            case _:
                seconds = self._settings.start_timeout_seconds
                raise launch_failed(f"the fork server did not get ready in {seconds} s" + self._log_tail())

    def _spawn(self, lock: int, writable: int) -> None:
        command = [self._executable, "-c", _PROGRAM, str(lock), str(writable)]
        log = os.open(self._folder / "server.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            # A session of its own: neither Ctrl-C nor the end of the webserver or daemon reaches the server.
            subprocess.run(
                command,
                input=self._settings.line(),
                stdout=log,
                stderr=log,
                pass_fds=(lock, writable),
                start_new_session=True,
                check=False,
            )
        except OSError as error:
            raise launch_failed(f"cannot start {self._executable}: {error}") from error
        finally:
            os.close(log)

    def _log_tail(self) -> str:
        with suppress(FileNotFoundError):
            return ":\n" + (self._folder / "server.log").read_text(errors="replace")[-4000:]
        return ""


def _ask(connection: socket.socket, request: Request) -> Reply | None:
    try:
        connection.sendall(request.line())
        with connection.makefile("rb") as lines:
            return parse_reply(lines.readline(MAXIMUM_LINE_BYTES))
    except (BrokenPipeError, ConnectionResetError):
        return None
    except TimeoutError as error:
        connection.close()
        raise launch_failed(f"the fork server did not answer in {ANSWER_SECONDS} s") from error


def launch_failed(reason: str, error: SerializableErrorInfo | None = None) -> DagsterLaunchFailedError:
    """What a launcher raises; Dagster marks the run as failed and shows the message."""
    return DagsterLaunchFailedError(reason, serializable_error_info=error)  # type: ignore[no-untyped-call]


def _refused(refused: Refused) -> DagsterLaunchFailedError:
    if refused.error is None:
        return launch_failed(refused.reason)
    error = deserialize_value(refused.error, SerializableErrorInfo)
    return launch_failed(f"{refused.reason}:\n{error}", error)  # in the message too: Dagster shows nothing else
