"""Cases 1 to 6: start, identity, result."""

import threading
from datetime import UTC, datetime
from typing import Any

from beep_orchestration.ids import execution_id_for_key
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import CASE, LONGER, Owners, part
from tests.durability.workflow import load
from tests.factories import ORGANIZATION
from tests.waiting import wait_until


def one_part(stage: Stage) -> Any:
    return stage.run([part(stage, "one")])[0]


def test_01_starting_without_waiting_returns_the_computed_id(owners: Owners) -> None:
    assert owners.start(key="k") == execution_id_for_key(ORGANIZATION, CASE.name, "k")
    assert owners.start(key="other") != owners.start(key="k")
    assert owners.calls() == []


def test_02_the_result_can_be_read_again_and_again(owners: Owners) -> None:
    execution = owners.start()
    owners.own(execution, one_part)
    for _ in range(3):
        assert owners.service.result(execution) == {"value": "one"}
    owners.restart()
    assert owners.service.result(execution) == {"value": "one"}


def test_03_a_second_start_with_the_same_key_returns_the_result_and_runs_nothing(owners: Owners) -> None:
    execution = owners.start(key="k")
    owners.own(execution, one_part)
    before = load(owners.database, execution)
    assert owners.start(key="k") == execution
    assert owners.service.result(execution) == {"value": "one"}
    owners.own(execution, one_part)  # should a run be launched all the same, it only reads
    assert owners.calls() == ["one"]
    assert load(owners.database, execution) == before


def test_04_two_callers_with_one_key_share_one_execution(owners: Owners) -> None:
    both, results = threading.Barrier(2), []

    def call() -> None:
        both.wait()
        execution = owners.start(key="k")
        owners.service.wait(execution, timeout_seconds=120)
        results.append((execution, owners.service.result(execution)))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    execution = execution_id_for_key(ORGANIZATION, CASE.name, "k")
    wait_until(lambda: execution in {each.execution_id for each in owners.service.list().executions})
    owners.own(execution, one_part)
    for caller in callers:
        caller.join()
    assert results == [(execution, {"value": "one"})] * 2
    assert owners.calls() == ["one"]


def test_05_a_definition_that_extends_another_behaves_the_same(owners: Owners) -> None:
    """`longer_case` has the op of `case` and one more; their executions are apart, also with the same key."""
    short, longer = owners.start(key="k"), owners.start(LONGER.name, key="k")
    assert short != longer
    owners.own(short, one_part)
    owners.own(longer, one_part)
    assert owners.service.result(short) == {"value": "one"}
    assert owners.service.result(longer) == {"value": ["one", "end"]}
    owners.own(longer, one_part)
    assert owners.calls() == ["one", "one", "end"]


def test_06_a_typed_value_survives_storage(owners: Owners) -> None:
    values: list[Any] = []
    born = datetime(1815, 12, 10, 12, 30, 0, 123456, tzinfo=UTC)

    def body(stage: Stage) -> None:
        activity = part(stage, "one", lambda: (born, "Ada"), output_type=tuple[datetime, str])
        values.extend(stage.run([activity]))
        stage.await_signal("approve")

    execution = owners.start()
    owners.own(execution, body)
    assert load(owners.database, execution).status is ExecutionStatus.RUNNING
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, body)
    assert values == [(born, "Ada")] * 2
    assert owners.calls() == ["one"]
