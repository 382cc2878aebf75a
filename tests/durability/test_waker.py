"""Parked executions whose time or signal has come are launched once, by whoever looks first."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.errors import DagsterUnavailableError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import Wait
from beep_orchestration.parking import park
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.pauses import EVERYONE
from beep_orchestration.service import WorkflowService
from beep_orchestration.waker import waking
from tests.durability.workflow import claim, load, start
from tests.waiting import wait_until

PAST = datetime(2000, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


class Launches(list[str]):
    """What a Dagster that launches everything was asked for, by execution."""

    def launch(self, job_name: str, tags: dict[str, str]) -> str:
        self.append(tags["beep/execution_id"])
        return f"{job_name}-{len(self)}-{tags['beep/execution_id']}"


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    made = Launches()
    monkeypatch.setattr(DagsterClient, "launch", lambda _, job, tags: made.launch(job, tags))
    return made


def parked(database: Database, deadline: datetime | None) -> WorkflowExecutionId:
    execution = start(database)
    held = claim(database, execution)
    wait = Wait(activity_name="review-wait-0", signals=("approve",), since=PAST, deadline=deadline)
    with database.transaction() as tables:
        assert park(tables, held, (wait,))
    return execution


def test_what_is_due_is_launched_and_nothing_else(
    database: Database, service: WorkflowService, launches: Launches
) -> None:
    due = parked(database, PAST)
    parked(database, FUTURE)
    parked(database, None)
    start(database)  # accepted and never launched: the dispatcher's work
    assert service.launch_due() == 1
    assert launches == [due]
    assert service.launch_due() == 0


def test_many_callers_launch_once(database: Database, service: WorkflowService, launches: Launches) -> None:
    due = [parked(database, PAST) for _ in range(5)]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: service.launch_due(), range(8))) == 5
    assert sorted(launches) == sorted(due)


def test_a_signal_launches_what_waits_for_it(database: Database, service: WorkflowService, launches: Launches) -> None:
    execution = parked(database, None)
    service.signal(execution, "approve", {"by": "Ada"})
    assert launches == [execution]
    assert service.launch_due() == 0


def test_a_second_signal_launches_no_second_run(
    database: Database, service: WorkflowService, launches: Launches
) -> None:
    execution = parked(database, None)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: service.signal(execution, "approve", {"by": "Ada"}), range(8)))
    assert launches == [execution]


def test_nothing_is_launched_while_everyone_is_paused(
    database: Database, service: WorkflowService, launches: Launches
) -> None:
    execution = parked(database, PAST)
    with database.transaction() as tables:
        tables.pauses.save(EVERYONE, None)
    assert service.launch_due() == 0
    service.signal(execution, "approve", {"by": "Ada"})
    service.start("extraction", {"document_id": "d", "text": "Ada."})
    assert launches == []
    service.end_organization_pause(everyone=True)
    assert service.launch_due() == 1


def test_the_waker_wakes_at_the_deadline_and_not_before(
    database: Database, service: WorkflowService, launches: Launches
) -> None:
    with database.transaction() as tables:
        deadline = tables.executions.load_clock() + timedelta(seconds=2)
    execution = parked(database, deadline)
    with waking(service):
        wait_until(lambda: launches == [execution], 30)
    with database.transaction() as tables:
        assert tables.executions.load_clock() >= deadline


def test_a_launch_that_dagster_refuses_is_tried_again(
    database: Database, service: WorkflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = parked(database, PAST)

    def refuse(*_: object) -> str:
        raise DagsterUnavailableError("http://127.0.0.1:1", "away")

    monkeypatch.setattr(DagsterClient, "launch", refuse)
    assert service.launch_due() == 1
    launch_at = load(database, execution).launch_at
    assert launch_at is not None


def test_signal_with_start_stores_both_or_neither(
    database: Database, service: WorkflowService, launches: Launches
) -> None:
    document = {"document_id": "d", "text": "Ada."}
    answer = {"by": "Ada"}
    with pytest.raises(Exception, match="by: field required"):
        service.signal_with_start("extraction", document, "approve", {}, idempotency_key="d")
    assert not service.list().executions
    first = service.signal_with_start("extraction", document, "approve", answer, idempotency_key="d", sender_key="1")
    second = service.signal_with_start("extraction", document, "approve", answer, idempotency_key="d", sender_key="1")
    assert first == second
    assert launches == [first]
    with database.transaction() as tables:
        assert len(tables.signals.load_unconsumed(first, ["approve"], limit=10)) == 1
