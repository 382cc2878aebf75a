"""Rows of `knowledge_workflow_execution` that other executions have started."""

from collections.abc import Sequence

from sqlalchemy import ARRAY, BindParameter, Connection, Text, any_, bindparam, case, func, select, update

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import Child, ExecutionStatus, StateChange
from beep_orchestration.persistence.executions import CLOCK
from beep_orchestration.persistence.state_changes import NEXT_SEQUENCE, told
from beep_orchestration.tables import execution

_CHILD = (
    execution.c.id,
    execution.c.child_name,
    execution.c.workflow_type,
    execution.c.status,
    execution.c.started_at,
)


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

    def list_first_of_each(
        self, execution_ids: Sequence[WorkflowExecutionId], *, limit: int
    ) -> dict[WorkflowExecutionId, tuple[Child, ...]]:
        """The first children of each of these executions, in the order of their start, by one statement."""
        parents = func.unnest(_ids(execution_ids)).table_valued("id", name="parent").render_derived()
        first = (
            select(*_CHILD)
            .where(execution.c.parent_execution_id == parents.c.id)
            .order_by(execution.c.started_at, execution.c.id)
            .limit(limit)
            .lateral()
        )
        statement = select(parents.c.id.label("parent_id"), first).order_by(first.c.started_at, first.c.id)
        children: dict[WorkflowExecutionId, tuple[Child, ...]] = dict.fromkeys(execution_ids, ())
        for row in self._connection.execute(statement):
            child = Child(name=row.child_name, execution_id=row.id, workflow_type=row.workflow_type, status=row.status)
            children[row.parent_id] += (child,)
        return children

    def count_of_each(
        self, execution_ids: Sequence[WorkflowExecutionId]
    ) -> dict[WorkflowExecutionId, dict[ExecutionStatus, int]]:
        """How many children each of these executions has, by how they stand."""
        statement = (
            select(execution.c.parent_execution_id, execution.c.status, func.count().label("children"))
            .where(execution.c.parent_execution_id == any_(_ids(execution_ids)))
            .group_by(execution.c.parent_execution_id, execution.c.status)
            .order_by(execution.c.status)
        )
        counts: dict[WorkflowExecutionId, dict[ExecutionStatus, int]] = {each: {} for each in execution_ids}
        for row in self._connection.execute(statement):
            counts[row.parent_execution_id][ExecutionStatus(row.status)] = row.children
        return counts


def _ids(execution_ids: Sequence[WorkflowExecutionId]) -> BindParameter[Sequence[str]]:
    return bindparam("ids", list(execution_ids), type_=ARRAY(Text))
