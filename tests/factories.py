"""Rows by life stage: each function makes what the one before it made, and goes one step on.

Keyword arguments override single values; `tables` is the transaction in which the rows are stored.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from beep_orchestration.ids import (
    OrganizationId,
    WorkflowActivityId,
    WorkflowExecutionId,
    WorkflowModelCallId,
    WorkflowSignalId,
)
from beep_orchestration.models import ActivityStatus, ErrorInfo, ExecutionStatus, ModelCallStatus
from beep_orchestration.persistence import ExecutionRow, WorkflowPersistence
from beep_orchestration.persistence.activities import NewAttempt
from beep_orchestration.persistence.model_calls import NewModelCall
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.persistence.signals import NewSignal

ORGANIZATION = OrganizationId("shared_organization__00000000-0000-7000-8000-0000000000aa")
OTHER_ORGANIZATION = OrganizationId("shared_organization__00000000-0000-7000-8000-0000000000bb")
WORKFLOW_TYPE = "extraction"
ERROR = ErrorInfo(type="ValueError", message="made by a test")
LEASE_SECONDS = 60.0


def new_execution(**overrides: Any) -> NewExecution:
    """What `start` would store."""
    new = NewExecution(
        id=WorkflowExecutionId.new(),
        organization_id=ORGANIZATION,
        workflow_type=WORKFLOW_TYPE,
        workflow_version=1,
        input={"text": "Ada Lovelace met Charles Babbage in London."},
        input_digest="digest-of-input",
        about=None,
    )
    return replace(new, **overrides)


def accepted(tables: WorkflowPersistence, **overrides: Any) -> ExecutionRow:
    """A stored execution that no run carries yet."""
    new = new_execution(**overrides)
    assert tables.executions.save(new)
    return tables.executions.load(new.id)


def dagster_run_of(execution: ExecutionRow) -> str:
    """The Dagster run that `claimed` lets carry the execution."""
    return f"run-of-{execution.id}"


def claimed(tables: WorkflowPersistence, **overrides: Any) -> ExecutionRow:
    """An execution that a run has claimed; its epoch is 1."""
    execution = accepted(tables, **overrides)
    tables.runs.save(dagster_run_of(execution), execution.id, execution.organization_id)
    epoch = tables.executions.claim(execution.id, dagster_run_of(execution))
    assert epoch is not None
    tables.runs.claim(dagster_run_of(execution), epoch, LEASE_SECONDS)
    return tables.executions.load(execution.id)


def ended(tables: WorkflowPersistence, status: ExecutionStatus, **overrides: Any) -> ExecutionRow:
    """An execution in that status; `running` is one that has not ended."""
    execution = claimed(tables, **overrides)
    match status:
        case ExecutionStatus.COMPLETED:
            assert tables.executions.complete(execution.id, execution.epoch, {"entities": []})
        case ExecutionStatus.FAILED:
            assert tables.executions.fail(execution.id, ERROR, epoch=execution.epoch)
        case ExecutionStatus.CANCELLED:
            assert tables.executions.cancel(execution.id)
        case ExecutionStatus.RUNNING:
            pass
    return tables.executions.load(execution.id)


def new_attempt(execution: ExecutionRow, **overrides: Any) -> NewAttempt:
    """The first attempt of the activity `mentions-0`, about to be made."""
    attempt = NewAttempt(
        id=WorkflowActivityId.new(),
        workflow_execution_id=execution.id,
        organization_id=execution.organization_id,
        activity_name="mentions-0",
        activity_type="mentions",
        attempt_number=1,
        input={"chunk": 0},
        input_digest="digest-of-chunk",
        code_version="1",
        epoch=execution.epoch,
    )
    return replace(attempt, **overrides)


def with_attempt(
    tables: WorkflowPersistence,
    execution: ExecutionRow,
    status: ActivityStatus = ActivityStatus.RUNNING,
    **overrides: Any,
) -> NewAttempt:
    """An attempt of that execution, stored in that status."""
    attempt = new_attempt(execution, **overrides)
    match status:
        case ActivityStatus.PENDING:
            tables.activities.save_pending([(attempt, 0.0)])
        case ActivityStatus.RUNNING:
            tables.activities.save([attempt])
        case ActivityStatus.COMPLETED:
            tables.activities.save([attempt])
            assert tables.activities.complete([(attempt.id, '{"mentions": []}')]) == 1
        case ActivityStatus.FAILED:
            tables.activities.save([attempt])
            assert tables.activities.fail([(attempt.id, ERROR)]) == 1
    return attempt


def with_signal(tables: WorkflowPersistence, execution_id: WorkflowExecutionId, **overrides: Any) -> NewSignal:
    """A signal sent to that execution, with the next sequence number."""
    signal = NewSignal(
        id=WorkflowSignalId.new(),
        workflow_execution_id=execution_id,
        organization_id=ORGANIZATION,
        signal_name="approve",
        payload={"by": "a person"},
        sequence=tables.executions.reserve_signals(execution_id, 1),
    )
    signal = replace(signal, **overrides)
    tables.signals.save([signal])
    return signal


def with_model_call(
    tables: WorkflowPersistence,
    execution: ExecutionRow,
    *,
    account: str | None = None,
    tokens: tuple[int, int] = (10, 2),
) -> NewModelCall:
    """A call to a language model that was answered and cost a half."""
    call = NewModelCall(
        id=WorkflowModelCallId.new(),
        workflow_execution_id=execution.id,
        organization_id=execution.organization_id,
        account=account,
        activity_name="mentions-0",
        activity_type="mentions",
        model="rules",
        question_digest="",
        expected_tokens=1,
    )
    tables.model_calls.begin(call)
    tables.model_calls.end(call.id, ModelCallStatus.ANSWERED, tokens=tokens, cost=Decimal("0.5"))
    return call
