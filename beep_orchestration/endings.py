"""How an execution ends, and what its end means for its children and for its parent.

In one transaction its status changes, its attempts under way are closed, its children that run are cancelled, with
theirs, and its parent is told. Every caller holds the execution's parent before it locks the execution: see
`Executions.lock_parent`. Nothing changes when it is called again.
"""

from typing import assert_never

from beep_orchestration.errors import WorkflowStateError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ErrorInfo, ExecutionStatus, Json
from beep_orchestration.persistence import ExecutionRow, WorkflowPersistence

_CANCELLED = ErrorInfo(type="Cancelled", message="the execution was cancelled while the activity was under way")


def complete_execution(tables: WorkflowPersistence, execution: ExecutionRow, epoch: int, output: Json) -> bool:
    """Complete a running execution by the run that holds the claim; false, and no change, otherwise."""
    if not tables.executions.complete(execution.id, epoch, output):
        return False
    _tell_of_end(tables, execution, ExecutionStatus.COMPLETED)
    return True


def fail_execution(
    tables: WorkflowPersistence, execution: ExecutionRow, error: ErrorInfo, *, epoch: int | None = None
) -> bool:
    """Fail a running execution; with an epoch only by the run that holds that claim. False, and no change, otherwise.

    Its attempts under way are the caller's to close.
    """
    if not tables.executions.fail(execution.id, error, epoch=epoch):
        return False
    _tell_of_end(tables, execution, ExecutionStatus.FAILED)
    return True


def cancel_execution(tables: WorkflowPersistence, execution_id: WorkflowExecutionId) -> tuple[WorkflowExecutionId, ...]:
    """Cancel a running execution, close its attempts under way, and cancel its children; who was cancelled.

    Nobody, and no change, if it has ended before.
    """
    execution = tables.executions.load(execution_id, lock=True)
    if not _cancel(tables, execution_id):
        return ()
    return (execution_id, *_tell_of_end(tables, execution, ExecutionStatus.CANCELLED))


def check_parent_runs(tables: WorkflowPersistence, child: ExecutionRow) -> None:
    """Raise `WorkflowStateError` if the parent of an execution that has ended, and is to be resumed, has ended too.

    It would live on without anybody who waits for it. The caller holds the parent: see `Executions.lock_parent`.
    """
    if child.parent_execution_id is None:
        return
    parent = tables.executions.load(child.parent_execution_id)
    match parent.status:
        case ExecutionStatus.RUNNING:
            return
        case ExecutionStatus.COMPLETED:
            problem = f"its parent {parent.id} is completed and waits for it no more; start another execution"
        case ExecutionStatus.FAILED | ExecutionStatus.CANCELLED:
            problem = f"its parent {parent.id} is {parent.status}; resume that one, and this goes on with it"
        case _:
            assert_never(parent.status)
    raise WorkflowStateError(child.id, child.status, problem)


def _tell_of_end(
    tables: WorkflowPersistence, execution: ExecutionRow, status: ExecutionStatus
) -> tuple[WorkflowExecutionId, ...]:
    if execution.parent_execution_id is not None:
        tables.children.tell_parent(execution.parent_execution_id, execution.id, status)
    return _cancel_children(tables, execution.id)


def _cancel_children(tables: WorkflowPersistence, execution_id: WorkflowExecutionId) -> tuple[WorkflowExecutionId, ...]:
    """Cancel the children of an execution that has ended, and theirs; who was cancelled."""
    cancelled: tuple[WorkflowExecutionId, ...] = ()
    for child_id in tables.children.list_running(execution_id):
        if _cancel(tables, child_id):
            cancelled += (child_id, *_cancel_children(tables, child_id))
    return cancelled


def _cancel(tables: WorkflowPersistence, execution_id: WorkflowExecutionId) -> bool:
    if not tables.executions.cancel(execution_id):
        return False
    tables.activities.fail_open(execution_id, _CANCELLED)
    return True
