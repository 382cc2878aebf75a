"""What the cases run: workflow types whose stages a test writes, and the runs that own their executions.

A run is a real run of a Dagster job in this process, or in one that is killed. What activities did is in a file, which
outlives the processes.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel
from sqlalchemy import text

from beep_orchestration import faults
from beep_orchestration.activities import Activity
from beep_orchestration.dagster_client import launch_tags
from beep_orchestration.faults import FaultPoint
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import RetryPolicy
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import load_settings
from beep_orchestration.workflow_types import WORKFLOW_TYPES, ActivityType, WorkflowType
from beep_orchestration.workflows import STAGE_RESOURCES, WORKFLOW_JOBS, Stage, stage_op, workflow_job
from tests.durability.workflow import end_leases
from tests.factories import ORGANIZATION
from tests.processes import started

Body = Callable[[Stage], Any]
Closing = Callable[[Stage, list[Any]], Any]

ONCE = RetryPolicy(maximum_attempts=1)
THREE_TIMES = RetryPolicy(maximum_attempts=3, first_delay=0, maximum_delay=0)
_LONGEST_DEATH_SECONDS = 120.0
_AN_HOUR_LATER = (
    "UPDATE knowledge_workflow_execution SET launch_at = launch_at - interval '1 hour' WHERE id = :id",
    """
    UPDATE knowledge_workflow_activity SET input = input || jsonb_build_object(
        'since', (input->>'since')::timestamptz - interval '1 hour',
        'deadline', (input->>'deadline')::timestamptz - interval '1 hour'
    ) WHERE workflow_execution_id = :id AND activity_type = 'wait'
    """,
)


class Case(dg.Config):
    """The input: where the execution's activities note that they were called."""

    journal: str = ""


class Answer(BaseModel):
    """The payload of the signals."""

    by: str


PART = ActivityType("part", "work", Any, retry=ONCE)
CLOSING = ActivityType("closing", "close_up", Any, retry=ONCE)
SIGNALS: Mapping[str, type[BaseModel]] = {"approve": Answer, "reject": Answer}
CASE = WorkflowType(name="case", version=1, activity_types=(PART,), input_model=Case, signals=SIGNALS)
LONGER = WorkflowType(name="longer_case", version=1, activity_types=(PART, CLOSING), input_model=Case, signals=SIGNALS)


@dataclass
class _Bodies:
    """What the stages do in this process."""

    work: Body
    close_up: Closing


def note(stage: Stage, name: str) -> None:
    """Write down that something was done."""
    with Path(stage.input.journal).open("a", encoding="utf-8") as journal:
        journal.write(f"{name}\n")


def part(stage: Stage, name: str, call: Callable[[], Any] | None = None, **policies: Any) -> Activity[Any]:
    """An activity that notes its call, then does what `call` does, or yields its name."""

    def noted() -> Any:
        note(stage, name)
        return name if call is None else call()

    full_name = f"{stage.activity_type.name}-{name}"
    return replace(stage.activity(noted, input=stage.input, code_version="1", name=full_name), **policies)


def fails(message: str = "broken on purpose") -> Any:
    """What an activity calls in order to fail."""
    raise ValueError(message)


def _close_up(stage: Stage, parts: list[Any]) -> list[Any]:
    return [*parts, *stage.run([part(stage, "end")])]


_bodies = _Bodies(lambda stage: note(stage, "no body"), _close_up)


@stage_op(PART, config=Case)
def work(stage: Stage) -> list[Any]:
    """What the test says; its value is the execution's output unless another stage follows."""
    value = _bodies.work(stage)
    if stage.session.workflow_type is CASE:
        stage.complete({"value": value})
    return [value]


@stage_op(CLOSING)
def close_up(stage: Stage, parts: list[Any]) -> list[Any]:
    """What the test says of the parts of the first stage."""
    value = _bodies.close_up(stage, parts)
    stage.complete({"value": value})
    return [value]


@workflow_job(CASE)
def case() -> None:
    """One stage."""
    work()


@workflow_job(LONGER)
def longer_case() -> None:
    """The stage of the other type, and one more: a definition that extends another."""
    close_up(work())


_JOBS = dg.Definitions(jobs=[case, longer_case], resources=STAGE_RESOURCES)
for _job, _type in ((case, CASE), (longer_case, LONGER)):  # no other test meets them
    WORKFLOW_JOBS.remove(_job)
    del WORKFLOW_TYPES[_type.name]


@dataclass
class Owners:
    """The runs of a test, one after the other, in an installation whose Dagster answers to nobody but the test."""

    service: WorkflowService
    database: Database
    folder: Path
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    def start(self, workflow_type: str = CASE.name, key: str | None = None) -> WorkflowExecutionId:
        """Accept an execution."""
        return self.service.start(workflow_type, self.input, idempotency_key=key)

    @property
    def input(self) -> dict[str, str]:
        """What executions of the test are started with."""
        return {"journal": str(self.folder / "journal")}

    def own(self, execution: WorkflowExecutionId, body: Body, close: Closing = _close_up) -> dg.ExecuteInProcessResult:
        """A run that carries the execution as far as it goes."""
        return _own(self.instance, execution, self.service.get_status(execution).workflow_type, body, close)

    def own_by(self, job: dg.JobDefinition, execution: WorkflowExecutionId) -> dg.ExecuteInProcessResult:
        """A run of another job than those of the cases, which carries the execution as far as it goes."""
        resolved = dg.Definitions(jobs=[job], resources=STAGE_RESOURCES).resolve_job_def(job.name)
        return _carry(self.instance, execution, resolved)

    def own_and_die(self, execution: WorkflowExecutionId, body: Body, point: FaultPoint, subject: str) -> None:
        """A run whose process is killed at a fault point for that subject; then the time of its lease is over."""
        environment = {name: value for name, value in os.environ.items() if name.startswith("BEEP_")}
        process = started(_own_and_die, environment, execution, body, point, subject)
        process.join(_LONGEST_DEATH_SECONDS)
        assert process.exitcode == -signal.SIGKILL, f"the fault was not reached: exit code {process.exitcode}"
        end_leases(self.database, execution)

    def restart(self) -> None:
        """As after a restart of everything: no run, no session and no memory of Dagster's is left."""
        self.instance = dg.DagsterInstance.ephemeral()
        self.database.engine.dispose()

    def is_due(self, execution: WorkflowExecutionId) -> bool:
        """Whether a run would be launched for the execution now; who asks has it launched."""
        with self.database.transaction() as tables:
            return tables.executions.take(execution, next_try_seconds=0)

    def let_an_hour_pass(self, execution: WorkflowExecutionId) -> None:
        """Move everything that is written down of the execution's waits into the past."""
        with self.database.transaction() as tables:
            for statement in _AN_HOUR_LATER:
                tables.connection.execute(text(statement), {"id": execution})

    def calls(self) -> list[str]:
        """What was noted, in order."""
        journal = Path(self.input["journal"])
        return journal.read_text(encoding="utf-8").split("\n")[:-1] if journal.exists() else []

    def elsewhere(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function of a module in another process."""
        environment = {name: value for name, value in os.environ.items() if name.startswith("BEEP_")}
        process = started(_call, environment, call, arguments)
        process.join(_LONGEST_DEATH_SECONDS)
        assert process.exitcode == 0


@contextmanager
def known_types() -> Iterator[None]:
    """Within the block, this process knows the workflow types of the cases."""
    WORKFLOW_TYPES.update({CASE.name: CASE, LONGER.name: LONGER})
    try:
        yield
    finally:
        for kind in (CASE, LONGER):
            WORKFLOW_TYPES.pop(kind.name, None)


def _own(
    instance: dg.DagsterInstance, execution: WorkflowExecutionId, workflow_type: str, body: Body, close: Closing
) -> dg.ExecuteInProcessResult:
    _bodies.work, _bodies.close_up = body, close
    return _carry(instance, execution, _JOBS.resolve_job_def(workflow_type))


def _carry(
    instance: dg.DagsterInstance, execution: WorkflowExecutionId, job: dg.JobDefinition
) -> dg.ExecuteInProcessResult:
    tags = launch_tags(execution, ORGANIZATION, job.name, 1, None)
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def _own_and_die(
    environment: dict[str, str], execution: WorkflowExecutionId, body: Body, point: FaultPoint, subject: str
) -> None:
    faults.inject(point, lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == subject else None)
    _call(environment, _own_alone, (execution, body))


def _own_alone(execution: WorkflowExecutionId, body: Body) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _own(instance, execution, CASE.name, body, _close_up)


def _call(environment: dict[str, str], call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    load_settings.cache_clear()
    with known_types():
        call(*arguments)
