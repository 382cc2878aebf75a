"""Stock Dagster on the same server: `dagster dev`, its own home and database, no queue (its fastest set-up)."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from dagster import DagsterInstance, DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient

from beep_orchestration.settings import with_driver
from beep_orchestration.supervisor.home import free_port
from beep_orchestration.supervisor.readiness import find_readiness
from benchmarks.processes import started

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class StockDagster:
    client: DagsterGraphQLClient
    instance: DagsterInstance
    mark: str

    def run_one(self, job: str) -> float:
        """Seconds from the submission to the end that Dagster recorded."""
        began = time.time()
        return self._wait(self._submit(job)) - began

    def run_many(self, job: str, count: int) -> float:
        began = time.time()
        ids = [self._submit(job) for _ in range(count)]
        return max(map(self._wait, ids)) - began

    def _submit(self, job: str) -> str:
        return self.client.submit_job_execution(job, run_config={})

    def _wait(self, run_id: str) -> float:
        while True:
            record = self.instance.get_run_record_by_id(run_id)
            if record is not None and record.dagster_run.is_finished:
                break
            time.sleep(_POLL_SECONDS)
        if record.dagster_run.status is not DagsterRunStatus.SUCCESS or record.end_time is None:
            raise RuntimeError(f"stock run {run_id} is {record.dagster_run.status}")
        return record.end_time


@contextmanager
def stock_dagster(folder: Path, database_url: str) -> Iterator[StockDagster]:
    folder.mkdir()
    configuration = {
        "storage": {"postgres": {"postgres_url": with_driver(database_url, "psycopg2")}},
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "benchmarks.peers.stock_location", "-p", str(port)]
    location = "benchmarks.peers.stock_location"
    environment = {"DAGSTER_HOME": str(folder), "PYTHONPATH": str(Path.cwd())}
    with ExitStack() as stack:
        stack.enter_context(started(command, environment, folder / "log"))
        _wait_until_ready(f"http://127.0.0.1:{port}", location)
        instance = stack.enter_context(DagsterInstance.from_config(str(folder)))
        yield StockDagster(DagsterGraphQLClient("127.0.0.1", port_number=port, timeout=120), instance, str(folder))


def _wait_until_ready(url: str, location: str) -> None:
    deadline = time.monotonic() + 180
    while (readiness := find_readiness(url, location)) is None or readiness.location_error is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"stock Dagster: {readiness}")
        time.sleep(0.5)
