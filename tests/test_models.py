"""States, their transition tables and the values that callers get."""

import pytest
from pydantic import ValidationError

from beep_orchestration.ids import OrganizationId, WorkflowExecutionId
from beep_orchestration.models import (
    ACTIVITY_TRANSITIONS,
    EXECUTION_TRANSITIONS,
    ActivityStatus,
    CancelResult,
    Checkpoint,
    ErrorInfo,
    ExecutionStatus,
    RetryPolicy,
    StageProgress,
    activity_sources_of,
    sources_of,
)


def test_statuses_are_those_of_the_specification() -> None:
    assert {status.value for status in ExecutionStatus} == {"running", "completed", "failed", "cancelled"}
    assert {status.value for status in ActivityStatus} == {"pending", "running", "completed", "failed"}


def test_transition_tables_say_something_about_each_status() -> None:
    assert set(EXECUTION_TRANSITIONS) == set(ExecutionStatus)
    assert set(ACTIVITY_TRANSITIONS) == set(ActivityStatus)


def test_transition_tables_are_those_of_the_design() -> None:
    """Written out once more, so that a change of the rules is made in two places knowingly."""
    executions = {
        (source.value, target.value) for source, targets in EXECUTION_TRANSITIONS.items() for target in targets
    }
    assert executions == {
        ("running", "completed"),
        ("running", "failed"),
        ("running", "cancelled"),
        ("failed", "running"),
        ("cancelled", "running"),
    }
    activities = {
        (source.value, target.value) for source, targets in ACTIVITY_TRANSITIONS.items() for target in targets
    }
    assert activities == {
        ("pending", "running"),
        ("pending", "failed"),
        ("running", "completed"),
        ("running", "failed"),
        ("completed", "failed"),
    }


@pytest.mark.parametrize("target", ExecutionStatus)
@pytest.mark.parametrize("source", ExecutionStatus)
def test_sources_are_the_inverse_of_the_execution_table(source: ExecutionStatus, target: ExecutionStatus) -> None:
    assert (source in sources_of(target)) == (target in EXECUTION_TRANSITIONS[source])


@pytest.mark.parametrize("target", ActivityStatus)
@pytest.mark.parametrize("source", ActivityStatus)
def test_sources_are_the_inverse_of_the_activity_table(source: ActivityStatus, target: ActivityStatus) -> None:
    assert (source in activity_sources_of(target)) == (target in ACTIVITY_TRANSITIONS[source])


def test_transition_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EXECUTION_TRANSITIONS[ExecutionStatus.COMPLETED] = frozenset(ExecutionStatus)  # type: ignore[index]


def test_every_status_but_running_is_terminal() -> None:
    assert {status for status in ExecutionStatus if not status.is_terminal} == {ExecutionStatus.RUNNING}


def test_values_are_immutable_and_refuse_unknown_fields() -> None:
    progress = StageProgress(done=1, total=2)
    with pytest.raises(ValidationError):
        progress.done = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        StageProgress.model_validate({"done": 1, "total": 2, "started": 1})


def test_a_checkpoint_keeps_the_order_of_its_stages() -> None:
    stages = {name: StageProgress(done=0, total=1) for name in ("chunk", "mentions", "entities", "assemble")}
    stored = Checkpoint(stages=stages).model_dump_json()
    assert list(Checkpoint.model_validate_json(stored).stages) == list(stages)


def test_an_error_without_activity_is_an_error_of_the_execution() -> None:
    assert ErrorInfo(type="E", message="m").model_dump() == {
        "type": "E",
        "message": "m",
        "activity_name": None,
        "attempt": None,
        "stack": None,
    }


def test_the_result_of_a_cancel_is_never_running() -> None:
    with pytest.raises(ValidationError):
        CancelResult.model_validate(
            {"execution_id": WorkflowExecutionId.new(), "status": "running", "cancelled_now": False}
        )


def test_a_value_refuses_the_id_of_another_entity() -> None:
    with pytest.raises(ValidationError, match="not an id of knowledge_workflow_execution"):
        CancelResult.model_validate({"execution_id": OrganizationId.new(), "status": "failed", "cancelled_now": False})


@pytest.mark.parametrize(
    "wrong", [{"maximum_attempts": 0}, {"maximum_attempts": 101}, {"first_delay": -1}, {"maximum_delay": -0.1}]
)
def test_a_retry_policy_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate(wrong)
