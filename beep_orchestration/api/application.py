"""All of the API together, as an ASGI application."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from beep_orchestration.api import pages, problems
from beep_orchestration.api.access import Doorkeeper, Tokens
from beep_orchestration.api.endpoints import Endpoints
from beep_orchestration.api.openapi import openapi_document
from beep_orchestration.api.operations import OPERATIONS, Operation
from beep_orchestration.errors import BeepError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings

THREADS = 16
"""How many calls are answered at a time; each has a database connection meanwhile."""


def create_application(settings: Settings, service_of: Callable[[OrganizationId], WorkflowService]) -> Starlette:
    """The application. `service_of` makes the service of an organization.

    Its `state.is_ending` is to be set when the server ends, so that streams end too.
    """
    tokens = Tokens(settings.api_tokens, settings.organization)
    endpoints = Endpoints(service_of, tokens, maximum_characters=settings.maximum_document_characters)
    application = Starlette(
        routes=[*_operation_routes(endpoints), *_other_routes()],
        middleware=[Middleware(Doorkeeper, asks_for_tokens=bool(settings.api_tokens))],
        exception_handlers={
            BeepError: problems.on_beep_error,
            problems.RefusedError: problems.on_refusal,
            HTTPException: problems.on_http_exception,
            Exception: problems.on_unexpected,
        },
        lifespan=_lifespan,
    )
    application.state.is_ending = False
    return application


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def _operation_routes(endpoints: Endpoints) -> list[Route]:
    return [
        Route(operation.path, _endpoint(endpoints, operation), methods=[operation.method], name=operation.name)
        for operation in OPERATIONS
    ]


def _endpoint(endpoints: Endpoints, operation: Operation) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        if operation.name == "status" and pages.is_wanted(request):
            return pages.execution_page(request)
        return await endpoints.answer(operation, request)

    return answer


def _other_routes() -> list[Route]:
    document = openapi_document()

    def describe(_: Request) -> Response:
        return JSONResponse(document)

    return [Route("/openapi.json", describe), Route("/", pages.list_page)]
