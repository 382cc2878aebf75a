"""Workers that are killed, each at a named place: cases 1-5, 7, 10, 36, 37, 39 and 45 of the fault catalogue."""

import psutil
import pytest
from psycopg import connect

from beep_orchestration.errors import WorkflowStateError
from beep_orchestration.models import ExecutionStatus
from tests.faults.documents import document
from tests.faults.installation import Installation
from tests.faults.invariants import assert_sound
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("subject", "lost"), [("mentions-0", 0), ("mentions-1", 1)])
def test_01_killed_before_an_activity(installation: Installation, subject: str, lost: int) -> None:
    """The commit that begins one activity completes the one before it; the first of a stage has none before it."""
    fault = installation.control.arm("before_attempt_commit", "kill", subject=subject)
    execution_id = installation.start(document(3, 1, concurrency=1))
    proof = installation.control.wait_for(fault)
    installation.wait_completed([execution_id])
    assert proof.execution_id == execution_id
    assert installation.journal.calls(execution_id, subject) == 1
    assert_sound(installation, [execution_id], faults=lost)


def test_02_killed_inside_an_activity(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "kill", subject="mentions-1")
    execution_id = installation.start(document(3, 2, concurrency=1))
    proof = installation.control.wait_for(fault)
    installation.wait_completed([execution_id])
    assert proof.under_way == ["mentions-1"]
    assert installation.journal.calls(execution_id, "mentions-1") == 2
    assert installation.journal.calls(execution_id, "mentions-0") == 1
    assert_sound(installation, [execution_id], faults=1)


def test_03_killed_between_commit_and_acknowledgement(installation: Installation) -> None:
    fault = installation.control.arm("after_checkpoint_commit", "kill", subject="mentions-1")
    execution_id = installation.start(document(3, 3, concurrency=1))
    installation.control.wait_for(fault)
    installation.wait_completed([execution_id])
    assert installation.journal.calls(execution_id, "mentions-1") == 1
    assert_sound(installation, [execution_id], faults=0)


@pytest.mark.parametrize(("chunks", "indexes"), [(5, range(5)), (50, (0, 24, 49))], ids=["5", "50"])
def test_04_killed_at_each_index_of_the_fan_out(installation: Installation, chunks: int, indexes: range) -> None:
    faults = [
        installation.control.arm(
            "inside_activity", "kill", subject=f"mentions-{index}", execution_id=installation.id_of(f"{chunks}-{index}")
        )
        for index in indexes
    ]
    execution_ids = [
        installation.start(document(chunks, index), idempotency_key=f"{chunks}-{index}") for index in indexes
    ]
    installation.wait_completed(execution_ids)
    assert [installation.control.proofs(fault)[0].execution_id for fault in faults] == execution_ids
    assert_sound(installation, execution_ids, faults=2 * len(faults))  # of two activities side by side
    for execution_id in execution_ids:
        parts = [f"mentions-{index}" for index in range(chunks)]
        assert all(installation.journal.calls(execution_id, part) for part in parts)


def test_05_a_worker_has_no_child_that_could_be_killed_without_it(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-0", seconds=1)
    execution_id = installation.start(document(2, 5))
    proof = installation.control.wait_for(fault)
    assert psutil.Process(proof.pid).children(recursive=True) == []
    installation.wait_completed([execution_id])


def test_07_killed_together_with_the_code_server(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "hang", subject="mentions-1")
    execution_id = installation.start(document(3, 7))
    proof = installation.control.wait_for(fault)
    installation.kill("code server")
    psutil.Process(proof.pid).kill()
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=2)


def test_10_stopped_past_its_lease_and_back_when_a_successor_works(installation: Installation) -> None:
    fault = installation.control.arm("before_checkpoint_commit", "stop", subject="mentions-1")
    execution_id = installation.start(document(3, 10, concurrency=1))
    zombie = psutil.Process(installation.control.wait_for(fault).pid)
    wait_until(lambda: zombie.status() == psutil.STATUS_STOPPED)
    work = installation.control.arm("inside_activity", "pause", execution_id=execution_id, seconds=2)
    successor = psutil.Process(installation.control.wait_for(work).pid)
    zombie.resume()
    wait_until(lambda: not zombie.is_running() or zombie.status() == psutil.STATUS_ZOMBIE)
    assert successor != zombie
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=2)


def test_10b_stopped_inside_a_transaction(installation: Installation) -> None:
    """A stopped process must not keep the lock that its transaction holds, or no successor could ever claim."""
    fault = installation.control.arm("before_checkpoint_commit", "pause", subject="mentions-1", seconds=1)
    execution_id = installation.start(document(3, 11))
    proof = installation.control.wait_for(fault)
    with connect(installation.postgres.url) as locking:
        locking.execute("SELECT 1 FROM knowledge_workflow_execution WHERE id = %s FOR UPDATE", [execution_id])
        wait_until(lambda: _is_locked_out(installation), description="the worker waits inside its transaction")
        zombie = psutil.Process(proof.pid)
        zombie.suspend()
    installation.wait_completed([execution_id])
    zombie.resume()
    wait_until(lambda: not zombie.is_running() or zombie.status() == psutil.STATUS_ZOMBIE)
    assert_sound(installation, [execution_id], faults=3)


def test_10c_busy_past_its_lease_and_not_taken_for_dead(installation: Installation) -> None:
    """A call that lets no other thread run, as loading something very large is: no lease is renewed meanwhile."""
    fault = installation.control.arm("inside_activity", "hold", subject="mentions-1", seconds=8.5)
    execution_id = installation.start(document(3, 12))
    worker = installation.control.wait_for(fault).pid
    installation.wait_completed([execution_id])
    assert len(installation.service.get_status(execution_id).dagster_run_ids) == 1
    assert {entry.pid for entry in installation.journal.entries() if entry.execution_id == execution_id} == {worker}
    assert_sound(installation, [execution_id], faults=2)


def test_36_a_slot_is_free_after_a_cancel_and_after_a_crash(installation: Installation) -> None:
    """Four runs at a time, as shipped: all four hang, two are cancelled, two are killed, and a fifth begins."""
    hanging = [installation.id_of(f"hanging-{number}") for number in range(4)]
    faults = [
        installation.control.arm("inside_activity", "hang", subject="mentions-0", execution_id=execution_id)
        for execution_id in hanging
    ]
    for number in range(4):
        installation.start(document(2, 360 + number), idempotency_key=f"hanging-{number}")
    proofs = [installation.control.wait_for(fault) for fault in faults]
    fifth = installation.start(document(1, 365))
    for execution_id in hanging[:2]:
        assert installation.service.cancel(execution_id).cancelled_now
    for proof in proofs[2:]:
        psutil.Process(proof.pid).kill()
    installation.wait_completed([*hanging[2:], fifth])
    assert_sound(installation, [*hanging, fifth], faults=8)


def test_37_an_activity_that_kills_its_worker_fails_its_execution_and_no_other(installation: Installation) -> None:
    poisoned = installation.id_of("poisoned")
    fault = installation.control.arm(
        "inside_activity", "segfault", subject="mentions-1", execution_id=poisoned, is_repeated=True
    )
    installation.start(document(2, 37), idempotency_key="poisoned")
    healthy = installation.start(document(2, 38))
    installation.wait_completed([healthy])
    status = installation.wait(poisoned, 120)
    assert status.status is ExecutionStatus.FAILED
    assert status.error is not None
    assert status.error.type == "WorkerLost"
    deaths = len(installation.control.proofs(fault))
    assert installation.control.disarm(fault)
    installation.service.resume(poisoned)
    installation.wait_completed([poisoned])
    assert_sound(installation, [poisoned, healthy], faults=2 * deaths)


def test_37b_an_activity_that_always_fails_fails_its_execution_and_is_not_omitted(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "raise", subject="mentions-1", is_repeated=True)
    execution_id = installation.start(document(3, 39))
    status = installation.wait(execution_id)
    assert installation.control.disarm(fault)
    assert status.status is ExecutionStatus.FAILED
    assert status.error is not None
    assert (status.error.activity_name, status.error.attempt) == ("mentions-1", 3)
    assert "ValueError" in status.error.message
    with pytest.raises(WorkflowStateError):
        installation.service.result(execution_id)
    installation.service.resume(execution_id)
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=3)


def test_39_a_call_that_hangs_is_given_up_and_made_again(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "hang", subject="mentions-1")
    execution_id = installation.start(document(2, 40))
    proof = installation.control.wait_for(fault)
    installation.wait_completed([execution_id])
    assert installation.journal.calls(execution_id, "mentions-1") == 2
    assert {entry.pid for entry in installation.journal.entries() if entry.execution_id == execution_id} == {proof.pid}
    assert_sound(installation, [execution_id], faults=1)


def test_45_asked_to_end_one_after_the_other(installation: Installation) -> None:
    execution_ids = [installation.id_of(f"rolling-{number}") for number in range(3)]
    faults = [
        installation.control.arm(
            "inside_activity", "pause", subject="relations-1", execution_id=execution_id, seconds=1
        )
        for execution_id in execution_ids
    ]
    for number in range(3):
        installation.start(document(5, 450 + number), idempotency_key=f"rolling-{number}")
    for fault in faults:
        psutil.Process(installation.control.wait_for(fault).pid).terminate()
    installation.wait_completed(execution_ids)
    assert_sound(installation, execution_ids, faults=2 * len(execution_ids))


def _is_locked_out(installation: Installation) -> bool:
    return bool(
        installation.postgres.ask(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%UPDATE knowledge%%'"
        )
    )
