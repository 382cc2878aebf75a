"""The ops with which a person steers executions from the Dagster UI; each does what the service's method does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from beep_orchestration.errors import BeepError
from beep_orchestration.service import WorkflowService


class ExecutionConfig(dg.Config):
    """Which execution is meant."""

    execution_id: str = Field(description="knowledge_workflow_execution__<uuid>, as shown in a run's tags")
    organization_id: str | None = Field(default=None, description="the configured organization if absent")


class SignalConfig(ExecutionConfig):
    """What is sent to which execution."""

    signal_name: str = Field(description="one that the workflow type knows, such as approve")
    payload: dict[str, Any] = Field(default={}, description="what the workflow type expects of this signal")
    sender_key: str | None = Field(default=None, description="a repeated signal with this key is stored once")


@dg.op(name="store_signal", description="Stores a signal for a running execution, as `WorkflowService.signal` does.")
def send_signal_op(context: dg.OpExecutionContext, config: SignalConfig) -> None:
    with _steering(config) as service:
        signal_id = service.signal(
            config.execution_id, config.signal_name, config.payload, sender_key=config.sender_key
        )
        context.log.info(f"stored {signal_id}")


@dg.op(name="cancel_execution", description="Cancels a running execution, as `WorkflowService.cancel` does.")
def cancel_workflow_op(context: dg.OpExecutionContext, config: ExecutionConfig) -> None:
    with _steering(config) as service:
        result = service.cancel(config.execution_id)
        when = "now" if result.cancelled_now else "already"
        context.log.info(f"{result.execution_id} is {result.status} {when}")


@dg.op(name="resume_execution", description="Lets an execution go on, as `WorkflowService.resume` does.")
def resume_workflow_op(context: dg.OpExecutionContext, config: ExecutionConfig) -> None:
    with _steering(config) as service:
        status = service.resume(config.execution_id)
        context.log.info(f"{status.execution_id} is {status.status}; its runs: {', '.join(status.dagster_run_ids)}")


@contextmanager
def _steering(config: ExecutionConfig) -> Iterator[WorkflowService]:
    """The service, whose refusals end the op with their message and are not retried."""
    try:
        with WorkflowService.connect(organization_id=config.organization_id) as service:
            yield service
    except BeepError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
