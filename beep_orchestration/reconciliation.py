"""What the end of a run means for the tables.

Used by whoever learns of it. Works in the caller's transaction, locks the execution first, and changes nothing when it
is called again.
"""

from beep_orchestration.endings import cancel_execution, fail_execution
from beep_orchestration.models import ErrorInfo, RunOutcome
from beep_orchestration.persistence import ExecutionRow, RunRow, WorkflowPersistence

_LONGEST_BACKOFF_SECONDS = 60.0


def record_run_end(
    tables: WorkflowPersistence, dagster_run_id: str, outcome: RunOutcome, *, maximum_launches: int
) -> None:
    """Record how a run ended; if that leaves its execution without a run, the execution is launched again, or ended.

    The run cannot commit any more, should it be alive after all. A run that was cancelled in the Dagster UI cancels the
    execution that it carried. After `maximum_launches` claims without a completed activity the execution fails: what it
    does kills its workers. A run that ended before it claimed the execution is not the execution's fault (the code does
    not load, say), so that is tried again for ever.
    """
    run = tables.runs.find(dagster_run_id)
    if run is None:
        return
    execution = tables.executions.load(run.workflow_execution_id, lock=True)
    if not tables.runs.end(dagster_run_id, outcome):
        return
    if execution.status.is_terminal or _is_carried_by_another(tables, execution, run):
        return
    if outcome is RunOutcome.CANCELLED:
        cancel_execution(tables, execution.id)
    elif execution.launches >= maximum_launches and run.epoch is not None:
        _fail_for_lost_workers(tables, execution, dagster_run_id)
    else:
        tables.executions.schedule_launch(execution.id, _backoff_seconds(tables, execution))


def _fail_for_lost_workers(tables: WorkflowPersistence, execution: ExecutionRow, dagster_run_id: str) -> None:
    open_attempts = ", ".join(tables.activities.list_open_names(execution.id, limit=5)) or "none"
    error = ErrorInfo(
        type="WorkerLost",
        message=f"{execution.launches} workers in a row ended without completing an activity; the last carried run "
        f"{dagster_run_id}, with these activities under way: {open_attempts}",
    )
    tables.activities.fail_open(execution.id, error)
    fail_execution(tables, execution, error)


def _is_carried_by_another(tables: WorkflowPersistence, execution: ExecutionRow, run: RunRow) -> bool:
    is_outdated = run.epoch is not None and run.epoch != execution.epoch
    return is_outdated or bool(tables.runs.list_open(execution.id))


def _backoff_seconds(tables: WorkflowPersistence, execution: ExecutionRow) -> float:
    """None after the first failure, then 1, 2, 4 ... seconds, up to a minute."""
    never_claimed = 0
    for run in reversed(tables.runs.list_of(execution.id)):
        if run.epoch is not None:
            break
        never_claimed += 1
    failures = max(execution.launches, never_claimed)
    return 0.0 if failures <= 1 else min(2.0 ** min(failures - 2, 10), _LONGEST_BACKOFF_SECONDS)
