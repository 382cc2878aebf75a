"""What a person does in the Dagster UI has the effect on the tables that the same call of the service has."""

from collections.abc import Iterator
from typing import Any

import pytest
from dagster_graphql import DagsterGraphQLClient
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from beep_orchestration.dagster_client import EXECUTION_TAG
from beep_orchestration.errors import WorkflowNotFoundError
from beep_orchestration.ids import execution_id_for_run
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.service import WorkflowService
from beep_orchestration.supervisor import Services
from tests.browser import browser
from tests.waiting import wait_until

__all__ = ["browser"]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Using variable_values:DeprecationWarning"),  # Dagster's client does
]

LONG_TEXT = "\n\n".join(
    f"Ada Lovelace number {n} was born in London in {1000 + n}. She worked with Charles Babbage." for n in range(1_000)
)
LAUNCHPAD_CONFIG = """
ops:
  chunk_text:
    config:
      document_id: pasted
      text: Grace Hopper was born in New York City in 1906.
"""
REEXECUTE = """
mutation Reexecute($parent: String!, $strategy: ReexecutionStrategy!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $parent, strategy: $strategy}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""

EVENTS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events { __typename } } } } }"


@pytest.fixture
def service(services: Services) -> Iterator[WorkflowService]:
    with WorkflowService.connect(services.settings) as connected:
        yield connected


@pytest.fixture
def dagster(services: Services) -> DagsterGraphQLClient:
    return DagsterGraphQLClient(services.settings.host, port_number=services.settings.port, timeout=60)


def run_status(dagster: DagsterGraphQLClient, run_id: str) -> str:
    return dagster.get_run_status(run_id).value


def run_job(dagster: DagsterGraphQLClient, job: str, op: str, config: dict[str, Any]) -> str:
    run_id = dagster.submit_job_execution(job, run_config={"ops": {op: {"config": config}}})
    wait_until(lambda: run_status(dagster, run_id) in {"SUCCESS", "FAILURE"}, 60, f"{job} has ended")
    return run_status(dagster, run_id)


def started(service: WorkflowService, text: str = LONG_TEXT) -> str:
    """An execution with activities under way."""
    execution_id = service.start("extraction", {"document_id": "long", "text": text})
    wait_until(lambda: _done(service, execution_id, "mentions") > 2, 60, "activities are completed")
    return execution_id


def _done(service: WorkflowService, execution_id: str, activity_type: str) -> int:
    stage = service.get_status(execution_id).activities.get(activity_type)
    return 0 if stage is None else stage.done


@pytest.mark.browser
def test_a_run_from_the_launchpad_has_its_rows(services: Services, service: WorkflowService, browser: Chrome) -> None:
    browser.get(f"{services.url}/locations/beep_orchestration/jobs/extraction/playground")
    wait = WebDriverWait(browser, 60)
    wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, ".CodeMirror"))
    browser.execute_script(  # type: ignore[no-untyped-call]
        "document.querySelector('.CodeMirror').CodeMirror.setValue(arguments[0])", LAUNCHPAD_CONFIG
    )
    wait.until(_launch_button).click()
    wait.until(lambda page: "/runs/" in page.current_url)
    execution_id = execution_id_for_run(browser.current_url.rpartition("/runs/")[2][:36])
    wait_until(lambda: _is_completed(service, execution_id), 60, "the execution is completed")
    names = {entity["name"] for entity in service.result(execution_id)["entities"]}
    assert {"Grace Hopper", "New York City"} <= names
    wait.until(lambda page: "RUN_SUCCESS" in page.page_source)
    assert execution_id in browser.page_source


def _launch_button(page: Chrome) -> Any:
    buttons = [button for button in page.find_elements(By.TAG_NAME, "button") if button.text.strip() == "Launch Run"]
    return next((button for button in buttons if button.is_enabled()), None)


def _is_completed(service: WorkflowService, execution_id: str) -> bool:
    try:
        return service.get_status(execution_id).status is ExecutionStatus.COMPLETED
    except WorkflowNotFoundError:
        return False


def test_terminating_the_run_in_the_ui_cancels_the_execution(
    service: WorkflowService, dagster: DagsterGraphQLClient
) -> None:
    execution_id = started(service)
    dagster.terminate_run(service.get_status(execution_id).dagster_run_ids[-1])
    wait_until(lambda: service.get_status(execution_id).status is ExecutionStatus.CANCELLED, 60, "it is cancelled")
    with service._database.transaction() as tables:
        attempts = tables.activities.list_attempts(service.get_status(execution_id).execution_id)
    assert {attempt.status.value for attempt in attempts} <= {"completed", "failed", "pending"}


def test_re_executing_in_the_ui_goes_on_and_repeats_nothing(
    service: WorkflowService, dagster: DagsterGraphQLClient
) -> None:
    execution_id = started(service)
    service.cancel(execution_id)
    parent = service.get_status(execution_id).dagster_run_ids[-1]
    wait_until(lambda: run_status(dagster, parent) in {"CANCELED", "FAILURE"}, 60, "the run has ended")
    run_id = _reexecute(dagster, parent, "ALL_STEPS")
    wait_until(lambda: service.get_status(execution_id).status is not ExecutionStatus.CANCELLED, 60, "it goes on")
    status = service.wait(execution_id, timeout_seconds=120)
    assert status.status is ExecutionStatus.COMPLETED
    assert status.dagster_run_ids[-1] == run_id
    with service._database.transaction() as tables:
        attempts = tables.activities.list_attempts(status.execution_id)
    completed = [attempt.activity_name for attempt in attempts if attempt.status.value == "completed"]
    assert len(completed) == len(set(completed)) == sum(stage.total for stage in status.activities.values())
    again = _reexecute(dagster, run_id, "ALL_STEPS")
    wait_until(lambda: run_status(dagster, again) == "SUCCESS", 60, "the completed execution is read again")
    assert service.get_status(execution_id).attempts == status.attempts


def _reexecute(dagster: DagsterGraphQLClient, parent: str, strategy: str) -> str:
    answer = dagster._execute(REEXECUTE, {"parent": parent, "strategy": strategy})["launchRunReexecution"]
    run_id: str = answer["run"]["runId"]
    return run_id


def test_the_steering_jobs_do_what_the_service_does(service: WorkflowService, dagster: DagsterGraphQLClient) -> None:
    execution_id = started(service)
    signal = {
        "execution_id": execution_id,
        "signal_name": "approve",
        "payload": {"by": "operator"},
        "sender_key": "one",
    }
    assert run_job(dagster, "send_signal", "store_signal", signal) == "SUCCESS"
    assert run_job(dagster, "cancel_workflow", "cancel_execution", {"execution_id": execution_id}) == "SUCCESS"
    assert service.get_status(execution_id).status is ExecutionStatus.CANCELLED
    with service._database.transaction() as tables:
        sent = tables.signals.load(service.get_status(execution_id).execution_id, limit=10, name="approve")
    assert [row.payload["by"] for row in sent] == ["operator"]
    assert run_job(dagster, "send_signal", "store_signal", signal | {"sender_key": "two"}) == "FAILURE"
    assert run_job(dagster, "resume_workflow", "resume_execution", {"execution_id": execution_id}) == "SUCCESS"
    assert service.wait(execution_id, timeout_seconds=120).status is ExecutionStatus.COMPLETED


def test_runs_carry_their_execution_as_a_tag(service: WorkflowService, dagster: DagsterGraphQLClient) -> None:
    execution_id = service.start("extraction", {"document_id": "d", "text": "Alan Turing was born in London."})
    status = service.wait(execution_id, timeout_seconds=60)
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
    tags = dagster._execute(query, {"id": status.dagster_run_ids[-1]})["runOrError"]["tags"]
    assert {"key": EXECUTION_TAG, "value": execution_id} in tags


def test_a_cancel_from_the_ui_does_not_wait_for_the_runs_that_fill_the_queue(
    service: WorkflowService, dagster: DagsterGraphQLClient
) -> None:
    running = [service.start("extraction", {"document_id": f"long-{n}", "text": LONG_TEXT}) for n in range(6)]
    wait_until(lambda: _done(service, running[0], "mentions") > 0, 60, "the first is under way")
    config = {"ops": {"cancel_execution": {"config": {"execution_id": running[0]}}}}
    run_id = dagster.submit_job_execution("cancel_workflow", run_config=config)
    wait_until(lambda: run_status(dagster, run_id) == "SUCCESS", 60, "the cancel has been carried out")
    answer = dagster._execute(EVENTS, {"id": run_id})["runOrError"]["eventConnection"]["events"]
    assert "RunEnqueuedEvent" not in {event["__typename"] for event in answer}
    for execution_id in running[1:]:
        service.cancel(execution_id)
