"""A process that a fork server has forked ahead of its run: forking a large process takes tens of milliseconds."""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from beep_orchestration.engine.forkserver_protocol import MAXIMUM_LINE_BYTES, LaunchRequest

_READY = b"!"


@dataclass
class Spare:
    """The server's side: a child that has done nothing yet, and does nothing if this side is closed."""

    pid: int
    channel: socket.socket
    is_ready: bool = False

    def hear(self) -> bool:
        """Learn that it is ready for a run; false if it has ended."""
        self.is_ready = False
        with suppress(OSError):
            self.is_ready = self.channel.recv(len(_READY)) == _READY
        return self.is_ready

    def employ(self, request: LaunchRequest, connection: socket.socket) -> bool:
        """Have it carry the run, for the launcher behind the connection; false if it does not live any more."""
        with self.channel, suppress(OSError):
            socket.send_fds(self.channel, [request.line()], [connection.fileno()])
            return True
        return False


def wait_for_run(channel: socket.socket, carry: Callable[[LaunchRequest, socket.socket], int]) -> int:
    """The spare's side: say that it is ready, and carry the run that it is given, if any; the process's exit code."""
    descriptors: list[int] = []
    with channel, suppress(OSError):
        channel.sendall(_READY)
        line, descriptors, _, _ = socket.recv_fds(channel, MAXIMUM_LINE_BYTES, 1)
    if not descriptors:
        return 0
    return carry(LaunchRequest.model_validate_json(line), socket.socket(fileno=descriptors[0]))
