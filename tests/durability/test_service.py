"""The service while Dagster is away: it loses nothing, doubles nothing, and refuses at the door."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from beep_orchestration.errors import (
    DagsterUnavailableError,
    IdempotencyConflictError,
    InvalidInputError,
    WorkflowNotFoundError,
    WorkflowStartError,
    WorkflowStateError,
)
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from tests.durability.workflow import STAGE, Journal, load, running, sent_signals, snapshot
from tests.factories import OTHER_ORGANIZATION, accepted, claimed, ended
from tests.postgres import end_sessions
from tests.waiting import wait_until

DOCUMENT = {"document_id": "letter", "text": "Ada Lovelace met Charles Babbage in London."}
OTHER_DOCUMENT = DOCUMENT | {"text": "Alan Turing worked at Bletchley Park."}
CALLERS = 50
LONG_WAIT = 30.0


@pytest.fixture
def stranger(database: Database, settings: Settings, service: WorkflowService) -> WorkflowService:
    """The service of another organization."""
    return WorkflowService(database, service._dagster, OTHER_ORGANIZATION, settings)


def at_once(call: Callable[[int], Any], callers: int = CALLERS) -> list[Any]:
    """What that many threads got that called at the same moment; an error counts as an answer."""
    together, answers = threading.Barrier(callers), []

    def work(number: int) -> None:
        together.wait(LONG_WAIT)
        try:
            answers.append(call(number))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_WAIT)
    return answers


def count_rows(database: Database, table: str) -> int:
    with database.transaction() as tables:
        rows: int = tables.connection.execute(text(f"SELECT count(*) FROM knowledge_workflow_{table}")).scalar_one()
        return rows


def test_an_execution_is_accepted_and_stays_due_while_dagster_is_down(
    database: Database, service: WorkflowService
) -> None:
    with pytest.raises(DagsterUnavailableError):
        service._dagster.launch("extraction", {})
    execution = service.start("extraction", DOCUMENT)
    assert service.get_status(execution).status is ExecutionStatus.RUNNING
    assert service.load_input(execution)["text"] == DOCUMENT["text"]
    with database.transaction() as tables:
        tables.executions.schedule_launch(execution, 0)
        due = tables.executions.take_launchable(limit=10, workflow_types=["extraction"], next_try_seconds=1)
    assert [row.id for row in due] == [execution]


def test_without_a_key_each_start_is_an_execution_of_its_own(service: WorkflowService) -> None:
    assert service.start("extraction", DOCUMENT) != service.start("extraction", DOCUMENT)


def test_the_same_key_and_input_answer_with_the_same_execution(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT, idempotency_key="letter-1")
    before = snapshot(database, execution)
    assert service.start("extraction", DOCUMENT, idempotency_key="letter-1") == execution
    reordered: dict[str, Any] = dict(reversed(DOCUMENT.items())) | {"options": {}, "title": None}
    assert service.start("extraction", reordered, idempotency_key="letter-1") == execution
    assert snapshot(database, execution) == before
    assert count_rows(database, "execution") == 1


def test_the_same_key_answers_with_an_execution_that_has_ended(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT, idempotency_key="letter-1")
    service.cancel(execution)
    assert service.start("extraction", DOCUMENT, idempotency_key="letter-1") == execution
    assert load(database, execution).status is ExecutionStatus.CANCELLED


def test_the_same_key_and_another_input_conflict(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT, idempotency_key="letter-1")
    with pytest.raises(IdempotencyConflictError) as conflict:
        service.start("extraction", OTHER_DOCUMENT, idempotency_key="letter-1")
    assert (conflict.value.idempotency_key, conflict.value.execution_id) == ("letter-1", execution)
    assert conflict.value.input_digest == load(database, execution).input_digest
    assert service.load_input(execution)["text"] == DOCUMENT["text"]


def test_organizations_do_not_share_keys(service: WorkflowService, stranger: WorkflowService) -> None:
    ours = service.start("extraction", DOCUMENT, idempotency_key="letter-1")
    assert stranger.start("extraction", OTHER_DOCUMENT, idempotency_key="letter-1") != ours


def test_concurrent_starts_with_one_key_are_one_execution(database: Database, service: WorkflowService) -> None:
    answers = at_once(lambda _: service.start("extraction", DOCUMENT, idempotency_key="letter-1"))
    assert len(answers) == CALLERS
    assert len(set(answers)) == 1
    assert isinstance(answers[0], WorkflowExecutionId)
    assert count_rows(database, "execution") == 1


def test_concurrent_starts_with_one_key_and_two_inputs_take_one(database: Database, service: WorkflowService) -> None:
    inputs = [DOCUMENT, OTHER_DOCUMENT]
    answers = at_once(lambda number: service.start("extraction", inputs[number % 2], idempotency_key="letter-1"))
    accepted_ids = [answer for answer in answers if isinstance(answer, WorkflowExecutionId)]
    conflicts = [answer for answer in answers if isinstance(answer, IdempotencyConflictError)]
    assert (len(accepted_ids), len(conflicts), len(set(accepted_ids))) == (CALLERS // 2, CALLERS // 2, 1)
    assert count_rows(database, "execution") == 1


BAD_STARTS: dict[str, tuple[str, Any, str | None, str]] = {
    "unknown type": ("translation", DOCUMENT, None, "workflow_type"),
    "no object": ("extraction", ["text"], None, "input"),
    "no text": ("extraction", {"document_id": "letter"}, None, "text"),
    "blank text": ("extraction", DOCUMENT | {"text": " \n\t"}, None, "text"),
    "NUL": ("extraction", DOCUMENT | {"text": "a\x00b"}, None, "text"),
    "surrogate": ("extraction", DOCUMENT | {"title": "\ud800"}, None, "title"),
    "wrong type": ("extraction", DOCUMENT | {"text": 7}, None, "text"),
    "unknown field": ("extraction", DOCUMENT | {"txt": "x"}, None, "txt"),
    "unknown option": ("extraction", DOCUMENT | {"options": {"chunks": 3}}, None, "options.chunks"),
    "option out of range": ("extraction", DOCUMENT | {"options": {"chunk_size": 1}}, None, "options.chunk_size"),
    "option of another type": (
        "extraction",
        DOCUMENT | {"options": {"chunk_size": "2000"}},
        None,
        "options.chunk_size",
    ),
    "bad ontology": ("extraction", DOCUMENT | {"ontology": "not turtle"}, None, "ontology"),
    "blank key": ("extraction", DOCUMENT, " ", "idempotency_key"),
    "long key": ("extraction", DOCUMENT, "k" * 501, "idempotency_key"),
    "NUL in key": ("extraction", DOCUMENT, "k\x00", "idempotency_key"),
    "surrogate in key": ("extraction", DOCUMENT, "k\ud800", "idempotency_key"),
}


@pytest.mark.parametrize("bad", BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_a_bad_start_names_the_field_and_stores_nothing(
    database: Database, service: WorkflowService, bad: tuple[str, Any, str | None, str]
) -> None:
    kind, raw, key, field = bad
    with pytest.raises(WorkflowStartError, match=field) as refusal:
        service.start(kind, raw, idempotency_key=key)
    assert isinstance(refusal.value.__cause__, InvalidInputError)
    assert refusal.value.__cause__.field == field
    assert refusal.value.__cause__.remedy
    assert count_rows(database, "execution") == 0


ANSWER = {"by": "Ada"}

CALLS: dict[str, Callable[[WorkflowService, str], object]] = {
    "get_status": lambda service, execution: service.get_status(execution),
    "signal": lambda service, execution: service.signal(execution, "approve", ANSWER),
    "cancel": lambda service, execution: service.cancel(execution),
    "resume": lambda service, execution: service.resume(execution),
    "result": lambda service, execution: service.result(execution),
    "load_input": lambda service, execution: service.load_input(execution),
    "wait": lambda service, execution: service.wait(execution, timeout_seconds=0),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_the_execution_of_another_organization_does_not_exist(
    database: Database, service: WorkflowService, stranger: WorkflowService, call: Callable[..., object]
) -> None:
    execution = service.start("extraction", DOCUMENT)
    before = snapshot(database, execution)
    with pytest.raises(WorkflowNotFoundError) as hidden:
        call(stranger, execution)
    unknown = WorkflowExecutionId.new()
    with pytest.raises(WorkflowNotFoundError) as missing:
        call(service, unknown)
    assert str(hidden.value).replace(execution, unknown) == str(missing.value)
    assert snapshot(database, execution) == before
    assert stranger.list().executions == ()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("bad_id", ["", "x", "knowledge_workflow_run__01890000-0000-7000-8000-000000000000", "a\x00"])
def test_what_is_no_id_of_an_execution_is_refused(
    service: WorkflowService, call: Callable[..., object], bad_id: str
) -> None:
    with pytest.raises(InvalidInputError, match="give knowledge_workflow_execution__<uuid>"):
        call(service, bad_id)


def test_signals_are_stored_in_order(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    ids = [service.signal(execution, "approve", {"by": text}) for text in ("first", "\u2028", "\\u0000")]
    stored = sent_signals(database, execution)
    assert [signal.id for signal in stored] == ids
    assert [signal.sequence for signal in stored] == [2, 3, 4]
    assert [signal.payload["by"] for signal in stored] == ["first", "\u2028", "\\u0000"]


BAD_SIGNALS: dict[str, tuple[str, Any, str | None, str]] = {
    "blank name": (" ", {}, None, "signal_name"),
    "long name": ("n" * 201, {}, None, "signal_name"),
    "NUL in the name": ("n\x00", {}, None, "signal_name"),
    "surrogate in the name": ("n\ud800", {}, None, "signal_name"),
    "reserved name": ("progress", {}, None, "signal_name"),
    "unknown name": ("applaud", {}, None, "signal_name"),
    "field missing": ("approve", {}, None, "by"),
    "field unknown": ("approve", {"by": "Ada", "b": 1}, None, "b"),
    "field of another type": ("approve", {"by": 1}, None, "by"),
    "no object": ("approve", [], None, "payload"),
    "name of state changes": ("state", {}, None, "signal_name"),
    "NUL": ("approve", {"text": ["a\x00"]}, None, "payload"),
    "surrogate": ("approve", {"\ud800": 1}, None, "payload"),
    "not JSON": ("approve", {"time": object()}, None, "payload"),
    "no number of JSON": ("approve", {"number": float("inf")}, None, "payload"),
    "oversize": ("approve", {"text": "x" * 262_144}, None, "payload"),
    "blank key": ("approve", ANSWER, " ", "sender_key"),
    "long key": ("approve", ANSWER, "k" * 501, "sender_key"),
    "NUL in the key": ("approve", ANSWER, "k\x00", "sender_key"),
    "surrogate in the key": ("approve", ANSWER, "k\ud800", "sender_key"),
}


@pytest.mark.parametrize("bad", BAD_SIGNALS.values(), ids=BAD_SIGNALS.keys())
def test_a_bad_signal_names_the_field_and_stores_nothing(
    database: Database, service: WorkflowService, bad: tuple[str, Any, str | None, str]
) -> None:
    name, payload, key, field = bad
    execution = service.start("extraction", DOCUMENT)
    with pytest.raises(InvalidInputError) as refusal:
        service.signal(execution, name, payload, sender_key=key)
    assert refusal.value.field == field
    assert sent_signals(database, execution) == []


@pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
def test_an_execution_that_has_ended_takes_no_signals(
    database: Database, service: WorkflowService, status: ExecutionStatus
) -> None:
    with database.transaction() as tables:
        execution = ended(tables, status).id
    with pytest.raises(WorkflowStateError, match=f" {status}: it takes no signals"):
        service.signal(execution, "approve", ANSWER)
    assert sent_signals(database, execution) == []


def test_a_repeated_signal_is_stored_once_also_after_the_end(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    first = service.signal(execution, "approve", ANSWER, sender_key="note-1")
    service.cancel(execution)
    assert service.signal(execution, "approve", ANSWER, sender_key="note-1") == first
    assert len(sent_signals(database, execution)) == 1


def test_a_signal_repeated_by_many_at_once_is_stored_once(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    answers = at_once(lambda _: service.signal(execution, "approve", ANSWER, sender_key="note-1"))
    assert len(answers) == CALLERS
    assert {str(answer) for answer in answers} == {str(sent_signals(database, execution)[0].id)}
    assert len(sent_signals(database, execution)) == 1


def test_signals_of_many_senders_have_no_gap_and_keep_each_senders_order(
    database: Database, service: WorkflowService
) -> None:
    execution = service.start("extraction", DOCUMENT)

    def send_ten(sender: int) -> None:
        for number in range(10):
            service.signal(execution, "approve", {"by": str(sender), "note": str(number)})

    at_once(send_ten, callers=5)
    stored = sent_signals(database, execution)
    assert [signal.sequence for signal in stored] == list(range(2, 52))
    for sender in range(5):
        assert [s.payload["note"] for s in stored if s.payload["by"] == str(sender)] == [str(n) for n in range(10)]


@pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
def test_many_resumes_at_once_resume_once(
    database: Database, service: WorkflowService, status: ExecutionStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as tables:
        execution = ended(tables, status).id
    launches: list[str] = []
    monkeypatch.setattr(service, "_launch", lambda row, _: launches.append(row.id))
    answers = at_once(lambda _: service.resume(execution), callers=10)
    assert launches == [execution]
    assert all(isinstance(answer, WorkflowStateError) or answer.status is ExecutionStatus.RUNNING for answer in answers)
    row = load(database, execution)
    assert (row.status, row.error, row.completed_at) == (ExecutionStatus.RUNNING, None, None)


def test_what_is_completed_or_carried_by_a_run_is_not_resumed(database: Database, service: WorkflowService) -> None:
    with database.transaction() as tables:
        done, carried = ended(tables, ExecutionStatus.COMPLETED).id, claimed(tables).id
    for execution, problem in ((done, "it is done"), (carried, "a run carries it already")):
        with pytest.raises(WorkflowStateError, match=problem):
            service.resume(execution)


def test_the_result_is_there_after_completion_and_not_before(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    with pytest.raises(WorkflowStateError, match="it has no result"):
        service.result(execution)
    with running(database, execution) as runner:
        runner.complete({"entities": []})
    assert service.result(execution) == {"entities": []}


def test_the_status_says_what_was_done_and_tried(database: Database, service: WorkflowService) -> None:
    execution, journal = service.start("extraction", DOCUMENT), Journal()
    with running(database, execution, "run-1") as runner:
        runner.run(STAGE, journal.activities(3), concurrency=1)
        status = service.get_status(execution)
    assert (status.status, status.current_activity, status.attempts) == ("running", f"{STAGE}-2", 3)
    assert {name: (stage.done, stage.total) for name, stage in status.activities.items()} == {STAGE: (3, 3)}
    assert status.dagster_run_ids == ("run-1",)
    assert status.dagster_url == "http://127.0.0.1:1/runs/run-1"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_are_complete_and_repeat_nothing(database: Database, service: WorkflowService, limit: int) -> None:
    with database.transaction() as tables:
        expected = [accepted(tables).id for _ in range(7)]
        accepted(tables, organization_id=OTHER_ORGANIZATION)
        tables.connection.execute(text("UPDATE knowledge_workflow_execution SET started_at = '2026-01-01Z'"))
    assert list(_all_pages(service, limit)) == sorted(expected, reverse=True)


def _all_pages(service: WorkflowService, limit: int) -> Iterator[str]:
    cursor = None
    while True:
        page = service.list(limit=limit, cursor=cursor)
        yield from (status.execution_id for status in page.executions)
        cursor = page.cursor
        if cursor is None:
            return


def test_a_list_can_be_of_one_status(database: Database, service: WorkflowService) -> None:
    with database.transaction() as tables:
        by_status = {status: ended(tables, status).id for status in ExecutionStatus}
    for status, execution in by_status.items():
        assert [found.execution_id for found in service.list(status=status).executions] == [execution]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "\x00|"}, "cursor"),
    ],
)
def test_a_page_that_cannot_be_is_refused(service: WorkflowService, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        service.list(**arguments)
    assert refusal.value.field == field


def test_waiting_ends_with_the_execution(database: Database, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    answers: list[object] = []
    waiter = threading.Thread(target=lambda: answers.append(service.wait(execution).status))
    waiter.start()
    with running(database, execution) as runner:
        runner.complete({})
    wait_until(lambda: answers)
    assert answers == [ExecutionStatus.COMPLETED]


def test_waiting_is_told_and_need_not_look(
    database: Database, service: WorkflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beep_orchestration.service.LONGEST_SILENCE_SECONDS", 3_600.0)
    test_waiting_ends_with_the_execution(database, service)


def test_waiting_goes_on_by_looking_where_nobody_can_listen(
    database: Database, service: WorkflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beep_orchestration.persistence.notifications._CHANNELS", ("no such, channel",))
    test_waiting_ends_with_the_execution(database, service)


def test_waiting_outlives_a_restart_of_the_database(database_url: str, service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    answers: list[object] = []
    waiter = threading.Thread(target=lambda: answers.append(service.wait(execution).status))
    waiter.start()
    for _ in range(20):
        end_sessions(database_url)
    service.cancel(execution)
    wait_until(lambda: answers)
    assert answers == [ExecutionStatus.CANCELLED]


def test_waiting_ends_after_its_time(service: WorkflowService) -> None:
    execution = service.start("extraction", DOCUMENT)
    with pytest.raises(TimeoutError, match=r"still running after 0\.05 s"):
        service.wait(execution, timeout_seconds=0.05)


def test_spans_have_the_names_of_the_specification(service: WorkflowService, exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    execution = service.start("extraction", DOCUMENT)
    service.get_status(execution)
    service.signal(execution, "approve", ANSWER)
    service.cancel(execution)
    spans = exporter.get_finished_spans()
    names = ["WorkflowService.start", "WorkflowService.getStatus", "WorkflowService.signal", "WorkflowService.cancel"]
    assert [span.name for span in spans if span.name.startswith("WorkflowService.")] == names
    assert (spans[0].attributes or {})["beep.execution_id"] == execution
