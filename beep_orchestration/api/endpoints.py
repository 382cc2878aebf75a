"""A request becomes a call of an operation, and what that returns an answer.

Calls block, so they run in threads; the event stream, which may last for days, holds none.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

import anyio
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from beep_orchestration.api.access import Tokens
from beep_orchestration.api.operations import EVENTS, JSON, JSON_LINES, Call, Operation
from beep_orchestration.api.problems import RETRY_SECONDS, RefusedError
from beep_orchestration.api.progress_stream import progress_stream
from beep_orchestration.errors import InvalidInputError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.models import Model
from beep_orchestration.refusals import first_fault
from beep_orchestration.service import WorkflowService

MAXIMUM_HISTORIES = 4
"""How many histories are read at a time: each holds a database connection until its end."""

_LINES_AT_A_TIME = 200
_BYTES_PER_CHARACTER = 6
"""The most that a code point of the basic plane takes in JSON: backslash, u and four digits."""

_BYTES_BESIDE_THE_TEXT = 2_000_000


class Endpoints:
    """Answers requests for operations."""

    def __init__(
        self, service_of: Callable[[OrganizationId], WorkflowService], tokens: Tokens, *, maximum_characters: int
    ) -> None:
        self._service_of = service_of
        self._tokens = tokens
        self._maximum_bytes = maximum_characters * _BYTES_PER_CHARACTER + _BYTES_BESIDE_THE_TEXT
        self._histories = anyio.CapacityLimiter(MAXIMUM_HISTORIES)

    async def answer(self, operation: Operation, request: Request) -> Response:
        """The answer to a request. Raises `RefusedError` and what the service raises."""
        organization = self._tokens.organization_of(request.headers) if operation.needs_token else self._tokens.default
        body = await self._body(operation, request)
        call = Call(
            service=self._service_of(organization),
            execution_id=request.path_params.get("execution_id", ""),
            query=_validated(operation.query, dict(request.query_params)),
            body=body,
            key=request.headers.get("idempotency-key") if operation.key else None,
            last_event_id=request.headers.get("last-event-id"),
        )
        if operation.media_type == EVENTS:
            reader = await run_in_threadpool(operation.call, call)
            return await progress_stream(reader, lambda: request.app.state.is_ending)
        if operation.media_type == JSON_LINES:
            return await self._lines(operation, call)
        return await run_in_threadpool(_json, operation, call)

    async def _body(self, operation: Operation, request: Request) -> Model | None:
        if operation.body is None:
            return None
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON:
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                f"a body of type {media_type[:100] or 'none'!r} is not taken",
                field="Content-Type",
                remedy=f"send {JSON}",
            )
        content = await _read_limited(request, self._maximum_bytes)
        return await run_in_threadpool(_parsed, operation.body, content)

    async def _lines(self, operation: Operation, call: Call) -> Response:
        try:
            self._histories.acquire_on_behalf_of_nowait(call)
        except anyio.WouldBlock:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "TooManyHistories",
                f"{MAXIMUM_HISTORIES} histories are being read",
                remedy="ask again when one is done",
                headers={"Retry-After": str(RETRY_SECONDS)},
            ) from None
        try:
            entries: Iterator[BaseModel] = await run_in_threadpool(operation.call, call)
        except BaseException:
            self._histories.release_on_behalf_of(call)
            raise
        return StreamingResponse(self._streamed(entries, call), media_type=JSON_LINES)

    async def _streamed(self, entries: Iterator[BaseModel], call: Call) -> AsyncIterator[bytes]:
        try:
            while lines := await run_in_threadpool(_next_lines, entries):
                yield lines
        finally:
            self._histories.release_on_behalf_of(call)
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(entries.close)  # type: ignore[attr-defined]  # it is a generator


def _next_lines(entries: Iterator[BaseModel]) -> bytes:
    return b"".join(
        entry.model_dump_json(exclude_none=True).encode() + b"\n" for entry in islice(entries, _LINES_AT_A_TIME)
    )


def _json(operation: Operation, call: Call) -> Response:
    answer = operation.call(call)
    headers = {} if operation.location is None else {"Location": operation.location.format(**vars(answer))}
    content = answer.model_dump_json() if isinstance(answer, BaseModel) else json.dumps(answer)
    return Response(content, operation.status, media_type=JSON, headers=headers)


async def _read_limited(request: Request, limit: int) -> bytes:
    """The body; refused at the first byte too many, or before, if its length was announced."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "ContentTooLarge",
        f"the body has more than {limit} bytes",
        field="body",
        remedy="send less, or raise BEEP_MAXIMUM_DOCUMENT_CHARACTERS",
        headers={"Connection": "close"},
    )


def _parsed(kind: type[Model], content: bytes) -> Model:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "NotJson", f"the body is not JSON ({error})", field="body", remedy="send an object"
        ) from None
    return _validated(kind, value)


def _validated(kind: type[Model], value: Any) -> Model:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        field, problem, _ = first_fault(error)
        raise InvalidInputError(field or "body", problem, "see /openapi.json") from None
