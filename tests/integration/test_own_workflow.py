"""The example of a workflow type of one's own, on the real services: by the service's path and by the UI's."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from dagster_graphql import DagsterGraphQLClient

from beep_orchestration.dagster_client import ABOUT_TAG, NEXT_RUN_TAG, PARKED_TAG
from beep_orchestration.doctor import examine
from beep_orchestration.errors import InvalidInputError, WorkflowStartError
from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_run
from beep_orchestration.models import ExecutionStatus, RunOutcome, WorkflowStatus
from beep_orchestration.persistence import RunRow
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import load_settings
from beep_orchestration.supervisor import Services
from beep_orchestration.workflow_types import WORKFLOW_TYPES, get_workflow_type
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Using variable_values:DeprecationWarning"),  # Dagster's client does
]
ARTICLE = {"title": "Grace", "text": "Grace wrote a compiler. Nobody believed it."}
TAGS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
LONG_WAIT = 120.0


@pytest.fixture
def service(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkflowService]:
    """A service whose process has the workflow type, as the services have it."""
    assert services.settings.workflow_modules is not None
    monkeypatch.setenv("BEEP_WORKFLOW_MODULES", services.settings.workflow_modules)
    load_settings.cache_clear()
    with WorkflowService.connect(services.settings) as connected:
        yield connected
    load_settings.cache_clear()


@pytest.fixture
def dagster(services: Services) -> DagsterGraphQLClient:
    return DagsterGraphQLClient(services.settings.host, port_number=services.settings.port, timeout=60)


def runs(service: WorkflowService, execution_id: str) -> list[RunRow]:
    with service._database.transaction() as tables:
        return tables.runs.list_of(WorkflowExecutionId(execution_id))


def parked(service: WorkflowService, execution_id: str) -> WorkflowStatus:
    def find() -> WorkflowStatus | None:
        outcomes = [run.outcome for run in runs(service, execution_id)]
        return service.get_status(execution_id) if outcomes[-1:] == [RunOutcome.PARKED] else None

    return wait_until(find, LONG_WAIT, "the execution is parked")


def tags_of(dagster: DagsterGraphQLClient, run_id: str) -> dict[str, str]:
    answer = dagster._execute(TAGS, {"id": run_id})["runOrError"]
    return {tag["key"]: tag["value"] for tag in answer["tags"]}


def test_a_verdict_lets_a_parked_execution_complete(service: WorkflowService, dagster: DagsterGraphQLClient) -> None:
    execution_id = service.start("article_review", ARTICLE)
    status = parked(service, execution_id)
    assert status.status is ExecutionStatus.RUNNING
    assert [wait.signals for wait in status.waiting_for] == [("verdict",)]
    (first,) = status.dagster_run_ids
    wait_until(lambda: PARKED_TAG in tags_of(dagster, first), 30, "the UI says that the run parked")
    assert "publication-wait-0 waits for signal 'verdict' until" in tags_of(dagster, first)[PARKED_TAG]
    assert dagster.get_run_status(first).value == "SUCCESS"

    with pytest.raises(InvalidInputError, match="is_good"):
        service.signal(execution_id, "verdict", {"by": "Ada"})
    service.signal(execution_id, "verdict", {"is_good": True, "by": "Ada"})
    assert service.wait(execution_id, timeout_seconds=LONG_WAIT).status is ExecutionStatus.COMPLETED
    assert service.result(execution_id) == {"published": "Grace wrote a compiler, says Ada"}
    following = [run.dagster_run_id for run in runs(service, execution_id)]
    assert tags_of(dagster, first)[NEXT_RUN_TAG] == following[1]
    assert {tags_of(dagster, run_id)[ABOUT_TAG] for run_id in following} == {"Grace"}
    done = service.get_status(execution_id)
    assert {name: stage.attempts for name, stage in done.activities.items()} == {
        "summary": 1,
        "publication": 1,
        "wait": 2,
    }


def test_no_verdict_in_time_takes_the_other_branch(service: WorkflowService) -> None:
    execution_id = service.start("article_review", ARTICLE | {"days_to_answer": 3 / 86_400})
    assert service.wait(execution_id, timeout_seconds=LONG_WAIT).status is ExecutionStatus.COMPLETED
    assert service.result(execution_id) == {"published": None}


def test_the_launchpad_starts_one_too(service: WorkflowService, dagster: DagsterGraphQLClient) -> None:
    config = {"ops": {"summarise": {"config": ARTICLE}}}
    run_id = dagster.submit_job_execution("article_review", run_config=config)
    execution_id = execution_id_for_run(run_id)
    assert parked(service, execution_id).about == tags_of(dagster, run_id)[ABOUT_TAG] == "Grace"
    service.signal(execution_id, "verdict", {"is_good": False, "by": "Ada"})
    assert service.wait(execution_id, timeout_seconds=LONG_WAIT).status is ExecutionStatus.COMPLETED
    assert service.result(execution_id) == {"published": None}


def test_a_type_that_the_services_do_not_have_is_told_as_such_and_its_execution_waits(
    service: WorkflowService, services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("beep_orchestration"), "propagate", True)
    known_here = replace(get_workflow_type("article_review"), name="unheard_of")
    monkeypatch.setitem(WORKFLOW_TYPES, known_here.name, known_here)
    execution_id = service.start(known_here.name, ARTICLE)
    assert "is accepted and will be launched later: the code that Dagster" in caplog.text
    assert "does not have the workflow type 'unheard_of'" in caplog.text
    assert service.get_status(execution_id).status is ExecutionStatus.RUNNING
    (finding,) = [found for found in examine(services.settings) if found.part == "executions"]
    assert f"a workflow type that the services do not have, 'unheard_of': {execution_id}" in finding.detail
    assert service.cancel(execution_id).cancelled_now


def test_a_bad_input_is_refused_with_its_field(service: WorkflowService) -> None:
    with pytest.raises(WorkflowStartError, match="days_to_answer"):
        service.start("article_review", ARTICLE | {"days_to_answer": "soon"})
