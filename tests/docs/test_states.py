"""The state diagrams say what the code does."""

import pytest

from beep_orchestration.models import (
    ACTIVITY_TRANSITIONS,
    EXECUTION_TRANSITIONS,
    ActivityStatus,
    ExecutionStatus,
    RunOutcome,
)
from tests.docs.pages import page

PAGE = page("states")
FIRST_OF_EXECUTIONS = {("[*]", ExecutionStatus.RUNNING.value)}
FIRST_OF_ATTEMPTS = {("[*]", ActivityStatus.RUNNING.value), ("[*]", ActivityStatus.PENDING.value)}


def test_the_diagram_of_executions_is_the_transition_table() -> None:
    table = {(source.value, target.value) for source, targets in EXECUTION_TRANSITIONS.items() for target in targets}
    assert PAGE.section("Executions").transitions() == table | FIRST_OF_EXECUTIONS


def test_the_diagram_of_attempts_is_the_transition_table() -> None:
    table = {(source.value, target.value) for source, targets in ACTIVITY_TRANSITIONS.items() for target in targets}
    assert PAGE.section("Attempts").transitions() == table | FIRST_OF_ATTEMPTS


@pytest.mark.parametrize("outcome", RunOutcome)
def test_every_outcome_of_a_run_is_described(outcome: RunOutcome) -> None:
    assert f"`{outcome}`" in {cells[0] for cells in PAGE.section("Runs").table_rows()}


def test_every_arrow_says_when() -> None:
    arrows = [line for block in PAGE.blocks("mermaid") for line in block.splitlines() if "-->" in line]
    assert [line for line in arrows if ":" not in line and not line.endswith("[*]")] == []
