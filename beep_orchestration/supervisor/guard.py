"""The guard: a process that ends what the services' owner started, once the owner has ended, however it ended.

It waits on a pipe of which only the owner has the other end, so a `kill -9` of the owner wakes it as surely as a normal
end. Asking the kernel to signal each child (PR_SET_PDEATHSIG) would reach the children but neither theirs, of which
some have sessions of their own, nor PostgreSQL, and is Linux only. All of them have the owner's mark in their
environment, and that is looked for until nothing has it any more. The guard ignores what a terminal or a service
manager sends to whole groups; it ends by itself, within seconds of the owner.
"""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

_POSTGRES_IS_OURS = b"postgres\n"
_POLL_SECONDS = 0.02
_END_SECONDS = 120.0


class Guard:
    """The owner's side: keeps a guard running, and lets it go when the services are to end."""

    def __init__(self, mark: str, folder: Path, data_folder: Path, lock: int) -> None:
        """`folder` is removed at the end; `lock` is a descriptor that the guard inherits, so it is held until then."""
        self._arguments = [mark, str(folder), str(data_folder.absolute())]
        self._lock = lock
        self._owns_postgres = False
        self._start()

    @property
    def pid(self) -> int:
        """The guard's process."""
        return self._process.pid

    def own_postgres(self) -> None:
        """From now on the embedded PostgreSQL is to be stopped too: call it before starting the server."""
        self._owns_postgres = True
        self._tell()

    def keep(self) -> None:
        """Start another guard if this one died."""
        if self._process.poll() is not None:
            self._start()

    def release(self) -> None:
        """Have everything ended; returns when it is."""
        self._process.communicate(timeout=_END_SECONDS)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, *self._arguments],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self._lock],
        )
        self._tell()

    def _tell(self) -> None:
        pipe = self._process.stdin
        if self._owns_postgres and pipe is not None:
            with suppress(BrokenPipeError):  # it died: the next one is told
                pipe.write(_POSTGRES_IS_OURS)
                pipe.flush()


def main(mark: str, folder: str, data_folder: str) -> None:
    """Wait for the owner's end, then leave nothing behind."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    words = sys.stdin.buffer.read()
    end_marked(mark)
    shutil.rmtree(folder, ignore_errors=True)
    if _POSTGRES_IS_OURS in words:
        from beep_orchestration.supervisor.postgres import stop_surely  # noqa: PLC0415 - waiting may take weeks

        stop_surely(Path(data_folder))


def end_marked(mark: str) -> None:
    """Kill every process that has the mark, and those that they start meanwhile.

    Not more gently: what they have committed holds, and a run worker that is asked to end would report its run as
    failed, although it goes on when the services are back.
    """
    while marked := marked_processes(mark):
        for process in marked:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(_POLL_SECONDS)


def marked_processes(mark: str) -> list[psutil.Process]:
    """The living processes that have the mark in their environment, oldest first."""
    found = [process for process in psutil.process_iter() if _has(process, mark)]
    return sorted(found, key=lambda process: process.create_time())


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.environ().values() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False  # gone, a zombie, or another user's


if __name__ == "__main__":
    main(*sys.argv[1:])
