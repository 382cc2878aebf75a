"""Code server, daemon and webserver that are killed, and answers that are lost: cases 6, 8, 9, 22 and 44."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import create_engine

from beep_orchestration.dagster_client import EXECUTION_TAG, DagsterClient
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import WorkflowPersistence
from beep_orchestration.persistence.rows import NewExecution
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import with_driver
from tests.factories import new_execution
from tests.faults.documents import document
from tests.faults.installation import HOST, Installation
from tests.faults.invariants import assert_sound, wait_until_idle
from tests.faults.proxy import Proxy, Trouble
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

LAUNCHES = b"mutation"


def test_06_cancel_takes_effect_while_the_code_server_is_dead(installation: Installation) -> None:
    fault = installation.control.arm("inside_activity", "hang", subject="mentions-1")
    execution_id = installation.start(document(3, 6))
    worker = psutil.Process(installation.control.wait_for(fault).pid)
    installation.kill("code server")
    assert installation.service.cancel(execution_id).cancelled_now
    wait_until(lambda: _dagster_statuses(installation, execution_id) == ["CANCELED"] or not worker.is_running())
    wait_until(
        lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, description="the worker has ended"
    )
    assert installation.service.get_status(execution_id).status is ExecutionStatus.CANCELLED
    wait_until_idle(installation)
    installation.wait_ready()
    installation.service.resume(execution_id)
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=2)


def test_08_daemon_killed_in_a_dispatcher_tick(installation: Installation) -> None:
    daemon = installation.process("daemon").pid
    fault = installation.control.arm("dispatcher_took", "kill", pid=daemon)
    execution_id = _accept_without_dagster(installation, 8)
    installation.control.wait_for(fault)
    installation.wait_completed([execution_id])
    assert len(_dagster_statuses(installation, execution_id)) == 1
    assert_sound(installation, [execution_id], faults=0)


@pytest.mark.parametrize("launcher", ["webserver", "daemon"])
def test_08b_launcher_killed_between_run_row_and_launch(installation: Installation, launcher: str) -> None:
    faults = [installation.control.arm("worker_forked", "kill", pid=installation.process(launcher).pid)]
    if launcher == "webserver":
        execution_id = installation.start(document(2, 82))
    else:
        execution_id = _accept_without_dagster(installation, 83)
    installation.control.wait_for(faults[0])
    installation.wait_completed([execution_id])
    assert_sound(installation, [execution_id], faults=0)


def test_09_the_answer_to_a_launch_is_lost(installation: Installation) -> None:
    with _service_behind_a_proxy(installation) as (service, proxy):
        with proxy.trouble(Trouble(swallows=1, marker=LAUNCHES)) as trouble:
            execution_id = service.start("extraction", document(2, 9), idempotency_key="lost-answer")
        assert trouble.swallowed == 1
        assert service.start("extraction", document(2, 9), idempotency_key="lost-answer") == execution_id
    installation.wait_completed([execution_id])
    wait_until_idle(installation)
    assert len(_dagster_statuses(installation, execution_id)) == 1
    assert_sound(installation, [execution_id], faults=0)


def test_22_rows_that_commit_late_are_seen(installation: Installation) -> None:
    raw = document(2, 22)
    template = new_execution(
        organization_id=installation.services.settings.organization, input=_stored_input(installation, raw)
    )
    engine = create_engine(with_driver(installation.postgres.url, "psycopg"))
    with engine.begin() as connection:
        assert WorkflowPersistence(connection).executions.save(template)
        later = _accept_without_dagster(installation, 23)
        installation.wait_completed([later])  # a dispatcher has looked, and seen what began later
    engine.dispose()
    installation.wait_completed([template.id])
    assert_sound(installation, [template.id, later], faults=0)


def test_44_more_runs_than_the_projections_take_at_a_time(installation: Installation) -> None:
    """Their limit is five a tick; the status is true at once, because the runs write it themselves."""
    execution_ids = [installation.start(document(1, 440 + number)) for number in range(12)]
    installation.wait_completed(execution_ids)
    assert_sound(installation, execution_ids, faults=0)


def _accept_without_dagster(installation: Installation, seed: int) -> str:
    """An execution that was accepted when Dagster was away: nobody but the dispatcher launches it."""
    settings = installation.services.settings
    nowhere = DagsterClient(HOST, 1, code_location=settings.code_location, timeout_seconds=2)
    service = WorkflowService(installation.database, nowhere, settings.organization, settings)
    return service.start("extraction", document(2, seed))


def _stored_input(installation: Installation, raw: dict[str, object]) -> dict[str, object]:
    settings = installation.services.settings
    nowhere = DagsterClient(HOST, 1, code_location=settings.code_location, timeout_seconds=2)
    service = WorkflowService(installation.database, nowhere, settings.organization, settings)
    new: NewExecution = service._new_execution("extraction", raw, None)
    return new.input


@contextmanager
def _service_behind_a_proxy(installation: Installation) -> Iterator[tuple[WorkflowService, Proxy]]:
    """A service whose way to the webserver can be broken."""
    settings = installation.services.settings
    proxy = Proxy(lambda: settings.port)
    try:
        dagster = DagsterClient(HOST, proxy.port, code_location=settings.code_location, timeout_seconds=10)
        yield WorkflowService(installation.database, dagster, settings.organization, settings), proxy
    finally:
        proxy.close()


def _dagster_statuses(installation: Installation, execution_id: str) -> list[str]:
    statement = "SELECT status FROM runs JOIN run_tags USING (run_id) WHERE key = %s AND value = %s"
    return [str(status) for (status,) in installation.postgres.ask(statement, EXECUTION_TAG, execution_id)]
