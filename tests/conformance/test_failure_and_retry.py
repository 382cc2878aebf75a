"""Cases 13 to 22 but for 19: failures, retries and what follows them."""

from pathlib import Path
from typing import Any

from beep_orchestration.errors import ActivityFailedError
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import THREE_TIMES, Owners, fails, note, part
from tests.durability.workflow import attempts, statuses

TWICE = THREE_TIMES.model_copy(update={"maximum_attempts": 2})


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
    """Another run of the execution meets the same failure, and tries nothing again."""
    execution = owners.start()

    def body(stage: Stage) -> Any:
        try:
            parts = stage.run([part(stage, "one", lambda: 1 / 0)])
        except ActivityFailedError as error:
            parts = [error.error_type, *stage.run([part(stage, "instead")])]
        stage.await_signal("approve")
        return parts

    owners.own(execution, body)
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, body)
    assert owners.calls() == ["one", "instead"]
    assert owners.service.result(execution) == {"value": ["ZeroDivisionError", "instead"]}
    made = statuses(owners.database, execution)
    assert made == {"part-instead": ["completed"], "part-one": ["failed"], "part-wait-0": ["completed"]}


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


def undoes(stage: Stage, name: str, **policies: Any) -> Any:
    """An activity whose compensation is noted with the output that it is given."""
    return part(stage, name, compensate=lambda output: note(stage, f"undo {output}"), **policies)


def two_parts_and_a_failure(stage: Stage) -> Any:
    stage.run([undoes(stage, "one")])
    stage.run([undoes(stage, "two")])
    return stage.run([part(stage, "three", lambda: fails("the original"))])


def test_13_a_compensation_registered_before_the_owners_death_runs_once(owners: Owners) -> None:
    """The owner dies before the failure, then while it undoes; each time another run goes on."""
    execution = owners.start()
    owners.own_and_die(execution, two_parts_and_a_failure, "after_checkpoint_commit", "part-two")
    second = "compensation-part-two-1"
    owners.own_and_die(execution, two_parts_and_a_failure, "after_checkpoint_commit", second)
    owners.own(execution, two_parts_and_a_failure)
    assert owners.calls() == ["one", "two", "three", "undo two", "undo one"]
    status = owners.service.get_status(execution)
    assert status.status is ExecutionStatus.FAILED
    assert status.error is not None
    assert (status.error.type, status.error.activity_name) == ("ValueError", "part-three")


def test_17_a_compensation_runs_and_the_caller_gets_the_original_error(owners: Owners) -> None:
    execution = owners.start()
    owners.own(execution, two_parts_and_a_failure)
    assert owners.calls() == ["one", "two", "three", "undo two", "undo one"]
    error = owners.service.wait(execution, timeout_seconds=10).error
    assert error is not None
    assert error.message.endswith("ValueError: the original")
    made = statuses(owners.database, execution)
    assert made["compensation-part-one-1"] == made["compensation-part-two-1"] == ["completed"]
    stages = owners.service.get_status(execution).activities
    assert (stages["part"].done, stages["compensation"].done) == (0, 2)


def test_17_a_compensation_that_fails_keeps_neither_the_others_nor_the_error_back(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> Any:
        stage.run([undoes(stage, "one")])
        stage.run([part(stage, "two", compensate=lambda output: fails(f"cannot undo {output}"))])
        fails("the original")

    owners.own(execution, body)
    assert owners.calls() == ["one", "two", "undo one"]
    error = owners.service.get_status(execution).error
    assert error is not None
    assert error.message == "the original"
    assert statuses(owners.database, execution)["compensation-part-two-1"] == ["failed"]


def test_17_what_was_undone_is_done_again_after_a_resume(owners: Owners) -> None:
    execution, is_mended = owners.start(), []

    def body(stage: Stage) -> Any:
        stage.run([undoes(stage, "one")])
        return stage.run([part(stage, "two", lambda: "well" if is_mended else fails())])

    owners.own(execution, body)
    assert statuses(owners.database, execution)["part-one"] == ["failed"]
    is_mended.append(True)
    owners.service.resume(execution)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["well"]}
    assert owners.calls() == ["one", "two", "undo one", "one", "two"]
    assert owners.service.get_status(execution).activities["part"].done == 2


def test_18_no_compensation_on_parking_nor_on_success(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> Any:
        (one,) = stage.run([undoes(stage, "one")])
        stage.await_signal("approve")
        return one

    owners.own(execution, body)
    assert owners.calls() == ["one"]
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": "one"}
    assert owners.calls() == ["one"]


def waits_for_a_person(stage: Stage) -> Any:
    """Each attempt fails until somebody has noted `mended`."""

    def work() -> str:
        if "mended" not in Path(stage.input.journal).read_text(encoding="utf-8"):
            fails("needs a person")
        return "well"

    return stage.run([part(stage, "one", work, retry=TWICE, on_failure="pause")])[0]


def test_14_park_on_failure_holds_under_a_new_owner(owners: Owners) -> None:
    execution = owners.start()
    owners.own_and_die(execution, waits_for_a_person, "after_attempt_commit", "part-one")
    owners.own(execution, waits_for_a_person)
    status = owners.service.get_status(execution)
    assert status.status is ExecutionStatus.RUNNING
    assert status.paused_at is not None
    owners.restart()
    assert not owners.is_due(execution)
    owners.own(execution, waits_for_a_person)  # a run that nobody asked for tries nothing
    assert owners.calls() == ["one", "one"]


def test_20_the_cause_of_a_park_on_failure_is_in_the_status_and_a_resume_tries_again(owners: Owners) -> None:
    execution = owners.start()
    owners.own(execution, waits_for_a_person)
    status = owners.service.get_status(execution)
    assert status.error is None
    assert status.paused_for is not None
    assert (status.paused_for.type, status.paused_for.message) == ("ValueError", "needs a person")
    assert (status.paused_for.activity_name, status.paused_for.attempt) == ("part-one", 2)
    owners.service.resume(execution)
    owners.own(execution, waits_for_a_person)
    paused_again = owners.service.get_status(execution).paused_for
    assert paused_again is not None
    assert paused_again.attempt == 4
    with Path(owners.input["journal"]).open("a", encoding="utf-8") as journal:
        journal.write("mended\n")
    assert owners.service.resume(execution).paused_for is None
    owners.own(execution, waits_for_a_person)
    assert owners.service.result(execution) == {"value": "well"}
    assert statuses(owners.database, execution) == {"part-one": [*["failed"] * 4, "completed"]}
