"""Processes named by pid and start time, so that a reused pid is never taken for the process that had it before.

Linux only (`/proc`, `pidfd_open`). Imports nothing but the standard library: run as a script it is the small detached
process that ends a run worker (`python launcher_process.py PID START_TIME GRACE_SECONDS`).
"""

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path


def find_start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it has ended and whoever cares has seen how.

    Read from /proc/PID/stat (proc_pid_stat(5)), where state, parent and start time are fields 3, 4 and 22.
    """
    fields = _stat(pid)
    if fields is None:
        return None
    state, parent, start_time = fields[0], fields[1], fields[19]
    # A parent waits for its children; an orphan may stay a zombie for ever where process 1 does not (containers).
    abandoned = state == b"X" or (state == b"Z" and parent == b"1")
    return None if abandoned else int(start_time)


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal, or by who traces it."""
    fields = _stat(pid)
    return fields is not None and fields[0] in (b"T", b"t")


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the third on, None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(b")")[2].split()  # the name before the last bracket may hold anything


def open_process(pid: int, start_time: int) -> int | None:
    """A pidfd of exactly that process, for the caller to close; None if it has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # Compared after opening: from here on the descriptor cannot come to mean another process.
    if find_start_time(pid) == start_time:
        return descriptor
    os.close(descriptor)
    return None


def end_process(pid: int, start_time: int, grace_seconds: float) -> None:
    """Ask the process to end (SIGINT), ask again (SIGTERM), then kill its group (SIGKILL); returns when that is done.

    Waits at most `grace_seconds` after each of the two requests. Another process that got the pid is never signalled.
    """
    descriptor = open_process(pid, start_time)
    if descriptor is None:
        return
    with suppress(ProcessLookupError):
        for request in (signal.SIGINT, signal.SIGTERM):
            signal.pidfd_send_signal(descriptor, request)
            if _has_ended(descriptor, grace_seconds):
                return
        _kill_group(pid, descriptor)


def _has_ended(descriptor: int, wait_seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(wait_seconds * 1000))


def _kill_group(pid: int, descriptor: int) -> None:
    # A stopped leader cannot end meanwhile, so the group's number stays its own until the group is killed.
    signal.pidfd_send_signal(descriptor, signal.SIGSTOP)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)


if __name__ == "__main__":
    if os.fork() == 0:  # the child is nobody's: whoever asked needs no wait and gets no zombie
        end_process(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
