"""Starts, cancels and resumes that meet each other: cases 23-25, 31, 32, 34, 35, 42, 43 and 46."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from beep_orchestration.dagster_client import EXECUTION_TAG
from beep_orchestration.errors import (
    IdempotencyConflictError,
    SchemaVersionError,
    WorkflowNotFoundError,
    WorkflowStateError,
)
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import EXPECTED_REVISION, VERSION_TABLE, migrate
from beep_orchestration.workflow_types import WORKFLOW_TYPES
from tests.faults.documents import document
from tests.faults.installation import Installation
from tests.faults.invariants import assert_sound, wait_until_idle, wait_until_quiet
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def test_23_fifty_starts_with_one_key(installation: Installation) -> None:
    raw = document(2, 23)
    with ThreadPoolExecutor(50) as callers:
        answers = list(callers.map(lambda _: installation.start(raw, idempotency_key="fifty"), range(50)))
    assert len(set(answers)) == 1
    installation.wait_completed(answers[:1])
    assert len(installation.service.get_status(answers[0]).dagster_run_ids) == 1
    assert_sound(installation, answers[:1], faults=0)


def test_24_one_key_with_another_input_is_a_conflict(installation: Installation) -> None:
    execution_id = installation.start(document(1, 24), idempotency_key="conflict")
    with pytest.raises(IdempotencyConflictError) as refused:
        installation.start(document(1, 25), idempotency_key="conflict")
    assert refused.value.execution_id == execution_id
    assert refused.value.input_digest[:12] in str(refused.value)
    installation.wait_completed([execution_id])


def test_25_a_start_after_the_end_answers_with_the_old_execution(installation: Installation) -> None:
    execution_id = installation.start(document(1, 26), idempotency_key="again")
    installation.wait_completed([execution_id])
    before = installation.service.result(execution_id)
    assert installation.start(document(1, 26), idempotency_key="again") == execution_id
    assert installation.service.result(execution_id) == before
    assert_sound(installation, [execution_id], faults=0)


@pytest.mark.parametrize(
    ("point", "subject"),
    [("before_attempt_commit", "chunk"), ("inside_activity", "mentions-1"), ("inside_activity", "assemble")],
    ids=["before its first activity", "inside an activity", "while it is assembled"],
)
def test_31_cancelled_commits_nothing_and_resumes(installation: Installation, point: str, subject: str) -> None:
    fault = installation.control.arm(point, "pause", subject=subject, seconds=1)  # type: ignore[arg-type]
    execution_id = installation.start(document(3, 31))
    installation.control.wait_for(fault)
    assert installation.service.cancel(execution_id).cancelled_now
    before = _checkpoints(installation, execution_id)
    wait_until_idle(installation)
    assert _checkpoints(installation, execution_id) == before
    installation.service.resume(execution_id)
    installation.wait_completed([execution_id])
    assert _checkpoints(installation, execution_id) >= before
    assert_sound(installation, [execution_id], faults=2)


def test_31b_cancelled_before_a_run_has_begun(installation: Installation) -> None:
    hanging = [installation.id_of(f"filling-{number}") for number in range(4)]
    faults = [
        installation.control.arm("inside_activity", "hang", subject="mentions-0", execution_id=execution_id)
        for execution_id in hanging
    ]
    for number in range(4):
        installation.start(document(2, 310 + number), idempotency_key=f"filling-{number}")
    for fault in faults:
        installation.control.wait_for(fault)
    queued = installation.start(document(2, 315))
    assert installation.service.cancel(queued).cancelled_now
    installation.wait_completed(hanging)
    wait_until_idle(installation)
    assert _checkpoints(installation, queued) == set()
    assert_sound(installation, [*hanging, queued], faults=4)


@pytest.mark.parametrize(
    ("point", "winner"),
    [
        ("before_completion_commit", ExecutionStatus.CANCELLED),
        ("after_completion_commit", ExecutionStatus.COMPLETED),
    ],
)
def test_32_cancel_against_completion(installation: Installation, point: str, winner: ExecutionStatus) -> None:
    fault = installation.control.arm(point, "pause", seconds=1)  # type: ignore[arg-type]
    execution_id = installation.start(document(2, 32))
    installation.control.wait_for(fault)
    answer = installation.service.cancel(execution_id)
    assert (answer.status, answer.cancelled_now) == (winner, winner is ExecutionStatus.CANCELLED)
    wait_until_idle(installation)
    assert installation.service.get_status(execution_id).status is winner
    assert_sound(installation, [execution_id], faults=0)


def test_34_cancelled_twice_then_resumed_twice(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-2", seconds=1)
    execution_id = installation.start(document(3, 34))
    installation.control.wait_for(fault)
    answers = [installation.service.cancel(execution_id) for _ in range(2)]
    assert [answer.cancelled_now for answer in answers] == [True, False]
    kept = _checkpoints(installation, execution_id)
    installation.service.resume(execution_id)
    with pytest.raises(WorkflowStateError):
        installation.service.resume(execution_id)
    installation.wait_completed([execution_id])
    assert all(installation.journal.calls(execution_id, name) == 1 for name in kept)
    assert_sound(installation, [execution_id], faults=2)


def test_35_of_many_dispatchers_one_takes_an_execution(installation: Installation) -> None:
    """Each has a pool of its own, as processes have."""
    fault = installation.control.arm("inside_activity", "hang", subject="mentions-0")
    execution_id = installation.start(document(1, 35))
    installation.control.wait_for(fault)
    databases = [Database(installation.postgres.url, pool_size=1) for _ in range(8)]
    taken: list[str] = []
    barrier = threading.Barrier(len(databases))

    def take(database: Database) -> None:
        barrier.wait()
        with database.transaction() as tables:
            due = tables.executions.take_launchable(limit=50, workflow_types=list(WORKFLOW_TYPES), next_try_seconds=60)
            taken.extend(row.id for row in due)

    ended = (
        "UPDATE knowledge_workflow_run SET outcome = 'lost', ended_at = clock_timestamp() "
        "WHERE workflow_execution_id = %s"
    )
    installation.postgres.ask(ended, execution_id)
    with ThreadPoolExecutor(len(databases)) as dispatchers:
        list(dispatchers.map(take, databases))
    for database in databases:
        database.close()
    assert taken.count(execution_id) <= 1  # none if the daemon's own dispatcher was first
    installation.wait_completed([execution_id])


def test_42_a_migration_under_load_and_a_schema_of_the_future(installation: Installation) -> None:
    """Work under way goes on; a run that begins on a schema of other code refuses, and its execution waits for it."""
    execution_ids = [installation.start(document(3, 420 + number)) for number in range(2)]
    for execution_id in execution_ids:
        wait_until(lambda: installation.journal.calls(execution_id, "chunk"), description="it is claimed")  # noqa: B023
    migrate(installation.database.engine)
    installation.postgres.ask(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    try:
        with pytest.raises(SchemaVersionError):
            migrate(installation.database.engine)
        later = installation.start(document(2, 425))
        wait_until(lambda: _is_told(installation, later, "SchemaVersionError"), description="the run refuses")
        installation.wait_completed(execution_ids)
        assert installation.service.get_status(later).activities == {}
    finally:
        installation.postgres.ask(f"UPDATE {VERSION_TABLE} SET version_num = %s", EXPECTED_REVISION)
    installation.wait_completed([later])
    assert_sound(installation, [*execution_ids, later], faults=0)


def _is_told(installation: Installation, execution_id: str, words: str) -> bool:
    """Whether a run of the execution has an event with these words."""
    statement = (
        "SELECT 1 FROM event_logs JOIN run_tags USING (run_id) WHERE key = %s AND value = %s AND event LIKE %s LIMIT 1"
    )
    return bool(installation.postgres.ask(statement, EXECUTION_TAG, execution_id, f"%{words}%"))


def test_43_retention_leaves_what_has_not_ended(installation: Installation) -> None:
    """Called again and again while executions work, are cancelled, resumed and killed; it removes what is old only."""
    old = installation.start(document(1, 430))
    installation.wait_completed([old])
    wait_until_quiet(installation, [old])
    (run_id,) = installation.service.get_status(old).dagster_run_ids
    wait_until(lambda: _is_told_of_its_sensor(installation, run_id), 60, "the daemon has nothing to add to the run")
    earlier = (
        "UPDATE knowledge_workflow_execution SET started_at = started_at - interval '90 days', "
        "completed_at = completed_at - interval '90 days' WHERE id = ANY(%s)"
    )
    working = [installation.id_of(f"kept-{number}") for number in range(2)]
    faults = [
        installation.control.arm("inside_activity", action, subject="mentions-1", execution_id=execution_id, seconds=3)
        for action, execution_id in zip(("kill", "pause"), working, strict=True)
    ]
    for number in range(2):
        installation.start(document(3, 431 + number), idempotency_key=f"kept-{number}")
    installation.postgres.ask(earlier, [old, *working])
    assert installation.service.prune(30, dry_run=True).executions == 1
    removed = [installation.service.prune(30)]
    installation.control.wait_for(faults[1])
    assert installation.service.cancel(working[1]).cancelled_now
    removed.append(installation.service.prune(30))
    installation.service.resume(working[1])
    while any(not installation.service.get_status(each).status.is_terminal for each in working):
        removed.append(installation.service.prune(30))
    assert [(each.executions, each.dagster_runs) for each in removed if each.executions] == [(1, 1)]
    with pytest.raises(WorkflowNotFoundError):
        installation.service.get_status(old)
    assert installation.postgres.ask("SELECT 1 FROM runs WHERE run_id = %s", run_id) == []
    assert installation.postgres.ask("SELECT 1 FROM event_logs WHERE run_id = %s LIMIT 1", run_id) == []
    installation.wait_completed(working)
    assert_sound(installation, working, faults=4)


def _is_told_of_its_sensor(installation: Installation, run_id: str) -> bool:
    """The daemon writes into a run's log what acted on it, after the tick that told the tables."""
    statement = "SELECT 1 FROM event_logs WHERE run_id = %s AND event LIKE %s"
    return bool(installation.postgres.ask(statement, run_id, "%acted on run status SUCCESS%"))


def test_46_signals_cancels_and_checkpoints_never_lock_each_other_out(installation: Installation) -> None:
    execution_id = installation.start(document(12, 46, concurrency=4))
    wait_until(lambda: installation.journal.calls(execution_id, "mentions-0"))
    errors: list[BaseException] = []

    def send(sender: int) -> None:
        try:
            for number in range(60):
                note = {"by": str(sender), "note": str(number)}
                installation.service.signal(execution_id, "approve", note, sender_key=f"{sender}-{number}")
        except WorkflowStateError:
            return  # it was cancelled
        except Exception as error:  # noqa: BLE001 - none may reach a user
            errors.append(error)

    with ThreadPoolExecutor(4) as senders:
        sending = [senders.submit(send, sender) for sender in range(3)]
        for _ in range(2):
            with suppress(WorkflowStateError):
                installation.service.cancel(execution_id)
                installation.service.resume(execution_id)
        for sent in sending:
            sent.result()
    installation.wait_completed([execution_id])
    assert errors == []
    assert_sound(installation, [execution_id], faults=16)


def _checkpoints(installation: Installation, execution_id: str) -> set[str]:
    statement = (
        "SELECT activity_name FROM knowledge_workflow_activity "
        "WHERE status = 'completed' AND workflow_execution_id = %s"
    )
    return {str(name) for (name,) in installation.postgres.ask(statement, execution_id)}
