"""Runs: known once, hold a claim while their lease lasts, end once."""

import pytest
from sqlalchemy import text

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import RunOutcome
from beep_orchestration.persistence import RunRow, WorkflowPersistence
from tests.factories import LEASE_SECONDS, ORGANIZATION, OTHER_ORGANIZATION, accepted, claimed, dagster_run_of


def _run(tables: WorkflowPersistence, dagster_run_id: str) -> RunRow:
    run = tables.runs.find(dagster_run_id)
    assert run is not None
    return run


def test_a_launched_run_is_open_and_has_no_claim(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    tables.runs.save("run-1", execution.id, execution.organization_id)
    run = _run(tables, "run-1")
    assert (run.workflow_execution_id, run.organization_id) == (execution.id, ORGANIZATION)
    assert (run.epoch, run.started_at, run.ended_at, run.outcome) == (None, None, None, None)
    assert run.lease_is_over


def test_a_run_that_is_known_stays_as_it_is(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    before = _run(tables, dagster_run_of(execution))
    tables.runs.save(dagster_run_of(execution), accepted(tables).id, OTHER_ORGANIZATION)
    assert _run(tables, dagster_run_of(execution)) == before


def test_an_unknown_run_is_not_found(tables: WorkflowPersistence) -> None:
    assert tables.runs.find("never-launched") is None
    assert tables.runs.list_of(WorkflowExecutionId.new()) == []


def test_runs_of_an_execution_are_listed_oldest_first(tables: WorkflowPersistence) -> None:
    """To the millisecond: one run follows another, and none begins in the moment in which the one before it does."""
    execution, other = accepted(tables), accepted(tables)
    for number in range(3):
        tables.runs.save(f"run-{number}", execution.id, execution.organization_id)
        tables.connection.execute(
            text("UPDATE knowledge_workflow_run SET id = :id WHERE dagster_run_id = :run"),
            {"id": f"knowledge_workflow_run__00000000-000{number}-7000-8000-000000000000", "run": f"run-{number}"},
        )
    tables.runs.save("run-of-another", other.id, other.organization_id)
    tables.runs.end("run-1", RunOutcome.LOST)
    assert [run.dagster_run_id for run in tables.runs.list_of(execution.id)] == ["run-0", "run-1", "run-2"]
    assert [run.dagster_run_id for run in tables.runs.list_open(execution.id)] == ["run-0", "run-2"]


def test_the_reconciler_sees_every_open_run_once(tables: WorkflowPersistence) -> None:
    executions = [claimed(tables), claimed(tables, organization_id=OTHER_ORGANIZATION), claimed(tables)]
    tables.runs.end(dagster_run_of(executions.pop()), RunOutcome.SUCCEEDED)
    tables.runs.save("not-claimed", executions[0].id, ORGANIZATION)
    seen: list[RunRow] = []
    while page := tables.runs.list_all_open(limit=2, after=seen[-1].id if seen else None):
        assert len(page) <= 2
        seen += page
    assert [run.id for run in seen] == sorted(run.id for run in seen)
    assert sorted(run.dagster_run_id for run in seen) == ["not-claimed", *sorted(map(dagster_run_of, executions))]


def test_a_released_lease_lets_another_run_claim_and_ends_nothing(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    run_id = dagster_run_of(execution)
    tables.runs.release_lease(run_id, execution.epoch + 1)
    assert not _run(tables, run_id).lease_is_over
    tables.runs.release_lease(run_id, execution.epoch)
    run = _run(tables, run_id)
    assert (run.lease_is_over, run.outcome, run.epoch) == (True, None, execution.epoch)


def test_the_holder_is_the_open_run_with_the_epoch(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    run_id = dagster_run_of(execution)
    holder = tables.runs.find_holder(execution.id, execution.epoch)
    assert holder is not None
    assert holder.dagster_run_id == run_id
    assert not holder.lease_is_over
    assert tables.runs.find_holder(execution.id, execution.epoch + 1) is None
    assert tables.runs.find_holder(accepted(tables).id, execution.epoch) is None
    tables.runs.end(run_id, RunOutcome.FAILED)
    assert tables.runs.find_holder(execution.id, execution.epoch) is None


def test_a_lease_ends_on_the_clock_of_the_database(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    run_id = dagster_run_of(execution)
    left = text(
        "SELECT extract(epoch FROM lease_expires_at - clock_timestamp()) FROM knowledge_workflow_run"
        " WHERE dagster_run_id = :run"
    )
    seconds = float(tables.connection.execute(left, {"run": run_id}).scalar_one())
    assert LEASE_SECONDS - 30 < seconds <= LEASE_SECONDS
    assert tables.runs.renew_lease(run_id, execution.epoch, 0.0)
    assert _run(tables, run_id).lease_is_over
    assert tables.runs.renew_lease(run_id, execution.epoch, 0.5 + LEASE_SECONDS)
    assert not _run(tables, run_id).lease_is_over


def test_a_lease_is_renewed_under_its_own_claim_only(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    run_id = dagster_run_of(execution)
    before = _run(tables, run_id)
    assert not tables.runs.renew_lease(run_id, execution.epoch + 1, LEASE_SECONDS)
    assert not tables.runs.renew_lease("another-run", execution.epoch, LEASE_SECONDS)
    assert _run(tables, run_id) == before
    tables.runs.end(run_id, RunOutcome.LOST)
    assert not tables.runs.renew_lease(run_id, execution.epoch, LEASE_SECONDS)


@pytest.mark.parametrize("outcome", RunOutcome)
def test_a_run_ends_once(tables: WorkflowPersistence, outcome: RunOutcome) -> None:
    run_id = dagster_run_of(claimed(tables))
    assert tables.runs.end(run_id, outcome)
    first = _run(tables, run_id)
    assert first.outcome is outcome
    assert first.ended_at is not None
    assert not tables.runs.end(run_id, RunOutcome.LOST)
    assert _run(tables, run_id) == first


def test_a_run_that_claimed_again_is_not_ended_by_its_earlier_claim(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    run_id = dagster_run_of(execution)
    tables.runs.claim(run_id, execution.epoch + 1, LEASE_SECONDS)
    assert not tables.runs.end(run_id, RunOutcome.FAILED, epoch=execution.epoch)
    assert tables.runs.end(run_id, RunOutcome.SUCCEEDED, epoch=execution.epoch + 1)


def test_a_run_that_claims_after_its_end_is_open_again(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    run_id = dagster_run_of(execution)
    first = _run(tables, run_id)
    tables.runs.end(run_id, RunOutcome.LOST)
    tables.runs.claim(run_id, 2, LEASE_SECONDS)
    again = _run(tables, run_id)
    assert (again.epoch, again.outcome, again.ended_at, again.started_at) == (2, None, None, first.started_at)
