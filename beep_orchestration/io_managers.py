"""The IO manager that keeps op outputs under the execution, in the rows of its activities."""

from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from beep_orchestration.activities import recalled
from beep_orchestration.errors import IncompleteStageError
from beep_orchestration.extraction import activity_order
from beep_orchestration.resources import WorkflowResource


class CheckpointIOManager(dg.IOManager):
    """An op's output is the outputs of its activities, in their order.

    The activity runner has committed them one by one before the op ends, so storing has nothing left to write.
    Loading hands on what the stage yielded in this process. If another run's did, it reads the parts of the execution,
    and refuses to go on with fewer parts than were counted when the stage began: `IncompleteStageError`. What is loaded
    is therefore complete, also after 'Re-execute from failure'.
    """

    def __init__(self, workflow: WorkflowResource) -> None:
        self._workflow = workflow

    def handle_output(self, context: dg.OutputContext, obj: list[Any]) -> None:
        """Say how many parts the tables hold."""
        context.add_output_metadata({"stored_activities": len(obj)})

    def load_input(self, context: dg.InputContext) -> list[Any]:
        """The parts of the op upstream, in the order of its activities."""
        if context.upstream_output is None:
            raise dg.DagsterInvariantViolationError("a checkpoint is the output of another op")
        session = self._workflow.session()
        stage = session.workflow_type.activity_type_of(context.upstream_output.step_key)
        if (yielded := session.runner.find_outputs(stage.name)) is not None:
            return yielded
        outputs, total = session.load_outputs(stage.name)
        if len(outputs) != total or total == 0:
            raise IncompleteStageError(session.execution_id, stage.name, len(outputs), total)
        adapter = TypeAdapter(stage.output_type)
        return [recalled(adapter, outputs[name]) for name in sorted(outputs, key=activity_order)]


@dg.io_manager(
    required_resource_keys={"workflow"},
    description="Keeps op outputs under the execution, as the recorded outputs of its activities.",
)
def checkpoint_io_manager(context: dg.InitResourceContext) -> CheckpointIOManager:
    """Works on the same claim as the ops: a nested resource would be a second one, with a claim of its own."""
    return CheckpointIOManager(context.resources.workflow)
