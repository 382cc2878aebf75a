"""Attempts: one row each, the completed one is found again, and its output is what was stored."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from beep_orchestration.ids import WorkflowActivityId
from beep_orchestration.models import ActivityStatus
from beep_orchestration.persistence import WorkflowPersistence
from beep_orchestration.persistence.activities import as_stored
from beep_orchestration.projections import error_info
from tests.factories import ERROR, claimed, new_attempt, with_attempt

storable = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | storable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3),
    max_leaves=10,
)


def test_what_is_saved_is_loaded(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempt = with_attempt(tables, execution)
    (row,) = tables.activities.list_attempts(execution.id)
    assert {name: getattr(row, name) for name in vars(attempt)} == vars(attempt)
    assert (row.status, row.output, row.error, row.completed_at) == (ActivityStatus.RUNNING, None, None, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(output=json_values)
def test_an_output_is_loaded_as_it_was_stored(tables: WorkflowPersistence, output: Any) -> None:
    execution = claimed(tables)
    attempt = with_attempt(tables, execution)
    assert tables.activities.complete([(attempt.id, json.dumps(output))]) == 1
    assert tables.activities.load_completed_outputs(execution.id, "mentions") == {"mentions-0": output}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(output=json_values | st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_will_be_loaded_is_known_before_it_is_stored(tables: WorkflowPersistence, output: Any) -> None:
    execution, written = claimed(tables), to_json(output).decode()
    tables.activities.complete([(with_attempt(tables, execution).id, written)])
    loaded = tables.activities.load_completed_outputs(execution.id, "mentions")["mentions-0"]
    assert repr(as_stored(written)) == repr(loaded)  # which tells the order of keys, and the sign of zero


def test_code_versions_are_those_of_completed_activities_of_the_types_asked_for(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempts = [
        new_attempt(execution, id=WorkflowActivityId.new(), activity_name=name, activity_type=kind, code_version=code)
        for name, kind, code in (
            ("mentions-0", "mentions", "rules-1"),
            ("mentions-1", "mentions", "rules-1"),
            ("entities-0", "entities", "types-1"),
            ("assemble", "assemble", "assemble-1"),
        )
    ]
    tables.activities.save(attempts)
    tables.activities.complete([(attempt.id, "[]") for attempt in attempts if attempt.activity_name != "mentions-1"])
    found = tables.activities.load_code_versions(execution.id, ["mentions", "entities"])
    assert found == {"mentions-0": "rules-1", "entities-0": "types-1"}


def test_a_group_is_changed_in_one_call_and_counted(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempts = [new_attempt(execution, id=WorkflowActivityId.new(), activity_name=f"mentions-{n}") for n in range(5)]
    tables.activities.save(attempts)
    assert tables.activities.complete([(attempt.id, "{}") for attempt in attempts[:3]]) == 3
    assert tables.activities.complete([(attempt.id, "{}") for attempt in attempts]) == 2
    assert tables.activities.retire([(attempt.id, ERROR) for attempt in attempts[:2]]) == 2
    assert tables.activities.count_completed(execution.id) == 3


def test_empty_groups_change_nothing(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    with_attempt(tables, execution)
    tables.activities.save([])
    assert tables.activities.complete([]) == tables.activities.fail([]) == tables.activities.start_pending([]) == 0
    assert len(tables.activities.list_attempts(execution.id)) == 1


def test_each_error_of_a_group_is_stored_with_its_own_attempt(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempts = [with_attempt(tables, execution, activity_name=f"mentions-{n}") for n in range(3)]
    errors = [error_info(ValueError(f"number {n} \x00\ud800"), attempt=1) for n in range(3)]
    tables.activities.fail([(attempt.id, error) for attempt, error in zip(attempts, errors, strict=True)])
    rows = tables.activities.list_attempts(execution.id)
    assert {row.activity_name: row.error for row in rows} == {f"mentions-{n}": errors[n] for n in range(3)}


def test_the_latest_attempt_of_each_activity_is_loaded_by_type(tables: WorkflowPersistence) -> None:
    execution, other = claimed(tables), claimed(tables)
    with_attempt(tables, execution, ActivityStatus.FAILED, activity_name="mentions-0", attempt_number=1)
    with_attempt(tables, execution, ActivityStatus.PENDING, activity_name="mentions-0", attempt_number=2)
    with_attempt(tables, execution, ActivityStatus.FAILED, activity_name="mentions-1", attempt_number=9)
    with_attempt(tables, execution, ActivityStatus.FAILED, activity_name="mentions-1", attempt_number=10)
    with_attempt(tables, execution, activity_name="chunk", activity_type="chunk")
    with_attempt(tables, other, activity_name="mentions-2")
    latest = tables.activities.load_latest(execution.id, "mentions")
    assert {name: row.attempt_number for name, row in latest.items()} == {"mentions-0": 2, "mentions-1": 10}


@pytest.mark.parametrize("later", [ActivityStatus.RUNNING, ActivityStatus.FAILED])
def test_a_completed_attempt_is_found_behind_later_ones(tables: WorkflowPersistence, later: ActivityStatus) -> None:
    """A zombie's attempt may bear a higher number; the checkpoint counts."""
    execution = claimed(tables)
    completed = with_attempt(tables, execution, ActivityStatus.COMPLETED, attempt_number=1)
    with_attempt(tables, execution, later, attempt_number=2)
    assert tables.activities.load_latest(execution.id, "mentions")["mentions-0"].id == completed.id


def test_a_retired_checkpoint_is_not_an_output_any_more(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    old = with_attempt(tables, execution, ActivityStatus.COMPLETED, attempt_number=1)
    tables.activities.retire([(old.id, ERROR)])
    assert tables.activities.load_completed_outputs(execution.id, "mentions") == {}
    with_attempt(tables, execution, ActivityStatus.COMPLETED, attempt_number=2)
    assert list(tables.activities.load_completed_outputs(execution.id, "mentions")) == ["mentions-0"]


def test_a_pending_attempt_starts_under_the_epoch_of_its_run(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    attempts = [
        with_attempt(tables, execution, ActivityStatus.PENDING, activity_name=f"mentions-{n}", epoch=1)
        for n in range(2)
    ]
    waiting = tables.activities.list_attempts(execution.id)
    assert tables.activities.start_pending([replace(attempt, epoch=7) for attempt in attempts]) == 2
    started = tables.activities.list_attempts(execution.id)
    assert {row.epoch for row in started} == {7}
    assert min(row.started_at for row in started) > max(row.started_at for row in waiting)


def test_attempts_are_listed_in_the_order_in_which_they_were_made(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    names = ["mentions-2", "chunk", "mentions-10"]
    for name in names:
        with_attempt(tables, execution, activity_name=name)
    assert [row.activity_name for row in tables.activities.list_attempts(execution.id)] == names


def test_an_attempt_that_was_never_stored_has_no_status(tables: WorkflowPersistence) -> None:
    assert tables.activities.find_status(WorkflowActivityId.new()) is None
