"""(f) One durable activity that does nothing, one after the other, against one and two commits and the peers' steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from pydantic import BaseModel

from beep_orchestration.activities import Activity, ActivityRunner
from beep_orchestration.claims import Launch, claim_execution
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.persistence.schema import migrate
from benchmarks.results import Result, compare
from benchmarks.systems import Systems


class Nothing(BaseModel):
    number: int


def step_cost(systems: Systems, *, quick: bool) -> Iterator[Result]:
    steps, rounds = (100, 3) if quick else (200, 9)
    taken: dict[str, list[float]] = {
        "ours": [],
        "ours, 20 at once": [],
        "one commit": [],
        "two commits": [],
        "DBOS": [],
    }
    with _runner(systems) as run:
        for _ in range(rounds):
            taken["ours"].append(run(steps, 1) / steps)
            taken["ours, 20 at once"].append(run(steps, 20) / steps)
            taken["one commit"].append(systems.floor.commits(steps) / steps)
            taken["two commits"].append(systems.floor.commits(2 * steps) / steps)
            dbos = (
                systems.dbos.ask(do="steps", count=steps)["seconds"] - systems.dbos.ask(do="steps", count=0)["seconds"]
            )
            taken["DBOS"].append(dbos / steps)
            if systems.prefect is not None:
                seconds = systems.prefect.ask(do="steps", count=20)["seconds"]
                empty = systems.prefect.ask(do="steps", count=0)["seconds"]
                taken.setdefault("Prefect", []).append((seconds - empty) / 20)
    for peer in taken.keys() - {"ours"}:
        yield compare(f"f one activity, {peer}", taken["ours"], taken[peer], "s")
    yield compare("f one activity of 20 at once, DBOS", taken["ours, 20 at once"], taken["DBOS"], "s")


@contextmanager
def _runner(systems: Systems) -> Iterator["Runner"]:
    """On a database of its own, for the reconciler would end runs that Dagster does not know."""
    database = Database(systems.server.new_database("steps"))
    migrate(database.engine)
    yield Runner(database, OrganizationId(systems.ours.settings.organization))
    database.close()


class Runner:
    """Runs activities of claimed executions in this process, as a run worker does."""

    def __init__(self, database: Database, organization_id: OrganizationId) -> None:
        self._database = database
        self._organization = organization_id

    def __call__(self, count: int, concurrency: int) -> float:
        activities = [_activity(number) for number in range(count)]
        launch = self._launch()
        runner = ActivityRunner(
            self._database, claim_execution(self._database, launch, lease_seconds=60), lease_seconds=60
        )
        began = time.perf_counter()
        runner.run("mentions", activities, concurrency=concurrency)
        seconds = time.perf_counter() - began
        runner.complete({})
        runner.close()
        return seconds

    def _launch(self) -> Launch:
        execution_id = WorkflowExecutionId.new()
        new = NewExecution(
            id=execution_id,
            organization_id=self._organization,
            workflow_type="extraction",
            workflow_version=1,
            input={},
            input_digest="0" * 64,
            about=None,
            idempotency_key=None,
        )
        with self._database.transaction() as tables:
            tables.executions.save(new, launch_after_seconds=3_600)
        return Launch(
            execution_id=execution_id,
            organization_id=self._organization,
            dagster_run_id=str(uuid4()),
            reexecuted_at=None,
        )


def _activity(number: int) -> Activity[int]:
    return Activity(
        name=f"mentions-{number}",
        input=Nothing(number=number),
        call=lambda: number,
        output_type=int,
        code_version="1",
    )
