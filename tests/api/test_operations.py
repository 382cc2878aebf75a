"""What the service does, over HTTP: every operation, and every way in which it refuses."""

import json
from functools import partial
from typing import Any

import httpx
import pytest

from beep_orchestration.api.endpoints import MAXIMUM_HISTORIES
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionPage, ExecutionStatus, ModelUsage, WorkflowStatus
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.pauses import EVERYONE
from tests.api.conftest import serving, settings_of
from tests.durability.workflow import signals
from tests.factories import OTHER_ORGANIZATION, accepted, claimed, ended, with_model_call
from tests.postgres import end_sessions
from tests.waiting import wait_until

DOCUMENT = {"document_id": "notes", "text": "Ada Lovelace met Charles Babbage in London."}
START = {"workflow_type": "extraction", "input": DOCUMENT}
UNKNOWN = "knowledge_workflow_execution__00000000-0000-7000-8000-000000000001"


def start(api: httpx.Client, **headers: str) -> str:
    answer = api.post("/workflows", json=START, headers=headers)
    assert answer.status_code == 202, answer.text
    execution_id: str = answer.json()["execution_id"]
    assert answer.headers["location"] == f"/workflows/{execution_id}"
    return execution_id


def in_status(database: Database, status: ExecutionStatus) -> str:
    with database.transaction() as tables:
        return str(ended(tables, status).id)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    return found


def test_an_execution_is_started_and_asked_for(api: httpx.Client) -> None:
    status = WorkflowStatus.model_validate(api.get(f"/workflows/{start(api)}").json())
    assert (status.status, status.workflow_type) == (ExecutionStatus.RUNNING, "extraction")


def test_a_key_starts_once_and_another_input_is_refused(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = start(api, **key)
    assert start(api, **key) == first
    assert api.post("/workflows", json=START, headers=key).json() == {
        "execution_id": first,
        "is_new": False,
        "pauses": [],
    }
    assert api.post("/workflows", json=START).json()["is_new"] is True
    other = {"workflow_type": "extraction", "input": DOCUMENT | {"text": "Something else."}}
    refused = problem(api.post("/workflows", json=other, headers=key), 409)
    assert refused["type"] == "urn:beep:idempotency-conflict"
    assert first in refused["detail"]


def test_executions_are_listed_in_pages(api: httpx.Client) -> None:
    started = [start(api) for _ in range(3)]
    first = ExecutionPage.model_validate(api.get("/workflows", params={"limit": 2}).json())
    second = ExecutionPage.model_validate(
        api.get("/workflows", params={"limit": 2, "cursor": first.cursor or ""}).json()
    )
    assert [each.execution_id for each in (*first.executions, *second.executions)] == started[::-1]
    assert api.get("/workflows", params={"status": "completed"}).json()["executions"] == []
    paused = api.post(f"/workflows/{started[1]}/signals", json={"signal_name": "pause"})
    assert paused.status_code == 202
    chosen = {name: api.get("/workflows", params={"status": name}).json() for name in ("running", "waiting", "paused")}
    assert {name: [each["execution_id"] for each in page["executions"]] for name, page in chosen.items()} == {
        "running": started[::-1],
        "waiting": [],
        "paused": [started[1]],
    }
    assert problem(api.get("/workflows", params={"status": "asleep"}), 422)["field"] == "status"


@pytest.mark.parametrize(
    ("path", "field"), [("/workflows?workflow_type=a%00", "workflow_type"), ("/usage?account=a%00", "account")]
)
def test_a_name_that_cannot_be_stored_is_refused(api: httpx.Client, path: str, field: str) -> None:
    assert problem(api.get(path), 422)["field"] == field


def test_usage_is_told_by_activity_type_and_account(api: httpx.Client, database: Database) -> None:
    assert api.get("/usage").json() == {}
    with database.transaction() as tables:
        with_model_call(tables, claimed(tables), account="june")
        with_model_call(tables, claimed(tables))
        with_model_call(tables, claimed(tables, organization_id=OTHER_ORGANIZATION), account="june")
    told = api.get("/usage").json()
    assert told == {"mentions": ModelUsage(calls=2, input_tokens=20, output_tokens=4, cost=1.0).model_dump()}
    june = api.get("/usage", params={"account": "june"}).json()
    assert june == {"mentions": ModelUsage(calls=1, input_tokens=10, output_tokens=2, cost=0.5).model_dump()}
    assert api.get("/usage", params={"account": "july"}).json() == {}


def test_the_children_of_an_execution_are_listed(api: httpx.Client, database: Database) -> None:
    with database.transaction() as tables:
        parent = accepted(tables).id
        child = accepted(tables, parent_execution_id=parent, child_name="one").id
    page = ExecutionPage.model_validate(api.get("/workflows", params={"parent_execution_id": parent}).json())
    assert [(each.execution_id, each.parent_execution_id) for each in page.executions] == [(child, parent)]
    assert api.get(f"/workflows/{parent}").json()["children_by_status"] == {"running": 1}
    refused = problem(api.get("/workflows", params={"parent_execution_id": "x; y"}), 422)
    assert refused["field"] == "parent_execution_id"
    assert "'x; y' is not an id of knowledge_workflow_execution" in refused["detail"]


def test_a_signal_is_stored_once_per_key(api: httpx.Client, database: Database) -> None:
    execution = start(api)
    path, key = f"/workflows/{execution}/signals", {"Idempotency-Key": "pause-1"}
    answers = [api.post(path, json={"signal_name": "pause", "payload": {"by": "ada"}}, headers=key) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {202}
    (sent,) = [row for row in signals(database, WorkflowExecutionId(execution)) if row.signal_name == "pause"]
    assert {answer.json()["signal_id"] for answer in answers} == {sent.id}


def test_cancel_says_who_won_and_resume_goes_on(api: httpx.Client, database: Database) -> None:
    execution = start(api)
    for is_now in (True, False):
        answer = api.post(f"/workflows/{execution}/cancel").json()
        assert (answer["status"], answer["cancelled_now"]) == ("cancelled", is_now)
    assert api.post(f"/workflows/{execution}/resume").json()["status"] == "running"
    completed = in_status(database, ExecutionStatus.COMPLETED)
    assert api.post(f"/workflows/{completed}/cancel").json()["status"] == "completed"


def test_the_result_is_there_when_the_execution_is_completed(api: httpx.Client, database: Database) -> None:
    assert problem(api.get(f"/workflows/{start(api)}/result"), 409)["type"] == "urn:beep:workflow-state"
    completed = in_status(database, ExecutionStatus.COMPLETED)
    assert api.get(f"/workflows/{completed}/result").json() == {"entities": []}


def test_the_history_is_lines_of_json(api: httpx.Client, database: Database) -> None:
    answer = api.get(f"/workflows/{in_status(database, ExecutionStatus.FAILED)}/history")
    assert answer.headers["content-type"] == "application/jsonl"
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry.get("change") for entry in entries if entry["kind"] == "state"] == ["accepted", "claimed", "failed"]


def test_reading_histories_leaves_no_connection_behind(api: httpx.Client, database: Database) -> None:
    execution = in_status(database, ExecutionStatus.COMPLETED)
    for _ in range(MAXIMUM_HISTORIES * 3):
        wait_until(partial(_is_left_half_read, api, execution), description="the history can be read again")
    assert api.get("/health").status_code == 200


def _is_left_half_read(api: httpx.Client, execution: str) -> bool:
    with api.stream("GET", f"/workflows/{execution}/history") as answer:
        return answer.status_code == 200


def test_a_refused_history_does_not_count_as_read(api: httpx.Client) -> None:
    for _ in range(MAXIMUM_HISTORIES + 1):
        problem(api.get(f"/workflows/{UNKNOWN}/history"), 404)


@pytest.mark.parametrize("path", ["", "/progress", "/history", "/result", "/graph"])
def test_what_is_not_there_is_not_found(api: httpx.Client, database: Database, path: str) -> None:
    with database.transaction() as tables:
        foreign = accepted(tables, organization_id=OTHER_ORGANIZATION).id
    answers = [problem(api.get(f"/workflows/{each}{path}"), 404) for each in (UNKNOWN, foreign)]
    assert {answer["type"] for answer in answers} == {"urn:beep:workflow-not-found"}
    assert problem(api.get(f"/workflows/notes{path}"), 404)["field"] == "execution_id"


BAD_STARTS: dict[str, tuple[Any, str]] = {
    "no type": ({"input": DOCUMENT}, "workflow_type"),
    "no input": ({"workflow_type": "extraction"}, "input"),
    "more": (START | {"more": 1}, "more"),
    "no object": ([1], "body"),
    "unknown type": ({"workflow_type": "other", "input": {}}, "workflow_type"),
    "no text": ({"workflow_type": "extraction", "input": {"document_id": "a", "text": " "}}, "text"),
    "NUL": ({"workflow_type": "extraction", "input": {"document_id": "a", "text": "b\x00"}}, "text"),
}


@pytest.mark.parametrize("bad", BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_a_bad_start_names_the_field_and_the_remedy(api: httpx.Client, bad: tuple[Any, str]) -> None:
    body, field = bad
    refused = problem(api.post("/workflows", json=body), 422)
    assert refused["field"] == field
    assert refused["remedy"]
    assert api.get("/workflows").json()["executions"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": ' + b"[" * 100_000, b"NaN,"])
def test_what_is_not_json_is_refused(api: httpx.Client, content: bytes) -> None:
    answer = api.post("/workflows", content=content, headers={"Content-Type": "application/json"})
    assert problem(answer, 400)["field"] == "body"


@pytest.mark.parametrize("name", ["progress", "state", "", "n" * 300])
def test_a_bad_signal_is_refused(api: httpx.Client, name: str) -> None:
    path = f"/workflows/{start(api)}/signals"
    assert problem(api.post(path, json={"signal_name": name}), 422)["field"] == "signal_name"


def test_an_execution_that_has_ended_takes_no_signal(api: httpx.Client, database: Database) -> None:
    path = f"/workflows/{in_status(database, ExecutionStatus.FAILED)}/signals"
    problem(api.post(path, json={"signal_name": "pause"}), 409)


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "many"}, {"status": "gone"}, {"cursor": "yesterday"}, {"colour": "red"}]
)
def test_a_bad_query_names_the_parameter(api: httpx.Client, query: dict[str, str]) -> None:
    assert problem(api.get("/workflows", params=query), 422)["field"] == next(iter(query))


def test_what_there_is_no_path_or_method_for(api: httpx.Client) -> None:
    problem(api.get("/nothing"), 404)
    assert "POST" in api.put("/workflows").headers["allow"]
    problem(api.put("/workflows"), 405)


def test_the_body_has_a_type_and_a_longest_length(database_url: str, database: Database) -> None:
    settings = settings_of(database_url, maximum_document_characters=100)
    with serving(settings, database) as url, httpx.Client(base_url=url, timeout=30) as api:
        text = api.post("/workflows", content=json.dumps(START), headers={"Content-Type": "text/plain"})
        assert problem(text, 415)["field"] == "Content-Type"
        header = {"Content-Type": "application/json"}
        for content in (b" " * 3_000_000, iter([b" " * 1_000_000] * 3)):  # with its length announced, and without
            assert problem(api.post("/workflows", content=content, headers=header), 413)["field"] == "body"


def test_a_workflow_type_without_a_graph_has_none(api: httpx.Client, database: Database) -> None:
    with database.transaction() as tables:
        execution = accepted(tables, workflow_type="other").id
    assert problem(api.get(f"/workflows/{execution}/graph"), 404)["type"] == "urn:beep:no-graph"


def test_a_database_that_is_away_is_said_to_be_and_comes_back(api: httpx.Client, database_url: str) -> None:
    assert end_sessions(database_url) >= 0
    assert api.get("/health").json() == {"status": "ok"}


def test_an_execution_that_a_run_carries_is_not_resumed(api: httpx.Client, database: Database) -> None:
    with database.transaction() as tables:
        execution = claimed(tables).id
    problem(api.post(f"/workflows/{execution}/resume"), 409)


def test_nothing_to_review_is_said(api: httpx.Client) -> None:
    refused = problem(api.get(f"/workflows/{start(api)}/review"), 409)
    assert "nothing waits for a decision" in refused["detail"]
    problem(api.get(f"/workflows/{UNKNOWN}/review"), 404)


def test_a_pause_is_in_the_answers_and_one_of_all_is_not_ended_alone(api: httpx.Client, database: Database) -> None:
    with database.transaction() as tables:
        tables.pauses.save(EVERYONE, "until noon")
    started = api.post("/workflows", json=START).json()
    path = f"/workflows/{started['execution_id']}"
    status = api.get(path).json()
    assert started["pauses"] == status["pauses"] == api.get("/workflows").json()["executions"][0]["pauses"]
    assert [(pause["scope"], pause["reason"]) for pause in status["pauses"]] == [("instance", "until noon")]
    assert "beep resume --instance" in problem(api.post(f"{path}/resume"), 409)["detail"]
