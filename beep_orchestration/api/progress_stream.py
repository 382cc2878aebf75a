"""`GET /workflows/{execution_id}/progress`: what an execution tells, as Server-Sent Events (WHATWG HTML, section 9.2).

The id of each event is its sequence, so that a browser which was cut off asks for the rest by itself: it sends the last
one as `Last-Event-ID`. When the execution has ended the stream ends, and to who asks again it is said that there is
nothing more (204), which ends a browser's attempts.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from beep_orchestration.errors import DatabaseUnavailableError
from beep_orchestration.events import ExecutionEvent
from beep_orchestration.persistence.notifications import LONGEST_SILENCE_SECONDS
from beep_orchestration.watching import READ_INTERVAL_SECONDS, EventReader

MEDIA_TYPE: Final = "text/event-stream"
KEEP_ALIVE_SECONDS = 15.0
"""Proxies close what is silent for longer; a comment is no event."""

_RETRY = b"retry: 1000\n\n"
_COMMENT = b":\n\n"


async def progress_stream(reader: EventReader, is_ending: Callable[[], bool]) -> Response:
    """The events after the reader's cursor until the execution, or the server, has ended; no thread waits with them.

    Raises what `EventReader.read` raises at the first reading; later a database that is away is waited for.
    """
    first = await run_in_threadpool(reader.read)
    if reader.has_ended and not first:
        return Response(status_code=204)
    return StreamingResponse(
        _stream(reader, first, is_ending),
        media_type=MEDIA_TYPE,
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _stream(
    reader: EventReader, events: list[ExecutionEvent], is_ending: Callable[[], bool]
) -> AsyncIterator[bytes]:
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    with reader.news(lambda: loop.call_soon_threadsafe(news.set)):
        yield _RETRY
        spoke_at = time.monotonic()
        while True:
            if events:
                yield b"".join(map(_as_event, events))
                spoke_at = time.monotonic()
            elif time.monotonic() - spoke_at >= KEEP_ALIVE_SECONDS:
                yield _COMMENT
                spoke_at = time.monotonic()
            if reader.has_ended or is_ending():
                return
            await _pause(news, is_quiet=not events)
            events = await _read(reader)


async def _pause(news: asyncio.Event, *, is_quiet: bool) -> None:
    await asyncio.sleep(READ_INTERVAL_SECONDS)
    if is_quiet:
        try:
            async with asyncio.timeout(LONGEST_SILENCE_SECONDS - READ_INTERVAL_SECONDS):
                await news.wait()
        except TimeoutError:
            pass
    news.clear()


async def _read(reader: EventReader) -> list[ExecutionEvent]:
    try:
        return await run_in_threadpool(reader.read)
    except DatabaseUnavailableError:
        return []


def _as_event(event: ExecutionEvent) -> bytes:
    """JSON has no line ends outside its strings, and escapes those inside, so it is one line of data."""
    data = event.model_dump_json(exclude_none=True)
    return f"id: {event.sequence}\nevent: {event.kind}\ndata: {data}\n\n".encode()
