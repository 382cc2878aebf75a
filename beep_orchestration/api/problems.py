"""Errors as HTTP answers: `application/problem+json` (RFC 9457), with the field and the remedy where there are any."""

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from beep_orchestration.errors import (
    BeepError,
    DagsterUnavailableError,
    DatabaseUnavailableError,
    IdempotencyConflictError,
    InvalidIdError,
    InvalidInputError,
    SchemaVersionError,
    WorkflowNotFoundError,
    WorkflowStartError,
    WorkflowStateError,
    WorkflowVersionError,
)
from beep_orchestration.models import Model

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
_STATUSES: dict[type[BeepError], HTTPStatus] = {
    InvalidIdError: HTTPStatus.NOT_FOUND,
    InvalidInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyConflictError: HTTPStatus.CONFLICT,
    WorkflowStartError: HTTPStatus.UNPROCESSABLE_ENTITY,
    WorkflowNotFoundError: HTTPStatus.NOT_FOUND,
    WorkflowStateError: HTTPStatus.CONFLICT,
    WorkflowVersionError: HTTPStatus.CONFLICT,
    DagsterUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    SchemaVersionError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""By class; of an error's classes the nearest one counts."""


class Problem(Model):
    """Why a request was refused. Nothing was changed, unless `status` is 500 or 503 and the request was to change."""

    type: str = Field(description="a URN of the kind of problem")
    title: str
    status: int
    detail: str
    field: str | None = Field(default=None, description="what of the request is wrong")
    remedy: str | None = Field(default=None, description="what to do")


class RefusedError(Exception):
    """A request is refused before the service is asked."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.problem = Problem(
            type=_urn(kind), title=status.phrase, status=status, detail=detail, field=field, remedy=remedy
        )
        self.headers = headers
        super().__init__(detail)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as an answer."""
    content = json.dumps(problem.model_dump(exclude_none=True))
    return Response(content, problem.status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: BeepError) -> Problem:
    """What a typed error of the service is as a problem."""
    # the only id that a request has is in its path
    field = "execution_id" if isinstance(error, InvalidIdError) else None
    invalid = next((each for each in (error, error.__cause__) if isinstance(each, InvalidInputError)), None)
    status = next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), None)
    return Problem(
        type=_urn(type(error).__name__.removesuffix("Error")),
        title=(status or HTTPStatus.INTERNAL_SERVER_ERROR).phrase,
        status=status or HTTPStatus.INTERNAL_SERVER_ERROR,
        detail=str(error),
        field=field or (None if invalid is None else invalid.field),
        remedy=None if invalid is None else invalid.remedy,
    )


def _urn(name: str) -> str:
    return "urn:beep:" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def on_beep_error(_: Request, error: Exception) -> Response:
    """Answer with a typed error."""
    assert isinstance(error, BeepError)  # noqa: S101 - Starlette calls it for this class
    problem = problem_of(error)
    is_passing = problem.status == HTTPStatus.SERVICE_UNAVAILABLE
    return problem_response(problem, {"Retry-After": str(RETRY_SECONDS)} if is_passing else None)


def on_refusal(_: Request, error: Exception) -> Response:
    """Answer with why a request never reached the service."""
    assert isinstance(error, RefusedError)  # noqa: S101 - Starlette calls it for this class
    return problem_response(error.problem, error.headers)


def on_http_exception(_: Request, error: Exception) -> Response:
    """Answer with what the router says: there is no such path, or not for this method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette calls it for this class
    status = HTTPStatus(error.status_code)
    problem = Problem(
        type="about:blank", title=status.phrase, status=status, detail=f"{error.detail}; see /openapi.json"
    )
    return problem_response(problem, error.headers)


def on_unexpected(_: Request, error: Exception) -> Response:
    """Answer without a word about what went wrong inside; the log has it."""
    logger.error("a request failed", exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    detail = "the server failed; its log says why"
    return problem_response(Problem(type="about:blank", title=status.phrase, status=status, detail=detail))
