"""A TCP proxy in front of PostgreSQL that breaks connections of chosen processes in chosen ways."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""What libpq sends to commit: a simple query (protocol 3.0, message formats)."""


@dataclass
class Trouble:
    """What befalls the connections of one process; of all processes if `pid` is None."""

    pid: int | None
    is_frozen: bool = False
    is_cut: bool = False
    delay: tuple[float, float] | None = None
    swallows: int = 0
    swallowed: int = 0
    ports: set[int] = field(default_factory=set)

    def concerns(self, port: int) -> bool:
        """Whether the connection from that port is one of the process's."""
        if self.pid is None:
            return True
        if port not in self.ports:
            with suppress(psutil.Error):
                self.ports |= {found.laddr.port for found in psutil.Process(self.pid).net_connections("tcp")}
        return port in self.ports


class Proxy:
    """Forwards connections to the server's Unix socket, in a thread of its own, until it is closed."""

    def __init__(self, find_socket: Callable[[], str]) -> None:
        self._find_socket = find_socket
        self._troubles: list[Trouble] = []
        self._open: dict[int, asyncio.Transport] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """How clients reach the server through the proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def close(self) -> None:
        """Take no more connections; those that are open end with this process."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @contextmanager
    def cut(self, pid: int | None = None) -> Iterator[Trouble]:
        """Within the block, connections end at once and none is made."""
        with self._trouble(Trouble(pid, is_cut=True)) as trouble:
            self._loop.call_soon_threadsafe(self._abort, trouble)
            yield trouble

    def frozen(self, pid: int | None = None) -> "contextmanager[Trouble]":  # type: ignore[valid-type]
        """Within the block, connections are open and nothing passes."""
        return self._trouble(Trouble(pid, is_frozen=True))

    def slow(self, seconds: float, jitter: float, pid: int | None = None) -> "contextmanager[Trouble]":  # type: ignore[valid-type]
        """Within the block, each message of a client comes late, by `seconds` and up to `jitter` more."""
        return self._trouble(Trouble(pid, delay=(seconds, jitter)))

    def swallowing(self, pid: int | None = None, count: int = 1) -> "contextmanager[Trouble]":  # type: ignore[valid-type]
        """Within the block, the server commits and the client loses the connection before it hears of it."""
        return self._trouble(Trouble(pid, swallows=count))

    @contextmanager
    def _trouble(self, trouble: Trouble) -> Iterator[Trouble]:
        self._troubles.append(trouble)
        try:
            yield trouble
        finally:
            self._troubles.remove(trouble)

    def _abort(self, trouble: Trouble) -> None:
        for port, transport in list(self._open.items()):
            if trouble.concerns(port):
                transport.abort()

    def _concerning(self, port: int) -> list[Trouble]:
        return [trouble for trouble in self._troubles if trouble.concerns(port)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port: int = writer.get_extra_info("peername")[1]
        try:
            if any(trouble.is_cut for trouble in self._concerning(port)):
                return
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._find_socket())
        except OSError:
            return
        finally:
            if "upstream_writer" not in locals():
                writer.transport.abort()
        self._open[port] = writer.transport
        answers = asyncio.create_task(self._forward_answers(port, upstream_reader, writer))
        try:
            await self._forward_requests(port, reader, upstream_writer, writer)
        finally:
            del self._open[port]
            upstream_writer.close()
            answers.cancel()
            writer.transport.abort()

    async def _forward_requests(
        self, port: int, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while message := await reader.read(65_536):
                for trouble in self._concerning(port):
                    if trouble.delay is not None:
                        await asyncio.sleep(trouble.delay[0] + random.uniform(0, trouble.delay[1]))  # noqa: S311
                    if trouble.swallows > trouble.swallowed and message.endswith(_COMMIT):
                        trouble.swallowed += 1
                        self._deaf.add(port)
                await self._thawed(port)
                upstream.write(message)
                await upstream.drain()
