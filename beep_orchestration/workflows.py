"""How a workflow type is written: its stages as ops, its ops as a job. `ops` and `jobs` are an example of it.

A stage's function gets a `Stage` and the outputs of the stages before it. It is run again from its beginning whenever
another run goes on with the execution, so what it does between activities and waits must be quick and come out the same
for the same recorded outputs: no clock, no random numbers, no calls to the world outside of activities, and no change
of what it is given, which other stages are given too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from inspect import getdoc, iscoroutinefunction, signature
from typing import Any, TypeVar

import dagster as dg
from pydantic import BaseModel

from beep_orchestration.activities import Activity, as_json
from beep_orchestration.errors import ConfigurationError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.io_managers import checkpoint_io_manager
from beep_orchestration.model_calls import calling_for
from beep_orchestration.models import Json, RetryPolicy
from beep_orchestration.parking import Parked
from beep_orchestration.persistence.rows import ReceivedSignal
from beep_orchestration.previews import execution_link, preview
from beep_orchestration.races import Awaited, Branch, Races, Winner
from beep_orchestration.resources import ExecutionSession, WorkflowResource
from beep_orchestration.workflow_types import ActivityType, WorkflowType, register

Output = TypeVar("Output")
StageFunction = Callable[..., list[Any]]

IO_MANAGER = "checkpoints"
_WORKFLOW = "workflow"


class Stage:
    """One stage of a claimed execution, in the process of the run that claimed it."""

    def __init__(self, context: dg.OpExecutionContext, session: ExecutionSession, activity_type: ActivityType) -> None:
        self.session = session
        self.activity_type = activity_type
        self.resources: Any = context.resources
        self.metadata: dict[str, Any] = {"execution": execution_link(session.execution_id)}
        self._outputs: list[Any] = []
        self._waits = 0
        self._races = 0

    @property
    def execution_id(self) -> WorkflowExecutionId:
        """The execution that this is a stage of."""
        return self.session.execution_id

    @property
    def input(self) -> Any:
        """The execution's input as the workflow type's model."""
        return self.session.input

    def activity(
        self,
        call: Callable[[], Any],
        *,
        input: BaseModel,  # noqa: A002 - as `Activity` names it
        code_version: str,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        compensate: Callable[[Any], Any] | None = None,
    ) -> Activity[Any]:
        """An activity of this stage, with the policies of its type; `name` is the stage's unless there are several.

        `compensate` is given its output, and undoes what it did if the execution fails after it.
        """
        kind = self.activity_type
        return Activity(
            name=name or kind.name,
            input=input,
            call=call if iscoroutinefunction(call) else partial(_call_for, kind.name, name or kind.name, call),
            output_type=kind.output_type,
            code_version=code_version,
            retry=retry or kind.retry,
            timeout=kind.timeout,
            heartbeat_timeout=kind.heartbeat_timeout,
            on_failure=kind.on_failure,
            compensate=compensate,
        )

    def run(self, activities: Sequence[Activity[Output]], *, concurrency: int = 1) -> list[Output]:
        """Run activities of the stage, or recall their outputs; see `ActivityRunner.run`.

        The stage after it is given what is recorded for all of them, however often this is called. Take what this
        returns as it is: a change to it is recorded nowhere, and a later run would not see it.
        """
        outputs = self.session.run(self.activity_type.name, activities, concurrency=concurrency)
        self._show(outputs)
        return outputs

    def run_last(self, activity: Activity[Output]) -> Output:
        """As `run` and `complete` in one: the activity's output is the execution's, and nothing may follow.

        Both are committed together, which is a transaction less.
        """
        output = self.session.run_last(self.activity_type.name, activity)
        self._show([output])
        return output

    def await_signal(self, *names: str, timeout: float | None = None) -> ReceivedSignal | None:
        """Wait for a signal of these names; None after `timeout` seconds on the database's clock.

        After a short while the run ends and no process is held; the signal, or the time, starts the next one. A signal
        that was sent before is found at once, and each ends one wait only. Recorded once: see `Waits.wait`.
        """
        self._check_signals(names)
        received = self._wait(names, seconds=timeout)
        return None if received is None else self._modelled(received)

    def sleep(self, seconds: float) -> None:
        """Wait, without a process, for so many seconds from the moment at which this was first reached."""
        self._wait((), seconds=seconds)

    def sleep_until(self, when: datetime) -> None:
        """Wait, without a process, until that time on the database's clock."""
        self._wait((), until=when)

    def start_child(
        self,
        name: str,
        workflow_type: str,
        input: Mapping[str, Any] | BaseModel,  # noqa: A002 - as in `WorkflowService.start`
    ) -> WorkflowExecutionId:
        """Start another execution as a child, and go on; its id. `name` tells the execution's children apart.

        It is started once, whichever run comes here first, with the input of that time. When this execution ends,
        however it ends, children that run are cancelled. See `Children.start`.
        """
        return self.session.children.start(name, workflow_type, input)

    def child(
        self,
        name: str,
        workflow_type: str,
        input: Mapping[str, Any] | BaseModel,  # noqa: A002 - as in `WorkflowService.start`
    ) -> Json:
        """The output of the child of that name, which is started unless it is, and waited for as for a signal.

        Recorded once. Raises `ChildFailedError` if the child has failed or was cancelled; a stage may catch it. When
        this execution is resumed the child is resumed too. See `Children.result`.
        """
        return self.session.children.result(name, workflow_type, input)

    def signal_branch(self, *names: str, timeout: float | None = None) -> Awaited:
        """A branch of a race that `await_signal` would be."""
        self._check_signals(names)
        return Awaited(signals=names, seconds=timeout)

    def timer_branch(self, seconds: float | None = None, *, until: datetime | None = None) -> Awaited:
        """A branch of a race that ends so many seconds after the race began, or at that time."""
        if (seconds is None) == (until is None):
            raise ValueError("a timer needs either seconds or a time")
        return Awaited(seconds=seconds, until=until)

    def first_of(self, **branches: Branch) -> Winner:
        """Which of several branches is first: activities of this stage, signals, timers; see `Races.run`.

        Recorded once, with what came of it: a later run gets the same winner. An activity that won is one of the
        stage's; those that lost are interrupted, and their attempts closed as `Superseded`.
        """
        names = [branch.name for branch in branches.values() if isinstance(branch, Activity)]
        if not branches or len(set(names)) < len(names):
            raise ValueError("a race needs branches, and its activities names of their own")
        races = Races(self.session.waits, self.session.runner, self.activity_type.name)
        winner = races.run(f"{self.activity_type.name}-race-{self._races}", branches)
        self._races += 1
        if isinstance(winner.value, ReceivedSignal):
            return Winner(winner.branch, self._modelled(winner.value))
        return winner

    def end(self) -> None:
        """The stage has named all of its activities; see `ActivityRunner.end_stage`."""
        self.session.runner.end_stage(self.activity_type.name)

    def complete(self, output: BaseModel | Json) -> None:
        """Commit the execution's output: it is completed, and nothing may follow."""
        self.end()
        self.session.runner.complete(as_json(output))

    def _show(self, outputs: Sequence[Any]) -> None:
        self._outputs += outputs
        self.metadata |= {"activities": len(self._outputs), **preview(self._outputs)}

    def _check_signals(self, names: Sequence[str]) -> None:
        for name in names:
            self.session.workflow_type.signal_model(name)

    def _modelled(self, received: ReceivedSignal) -> ReceivedSignal:
        payload = self.session.workflow_type.signal_model(received.name).model_validate(received.payload)
        return received.model_copy(update={"payload": payload})

    def _wait(
        self, names: Sequence[str], *, seconds: float | None = None, until: datetime | None = None
    ) -> ReceivedSignal | None:
        """Waits are told apart by their order within the stage, which is the same in every run."""
        name = f"{self.activity_type.name}-wait-{self._waits}"
        self._waits += 1
        return self.session.waits.wait(name, names, seconds=seconds, until=until)


def _call_for(activity_type: str, activity_name: str, call: Callable[[], Any]) -> Any:
    with calling_for(activity_type, activity_name):
        return call()


def stage_op(
    kind: ActivityType,
    description: str | None = None,
    *,
    config: type[dg.Config] | None = None,
    resources: frozenset[str] = frozenset(),
) -> Callable[[StageFunction], dg.OpDefinition]:
    """Make the op of a stage: named, described and stored like all others.

    With `config` the op is the first of its job; it describes the input of an execution that is started in the
    launchpad, and only there is it given: all of its fields need defaults, or `ConfigurationError` is raised.

    When the stage has to wait for longer than a moment, the op ends without output and Dagster skips those after it;
    the next run enters it again.
    """
    required = [] if config is None else [name for name, field in config.model_fields.items() if field.is_required()]
    if required:
        raise ConfigurationError(
            f"stage {kind.name!r}: the field {required[0]!r} of its config has no default, without which no run of a "
            "stored execution could be launched; give it one, and let the workflow type's `parse` refuse it"
        )

    def make(function: StageFunction) -> dg.OpDefinition:
        def compute(context: dg.OpExecutionContext, inputs: dict[str, Any]) -> Iterator[dg.Output[Any]]:
            workflow: WorkflowResource = getattr(context.resources, _WORKFLOW)
            try:
                with workflow.claimed(None if config is None else context.op_config) as session:
                    stage = Stage(context, session, kind)
                    outputs = function(stage, **inputs)
                    stage.end()
            except Parked as parked:
                workflow.session().parked.append(parked.wait)
                context.log.info(f"parked: {parked}; the execution goes on in another run")
                return
            yield dg.Output(outputs, metadata=stage.metadata)

        return dg.OpDefinition(
            compute,
            name=kind.op_name,
            description=description or getdoc(function),
            ins={name: dg.In(dagster_type=list) for name in list(signature(function).parameters)[1:]},
            outs={
                "result": dg.Out(
                    dagster_type=list,
                    is_required=False,
                    io_manager_key=IO_MANAGER,
                    description=f"What the `{kind.name}` activities yielded, stored under the execution.",
                )
            },
            config_schema=None if config is None else config.to_config_schema(),
            required_resource_keys={_WORKFLOW, *resources},
            tags={"beep/activity_type": kind.name},
        )

    return make


STAGE_RESOURCES: dict[str, Any] = {_WORKFLOW: WorkflowResource(), IO_MANAGER: checkpoint_io_manager}
"""What every stage works with."""

WORKFLOW_JOBS: list[dg.JobDefinition] = []
"""The jobs of all workflow types that this process knows, in the order of their registration."""


def workflow_job(
    workflow_type: WorkflowType, description: str | None = None
) -> Callable[[Callable[[], None]], dg.JobDefinition]:
    """Make the job of a workflow type of the function that connects its ops, and register both.

    The steps of a run share one process, and with it one claim.
    """

    def make(function: Callable[[], None]) -> dg.JobDefinition:
        register(workflow_type)
        decorate = dg.job(
            name=workflow_type.job_name,
            description=description or getdoc(function),
            executor_def=dg.in_process_executor,
            tags={"dagster/retry_strategy": "ALL_STEPS"},
        )
        job: dg.JobDefinition = decorate(function)
        WORKFLOW_JOBS.append(job)
        return job

    return make
