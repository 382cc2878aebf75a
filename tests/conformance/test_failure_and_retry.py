"""Cases 15 to 22: failures, retries and what follows them."""

from typing import Any

from beep_orchestration.errors import ActivityFailedError
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import THREE_TIMES, Owners, fails, part
from tests.durability.workflow import attempts, statuses


def test_15_an_activity_is_told_apart_by_its_attempts_and_a_later_one_gives_the_value(owners: Owners) -> None:
    """The numbers are those of the rows; an activity that needs its own counts what it finds."""
    execution = owners.start()

    def third_time() -> str:
        if len(owners.calls()) < 3:
            fails(f"call {len(owners.calls())}")
        return "well"

    owners.own(execution, lambda stage: stage.run([part(stage, "one", third_time, retry=THREE_TIMES)])[0])
    assert owners.service.result(execution) == {"value": "well"}
    rows = attempts(owners.database, execution)
    assert [(row.attempt_number, str(row.status)) for row in rows] == [(1, "failed"), (2, "failed"), (3, "completed")]
    assert [row.error.message for row in rows if row.error] == ["call 1", "call 2"]


def test_16_exhausted_retries_give_the_last_attempts_typed_error(owners: Owners) -> None:
    execution, errors = owners.start(), [ValueError("first"), KeyError("second"), OSError("third")]

    def work() -> None:
        raise errors[len(owners.calls()) - 1]

    owners.own(execution, lambda stage: stage.run([part(stage, "one", work, retry=THREE_TIMES)]))
    status = owners.service.get_status(execution)
    assert status.status is ExecutionStatus.FAILED
    assert status.error is not None
    assert status.error.type == "OSError"
    assert status.error.message.endswith("OSError: third")
    assert (status.error.activity_name, status.error.attempt) == ("part-one", 3)


def test_21_a_workflow_may_catch_an_unexpected_exception_and_run_another_activity(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> Any:
        try:
            return stage.run([part(stage, "one", lambda: 1 / 0)])
        except ActivityFailedError as error:
            return [error.error_type, *stage.run([part(stage, "instead")])]

    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["ZeroDivisionError", "instead"]}
    assert statuses(owners.database, execution) == {"part-instead": ["completed"], "part-one": ["failed"]}


def test_22_an_exception_with_what_cannot_be_stored_still_stores_with_its_message(owners: Owners) -> None:
    class LinkedError(Exception):
        def __init__(self) -> None:
            self.stream = open  # nothing that JSON holds
            super().__init__("lost \x00 and \ud800", self.stream)

    def work() -> None:
        raise LinkedError

    execution = owners.start()
    owners.own(execution, lambda stage: stage.run([part(stage, "one", work)]))
    error = owners.service.get_status(execution).error
    assert error is not None
    assert error.type == "LinkedError"
    assert "('lost " in error.message
