"""Signals inside activities: kept when early, in order, consumed with the checkpoint that they feed."""

import asyncio
import threading
from typing import Any

import pytest

from beep_orchestration import signals
from beep_orchestration.endings import cancel_execution
from beep_orchestration.errors import ActivityFailedError, InvalidInputError
from beep_orchestration.extraction.review import Approve
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from tests.durability.workflow import STAGE, Journal, end_leases, running, start
from tests.postgres import end_sessions
from tests.waiting import wait_until

LONG_WAIT = 30.0


def by(payload: Any) -> str | None:
    assert payload is None or isinstance(payload, Approve)
    return None if payload is None else payload.by


def send(service: WorkflowService, execution: str, *names: str) -> None:
    for name in names:
        service.signal(execution, "approve", {"by": name})


def unconsumed(database: Database, execution: str) -> int:
    with database.transaction() as tables:
        return len(tables.signals.load_unconsumed(execution, ["approve"], limit=100))  # type: ignore[arg-type]


def test_early_signals_are_received_in_order(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    send(service, execution, "Ada", "Grace")
    received: list[str | None] = []

    def work() -> int:
        received.extend(by(signals.receive("approve")) for _ in range(2))
        received.append(by(signals.poll("approve")))
        received.append(by(signals.receive("approve", timeout=0.01)))
        return 0

    with running(database, execution) as runner:
        runner.run(STAGE, [journal.activity(0, work)], concurrency=1)
    assert received == ["Ada", "Grace", None, None]
    assert unconsumed(database, execution) == 0


def test_a_running_activity_learns_of_a_signal(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    sender = threading.Timer(0.1, send, (service, execution, "Ada"))
    sender.start()
    with running(database, execution) as runner:
        outputs = runner.run(
            STAGE,
            [journal.activity(0, lambda: by(signals.receive("approve", timeout=LONG_WAIT)), output_type=str)],
            concurrency=1,
        )
    assert outputs == ["Ada"]


def test_a_running_activity_learns_of_a_signal_after_the_sessions_were_ended(
    database: Database, database_url: str, service: WorkflowService
) -> None:
    execution, journal = start(database), Journal()
    waits = threading.Event()

    def work() -> str | None:
        waits.set()
        return by(signals.receive("approve", timeout=LONG_WAIT))

    def restart_and_send() -> None:
        assert waits.wait(LONG_WAIT)
        end_sessions(database_url)
        send(service, execution, "Ada")

    sender = threading.Thread(target=restart_and_send)
    sender.start()
    with running(database, execution) as runner:
        assert runner.run(STAGE, [journal.activity(0, work, output_type=str)], concurrency=1) == ["Ada"]
    sender.join()


def test_an_attempt_that_fails_gives_its_signals_back(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    send(service, execution, "Ada")
    received: list[str | None] = []

    def work() -> int:
        received.append(by(signals.poll("approve")))
        if len(received) == 1:
            raise OSError("try again")
        return 0

    with running(database, execution) as runner:
        runner.run(STAGE, [journal.activity(0, work)], concurrency=1)
    assert received == ["Ada", "Ada"]
    assert unconsumed(database, execution) == 0


def test_a_run_that_dies_leaves_its_signals_to_the_next(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    send(service, execution, "Ada")

    def work() -> str | None:
        return by(signals.poll("approve"))

    def taken_and_lost() -> str | None:
        work()
        with database.transaction() as tables:
            tables.executions.schedule_launch(execution, 0)
        return "lost"

    activity = journal.activity(0, taken_and_lost, output_type=str)
    with running(database, execution) as runner, pytest.raises(Exception, match="another run has claimed it"):
        runner.run(STAGE, [activity], concurrency=1)
    assert unconsumed(database, execution) == 1
    end_leases(database, execution)
    with running(database, execution, "run-2") as runner:
        assert runner.run(STAGE, [journal.activity(0, work, output_type=str)], concurrency=1) == ["Ada"]


def test_activities_side_by_side_get_different_signals(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    names = [f"person {number}" for number in range(8)]
    send(service, execution, *names)
    activities = [
        journal.activity(number, lambda: by(signals.receive("approve", timeout=LONG_WAIT)), output_type=str)
        for number in range(8)
    ]
    with running(database, execution) as runner:
        assert sorted(runner.run(STAGE, activities, concurrency=4)) == names


def test_a_coroutine_receives_in_a_thread(database: Database, service: WorkflowService) -> None:
    execution, journal = start(database), Journal()
    send(service, execution, "Ada")

    async def work() -> str | None:
        return by(await asyncio.to_thread(signals.receive, "approve"))

    with running(database, execution) as runner:
        assert runner.run(STAGE, [journal.async_activity(0, work, output_type=str)], concurrency=1) == ["Ada"]


def test_a_cancel_ends_the_waiting_of_an_activity(database: Database) -> None:
    execution, journal = start(database), Journal()

    def cancel() -> None:
        wait_until(lambda: journal.calls)
        with database.transaction() as tables:
            cancel_execution(tables, execution)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with running(database, execution) as runner, pytest.raises(Exception, match="was cancelled"):
        runner.run(STAGE, [journal.activity(0, lambda: signals.receive("approve"))], concurrency=1)
    canceller.join()


def test_waiting_is_a_sign_of_life(database: Database, service: WorkflowService) -> None:
    """The silence that an activity may keep is shorter than the wait."""
    execution, journal = start(database), Journal()
    sender = threading.Timer(3.0, send, (service, execution, "Ada"))
    sender.start()
    activity = journal.activity(
        0, lambda: by(signals.receive("approve", timeout=LONG_WAIT)), output_type=str, heartbeat_timeout=2.0
    )
    with running(database, execution) as runner:
        assert runner.run(STAGE, [activity], concurrency=1) == ["Ada"]
    assert journal.calls[f"{STAGE}-0"] == 1


def test_an_undeclared_signal_is_refused(database: Database) -> None:
    execution, journal = start(database), Journal()
    with running(database, execution) as runner, pytest.raises(ActivityFailedError, match="no signal of workflow type"):
        runner.run(STAGE, [journal.activity(0, lambda: signals.poll("applause"))], concurrency=1)
    assert journal.calls[f"{STAGE}-0"] == 1  # no retry mends it


def test_signals_are_received_inside_activities_only() -> None:
    with pytest.raises(RuntimeError, match="inside an activity"):
        signals.receive("approve")


def test_the_error_of_an_unknown_signal_names_the_field() -> None:
    from beep_orchestration.workflow_types import EXTRACTION  # noqa: PLC0415 - what is asked is here

    with pytest.raises(InvalidInputError) as refused:
        EXTRACTION.signal_model("applause")
    assert refused.value.field == "signal_name"
    assert "approve" in refused.value.remedy
