"""Races that are tried many times over: parking against a signal, and many signals to one execution."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from beep_orchestration.activities import ActivityRunner
from beep_orchestration.claims import Launch, claim_execution
from beep_orchestration.ids import WorkflowExecutionId, WorkflowRunId
from beep_orchestration.models import Wait
from beep_orchestration.parking import park
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings

NAME = "review-wait-0"
LEASE_SECONDS = 60.0


def lost_wake_ups(database: Database, settings: Settings, service: WorkflowService, tries: int) -> int:
    """How often a signal that meets an execution as it parks leaves it asleep: never, if all is well."""
    lost = 0
    for _ in range(tries):
        execution_id = _accepted(database, settings)
        claim = claim_execution(database, _launch(execution_id, settings), lease_seconds=LEASE_SECONDS)
        barrier = threading.Barrier(2)
        sender = threading.Thread(target=_send, args=(service, execution_id, barrier.wait))
        sender.start()
        barrier.wait()
        with database.transaction() as tables:
            wait = Wait(activity_name=NAME, signals=("approve",), since=tables.executions.load_clock())
            park(tables, claim, (wait,))
        sender.join()
        with database.transaction() as tables:
            lost += tables.executions.load(execution_id).launch_at is None
            tables.executions.cancel(execution_id)
    return lost


def misread_signals(database: Database, settings: Settings, service: WorkflowService, count: int, senders: int) -> int:
    """How many of so many signals of several senders are not received once, in each sender's order."""
    execution_id = _accepted(database, settings)

    def send(sender: int) -> None:
        for number in range(count // senders):
            service.signal(
                execution_id, "approve", {"by": str(sender), "note": str(number)}, sender_key=f"{sender}-{number}"
            )

    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, range(senders)))
    claim = claim_execution(database, _launch(execution_id, settings), lease_seconds=LEASE_SECONDS)
    runner = ActivityRunner(database, claim, lease_seconds=LEASE_SECONDS)
    waits = runner.waits(park_after_seconds=0)
    received: dict[str, list[int]] = {}
    for number in range(count // senders * senders):
        signal = waits.wait(f"{NAME}-{number}", ["approve"])
        if signal is not None:
            received.setdefault(signal.payload["by"], []).append(int(signal.payload["note"]))
    runner.close()
    with database.transaction() as tables:
        left = tables.signals.load_unconsumed(execution_id, ["approve"], limit=count)
        tables.executions.cancel(execution_id)
    expected = {str(sender): list(range(count // senders)) for sender in range(senders)}
    wrong = sum(received.get(sender) != numbers for sender, numbers in expected.items())
    return wrong + len(left)


def _send(service: WorkflowService, execution_id: str, ready: Callable[[], object]) -> None:
    ready()
    service.signal(execution_id, "approve", {"by": "Ada"})


def _accepted(database: Database, settings: Settings) -> WorkflowExecutionId:
    new = NewExecution(
        id=WorkflowExecutionId.new(),
        organization_id=settings.organization,
        workflow_type="extraction",
        workflow_version=1,
        input={},
        input_digest="",
        about=None,
    )
    with database.transaction() as tables:
        tables.executions.save(new, launch_after_seconds=3_600)
    return new.id


def _launch(execution_id: WorkflowExecutionId, settings: Settings) -> Launch:
    return Launch(
        execution_id=execution_id,
        organization_id=settings.organization,
        dagster_run_id=str(WorkflowRunId.new()),
        reexecuted_at=None,
    )
