"""Cases 29 to 34, 36 and 38: the first of several branches."""

import threading
from typing import Any

import pytest

from beep_orchestration import signals
from beep_orchestration.models import ActivityStatus, ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import Owners, fails, note, part
from tests.durability.workflow import assert_consistent, attempts, load, sent_signals, statuses
from tests.waiting import wait_until

LONG_WAIT = 60.0
ADA, GRACE = {"by": "Ada"}, {"by": "Grace"}


def hangs() -> None:
    """An activity that is not done before the test is; interrupted as soon as it runs Python code."""
    pause = threading.Event()
    while not pause.wait(0.01):
        pass


def said(winner: Any) -> list[Any]:
    value = winner.value
    return [winner.branch, value.payload.by if hasattr(value, "payload") else value]


def race_and_wait(stage: Stage) -> list[Any]:
    winner = stage.first_of(
        quick=part(stage, "quick"), slow=part(stage, "slow", hangs), answer=stage.signal_branch("reject")
    )
    answer = stage.await_signal("approve")
    assert answer is not None
    return [*said(winner), answer.payload.by]


def test_29_the_first_success_wins_and_the_others_are_interrupted(owners: Owners) -> None:
    execution, hanging, interrupted = owners.start(), threading.Event(), threading.Event()

    def hangs_until_interrupted() -> None:
        try:
            hanging.set()
            hangs()
        finally:
            interrupted.set()

    def is_quick() -> str:
        assert hanging.wait(LONG_WAIT)
        return "quick"

    def body(stage: Stage) -> list[Any]:
        slow = part(stage, "slow", hangs_until_interrupted)
        return said(stage.first_of(slow=slow, quick=part(stage, "quick", is_quick)))

    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["quick", "quick"]}
    assert interrupted.wait(LONG_WAIT)
    rows = {row.activity_name: row for row in attempts(owners.database, execution)}
    assert rows["part-quick"].status is ActivityStatus.COMPLETED
    assert rows["part-slow"].error is not None
    assert rows["part-slow"].error.type == "Superseded"
    assert_consistent(owners.database, execution)


def test_30_a_failed_branch_does_not_end_the_race(owners: Owners) -> None:
    execution, failed = owners.start(), threading.Event()

    def fails_first() -> None:
        failed.set()
        fails()

    def comes_later() -> str:
        assert failed.wait(LONG_WAIT)
        wait_until(lambda: statuses(owners.database, execution)["part-one"] == ["failed"])
        return "later"

    def body(stage: Stage) -> list[Any]:
        return said(stage.first_of(one=part(stage, "one", fails_first), two=part(stage, "two", comes_later)))

    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["two", "later"]}


def test_30_a_race_whose_branches_all_fail_fails_with_the_first_error(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        return said(stage.first_of(one=part(stage, "one", fails), two=part(stage, "two", fails)))

    owners.own(execution, body)
    error = owners.service.get_status(execution).error
    assert error is not None
    assert error.type == "ValueError"


def test_30_a_branch_that_failed_is_not_tried_again_after_a_park(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        return said(stage.first_of(one=part(stage, "one", fails), answer=stage.signal_branch("approve")))

    owners.own(execution, body)
    assert load(owners.database, execution).status is ExecutionStatus.RUNNING
    owners.own(execution, body)
    owners.service.signal(execution, "approve", ADA)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["answer", "Ada"]}
    assert owners.calls() == ["one"]


def test_31_the_stored_winner_is_used_after_a_later_park_and_after_the_owners_death(owners: Owners) -> None:
    parks = owners.start()
    owners.own(parks, race_and_wait)
    owners.service.signal(parks, "reject", ADA)
    owners.service.signal(parks, "approve", GRACE)
    owners.own(parks, race_and_wait)
    assert owners.service.result(parks) == {"value": ["quick", "quick", "Grace"]}
    assert owners.calls().count("quick") == 1

    dies = owners.start()
    owners.own_and_die(dies, race_and_wait, "after_checkpoint_commit", "part-quick")
    owners.service.signal(dies, "reject", ADA)
    owners.service.signal(dies, "approve", GRACE)
    owners.own(dies, race_and_wait)
    assert owners.service.result(dies) == {"value": ["quick", "quick", "Grace"]}
    assert owners.calls().count("quick") == 2


def test_31_a_race_whose_owner_dies_before_the_winner_is_stored_is_run_again(owners: Owners) -> None:
    execution = owners.start()
    owners.own_and_die(execution, race_and_wait, "before_checkpoint_commit", "part-quick")
    owners.service.signal(execution, "approve", GRACE)
    owners.own(execution, race_and_wait)
    assert owners.service.result(execution) == {"value": ["quick", "quick", "Grace"]}
    assert statuses(owners.database, execution)["part-quick"] == ["failed", "completed"]


def test_32_a_signal_can_win_against_a_running_activity(owners: Owners) -> None:
    execution = owners.start()

    def signalled() -> None:
        owners.service.signal(execution, "approve", ADA)
        hangs()

    def body(stage: Stage) -> list[Any]:
        return said(stage.first_of(model=part(stage, "model", signalled), answer=stage.signal_branch("approve")))

    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["answer", "Ada"]}
    assert statuses(owners.database, execution)["part-model"] == ["failed"]
    assert_consistent(owners.database, execution)


def test_32_an_activity_can_win_against_a_pending_signal_and_a_timer_against_an_activity(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        first = stage.first_of(model=part(stage, "model"), answer=stage.signal_branch("approve", timeout=3_600))
        second = stage.first_of(model=part(stage, "slow", hangs), late=stage.timer_branch(0.2))
        return [*said(first), *said(second)]

    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["model", "model", "late", None]}
    assert_consistent(owners.database, execution)


def test_32_what_a_losing_activity_had_received_is_kept(owners: Owners) -> None:
    execution = owners.start()

    def receives() -> None:
        signals.receive("approve", timeout=LONG_WAIT)
        owners.service.signal(execution, "reject", GRACE)
        hangs()

    def body(stage: Stage) -> list[Any]:
        winner = stage.first_of(model=part(stage, "model", receives), answer=stage.signal_branch("reject"))
        answer = stage.await_signal("approve")
        assert answer is not None
        return [*said(winner), answer.payload.by]

    owners.service.signal(execution, "approve", ADA)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["answer", "Grace", "Ada"]}


def test_33_a_late_signal_for_a_lost_branch_does_not_change_the_winner(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        winner = stage.first_of(yes=stage.signal_branch("approve"), no=stage.signal_branch("reject"))
        stage.sleep(3_600)
        return said(winner)

    owners.service.signal(execution, "reject", ADA)
    owners.own(execution, body)
    owners.service.signal(execution, "approve", GRACE)
    for _ in range(2):
        owners.own(execution, body)
    (late,) = [signal for signal in sent_signals(owners.database, execution) if signal.signal_name == "approve"]
    assert late.consumed_by is None
    race = next(row for row in attempts(owners.database, execution) if row.activity_name == "part-race-0")
    assert (race.output["branch"], race.output["signal"]["payload"]) == ("no", ADA)


def test_34_when_all_branches_wait_the_execution_parks_and_the_first_signal_resumes_it(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        return said(stage.first_of(yes=stage.signal_branch("approve"), no=stage.signal_branch("reject", timeout=3_600)))

    owners.own(execution, body)
    row = load(owners.database, execution)
    (wait,) = row.checkpoint.waiting_for
    assert wait.signals == ("approve", "reject")
    assert row.launch_at == wait.deadline is not None
    owners.service.signal(execution, "reject", ADA)
    owners.service.signal(execution, "approve", GRACE)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["no", "Ada"]}


def test_36_what_follows_a_wait_is_applied_on_wake_and_what_came_before_it_is_kept(owners: Owners) -> None:
    """A branch is one activity or one wait; what comes before and after stands around the race."""
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        (before,) = stage.run([part(stage, "before")])
        winner = stage.first_of(yes=stage.signal_branch("approve"), late=stage.timer_branch(3_600))
        name = winner.value.payload.by
        return [before, *stage.run([part(stage, "after", lambda: f"after {name}")])]

    owners.own(execution, body)
    owners.service.signal(execution, "approve", ADA)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["before", "after Ada"]}
    assert owners.calls() == ["before", "after"]


def test_38_a_bare_timer_can_win(owners: Owners) -> None:
    execution = owners.start()

    def body(stage: Stage) -> list[Any]:
        return said(stage.first_of(late=stage.timer_branch(1_800), later=stage.timer_branch(7_200)))

    owners.own(execution, body)
    assert load(owners.database, execution).status is ExecutionStatus.RUNNING
    owners.let_an_hour_pass(execution)
    assert owners.is_due(execution)
    owners.own(execution, body)
    assert owners.service.result(execution) == {"value": ["late", None]}


def test_a_race_needs_branches_with_names_of_their_own(owners: Owners) -> None:
    refused: list[ValueError] = []

    def body(stage: Stage) -> None:
        for branches in ({}, {"one": part(stage, "same"), "two": part(stage, "same")}):
            with pytest.raises(ValueError, match="names of their own") as error:
                stage.first_of(**branches)
            refused.append(error.value)
        note(stage, "refused")

    owners.own(owners.start(), body)
    assert owners.calls() == ["refused"]
