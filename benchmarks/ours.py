"""Our system under test: the real services on a database of the benchmark's server."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from beep_orchestration.models import ExecutionStatus, WorkflowStatus
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import running_services
from beep_orchestration.supervisor.home import free_port


@dataclass(frozen=True)
class Ours:
    """The services, and a connected facade. `mark` is in the environment of each of their processes."""

    service: WorkflowService
    settings: Settings

    @property
    def database_url(self) -> str:
        url = self.settings.database_url
        return "" if url is None else url.get_secret_value()

    @property
    def mark(self) -> str:
        return str(self.settings.data_folder.absolute())

    def run_one(self, given: dict[str, Any]) -> float:
        """Seconds from the call of `start` to the completion that the tables show (one machine, one clock)."""
        started = time.time()
        return self.wait(self.service.start("extraction", given)) - started

    def run_many(self, given: dict[str, Any], count: int) -> float:
        """Seconds from the first `start` to the last completion."""
        started = time.time()
        ids = self.service.start_many("extraction", [given] * count)
        return self.wait_for(ids) - started

    def wait_for(self, ids: Sequence[str]) -> float:
        """When the last of them completed, in Unix seconds."""
        return max(map(self.wait, ids))

    def wait(self, execution_id: str) -> float:
        """When the execution completed, in Unix seconds."""
        return _completion(self.service.wait(execution_id))


def _completion(status: WorkflowStatus) -> float:
    if status.status is not ExecutionStatus.COMPLETED or status.completed_at is None:
        raise RuntimeError(f"{status.execution_id} is {status.status}: {status.error}")
    return status.completed_at.timestamp()


@contextmanager
def ours(folder: Path, database_url: str) -> Iterator[Ours]:
    """Run the services as long as the block lasts; when it begins a fork server waits for the first execution."""
    folder.mkdir()
    settings = Settings(data_folder=folder, port=free_port("127.0.0.1"), database_url=SecretStr(database_url))
    with ExitStack() as stack:
        services = stack.enter_context(running_services(settings, print, definitions="benchmarks.location"))
        service = stack.enter_context(WorkflowService.connect(services.settings))
        while not list(folder.glob("dagster/run_workers/servers/*/server.sock")):
            time.sleep(0.1)
        yield Ours(service, services.settings)
