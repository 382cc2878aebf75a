"""One process of the services: its log, its end, and when it is started again."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from beep_orchestration.data_folder import FILES_MASK
from beep_orchestration.errors import ConfigurationError
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor.home import CODE_SOCKET, environment, function, prepare_home, script, write_workspace

_LOG_BYTES = 20_000_000
_TAIL_BYTES = 100_000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK = "Traceback (most recent call last):"
_LINKS = frozenset(
    {
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    }
)
_RECORD = re.compile(r"\d{4}-\d\d-\d\d |(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|(?:error|warning): ")
"""How a line begins that is told of its own, and is not a further line of an exception's message."""
_WRAPPER = "dagster."
"""Dagster's errors say that code failed; why, says the one that they wrap, which is printed above."""
_STEADY_SECONDS = 60.0
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0
MAXIMUM_ENDS = 6
"""How often in a row a process may end before it is given up."""


class Child:
    """A process that ought to run as long as its owner; in a session of its own, so Ctrl-C reaches the owner only."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log_folder: Path) -> None:
        self.name = name
        self.log = log_folder / f"{name}.log"
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0
        self._started_at = 0.0
        self._starts_at = 0.0
        self._ends = 0

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process; its output is appended to its log."""
        self._limit_log()
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=FILES_MASK,
            )
        self._started_at = time.monotonic()

    def find_end(self) -> str | None:
        """How the process ended, told once; None while it runs, or waits to be started again."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._process = None
        was_steady = time.monotonic() - self._started_at > _STEADY_SECONDS
        self._ends = 1 if was_steady else self._ends + 1
        self._starts_at = time.monotonic() + self.delay
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}{self._last_words()}"
        return f"the {self.name} {how}; its log is {self.log}"

    @property
    def delay(self) -> float:
        """Seconds between its last end and its next start."""
        return min(_FIRST_DELAY * 2.0 ** (self._ends - 1), _LONGEST_DELAY)

    @property
    def is_given_up(self) -> bool:
        """Whether it ended so often in a row that it is not started again."""
        return self._ends >= MAXIMUM_ENDS

    def start_if_due(self) -> None:
        """Start the process again once its delay is over."""
        if self._process is None and time.monotonic() >= self._starts_at:
            self.start()
        else:
            self._limit_log()

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end, for that long at most."""
        if self._process is not None:
            try:
                self._process.wait(max(seconds, 0))
            except subprocess.TimeoutExpired:
                return

    def _last_words(self) -> str:
        """What it told since its start of why it ended: its exception, otherwise its last line; empty without any."""
        with suppress(OSError), self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            begin = self._log_begins if self._log_begins <= size else 0  # the log was emptied since
            log.seek(max(begin, size - _TAIL_BYTES))
            words = cause_of(log.read().decode(errors="replace"))
            return f": {words}" if words else ""
        return ""

    def _limit_log(self) -> None:
        """Keep a log of limited length and one before it. It is emptied in place, because the process appends to it."""
        try:
            if self.log.stat().st_size > _LOG_BYTES:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"BEEP_DATA_FOLDER: cannot write {self.log} ({error.strerror})") from error


def cause_of(output: str) -> str:
    """The line by which a process told why it ended: the exception that its output ends with, otherwise its last line.

    Empty without any.
    """
    lines = [line.rstrip() for line in _COLOURS.sub("", output).splitlines() if line.strip()]
    exceptions = _exceptions_at_the_end(lines)
    ours = [_without_module(line) for line in exceptions if not line.startswith(_WRAPPER)]
    return next(reversed(ours or exceptions or lines), "").strip()


def _exceptions_at_the_end(lines: Sequence[str]) -> list[str]:
    """The exceptions of the last traceback, the cause first; none if more was told after it: it was handled then."""
    exceptions: list[str] = []
    is_linked = is_open = False
    for line in lines:
        if line == _TRACEBACK:
            exceptions = exceptions if is_linked else []
            is_linked, is_open = False, True
        elif _RECORD.match(line):
            exceptions, is_open = [], False
        elif line in _LINKS:
            is_linked = True
        elif is_open and not line.startswith(" "):
            exceptions.append(line)
            is_open = False
    return exceptions


def _without_module(exception: str) -> str:
    name, colon, message = exception.partition(":")
    return f"{name.rpartition('.')[2]}{colon}{message}"


def make_children(
    settings: Settings, folder: Path, mark: str, definitions: str, *, reload: bool
) -> tuple[list[Child], Child]:
    """The code server, which the others look for when they start, webserver, daemon, API server; none is started yet.

    With `reload` the code server can load its code anew: it is a process before the one that has the code. The last is
    no service: it starts the fork server that runs are forked from, and ends.
    """
    variables = environment(settings, prepare_home(settings.data_folder), mark)
    logs = settings.data_folder / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    workspace = write_workspace(folder, settings.code_location)
    code = (
        f"--socket={folder / CODE_SOCKET}",
        f"--module-name={definitions}",
        f"--location-name={settings.code_location}",
        "--use-python-environment-entry-point",
    )
    address = (f"--host={settings.host}", f"--port={settings.port}")
    commands = {
        "code server": _code_server(code, reload=reload),
        "webserver": [*script("dagster-webserver"), f"--workspace={workspace}", *address],
        "daemon": [*script("dagster-daemon"), "run", f"--workspace={workspace}"],
        "API server": [*script("beep"), "serve"],
    }
    warm_up = [*function("beep_orchestration.engine.warming:main"), str(workspace)]
    children = [Child(name, command, variables, logs) for name, command in commands.items()]
    return children, Child("warm-up", warm_up, variables, logs)


def _code_server(options: Sequence[str], *, reload: bool) -> list[str]:
    if reload:
        return [*script("dagster"), "code-server", "start", *options]
    return [*script("dagster"), "api", "grpc", *options]
