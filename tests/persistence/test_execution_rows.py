"""Executions: saved once, seen by their organization only, changed by the run that holds the claim only."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from beep_orchestration.errors import DatabaseUnavailableError, WorkflowNotFoundError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import Checkpoint, ExecutionStatus, RunOutcome, StageProgress
from beep_orchestration.persistence import Database, ExecutionRow, WorkflowPersistence
from beep_orchestration.projections import error_info
from tests.factories import (
    ERROR,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    WORKFLOW_TYPE,
    accepted,
    claimed,
    dagster_run_of,
    ended,
    new_execution,
)

CHECKPOINT = Checkpoint(stages={"chunk": StageProgress(done=1, total=1, attempts=2)})


def test_what_is_saved_is_loaded(tables: WorkflowPersistence) -> None:
    new = new_execution(
        input={"text": "Zoë met 李\n\N{GRINNING FACE}", "options": {"size": 1.5, "flags": [None, True]}}
    )
    assert tables.executions.save(new)
    row = tables.executions.load(new.id)
    assert (row.id, row.organization_id, row.workflow_type) == (new.id, new.organization_id, new.workflow_type)
    assert (row.workflow_version, row.input_digest) == (new.workflow_version, new.input_digest)
    assert (row.status, row.epoch, row.current_activity) == (ExecutionStatus.RUNNING, 0, None)
    assert (row.error, row.completed_at, row.checkpoint) == (None, None, Checkpoint())
    assert row.started_at.tzinfo is not None
    assert tables.executions.load_input(new.id) == new.input
    assert tables.executions.load_output(new.id) is None


def test_an_id_is_saved_once(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    assert not tables.executions.save(new_execution(id=execution.id, input={"text": "another"}))
    assert tables.executions.load(execution.id) == execution


def test_an_idempotency_key_is_saved_once_per_organization_and_type(tables: WorkflowPersistence) -> None:
    accepted(tables, idempotency_key="order-17")
    second = new_execution(idempotency_key="order-17")
    assert not tables.executions.save(second)
    assert tables.executions.find(second.id) is None
    assert tables.executions.save(new_execution(idempotency_key="order-17", organization_id=OTHER_ORGANIZATION))
    assert tables.executions.save(new_execution(idempotency_key="order-17", workflow_type="other"))
    assert tables.executions.save(new_execution(idempotency_key=None))
    assert tables.executions.save(new_execution(idempotency_key=None))


def _without_waiting(database: Database, call: Callable[[WorkflowPersistence], object]) -> None:
    with database.transaction() as tables:
        tables.connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
        call(tables)


def test_two_starts_with_one_key_at_once_save_one(database: Database) -> None:
    """The second waits for the first one's commit, and is told then."""
    with database.transaction() as first:
        assert first.executions.save(new_execution(idempotency_key="order-17"))
        with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            _without_waiting(database, lambda second: second.executions.save(new_execution(idempotency_key="order-17")))
    with database.transaction() as second:
        assert not second.executions.save(new_execution(idempotency_key="order-17"))


def test_another_organizations_execution_is_like_one_that_does_not_exist(tables: WorkflowPersistence) -> None:
    execution = ended(tables, ExecutionStatus.COMPLETED)
    unknown = WorkflowExecutionId.new()
    for asked in (execution.id, unknown):
        assert tables.executions.find(asked, OTHER_ORGANIZATION) is None
        for load in (tables.executions.load, tables.executions.load_input, tables.executions.load_output):
            with pytest.raises(WorkflowNotFoundError) as refusal:
                load(asked, OTHER_ORGANIZATION)
            assert str(refusal.value) == str(WorkflowNotFoundError(asked))
    assert tables.executions.load(execution.id, ORGANIZATION) == execution
    assert tables.statuses.list_newest(OTHER_ORGANIZATION, limit=10) == []


def test_pages_hold_every_execution_once_newest_first(tables: WorkflowPersistence) -> None:
    """Also where some started at the same moment."""
    start = datetime(2025, 10, 26, 0, 15, tzinfo=UTC)
    made = []
    for number in range(20):
        execution = accepted(tables)
        started_at = start + timedelta(minutes=15 * (number // 2))
        tables.connection.execute(
            text("UPDATE knowledge_workflow_execution SET started_at = :started_at WHERE id = :id"),
            {"started_at": started_at, "id": execution.id},
        )
        made.append((started_at, execution.id))
    listed: list[tuple[datetime, WorkflowExecutionId]] = []
    while page := tables.statuses.list_newest(ORGANIZATION, limit=3, before=listed[-1] if listed else None):
        assert len(page) <= 3
        listed += [(row.execution.started_at, row.execution.id) for row in page]
    assert listed == sorted(made, reverse=True)


def test_a_list_is_narrowed_by_status_and_type(tables: WorkflowPersistence) -> None:
    failed = ended(tables, ExecutionStatus.FAILED)
    running = accepted(tables)
    other = accepted(tables, workflow_type="other")
    by_status = tables.statuses.list_newest(ORGANIZATION, limit=9, status=ExecutionStatus.FAILED)
    by_type = tables.statuses.list_newest(ORGANIZATION, limit=9, workflow_type="other")
    by_both = tables.statuses.list_newest(
        ORGANIZATION, limit=9, status=ExecutionStatus.RUNNING, workflow_type=WORKFLOW_TYPE
    )
    assert [[row.execution for row in page] for page in (by_status, by_type, by_both)] == [[failed], [other], [running]]


def _advance(tables: WorkflowPersistence, run_holds: ExecutionRow, *, is_progress: bool = False) -> int | None:
    return tables.executions.advance(
        run_holds.id,
        run_holds.epoch,
        current_activity="mentions-0",
        checkpoint=CHECKPOINT,
        signals=1,
        is_progress=is_progress,
    )


def test_each_claim_begins_the_next_epoch(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    assert [tables.executions.claim(execution.id, "run") for _ in range(3)] == [1, 2, 3]


def test_a_run_without_the_claim_changes_nothing(tables: WorkflowPersistence) -> None:
    zombie = claimed(tables)
    tables.executions.claim(zombie.id, "successor")
    before = tables.executions.load(zombie.id)
    assert _advance(tables, zombie) is None
    assert not tables.executions.complete(zombie.id, zombie.epoch, {"entities": []})
    assert not tables.executions.fail(zombie.id, ERROR, epoch=zombie.epoch)
    assert tables.executions.load(zombie.id) == before
    assert _advance(tables, before) is not None


def test_what_a_run_reached_is_loaded_and_survives_a_resume(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    _advance(tables, execution)
    reached = tables.executions.load(execution.id)
    assert (reached.current_activity, reached.checkpoint) == ("mentions-0", CHECKPOINT)
    tables.executions.cancel(execution.id)
    assert tables.executions.load(execution.id).current_activity is None
    assert tables.executions.resume(execution.id, launch_after_seconds=0)
    assert tables.executions.load(execution.id).checkpoint == CHECKPOINT


def _take(tables: WorkflowPersistence, limit: int = 10) -> list[ExecutionRow]:
    return tables.executions.take_launchable(limit=limit, workflow_types=[WORKFLOW_TYPE], next_try_seconds=60)


def test_an_execution_is_launchable_when_it_is_due_and_no_open_run_carries_it(tables: WorkflowPersistence) -> None:
    due, abandoned, carried, later = accepted(tables), claimed(tables), claimed(tables), new_execution()
    tables.runs.end(dagster_run_of(abandoned), RunOutcome.LOST)
    tables.executions.save(later, launch_after_seconds=60)
    ended(tables, ExecutionStatus.FAILED)
    accepted(tables, workflow_type="other")
    taken = _take(tables)
    assert {row.id for row in taken} == {due.id, abandoned.id}
    assert {row.id: row.launches for row in taken} == {due.id: 0, abandoned.id: 1}
    assert min(row.launch_at for row in taken) > max(row.updated_at for row in taken)
    assert _take(tables) == []
    tables.executions.schedule_launch(later.id, 0)
    tables.runs.end(dagster_run_of(carried), RunOutcome.FAILED)
    assert {row.id for row in _take(tables)} == {later.id, carried.id}


def test_one_execution_is_taken_on_the_same_terms(tables: WorkflowPersistence) -> None:
    due, carried, later = accepted(tables), claimed(tables), new_execution()
    tables.executions.save(later, launch_after_seconds=60)
    failed = ended(tables, ExecutionStatus.FAILED)
    asked = (due.id, carried.id, later.id, failed.id, due.id, WorkflowExecutionId.new())
    taken = [tables.executions.take(execution_id, next_try_seconds=60) for execution_id in asked]
    assert taken == [True, False, False, False, False, False]


def test_progress_gives_later_workers_a_new_chance(tables: WorkflowPersistence) -> None:
    execution = accepted(tables)
    for launches in (1, 2):
        assert tables.executions.claim(execution.id, "run") == launches
        assert tables.executions.load(execution.id).launches == launches
    execution = tables.executions.load(execution.id)
    _advance(tables, execution)
    assert tables.executions.load(execution.id).launches == 2
    _advance(tables, execution, is_progress=True)
    assert tables.executions.load(execution.id).launches == 0


def test_a_launch_is_scheduled_for_a_running_execution_only(tables: WorkflowPersistence) -> None:
    execution = ended(tables, ExecutionStatus.CANCELLED)
    tables.executions.schedule_launch(execution.id, 3_600)
    assert tables.executions.load(execution.id) == execution


def test_a_resumed_execution_is_launched_anew(tables: WorkflowPersistence) -> None:
    execution = ended(tables, ExecutionStatus.FAILED)
    tables.runs.end(dagster_run_of(execution), RunOutcome.FAILED)
    assert _take(tables) == []
    tables.executions.resume(execution.id, launch_after_seconds=0)
    assert [(row.id, row.launches) for row in _take(tables)] == [(execution.id, 0)]


def test_two_dispatchers_never_take_the_same_execution(database: Database) -> None:
    with database.transaction() as tables:
        made = {accepted(tables).id for _ in range(5)}
    with ExitStack() as stack:
        taken: list[WorkflowExecutionId] = []
        for limit in (2, 2, 10):
            tables = stack.enter_context(database.transaction())
            tables.connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            taken += [row.id for row in _take(tables, limit)]
    assert len(taken) == 5
    assert set(taken) == made
    with database.transaction() as tables:
        assert _take(tables) == []


def test_no_more_than_the_limit_is_taken_whatever_the_plan(tables: WorkflowPersistence) -> None:
    """A nested loop evaluates a subquery with LIMIT and SKIP LOCKED again for each row, and each time takes others."""
    for _ in range(6):
        accepted(tables)
    for method in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize", "indexscan", "bitmapscan"):
        tables.connection.execute(text(f"SET LOCAL enable_{method} = off"))
    assert len(_take(tables, limit=2)) == 2


def test_a_locked_execution_is_not_changed_by_others_until_the_transaction_ends(database: Database) -> None:
    with database.transaction() as tables:
        execution = accepted(tables)
    with database.transaction() as tables:
        tables.executions.load(execution.id, lock=True)
        with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            _without_waiting(database, lambda others: others.executions.cancel(execution.id))
    with database.transaction() as others:
        assert others.executions.cancel(execution.id)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(message=st.text(st.characters(), max_size=60))
@example(message="\x00")
@example(message="\ud800 \udfff \x00 \\u0000")
def test_any_error_can_be_stored(tables: WorkflowPersistence, message: str) -> None:
    execution = accepted(tables)
    info = error_info(ValueError(message))
    assert tables.executions.fail(execution.id, info)
    assert tables.executions.load(execution.id).error == info


def test_times_are_those_of_the_statements_not_of_the_transaction(tables: WorkflowPersistence) -> None:
    started = [accepted(tables).started_at for _ in range(3)]
    assert started == sorted(set(started))
