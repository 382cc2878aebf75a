"""A TCP proxy in front of PostgreSQL that breaks the connections of chosen processes in chosen ways."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""What libpq sends to commit: a simple query (PostgreSQL's manual, 'Message Formats')."""


@dataclass
class Trouble:
    """What befalls the connections of one process, or of all if `pid` is None.

    `cut`: they end at once, and none is made. `frozen`: they stay open and nothing passes. `delay`: each message of the
    client comes late, by these seconds and up to those more. `swallows`: that often the server is told what holds
    `marker`, by default to commit, and the connection ends before the client hears the answer.
    """

    pid: int | None = None
    cut: bool = False
    frozen: bool = False
    delay: tuple[float, float] = (0.0, 0.0)
    swallows: int = 0
    swallowed: int = 0
    marker: bytes = _COMMIT
    _is_of_process: dict[int, bool] = field(default_factory=dict)

    def concerns(self, port: int) -> bool:
        """Whether the connection from that port is one of the process's."""
        if self.pid is None:
            return True
        if port not in self._is_of_process:  # asked once: looking takes a hundred times longer than a message
            self._is_of_process[port] = port in _ports_of(self.pid)
        return self._is_of_process[port]


def _ports_of(pid: int) -> set[int]:
    try:
        return {found.laddr.port for found in psutil.Process(pid).net_connections("tcp")}
    except psutil.Error:
        return set()


class Proxy:
    """Forwards connections to the server's Unix socket or port, in a thread of its own, until it is closed."""

    def __init__(self, find_server: Callable[[], Path | int]) -> None:
        self._find_server = find_server
        self._troubles: list[Trouble] = []
        self._clients: dict[int, asyncio.StreamWriter] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """How clients reach the server through the proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @contextmanager
    def trouble(self, trouble: Trouble) -> Iterator[Trouble]:
        """Within the block, have it befall the connections that it concerns."""
        self._troubles = [*self._troubles, trouble]
        if trouble.cut:
            self._loop.call_soon_threadsafe(self._cut, trouble)
        try:
            yield trouble
        finally:
            self._troubles = [other for other in self._troubles if other is not trouble]

    def close(self) -> None:
        """End every connection and take no more."""
        self._loop.call_soon_threadsafe(self._cut, Trouble())
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _cut(self, trouble: Trouble) -> None:
        for port, client in list(self._clients.items()):
            if trouble.concerns(port):
                client.transport.abort()

    def _concerning(self, port: int) -> list[Trouble]:
        return [trouble for trouble in self._troubles if trouble.concerns(port)]

    async def _accept(self, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        port: int = client.get_extra_info("peername")[1]
        try:
            if any(trouble.cut for trouble in self._concerning(port)):
                return
            answers, server = await self._connect()
            self._clients[port] = client
            lost = asyncio.Event()
            ways = {
                asyncio.create_task(self._ask(port, requests, server, lost)),
                asyncio.create_task(self._answer(port, answers, client, lost)),
            }
            _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
            server.close()
        except OSError:
            return  # the server is away: so are its connections
        finally:
            self._clients.pop(port, None)
            client.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        match self._find_server():
            case Path() as socket:
                return await asyncio.open_unix_connection(socket)
            case port:
                return await asyncio.open_connection("127.0.0.1", port)

    async def _ask(
        self, port: int, requests: asyncio.StreamReader, server: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while message := await requests.read(65_536):
                await self._pass(port)
                for trouble in self._concerning(port):
                    await asyncio.sleep(trouble.delay[0] + random.uniform(0, trouble.delay[1]))  # noqa: S311 - jitter
                    if trouble.marker in message and trouble.swallows > trouble.swallowed:
                        trouble.swallowed += 1
                        lost.set()
                server.write(message)
                await server.drain()

    async def _answer(
        self, port: int, answers: asyncio.StreamReader, client: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while (message := await answers.read(65_536)) and not lost.is_set():
                await self._pass(port)
                client.write(message)
                await client.drain()

    async def _pass(self, port: int) -> None:
        while any(  # noqa: ASYNC110 - troubles begin and end in another thread
            trouble.frozen for trouble in self._concerning(port)
        ):
            await asyncio.sleep(0.05)
