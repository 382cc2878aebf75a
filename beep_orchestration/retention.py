"""Removing executions that ended long ago, from the tables and from Dagster."""

import logging

from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import Pruned
from beep_orchestration.persistence import Database

logger = logging.getLogger(__name__)

_BATCH = 100


def prune(
    database: Database, dagster: DagsterClient, organization_id: OrganizationId, *, older_than_seconds: float
) -> Pruned:
    """Remove the organization's executions that ended longer ago than that; what was removed.

    One execution is one transaction, which holds it: it is removed, or resumed by somebody, never both. Its Dagster
    runs go first, so that none stays behind, and its children after it; if this dies in between, the next call removes
    the rest. Whatever runs, or is carried by a run, is left alone. Raises `DagsterUnavailableError`, with all that was
    removed before gone.
    """
    executions = runs = 0
    while True:
        with database.transaction() as tables:
            oldest = tables.ended.list_oldest(organization_id, older_than_seconds=older_than_seconds, limit=_BATCH)
        removed = [
            count
            for execution_id in oldest
            if (count := _remove(database, dagster, execution_id, organization_id, older_than_seconds)) is not None
        ]
        executions += len(removed)
        runs += sum(removed)
        if not removed:  # the rest is held by others, or was resumed
            return Pruned(executions=executions, dagster_runs=runs)


def _remove(
    database: Database,
    dagster: DagsterClient,
    execution_id: WorkflowExecutionId,
    organization_id: OrganizationId,
    older_than_seconds: float,
) -> int | None:
    """Remove one execution; how many Dagster runs went with it, None if it may not be removed any more."""
    with database.transaction() as tables:
        run_ids = tables.ended.lock(execution_id, organization_id, older_than_seconds=older_than_seconds)
        if run_ids is None:
            return None
        for run_id in run_ids:
            dagster.delete_run(run_id)
        tables.ended.remove(execution_id)
    logger.info("removed %s and its %s runs", execution_id, len(run_ids))
    return len(run_ids)
