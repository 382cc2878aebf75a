"""What people see of executions under way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ErrorInfo, ExecutionStatus, StageProgress, WorkflowStatus
from beep_orchestration.progress import bars, new_lines
from tests.factories import ERROR, ORGANIZATION

START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("chunk", "mentions", "entities", "relations", "assemble")


def _status(**overrides: Any) -> WorkflowStatus:
    values: dict[str, Any] = {
        "execution_id": WorkflowExecutionId.new(),
        "organization_id": ORGANIZATION,
        "workflow_type": "extraction",
        "workflow_version": 1,
        "status": ExecutionStatus.RUNNING,
        "current_activity": None,
        "activities": {},
        "attempts": 0,
        "started_at": START,
        "updated_at": START,
        "completed_at": None,
        "error": None,
        "dagster_run_ids": (),
        "dagster_url": None,
    }
    return WorkflowStatus(**(values | overrides))


def _stages(**done: tuple[int, int]) -> dict[str, StageProgress]:
    return {kind: StageProgress(done=count, total=total) for kind, (count, total) in done.items()}


def test_lines_tell_each_finished_activity_type_and_the_end_once() -> None:
    begun = _status(activities=_stages(chunk=(1, 1), mentions=(1, 3)))
    assert new_lines("a.txt", None, begun) == ["a.txt: chunk 1/1"]
    further = begun.model_copy(update={"activities": _stages(chunk=(1, 1), mentions=(3, 3))})
    assert new_lines("a.txt", begun, further) == ["a.txt: mentions 3/3"]
    assert new_lines("a.txt", further, further) == []
    ended = further.model_copy(
        update={"status": ExecutionStatus.COMPLETED, "completed_at": START + timedelta(seconds=1.25)}
    )
    assert new_lines("a.txt", further, ended) == ["a.txt: completed in 1.2 s"]


def test_lines_tell_a_failure_with_its_reason_and_that_another_run_goes_on() -> None:
    first = _status(dagster_run_ids=("r1",))
    assert new_lines("a", _status(), first) == []
    second = first.model_copy(update={"dagster_run_ids": ("r1", "r2")})
    assert new_lines("a", first, second) == ["a: goes on in another run"]
    failed = first.model_copy(update={"status": ExecutionStatus.FAILED, "completed_at": START, "error": ERROR})
    assert new_lines("a", first, failed) == ["a: failed in 0.0 s: ValueError: made by a test"]


def _drawn(width: int, *statuses: WorkflowStatus, name: str = "document") -> str:
    console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
    names = {status.execution_id: f"{name}-{number}" for number, status in enumerate(statuses)}
    with console.capture() as capture:
        console.print(bars(names, {status.execution_id: status for status in statuses}, width=width))
    return capture.get()


@pytest.mark.parametrize("width", [80, 110, 200])
def test_counts_and_states_are_whole_from_80_columns_on(width: int) -> None:
    full = _status(
        status=ExecutionStatus.CANCELLED, completed_at=START, activities=_stages(**dict.fromkeys(KINDS, (666, 666)))
    )
    drawn = _drawn(width, full, _status(), name="a_document_with_a_name_that_is_longer_than_there_is_room")
    assert drawn.count("666/666") == len(KINDS)
    assert "cancelled" in drawn
    assert "accepted" in drawn
    assert all(kind in drawn for kind in KINDS)
    assert all(len(line) <= width for line in drawn.splitlines())


@given(st.integers(1, 250), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_width_and_any_text_can_be_drawn(width: int, text: str) -> None:
    error = ErrorInfo(type="ValueError", message=text)
    failed = _status(status=ExecutionStatus.FAILED, completed_at=START, error=error)
    assert "\x1b" not in _drawn(width, failed, _status(activities=_stages(chunk=(0, 0))))
