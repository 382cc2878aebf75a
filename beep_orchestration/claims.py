"""How a run gets the right to commit for an execution.

One run at a time holds the claim. A claim is an epoch on the execution's row: taking it adds one, and every commit
checks it in its own transaction, so that a run which was taken for dead and comes back (a zombie) changes nothing.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from beep_orchestration.endings import check_parent_runs, fail_execution
from beep_orchestration.errors import (
    ClaimLostError,
    ExecutionCancelledError,
    WorkflowStateError,
    WorkflowVersionError,
)
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import ErrorInfo, ExecutionStatus
from beep_orchestration.persistence import Database, ExecutionRow, RunRow, WorkflowPersistence
from beep_orchestration.projections import error_info
from beep_orchestration.workflow_types import get_workflow_type

_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Which Dagster run asks for the claim, and when a person made it by re-executing another in the UI."""

    execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    dagster_run_id: str
    reexecuted_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to commit for an execution; `epoch` is None for a completed one, which can only be read again.

    `leased_at` is a moment of this process's monotonic clock at which the lease had not yet begun.
    """

    execution: ExecutionRow
    dagster_run_id: str
    epoch: int | None
    leased_at: float = 0.0


def claim_execution(database: Database, launch: Launch, *, lease_seconds: float) -> Claim:
    """Take the claim, and close the attempts that an earlier run left open.

    A claim whose lease is running belongs to a live run, or to one that died a moment ago: this waits until the lease
    is over or renewed. The same run may claim again at once, because Dagster starts a second worker for a run only
    when the first is gone; a first one that is not gone after all has lost its claim by that.

    Raises `ClaimLostError` while another run carries the execution, `ExecutionCancelledError` and
    `WorkflowStateError` when it has ended. A re-execution in the UI, made after the execution had failed or was
    cancelled, is a person's explicit resume, once: the run's next worker finds what the person has done since.

    Raises `WorkflowVersionError`, and the execution has failed with it, if it belongs to a version of the workflow
    type that the code here does not carry on; the code that does may resume it.
    """
    seen: RunRow | None = None
    while True:
        with database.transaction() as tables:
            found = _try_claim(tables, launch, lease_seconds)
        match found:
            case Claim():
                return found
            case WorkflowVersionError():
                raise found
        holder = found
        if seen is not None and (holder.epoch, holder.lease_expires_at) != (seen.epoch, seen.lease_expires_at):
            raise ClaimLostError(
                launch.execution_id, launch.dagster_run_id, f"run {holder.dagster_run_id} carries it and is alive"
            )
        seen = holder
        time.sleep(_POLL_SECONDS)


def _try_claim(
    tables: WorkflowPersistence, launch: Launch, lease_seconds: float
) -> Claim | RunRow | WorkflowVersionError:
    execution = tables.executions.load(launch.execution_id, launch.organization_id, lock=True)
    tables.runs.save(launch.dagster_run_id, execution.id, execution.organization_id)
    if execution.status is ExecutionStatus.COMPLETED:
        return Claim(execution=execution, dagster_run_id=launch.dagster_run_id, epoch=None)
    if execution.status is not ExecutionStatus.RUNNING:
        _resume_or_refuse(tables, execution, launch, lease_seconds)
        execution = tables.executions.load(execution.id)
        return _take(tables, execution, launch.dagster_run_id, lease_seconds)  # its last run has nothing left to do
    holder = tables.runs.find_holder(execution.id, execution.epoch)
    if holder is not None and holder.dagster_run_id != launch.dagster_run_id and not holder.lease_is_over:
        return holder
    return _take(tables, execution, launch.dagster_run_id, lease_seconds)


def _resume_or_refuse(
    tables: WorkflowPersistence, execution: ExecutionRow, launch: Launch, lease_seconds: float
) -> None:
    run = tables.runs.find(launch.dagster_run_id)
    is_unclaimed = run is not None and run.epoch is None
    ended_at = execution.completed_at
    if is_unclaimed and ended_at is not None and launch.reexecuted_at is not None and launch.reexecuted_at > ended_at:
        check_parent_runs(tables, execution)
        tables.executions.resume(execution.id, launch_after_seconds=lease_seconds)
        return
    match execution.status:
        case ExecutionStatus.CANCELLED:
            raise ExecutionCancelledError(execution.id)
        case ExecutionStatus.FAILED:
            raise WorkflowStateError(
                execution.id, execution.status, f"go on with 'beep resume {execution.id}' or re-execute it in the UI"
            )
        case ExecutionStatus.RUNNING | ExecutionStatus.COMPLETED:
            raise AssertionError(execution.status)
        case _:
            assert_never(execution.status)


def _take(
    tables: WorkflowPersistence, execution: ExecutionRow, dagster_run_id: str, lease_seconds: float
) -> Claim | WorkflowVersionError:
    kind = get_workflow_type(execution.workflow_type)
    if not kind.can_carry(execution.workflow_version):
        error = WorkflowVersionError(execution.id, kind.name, execution.workflow_version, kind.version)
        fail_execution(tables, execution, error_info(error))
        return error
    epoch = tables.executions.claim(execution.id, dagster_run_id)
    if epoch is None:
        raise ClaimLostError(execution.id, dagster_run_id, "it ended while it was claimed")
    leased_at = time.monotonic()
    tables.runs.claim(dagster_run_id, epoch, lease_seconds)
    tables.activities.fail_running(
        execution.id,
        ErrorInfo(type="WorkerLost", message=f"its worker stopped before it ended; run {dagster_run_id} goes on"),
    )
    return Claim(execution=execution, dagster_run_id=dagster_run_id, epoch=epoch, leased_at=leased_at)
