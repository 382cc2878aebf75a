"""Many executions that are started together: all are accepted or none, and each is launched once."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import event

from beep_orchestration import faults
from beep_orchestration.dagster_client import EXECUTION_TAG, DagsterClient
from beep_orchestration.errors import (
    DagsterUnavailableError,
    IdempotencyConflictError,
    InvalidInputError,
    ManyStartError,
)
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from tests.durability.workflow import load
from tests.factories import ORGANIZATION

COUNT = 30
DOCUMENTS = [{"document_id": f"letter-{number}", "text": f"Ada met {number} people."} for number in range(COUNT)]
KEYS = [f"letter-{number}" for number in range(COUNT)]


class Recording(DagsterClient):
    """Answers as Dagster would, and notes what it was asked; does not answer while it `is_down`."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 1, code_location="none", timeout_seconds=1)
        self.launched: list[str] = []
        self.is_down = False
        self._lock = threading.Lock()

    def launch(self, job_name: str, tags: dict[str, str]) -> str:
        if self.is_down:
            raise DagsterUnavailableError(self.url, "down")
        with self._lock:
            self.launched.append(tags[EXECUTION_TAG])
            return f"run-{job_name}-{len(self.launched)}"


@pytest.fixture
def dagster() -> Recording:
    return Recording()


@pytest.fixture
def starting(database: Database, settings: Settings, dagster: Recording) -> WorkflowService:
    return WorkflowService(database, dagster, ORGANIZATION, settings)


def stored_ids(database: Database) -> set[WorkflowExecutionId]:
    with database.transaction() as tables:
        return {row.execution.id for row in tables.statuses.list_newest(ORGANIZATION, limit=1_000)}


def due(database: Database, *, limit: int = 1_000) -> list[WorkflowExecutionId]:
    """What the dispatcher would launch now; it is not due any more then."""
    with database.transaction() as tables:
        rows = tables.executions.take_launchable(limit=limit, workflow_types=["extraction"], next_try_seconds=60)
    return [row.id for row in rows]


def test_ids_come_in_the_order_of_the_inputs_and_each_is_launched_once(
    database: Database, starting: WorkflowService, dagster: Recording
) -> None:
    ids = starting.start_many("extraction", DOCUMENTS)
    assert [starting.load_input(execution)["document_id"] for execution in ids] == [d["document_id"] for d in DOCUMENTS]
    assert sorted(dagster.launched) == sorted(ids)
    assert all(starting.get_status(execution).dagster_run_ids for execution in ids)
    assert stored_ids(database) == set(ids)
    assert due(database) == []


def test_an_empty_list_starts_nothing(starting: WorkflowService, database: Database) -> None:
    assert starting.start_many("extraction", []) == ()
    assert stored_ids(database) == set()


@pytest.mark.parametrize("index", [0, 7, COUNT - 1])
def test_one_bad_input_is_named_and_nothing_is_stored(
    database: Database, starting: WorkflowService, dagster: Recording, index: int
) -> None:
    inputs: list[dict[str, Any]] = [*DOCUMENTS[:index], {"document_id": "bad", "text": ""}, *DOCUMENTS[index + 1 :]]
    with pytest.raises(ManyStartError, match=rf"inputs\[{index}\].*text") as refusal:
        starting.start_many("extraction", inputs)
    assert refusal.value.index == index
    assert (stored_ids(database), dagster.launched) == (set(), [])


def test_a_key_that_was_used_with_another_input_is_named_and_nothing_is_stored(
    database: Database, starting: WorkflowService, dagster: Recording
) -> None:
    other = starting.start("extraction", DOCUMENTS[0], idempotency_key=KEYS[9])
    dagster.launched.clear()
    with pytest.raises(ManyStartError) as refusal:
        starting.start_many("extraction", DOCUMENTS, idempotency_keys=KEYS)
    assert refusal.value.index == 9
    assert isinstance(refusal.value.__cause__, IdempotencyConflictError)
    assert (stored_ids(database), dagster.launched) == ({other}, [])


def test_a_repeated_call_with_the_same_keys_answers_with_the_same_ids_and_launches_nothing_twice(
    starting: WorkflowService, dagster: Recording
) -> None:
    first = starting.start_many("extraction", DOCUMENTS, idempotency_keys=KEYS)
    assert starting.start_many("extraction", DOCUMENTS, idempotency_keys=KEYS) == first
    assert len(dagster.launched) == COUNT


def test_two_calls_with_the_same_keys_in_another_order_answer_with_the_same_ids(
    starting: WorkflowService, dagster: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stores its first one, and waits for the other's as long as there is one to wait for."""
    accept, both = WorkflowService._accept, threading.Barrier(2)

    def meet(*arguments: Any, **options: Any) -> Any:
        answer = accept(*arguments, **options)
        with suppress(threading.BrokenBarrierError):
            both.wait(1)
        return answer

    monkeypatch.setattr(WorkflowService, "_accept", meet)
    ways = [slice(0, 2), slice(1, None, -1)]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(
            lambda way: starting.start_many("extraction", DOCUMENTS[:2][way], idempotency_keys=KEYS[:2][way]), ways
        )
    assert first == second[::-1]
    assert sorted(dagster.launched) == sorted(first)


@pytest.mark.parametrize("keys", [KEYS[1:], [*KEYS[1:], KEYS[1]]], ids=["too few", "one twice"])
def test_keys_have_to_be_one_for_each_input(database: Database, starting: WorkflowService, keys: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="idempotency_keys"):
        starting.start_many("extraction", DOCUMENTS, idempotency_keys=keys)
    assert stored_ids(database) == set()


def test_what_dagster_did_not_take_is_launched_later_and_once(
    database: Database, starting: WorkflowService, dagster: Recording
) -> None:
    dagster.is_down = True
    ids = starting.start_many("extraction", DOCUMENTS)
    assert all(load(database, execution).status is ExecutionStatus.RUNNING for execution in ids)
    assert due(database) == []  # taken a moment ago
    with database.transaction() as tables:
        for execution in ids:
            tables.executions.schedule_launch(execution, 0)
    assert set(due(database)) == set(ids)


def test_a_caller_that_dies_after_the_commit_leaves_all_of_them_to_the_dispatcher(
    database: Database, starting: WorkflowService
) -> None:
    def die(_: str) -> None:
        raise KeyboardInterrupt

    faults.inject("after_execution_commit", die)
    with pytest.raises(KeyboardInterrupt):
        starting.start_many("extraction", DOCUMENTS)
    assert len(due(database)) == COUNT


def test_what_the_dispatcher_has_taken_is_not_launched_by_the_caller_too(
    database: Database, starting: WorkflowService, dagster: Recording
) -> None:
    taken: list[WorkflowExecutionId] = []
    faults.inject("after_execution_commit", lambda _: taken.extend(due(database, limit=10)))
    ids = starting.start_many("extraction", DOCUMENTS)
    assert len(taken) == 10
    assert sorted(dagster.launched) == sorted(set(ids) - set(taken))


def test_a_page_of_executions_says_what_each_is_about_and_reads_no_input(
    database: Database, starting: WorkflowService
) -> None:
    ids = starting.start_many("extraction", DOCUMENTS)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _, __, text, *___: statements.append(text))
    page = starting.list()
    assert {status.execution_id: status.about for status in page.executions} == dict(zip(ids, KEYS, strict=True))
    assert [text for text in statements if re.search(r"\binput\b", text)] == []


def test_a_page_of_executions_takes_as_many_statements_as_one(database: Database, starting: WorkflowService) -> None:
    starting.start_many("extraction", DOCUMENTS)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _, __, text, *___: statements.append(text))
    asked = []
    for limit in (1, COUNT):
        statements.clear()
        assert len(starting.list(limit=limit).executions) == limit
        asked.append(len(statements))
    assert asked[0] == asked[1]
