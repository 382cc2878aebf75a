"""What the API does: one operation for each method of `WorkflowService`, in the order of the OpenAPI document."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from pydantic import Field, RootModel

from beep_orchestration.api.problems import RefusedError
from beep_orchestration.errors import InvalidInputError
from beep_orchestration.events import ExecutionEvent, HistoryEntry
from beep_orchestration.extraction.growth import GrowingGraph, growing_graph
from beep_orchestration.ids import WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import (
    CancelResult,
    ExecutionPage,
    Json,
    Model,
    ModelUsage,
    Standing,
    Started,
    WorkflowStatus,
)
from beep_orchestration.reviewing import Doubted, open_doubts
from beep_orchestration.service import WorkflowService
from beep_orchestration.workflow_types import ASSEMBLE, ENTITIES, EXTRACTION, MENTIONS, RELATIONS, WORKFLOW_TYPES

JSON, JSON_LINES, EVENTS = "application/json", "application/jsonl", "text/event-stream"


class StartRequest(Model):
    """What is to be started."""

    workflow_type: str = Field(description="a registered type", examples=["extraction"])
    input: Json = Field(
        description="of `extraction`: document_id, text, and if wanted title, source_uri, ontology (Turtle), options",
        examples=[{"document_id": "notes", "text": "Ada Lovelace was born in London in 1815."}],
    )


class SignalRequest(Model):
    """A signal to an execution."""

    signal_name: str = Field(examples=["pause"])
    payload: Json = Field(default={}, examples=[{"by": "ada"}])


class Sent(Model):
    """A signal was stored."""

    signal_id: WorkflowSignalId


class Usage(RootModel[dict[str, ModelUsage]]):
    """What calls to language models have consumed, by activity type; empty if there were none."""


class Health(Model):
    """The server and its database answer."""

    status: Literal["ok"] = "ok"


class NoQuery(Model):
    """No query parameters."""


class ListQuery(Model):
    """Which executions are meant."""

    status: Standing | None = Field(
        default=None, description="`running` ones are all that run, also those that are `waiting` or `paused`"
    )
    workflow_type: str | None = Field(default=None, min_length=1, max_length=200)
    parent_execution_id: WorkflowExecutionId | None = Field(default=None, description="whose children are meant")
    limit: int = Field(default=50, ge=1, le=1_000)
    cursor: str | None = Field(default=None, description="of the page before")


class UsageQuery(Model):
    """Whose usage is meant."""

    account: str | None = Field(
        default=None, min_length=1, max_length=200, description="only executions that were started with this account"
    )


class ProgressQuery(Model):
    """Where to begin."""

    after: int = Field(default=0, ge=0, lt=2**31, description="the sequence of the last event that is known")


class GraphQuery(Model):
    """How much of the graph."""

    limit: int = Field(default=300, ge=1, le=5_000, description="nodes at most, those with most mentions first")


@dataclass(frozen=True)
class Call:
    """A request, checked: for whom, about which execution, with what."""

    service: WorkflowService
    execution_id: str = ""
    query: Any = None
    body: Any = None
    key: str | None = None
    last_event_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. `call` may block; what it returns is the answer, as `answer_type` or as a stream of it.

    `key` says what the header `Idempotency-Key` does, if anything. `location` is the address of what was made.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    summary: str
    call: Callable[[Call], Any]
    answer_type: Any
    status: HTTPStatus = HTTPStatus.OK
    media_type: str = JSON
    query: type[Model] = NoQuery
    body: type[Model] | None = None
    key: str | None = None
    location: str | None = None
    refusals: tuple[HTTPStatus, ...] = ()
    needs_token: bool = True


def _start(call: Call) -> Started:
    request: StartRequest = call.body
    return call.service.start_or_get(request.workflow_type, request.input, idempotency_key=call.key)


def _list(call: Call) -> ExecutionPage:
    query: ListQuery = call.query
    return call.service.list(
        status=query.status,
        workflow_type=query.workflow_type,
        parent_execution_id=query.parent_execution_id,
        limit=query.limit,
        cursor=query.cursor,
    )


def _status(call: Call) -> WorkflowStatus:
    return call.service.get_status(call.execution_id)


def _signal(call: Call) -> Sent:
    request: SignalRequest = call.body
    signal_id = call.service.signal(call.execution_id, request.signal_name, request.payload, sender_key=call.key)
    return Sent(signal_id=signal_id)


def _cancel(call: Call) -> CancelResult:
    return call.service.cancel(call.execution_id)


def _resume(call: Call) -> WorkflowStatus:
    return call.service.resume(call.execution_id)


def _result(call: Call) -> Json:
    return call.service.result(call.execution_id)


def _history(call: Call) -> Any:
    return call.service.history(call.execution_id)


def _progress(call: Call) -> Any:
    return call.service.event_reader(call.execution_id, after=_cursor(call))


def _cursor(call: Call) -> int:
    """What a browser sends when it was cut off counts more than what the page once asked for."""
    query: ProgressQuery = call.query
    if call.last_event_id is None:
        return query.after
    if not (call.last_event_id.isascii() and call.last_event_id.isdigit()) or len(call.last_event_id) > 10:  # noqa: PLR2004 - of 2**31
        raise InvalidInputError("Last-Event-ID", "is no cursor", "send the id of the last event, or leave it out")
    return int(call.last_event_id)


def _graph(call: Call) -> GrowingGraph:
    query: GraphQuery = call.query
    kind = WORKFLOW_TYPES.get(call.service.get_status(call.execution_id).workflow_type)
    if kind is None or ASSEMBLE not in kind.activity_types:
        detail = f"execution {call.execution_id} is of a workflow type that makes no graph"
        raise RefusedError(HTTPStatus.NOT_FOUND, "NoGraph", detail, remedy="read its result")
    outputs = call.service.load_outputs(call.execution_id, MENTIONS.name, ENTITIES.name, RELATIONS.name, ASSEMBLE.name)
    return growing_graph(
        mentions=outputs[MENTIONS.name],
        entities=outputs[ENTITIES.name],
        relations=outputs[RELATIONS.name],
        graphs=outputs[ASSEMBLE.name],
        limit=query.limit,
    )


def _review(call: Call) -> Doubted:
    if call.service.get_status(call.execution_id).workflow_type != EXTRACTION.name:
        detail = f"execution {call.execution_id} is of a workflow type whose facts nobody reviews"
        raise RefusedError(HTTPStatus.NOT_FOUND, "NoReview", detail, remedy="read its status for what it waits for")
    return Doubted(waiting=tuple(open_doubts(call.service, call.execution_id)))


def _usage(call: Call) -> Usage:
    query: UsageQuery = call.query
    return Usage(call.service.get_usage(account=query.account))


def _health(call: Call) -> Health:
    call.service.check_health()
    return Health()


_EXECUTION = "/workflows/{execution_id}"
_NOT_FOUND, _CONFLICT = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT

OPERATIONS = (
    Operation(
        name="start",
        method="POST",
        path="/workflows",
        summary="Accept an execution and have it launched.",
        call=_start,
        answer_type=Started,
        status=HTTPStatus.ACCEPTED,
        body=StartRequest,
        key="The same key with the same input answers with the first execution; with another input it is refused.",
        location="/workflows/{execution_id}",
        refusals=(_CONFLICT,),
    ),
    Operation(
        name="list",
        method="GET",
        path="/workflows",
        summary="A page of the executions, newest first.",
        call=_list,
        answer_type=ExecutionPage,
        query=ListQuery,
    ),
    Operation(
        name="status",
        method="GET",
        path=_EXECUTION,
        summary="How an execution stands. A browser, which accepts text/html, gets the page that shows it live.",
        call=_status,
        answer_type=WorkflowStatus,
        refusals=(_NOT_FOUND,),
    ),
    Operation(
        name="signal",
        method="POST",
        path=f"{_EXECUTION}/signals",
        summary="Store a signal for a running execution.",
        call=_signal,
        answer_type=Sent,
        status=HTTPStatus.ACCEPTED,
        body=SignalRequest,
        key="A repeated send with this key stores nothing new.",
        refusals=(_NOT_FOUND, _CONFLICT),
    ),
    Operation(
        name="cancel",
        method="POST",
        path=f"{_EXECUTION}/cancel",
        summary="Cancel a running execution; the answer says who won.",
        call=_cancel,
        answer_type=CancelResult,
        refusals=(_NOT_FOUND,),
    ),
    Operation(
        name="resume",
        method="POST",
        path=f"{_EXECUTION}/resume",
        summary="Let a failed or cancelled execution go on; completed activities are not repeated.",
        call=_resume,
        answer_type=WorkflowStatus,
        refusals=(_NOT_FOUND, _CONFLICT),
    ),
    Operation(
        name="result",
        method="GET",
        path=f"{_EXECUTION}/result",
        summary="The output of a completed execution.",
        call=_result,
        answer_type=Json,
        refusals=(_NOT_FOUND, _CONFLICT),
    ),
    Operation(
        name="history",
        method="GET",
        path=f"{_EXECUTION}/history",
        summary="Every attempt, signal, run and change of state in order, one JSON object per line.",
        call=_history,
        answer_type=HistoryEntry,
        media_type=JSON_LINES,
        refusals=(_NOT_FOUND,),
    ),
    Operation(
        name="progress",
        method="GET",
        path=f"{_EXECUTION}/progress",
        summary="What the execution tells until it has ended, as Server-Sent Events; 204 if there is nothing more.",
        call=_progress,
        answer_type=ExecutionEvent,
        media_type=EVENTS,
        query=ProgressQuery,
        refusals=(_NOT_FOUND,),
    ),
    Operation(
        name="graph",
        method="GET",
        path=f"{_EXECUTION}/graph",
        summary="The graph as far as the completed activities go.",
        call=_graph,
        answer_type=GrowingGraph,
        query=GraphQuery,
        refusals=(_NOT_FOUND,),
    ),
    Operation(
        name="review",
        method="GET",
        path=f"{_EXECUTION}/review",
        summary="The facts that wait for a person's decision, with the sentences that state them.",
        call=_review,
        answer_type=Doubted,
        refusals=(_NOT_FOUND, _CONFLICT),
    ),
    Operation(
        name="usage",
        method="GET",
        path="/usage",
        summary="What executions have consumed of language models, all of them or those of one account.",
        call=_usage,
        answer_type=Usage,
        query=UsageQuery,
    ),
    Operation(
        name="health",
        method="GET",
        path="/health",
        summary="Whether the server and its database answer.",
        call=_health,
        answer_type=Health,
        needs_token=False,
    ),
)
