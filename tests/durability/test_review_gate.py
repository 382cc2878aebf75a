"""The review gate: doubtful facts wait for a person, without a process, and nothing is computed twice for it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from beep_orchestration.dagster_client import EXECUTION_TAG, ORGANIZATION_TAG
from beep_orchestration.definitions import defs
from beep_orchestration.errors import WorkflowStateError
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.reviewing import open_doubts
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import load_settings
from beep_orchestration.workflow_types import EXTRACTION
from tests.durability.workflow import load, statuses
from tests.factories import ORGANIZATION

TEXT = "Ada Lovelace was born in London in 1815. She worked with Charles Babbage on the Analytical Engine."

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture(autouse=True)
def _parks_at_once(monkeypatch: pytest.MonkeyPatch, settings: object) -> Iterator[None]:
    assert settings
    monkeypatch.setenv("BEEP_PARK_AFTER_SECONDS", "0")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def run(execution: WorkflowExecutionId) -> dg.ExecuteInProcessResult:
    """A run that carries the execution until it ends or parks."""
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(EXTRACTION.job_name).execute_in_process(
            instance=instance, tags={EXECUTION_TAG: execution, ORGANIZATION_TAG: ORGANIZATION}, raise_on_error=False
        )


def started(service: WorkflowService, threshold: float | None) -> WorkflowExecutionId:
    options = {"review_below": threshold}
    return service.start("extraction", {"document_id": "d", "text": TEXT, "options": options})


def relations_of(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(each["subject"], each["predicate"], each["object"]) for each in graph["relations"]}


def test_nobody_is_asked_unless_it_is_wanted(service: WorkflowService) -> None:
    for threshold in (None, 0.0):
        execution = started(service, threshold)
        assert run(execution).success
        assert service.get_status(execution).status is ExecutionStatus.COMPLETED


def test_a_person_rejects_one_fact_and_approves_the_others(database: Database, service: WorkflowService) -> None:
    execution = started(service, 1.0)
    assert run(execution).success  # a run that parks is no failure
    assert load(database, execution).status is ExecutionStatus.RUNNING
    before = statuses(database, execution)

    doubts = open_doubts(service, execution)
    wrong = next(doubt for doubt in doubts if doubt.relation is not None)
    assert wrong.relation is not None
    assert all(sentence in TEXT for sentence in wrong.sentences)
    service.signal(execution, "reject", wrong.named() | {"by": "Ada", "note": "no such thing"})
    assert wrong.number not in [doubt.number for doubt in open_doubts(service, execution)]
    run(execution)
    assert load(database, execution).status is ExecutionStatus.RUNNING  # the others still wait

    service.signal(execution, "approve", {"by": "Grace"})
    assert run(execution).success
    graph = service.result(execution)
    rejected = (wrong.relation.subject, wrong.relation.predicate, wrong.relation.object)
    assert rejected not in relations_of(graph)
    decisions = [(review["decision"], review["by"], review["note"]) for review in graph["provenance"]["reviews"]]
    assert decisions == [("rejected", "Ada", "no such thing"), ("approved", "Grace", None)]
    after = statuses(database, execution)
    assert {name: after[name] for name in before if "wait" not in name} == {
        name: tried for name, tried in before.items() if "wait" not in name
    }
    with pytest.raises(WorkflowStateError, match="nothing waits for a decision"):
        open_doubts(service, execution)


def test_without_the_rejection_the_fact_is_there(service: WorkflowService) -> None:
    execution = started(service, None)
    run(execution)
    assert relations_of(service.result(execution))
