"""Cases for which something has to be built first; each says what."""

import pytest

_RACES = pytest.mark.skip(reason="a stage waits for one thing at a time: races of branches are not built")
_COMPENSATION = pytest.mark.skip(reason="compensation is not built: a workflow catches the error and runs an activity")
_PARK_ON_FAILURE = pytest.mark.skip(reason="an execution whose activity used up its attempts fails; `resume` goes on")


@_COMPENSATION
def test_13_a_compensation_registered_before_the_owners_death_runs_once() -> None:
    """When the execution fails under another run; the original error is kept."""


@_PARK_ON_FAILURE
def test_14_park_on_failure_holds_under_a_new_owner() -> None:
    """A person decides instead of the execution failing."""


@_COMPENSATION
def test_17_a_compensation_runs_and_the_caller_gets_the_original_error() -> None:
    """When an execution fails after an activity with a compensation."""


@_COMPENSATION
def test_18_no_compensation_on_parking_nor_on_success() -> None:
    """Only a failure for good undoes anything."""


@_COMPENSATION
def test_19_a_cancel_of_a_parked_execution_runs_compensations() -> None:
    """After `cancel` returns no activity commits (guarantee 5), and a compensation would."""


@_PARK_ON_FAILURE
def test_20_the_cause_of_a_park_on_failure_is_in_the_status() -> None:
    """So that the person knows what to mend."""


@pytest.mark.skip(reason="a stage runs its activities in one go")
def test_28_a_sleep_between_two_parts_of_an_activity_type_parks_and_resumes() -> None:
    """Two activity types with a sleep between them do: case 9."""


@_RACES
def test_29_the_first_success_wins_and_the_others_are_interrupted() -> None:
    """Several activities."""


@_RACES
def test_30_a_failed_branch_does_not_end_the_race() -> None:
    """While another can still succeed."""


@_RACES
def test_31_the_stored_winner_is_used_after_a_later_park_and_after_the_owners_death() -> None:
    """It is recorded once."""


@_RACES
def test_32_signals_activities_and_timers_can_win_against_each_other() -> None:
    """In every pairing."""


@_RACES
def test_33_a_late_signal_for_a_lost_branch_does_not_change_the_winner() -> None:
    """It is kept."""


@_RACES
def test_34_when_all_branches_wait_the_execution_parks_and_the_first_signal_resumes_it() -> None:
    """With that signal's value."""


@_RACES
def test_36_what_follows_a_branchs_wait_is_applied_on_wake() -> None:
    """A branch that ran an activity before its wait keeps that result."""


@_RACES
def test_38_a_bare_timer_can_win() -> None:
    """Without a process."""


@pytest.mark.skip(reason="an execution starts no other one yet")
def test_40_a_parent_that_awaits_a_parked_child_parks() -> None:
    """When the child ends the parent resumes and finishes."""
