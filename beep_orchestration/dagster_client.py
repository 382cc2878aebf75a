"""What the service asks of Dagster, over the webserver's GraphQL: launch, terminate and delete runs."""

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beep_orchestration.errors import DagsterUnavailableError, JobNotLoadedError
from beep_orchestration.persistence import ExecutionRow, RunRow

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient

REPOSITORY_NAME = "__repository__"
"""What Dagster calls the one repository of a location that is loaded from `Definitions`."""

EXECUTION_TAG = "beep/execution_id"
ORGANIZATION_TAG = "beep/organization_id"
WORKFLOW_TYPE_TAG = "beep/workflow_type"
WORKFLOW_VERSION_TAG = "beep/workflow_version"
ABOUT_TAG = "beep/about"
"""What the execution is about, if its input says so. Of our tags the UI's list of runs shows this one first."""

PARENT_TAG = "beep/parent_run_id"
"""The run that a run of ours follows. A person's re-execution copies the tag, so there it differs from Dagster's."""

PARENT_EXECUTION_TAG = "beep/parent_execution_id"
"""On the runs of a child: whose child it is."""

PARKED_TAG = "beep/parked"
"""On a run that ended while its execution waits: for what."""

NEXT_RUN_TAG = "beep/next_run_id"
"""On a parked run: the run that went on."""

DAGSTER_PARENT_TAG = "dagster/parent_run_id"
DAGSTER_ROOT_TAG = "dagster/root_run_id"

_JOB_NOT_FOUND = "PipelineNotFoundError"
"""What the webserver calls it."""

_DELETE_RUN = """
mutation BeepDeleteRun($runId: String!) {
  deleteRun(runId: $runId) {
    __typename
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""


class DagsterClient:
    """Every method raises `DagsterUnavailableError` if Dagster does not answer, or answers with a refusal.

    Safe to use from several threads; each has a connection of its own, because Dagster's client refuses a second user.
    """

    def __init__(self, host: str, port: int, *, code_location: str, timeout_seconds: float) -> None:
        self._host = host
        self._port = port
        self._code_location = code_location
        self._timeout_seconds = timeout_seconds
        self._local = threading.local()

    @property
    def url(self) -> str:
        """The address of the Dagster UI."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def run_url(self, dagster_run_id: str) -> str:
        """The address of a run in the Dagster UI."""
        return f"{self.url}/runs/{dagster_run_id}"

    def launch(self, job_name: str, tags: dict[str, str]) -> str:
        """Have a run of a job launched, or queued; its run id. A lost answer leaves a run that nobody knows of yet.

        Raises `JobNotLoadedError` too, if the code location has no such job, or is not there.
        """
        try:
            return self._client.submit_job_execution(
                job_name,
                repository_location_name=self._code_location,
                repository_name=REPOSITORY_NAME,
                run_config={},
                tags=tags,
            )
        except Exception as error:  # the client raises its own error for all but connection failures of the transport
            if error.args[:1] == (_JOB_NOT_FOUND,):
                raise JobNotLoadedError(self.url, job_name) from error
            raise self._unavailable(error) from error

    def terminate(self, dagster_run_id: str) -> None:
        """Have a run interrupted; Dagster answers before it has ended. Nothing happens if it has ended already."""
        try:
            self._client.terminate_run(dagster_run_id)
        except Exception as error:
            if "TerminateRunFailure" in str(error):
                return  # it has ended by itself in the meantime
            raise self._unavailable(error) from error

    def delete_run(self, dagster_run_id: str) -> None:
        """Have a run and its events deleted. Nothing happens if Dagster does not know it, or not any more."""
        try:
            answer = self._client._execute(_DELETE_RUN, {"runId": dagster_run_id})["deleteRun"]  # noqa: SLF001 - no method
        except Exception as error:
            raise self._unavailable(error) from error
        if answer["__typename"] not in {"DeletePipelineRunSuccess", "RunNotFoundError"}:
            raise DagsterUnavailableError(self.url, f"{answer['__typename']}: {answer.get('message', '')}")

    @property
    def _client(self) -> "DagsterGraphQLClient":
        # These take seconds to import, and reading needs none of them.
        from dagster_graphql import DagsterGraphQLClient  # noqa: PLC0415

        from beep_orchestration.engine.kept_connection import KeptConnection  # noqa: PLC0415

        client: DagsterGraphQLClient | None = getattr(self._local, "client", None)
        if client is None:
            transport = KeptConnection(f"{self.url}/graphql", timeout=math.ceil(self._timeout_seconds))
            client = DagsterGraphQLClient(self._host, port_number=self._port, transport=transport)
            self._local.client = client
        return client

    def _unavailable(self, error: Exception) -> DagsterUnavailableError:
        return DagsterUnavailableError(self.url, _cause_of(error))


def _cause_of(error: Exception) -> str:
    """What the operating system says, if that is the reason; otherwise the words of Dagster's client."""
    reason: BaseException = error
    while (before := reason.__cause__ or reason.__context__) is not None:
        reason = before
    if isinstance(reason, OSError):
        return reason.strerror or str(reason)
    told = error.__cause__ or error
    return f"{type(told).__name__}: {str(told).strip()[:300]}"


def launch_tags(
    execution_id: str,
    organization_id: str,
    workflow_type: str,
    workflow_version: int,
    follows: tuple[str, str] | None,
    *,
    parent_execution_id: str | None = None,
    about: str | None = None,
) -> dict[str, str]:
    """The tags of a run that carries an execution; `follows` are the newest and the first of its earlier runs."""
    tags = {
        EXECUTION_TAG: execution_id,
        ORGANIZATION_TAG: organization_id,
        WORKFLOW_TYPE_TAG: workflow_type,
        WORKFLOW_VERSION_TAG: str(workflow_version),
        "dagster/retry_strategy": "ALL_STEPS",
    }
    if about is not None:
        tags[ABOUT_TAG] = about
    if parent_execution_id is not None:
        tags[PARENT_EXECUTION_TAG] = parent_execution_id
    if follows is not None:
        parent, root = follows
        tags |= {PARENT_TAG: parent, DAGSTER_PARENT_TAG: parent, DAGSTER_ROOT_TAG: root}
    return tags


def tags_of_launch(execution: ExecutionRow, earlier: Sequence[RunRow]) -> dict[str, str]:
    """The tags of an execution's next run; `earlier` are those that it had, the oldest first."""
    return launch_tags(
        execution.id,
        execution.organization_id,
        execution.workflow_type,
        execution.workflow_version,
        (earlier[-1].dagster_run_id, earlier[0].dagster_run_id) if earlier else None,
        parent_execution_id=execution.parent_execution_id,
        about=execution.about,
    )
