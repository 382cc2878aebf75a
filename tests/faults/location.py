"""The code location of the fault tests: the real jobs and sensors, with a journal and the faults that tests arm.

Loaded by the code server and by the fork server, whose workers inherit what is installed here.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import dagster as dg

from beep_orchestration import faults, sensors
from beep_orchestration.activities import Activity
from beep_orchestration.children import Children
from beep_orchestration.engine import forkserver_worker
from beep_orchestration.extraction import Extractors
from beep_orchestration.extractor_choice import choose_extractors
from beep_orchestration.faults import FaultPoint
from beep_orchestration.jobs import STEERING_JOBS, WORKFLOW_JOBS, WORKFLOW_RESOURCES
from beep_orchestration.models import RetryPolicy
from beep_orchestration.persistence import ExecutionRow, WorkflowPersistence
from beep_orchestration.resources import ExecutionSession
from tests.faults.control import FOLDER_VARIABLE, Control, Point
from tests.faults.extractors import quick_extractors
from tests.faults.journal import Journal

IMPATIENT = RetryPolicy(maximum_attempts=8, first_delay=0.05, maximum_delay=0.2)
TIMEOUT_VARIABLE = "FAULTS_TIMEOUT"
PACE_VARIABLE = "FAULTS_PACE"

_folder = Path(os.environ[FOLDER_VARIABLE])
_control = Control(_folder)
_journal = Journal(_folder / "journal")
_execution_id: str | None = None
_run = ExecutionSession.run
_run_last = ExecutionSession.run_last
_start = Children.start
_is_released = forkserver_worker._is_released
_record_unknown_runs = sensors._record_unknown_runs
(_folder / "code").read_bytes()  # a file that the code location has read: changing it makes the fork server outdated


def reached(point: Point, subject: str = "") -> None:
    """Let the process meet what is armed for this point, unless it only rehearses."""
    if _execution_id is None and point in get_args(FaultPoint):
        return
    _control.reached(point, subject, _execution_id, _journal.under_way)


def journalled_run(
    session: ExecutionSession, activity_type: str, activities: Sequence[Activity[Any]], *, concurrency: int
) -> list[Any]:
    """As `ExecutionSession.run`, with a journal of the calls; what a fork server rehearses is no execution."""
    watched = [_watched(session, activity) for activity in activities]
    return _run(session, activity_type, watched, concurrency=concurrency)


def journalled_run_last(session: ExecutionSession, activity_type: str, activity: Activity[Any]) -> Any:
    """As `ExecutionSession.run_last`, with a journal of the call."""
    return _run_last(session, activity_type, _watched(session, activity))


def _watched(session: ExecutionSession, activity: Activity[Any]) -> Activity[Any]:
    global _execution_id  # noqa: PLW0603 - a worker carries one execution
    if session.database._rehearsal is not None:
        return activity
    _execution_id = session.execution_id
    call = partial(_call, session.execution_id, session.claim.epoch or 0, activity)
    seconds = "3600" if _asks_a_model(session) else os.environ.get(TIMEOUT_VARIABLE, "3600")
    return replace(activity, call=call, timeout=float(seconds))


def _asks_a_model(session: ExecutionSession) -> bool:
    """Whether a language model answers, for which the call itself has a limit."""
    return getattr(session.input, "extractor", None) == "llm"


def started(children: Children, *child: Any) -> Any:
    """As `Children.start`: the execution may have children before it has activities."""
    global _execution_id  # noqa: PLW0603 - a worker carries one execution
    _execution_id = children._parent.id
    return _start(children, *child)


def _call(execution_id: str, epoch: int, activity: Activity[Any]) -> Any:
    return _journal.call(
        execution_id, activity.name, epoch, partial(reached, "inside_activity", activity.name), activity.call
    )


def chosen_extractors(session: ExecutionSession) -> Extractors:
    """The quick ones, or the real ones of an execution that asks a model."""
    if _asks_a_model(session):
        return replace(choose_extractors(session), retry=IMPATIENT)
    return quick_extractors(float(os.environ.get(PACE_VARIABLE, "0.05")))


def _worker_forked(connection: Any) -> bool:
    reached("worker_forked")
    return _is_released(connection)


def _dispatcher_took(instance: dg.DagsterInstance, tables: WorkflowPersistence, execution: ExecutionRow) -> bool:
    reached("dispatcher_took", execution.id)
    return _record_unknown_runs(instance, tables, execution)


for _point in get_args(FaultPoint):
    faults.inject(cast(FaultPoint, _point), partial(reached, _point))
ExecutionSession.run = journalled_run  # type: ignore[method-assign,assignment]
ExecutionSession.run_last = journalled_run_last  # type: ignore[method-assign,assignment]
Children.start = started  # type: ignore[method-assign]
forkserver_worker._is_released = _worker_forked
sensors._record_unknown_runs = _dispatcher_took

defs = dg.Definitions(
    jobs=[*WORKFLOW_JOBS, *STEERING_JOBS],
    sensors=sensors.SENSORS,
    resources=WORKFLOW_RESOURCES | {"choose_extractors": chosen_extractors},
)
