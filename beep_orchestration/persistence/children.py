"""Rows of `knowledge_workflow_execution` that other executions have started."""

from sqlalchemy import Connection, case, select, update

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus, StateChange
from beep_orchestration.persistence.executions import CLOCK
from beep_orchestration.persistence.state_changes import NEXT_SEQUENCE, told
from beep_orchestration.tables import execution


class ChildExecutions:
    """What parents and children know of each other, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell_parent(
        self, parent_id: WorkflowExecutionId, child_id: WorkflowExecutionId, status: ExecutionStatus
    ) -> None:
        """Let a running execution know that its child has ended so; if it waits for that it is due for a launch now."""
        waits = execution.c.checkpoint["waiting_for"].contains([{"child": child_id}])
        statement = (
            update(execution)
            .where(execution.c.id == parent_id, execution.c.status == ExecutionStatus.RUNNING)
            .values(
                launch_at=case((waits, CLOCK), else_=execution.c.launch_at),
                updated_at=CLOCK,
                signal_sequence=NEXT_SEQUENCE,
            )
        )
        self._connection.execute(told(statement, StateChange.CHILD_ENDED, {"child": child_id, "child_status": status}))

    def tell_started(self, parent_id: WorkflowExecutionId, child_id: WorkflowExecutionId, name: str) -> None:
        """Let who follows an execution know that it has started, or resumed, a child."""
        statement = (
            update(execution).where(execution.c.id == parent_id).values(updated_at=CLOCK, signal_sequence=NEXT_SEQUENCE)
        )
        details = {"child": child_id, "child_name": name}
        self._connection.execute(told(statement, StateChange.CHILD_STARTED, details))

    def list_running(self, execution_id: WorkflowExecutionId) -> list[WorkflowExecutionId]:
        """The children of an execution that have not ended."""
        statement = select(execution.c.id).where(
            execution.c.parent_execution_id == execution_id, execution.c.status == ExecutionStatus.RUNNING
        )
        return [WorkflowExecutionId(found) for found in self._connection.execute(statement).scalars()]
