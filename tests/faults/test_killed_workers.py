"""Workers that are killed, each at a named place: cases 1-5, 7, 10, 36, 37, 39 and 45 of the fault catalogue."""

import psutil
import pytest

from beep_orchestration.models import ExecutionStatus
from tests.faults.documents import document
from tests.faults.installation import Installation
from tests.faults.invariants import assert_sound
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def test_01_killed_before_an_activity(installation: Installation) -> None:
    fault = installation.control.arm("before_attempt_commit", "kill", subject="mentions-1")
    execution_id = installation.start(document(3, 1, concurrency=1))
    proof = installation.control.wait_for(fault)
    installation.wait_completed([execution_id])
    assert proof.execution_id == execution_id
    assert installation.journal.calls(execution_id, "mentions-1") == 1
    assert_sound(installation, [execution_id], faults=0)


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
    faults, execution_ids = [], []
    for index in indexes:
        execution_ids.append(installation.start(document(chunks, index)))
        faults.append(
            installation.control.arm(
                "inside_activity", "kill", subject=f"mentions-{index}", execution_id=execution_ids[-1]
            )
        )
    installation.wait_completed(execution_ids)
    assert [installation.control.proofs(fault)[0].execution_id for fault in faults] == execution_ids
    assert_sound(installation, execution_ids, faults=2 * len(faults))  # of two activities side by side
    for execution_id in execution_ids:
        parts = [f"mentions-{index}" for index in range(chunks)]
        assert all(installation.journal.calls(execution_id, part) for part in parts)


def test_07_killed_together_with_the_code_server(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "pause", subject="mentions-1")
    execution_id = installation.start(document(3, 7))
    proof = installation.control.wait_for(fault)
    installation.kill("code server")
    psutil.Process(proof.pid).kill()
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=2)


def test_10_stopped_past_its_lease_and_back_when_a_successor_works(installation: Installation) -> None:
    fault = installation.control.arm("before_checkpoint_commit", "stop", subject="mentions-1")
    execution_id = installation.start(document(3, 10))
    proof = installation.control.wait_for(fault)
    zombie = psutil.Process(proof.pid)
    wait_until(lambda: zombie.status() == psutil.STATUS_STOPPED)
    installation.wait_completed([execution_id])
    zombie.resume()
    wait_until(lambda: not zombie.is_running() or zombie.status() == psutil.STATUS_ZOMBIE)
    assert installation.wait(execution_id).status is ExecutionStatus.COMPLETED
    assert_sound(installation, [execution_id], faults=2)
