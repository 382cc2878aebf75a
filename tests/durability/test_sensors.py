"""The sensors: what was accepted is launched once, what a dead process could not write is repaired."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy import text

from beep_orchestration import sensors
from beep_orchestration.dagster_client import (
    ABOUT_TAG,
    DAGSTER_PARENT_TAG,
    DAGSTER_ROOT_TAG,
    EXECUTION_TAG,
    ORGANIZATION_TAG,
    PARENT_TAG,
    WORKFLOW_TYPE_TAG,
    WORKFLOW_VERSION_TAG,
    launch_tags,
)
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus, RunOutcome
from beep_orchestration.persistence import Database, RunRow
from beep_orchestration.reconciliation import record_run_end
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings, load_settings
from tests.durability.location import extraction_job
from tests.durability.workflow import claim, load, snapshot, start, statuses
from tests.factories import ORGANIZATION, claimed, dagster_run_of, ended, with_attempt

EVENTS = {
    dg.DagsterRunStatus.QUEUED: dg.DagsterEventType.RUN_ENQUEUED,
    dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.RUN_CANCELED,
}
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
OUTCOMES = {
    dg.DagsterRunStatus.SUCCESS: RunOutcome.SUCCEEDED,
    dg.DagsterRunStatus.FAILURE: RunOutcome.FAILED,
    dg.DagsterRunStatus.CANCELED: RunOutcome.CANCELLED,
}
LONG_WAIT = 30.0
LATE = (
    "UPDATE knowledge_workflow_execution SET launch_at = clock_timestamp() - make_interval(secs => :seconds) "
    "WHERE id = :id"
)

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _metric(reader: InMemoryMetricReader, name: str) -> float:
    """The newest value of a gauge."""
    data = reader.get_metrics_data()
    assert data is not None
    found = [
        point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]
    return float(found[-1])


def dispatch(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What one tick of the dispatcher asks Dagster for."""
    context = dg.build_sensor_context(instance=instance)
    return [answer for answer in sensors.dispatcher(context) or [] if isinstance(answer, dg.RunRequest)]


def reconcile(instance: dg.DagsterInstance, cursor: str | None = None) -> str | None:
    """One tick of the reconciler; the cursor that it leaves."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    assert isinstance(sensors.reconciler(context), dg.SkipReason)
    return context.cursor


def tags_of(execution: WorkflowExecutionId) -> dict[str, str]:
    return launch_tags(execution, ORGANIZATION, "extraction", 1, None)


def dagster_run(instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run that Dagster knows of."""
    return instance.create_run_for_job(extraction_job(), tags=tags, status=status)


def project(instance: dg.DagsterInstance, run: dg.DagsterRun, status: dg.DagsterRunStatus | None = None) -> None:
    """What the sensor of a status, the run's own unless told otherwise, does when it sees its event."""
    status = status or run.status
    event = dg.DagsterEvent(event_type_value=EVENTS[status].value, job_name=run.job_name)
    name = f"project_{status.value.lower()}_runs"
    sensor = next(sensor for sensor in sensors.projections if sensor.name == name)
    context = dg.build_run_status_sensor_context(
        sensor_name=name, dagster_event=event, dagster_instance=instance, dagster_run=run
    )
    list(sensor(context) or [])


def row_of(database: Database, run_id: str) -> RunRow:
    with database.transaction() as tables:
        row = tables.runs.find(run_id)
    assert row is not None
    return row


def assert_ended_and_launched_again(
    database: Database, instance: dg.DagsterInstance, execution: WorkflowExecutionId, run_id: str
) -> None:
    """The run is lost in the tables and failed in Dagster, and the execution is due."""
    record = instance.get_run_by_id(run_id)
    assert record is not None
    assert record.status is dg.DagsterRunStatus.FAILURE
    assert row_of(database, run_id).outcome is RunOutcome.LOST
    assert [request.tags[EXECUTION_TAG] for request in dispatch(instance)] == [execution]


def carried(
    database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED
) -> tuple[WorkflowExecutionId, dg.DagsterRun]:
    """An execution that a run of Dagster's has claimed."""
    execution = start(database)
    run = dagster_run(instance, tags_of(execution), status)
    claim(database, execution, run.run_id)
    return execution, run


def launches_so_far(database: Database, execution: WorkflowExecutionId, count: int) -> None:
    with database.transaction() as tables:
        statement = "UPDATE knowledge_workflow_execution SET launches = :count WHERE id = :id"
        tables.connection.execute(text(statement), {"count": count, "id": execution})


def clock(database: Database) -> datetime:
    with database.transaction() as tables:
        now: datetime = tables.connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now


class TestDispatcher:
    def test_each_execution_that_is_due_is_launched_once(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        due = {start(database, about="letters") for _ in range(3)}
        requests = dispatch(instance)
        assert {request.tags[EXECUTION_TAG] for request in requests} == due
        assert len({request.run_key for request in requests}) == len(requests) == 3
        first = requests[0]
        assert first.job_name == "extraction"
        assert first.tags[ORGANIZATION_TAG] == ORGANIZATION
        assert (first.tags[WORKFLOW_TYPE_TAG], first.tags[WORKFLOW_VERSION_TAG]) == ("extraction", "1")
        assert first.tags["dagster/retry_strategy"] == "ALL_STEPS"
        assert first.tags[ABOUT_TAG] == "letters"
        assert dispatch(instance) == []

    def test_what_the_service_has_just_accepted_is_left_to_it(
        self, instance: dg.DagsterInstance, service: WorkflowService
    ) -> None:
        service.start("extraction", {"document_id": "letter", "text": "Ada Lovelace lived in London."})
        assert dispatch(instance) == []

    def test_an_execution_that_a_run_carries_is_not_launched(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution = start(database)
        with database.transaction() as tables:
            tables.runs.save("run-1", execution, ORGANIZATION)
        assert dispatch(instance) == []

    @pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
    def test_an_execution_that_has_ended_is_not_launched(
        self, database: Database, instance: dg.DagsterInstance, status: ExecutionStatus
    ) -> None:
        with database.transaction() as tables:
            execution = ended(tables, status)
            tables.runs.end(dagster_run_of(execution), RunOutcome.FAILED)
        assert dispatch(instance) == []

    def test_a_run_follows_the_earlier_ones(self, database: Database, instance: dg.DagsterInstance) -> None:
        execution = start(database)
        with database.transaction() as tables:
            for run in ("run-1", "run-2"):
                tables.runs.save(run, execution, ORGANIZATION)
                tables.runs.end(run, RunOutcome.FAILED)
        (request,) = dispatch(instance)
        assert request.tags[PARENT_TAG] == request.tags[DAGSTER_PARENT_TAG] == "run-2"
        assert request.tags[DAGSTER_ROOT_TAG] == "run-1"

    def test_a_tick_that_died_is_made_up_for_with_another_key(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution = start(database)
        (lost,) = dispatch(instance)
        with database.transaction() as tables:
            tables.executions.schedule_launch(execution, 0)
        (again,) = dispatch(instance)
        assert again.tags[EXECUTION_TAG] == lost.tags[EXECUTION_TAG]
        assert again.run_key != lost.run_key

    def test_two_dispatchers_never_take_the_same_execution(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        due = {start(database) for _ in range(60)}
        together = threading.Barrier(2)
        taken: list[str] = []

        def tick() -> None:
            together.wait(LONG_WAIT)
            taken.extend(request.tags[EXECUTION_TAG] for request in dispatch(instance))

        threads = [threading.Thread(target=tick) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_WAIT)
        taken.extend(request.tags[EXECUTION_TAG] for request in dispatch(instance))
        assert len(taken) == len(set(taken))
        assert set(taken) == due

    def test_a_tick_is_bounded_and_the_longest_due_come_first(
        self, database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sensors, "_LAUNCHES_PER_TICK", 2)
        due = [start(database) for _ in range(5)]
        taken = [{request.tags[EXECUTION_TAG] for request in dispatch(instance)} for _ in range(4)]
        assert taken == [set(due[:2]), set(due[2:4]), set(due[4:]), set()]

    def test_a_run_whose_launch_was_not_answered_is_recorded_and_not_doubled(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution = start(database)
        run = dagster_run(instance, tags_of(execution), dg.DagsterRunStatus.NOT_STARTED)
        assert dispatch(instance) == []
        assert row_of(database, run.run_id).workflow_execution_id == execution

    def test_a_run_that_has_parked_does_not_hold_back_the_next_whatever_dagster_says(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        """Its process may be stopped, or have died, before it told Dagster of its end."""
        execution, run = carried(database, instance)
        with database.transaction() as tables:
            tables.runs.end(run.run_id, RunOutcome.PARKED)
            tables.executions.schedule_launch(execution, 0)
        assert [request.tags[EXECUTION_TAG] for request in dispatch(instance)] == [execution]

    def test_how_late_launches_are_is_a_metric(
        self, database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With more due than a tick takes, those that are left show in the next one."""
        monkeypatch.setattr(sensors, "_LAUNCHES_PER_TICK", 2)
        reader = InMemoryMetricReader()
        sensors._meter.on_set_meter_provider(MeterProvider(metric_readers=[reader]))
        late = {start(database): seconds for seconds in (90, 60, 30)}
        with database.transaction() as tables:
            for execution, seconds in late.items():
                tables.connection.execute(text(LATE), {"seconds": seconds, "id": execution})
        lags = []
        for _ in range(3):
            dispatch(instance)
            lags.append(_metric(reader, "beep.launch_lag"))
        assert [90 <= lags[0] < 90 + LONG_WAIT, 30 <= lags[1] < 30 + LONG_WAIT, lags[2] == 0] == [True] * 3

    @pytest.mark.parametrize("status", ENDED)
    def test_a_run_that_has_ended_does_not_hold_back_the_next(
        self, database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        execution = start(database)
        dagster_run(instance, tags_of(execution), status)
        assert [request.tags[EXECUTION_TAG] for request in dispatch(instance)] == [execution]


class TestProjections:
    def test_a_queued_run_is_known_before_it_claims(self, database: Database, instance: dg.DagsterInstance) -> None:
        execution = start(database)
        run = dagster_run(instance, tags_of(execution), dg.DagsterRunStatus.NOT_STARTED)
        project(instance, run, dg.DagsterRunStatus.QUEUED)
        row = row_of(database, run.run_id)
        assert (row.workflow_execution_id, row.epoch, row.outcome) == (execution, None, None)

    @pytest.mark.parametrize("status", ENDED)
    def test_the_end_of_a_run_is_recorded_once(
        self, database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        execution, run = carried(database, instance, status)
        with database.transaction() as tables:
            assert tables.executions.complete(execution, 1, {})
        project(instance, run)
        row = row_of(database, run.run_id)
        assert row.outcome is OUTCOMES[status]
        before = snapshot(database, execution)
        project(instance, run)
        assert (row_of(database, run.run_id), snapshot(database, execution)) == (row, before)
        assert load(database, execution).status is ExecutionStatus.COMPLETED

    def test_a_run_cancelled_in_the_ui_cancels_its_execution(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution, run = carried(database, instance, dg.DagsterRunStatus.CANCELED)
        with database.transaction() as tables:
            with_attempt(tables, tables.executions.load(execution))
        project(instance, run)
        assert load(database, execution).status is ExecutionStatus.CANCELLED
        assert statuses(database, execution) == {"mentions-0": ["failed"]}

    def test_a_run_cancelled_while_queued_cancels_its_execution(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution = start(database)
        project(instance, dagster_run(instance, tags_of(execution), dg.DagsterRunStatus.CANCELED))
        assert load(database, execution).status is ExecutionStatus.CANCELLED

    @pytest.mark.parametrize("status", ENDED)
    def test_a_run_with_a_successor_changes_nothing_by_its_end(
        self, database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        execution, run = carried(database, instance, status)
        with database.transaction() as tables:
            tables.runs.release_lease(run.run_id, 1)
        claim(database, execution, "successor")
        before = snapshot(database, execution)
        project(instance, run)
        assert snapshot(database, execution) == before
        assert dispatch(instance) == []

    @pytest.mark.parametrize("status", ENDED)
    def test_the_late_news_of_an_earlier_run_do_not_end_or_delay_the_execution(
        self, database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        execution, run = carried(database, instance, status)
        with database.transaction() as tables:
            tables.runs.release_lease(run.run_id, 1)
        claim(database, execution, "successor")
        with database.transaction() as tables:
            record_run_end(tables, "successor", RunOutcome.FAILED, maximum_launches=3)
        before = snapshot(database, execution)
        project(instance, run)
        assert snapshot(database, execution) == before

    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS])
    @pytest.mark.parametrize(("launches", "backoff"), [(1, 0), (2, 1)])
    def test_an_execution_whose_run_ended_before_it_is_launched_again_with_backoff(
        self,
        database: Database,
        instance: dg.DagsterInstance,
        status: dg.DagsterRunStatus,
        launches: int,
        backoff: float,
    ) -> None:
        execution, run = carried(database, instance, status)
        launches_so_far(database, execution, launches)
        before = clock(database)
        project(instance, run)
        after = clock(database)
        row = load(database, execution)
        assert row.status is ExecutionStatus.RUNNING
        assert (row.launch_at - before).total_seconds() >= backoff >= (row.launch_at - after).total_seconds()
        with database.transaction() as tables:
            tables.executions.schedule_launch(execution, 0)
        (request,) = dispatch(instance)
        assert request.tags[PARENT_TAG] == run.run_id

    def test_an_execution_that_kills_its_workers_fails_with_that_reason(
        self, database: Database, instance: dg.DagsterInstance, settings: Settings
    ) -> None:
        execution, run = carried(database, instance, dg.DagsterRunStatus.FAILURE)
        with database.transaction() as tables:
            with_attempt(tables, tables.executions.load(execution))
        launches_so_far(database, execution, settings.maximum_launches_without_progress)
        project(instance, run)
        row = load(database, execution)
        assert row.status is ExecutionStatus.FAILED
        assert row.error is not None
        assert row.error.type == "WorkerLost"
        assert run.run_id in row.error.message
        assert statuses(database, execution) == {"mentions-0": ["failed"]}
        assert dispatch(instance) == []

    def test_runs_that_never_claimed_do_not_fail_the_execution(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution = start(database)
        launches_so_far(database, execution, 100)
        project(instance, dagster_run(instance, tags_of(execution), dg.DagsterRunStatus.FAILURE))
        row = load(database, execution)
        assert row.status is ExecutionStatus.RUNNING
        assert (row.launch_at - clock(database)).total_seconds() <= 60

    @pytest.mark.parametrize(
        "tags",
        [
            {},
            {EXECUTION_TAG: "x", ORGANIZATION_TAG: ORGANIZATION},
            {EXECUTION_TAG: WorkflowExecutionId.new(), ORGANIZATION_TAG: ORGANIZATION},
            {EXECUTION_TAG: WorkflowExecutionId.new(), ORGANIZATION_TAG: "nobody"},
        ],
        ids=["none", "no id", "unknown", "no organization"],
    )
    def test_runs_that_carry_nothing_of_ours_are_left_alone(
        self, database: Database, instance: dg.DagsterInstance, tags: dict[str, str]
    ) -> None:
        run = dagster_run(instance, tags, dg.DagsterRunStatus.CANCELED)
        project(instance, run)
        with database.transaction() as tables:
            assert tables.runs.find(run.run_id) is None

    def test_a_run_with_the_tags_of_another_organization_cancels_nothing(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution = start(database)
        tags = tags_of(execution) | {ORGANIZATION_TAG: str(ORGANIZATION)[:-2] + "ff"}
        project(instance, dagster_run(instance, tags, dg.DagsterRunStatus.CANCELED))
        assert load(database, execution).status is ExecutionStatus.RUNNING


class TestReconciler:
    def test_a_run_that_dagster_does_not_know_is_lost_and_its_execution_goes_on(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        with database.transaction() as tables:
            execution = claimed(tables)
        reconcile(instance)
        assert row_of(database, dagster_run_of(execution)).outcome is RunOutcome.LOST
        assert [request.tags[EXECUTION_TAG] for request in dispatch(instance)] == [execution.id]

    @pytest.mark.parametrize("status", ENDED)
    def test_an_end_that_the_projections_missed_is_recorded(
        self, database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        execution, run = carried(database, instance, status)
        reconcile(instance)
        assert row_of(database, run.run_id).outcome is OUTCOMES[status]
        is_cancelled = load(database, execution).status is ExecutionStatus.CANCELLED
        assert is_cancelled == (status is dg.DagsterRunStatus.CANCELED)

    def test_a_run_whose_worker_is_silent_past_its_lease_is_ended_in_dagster_too(
        self, database: Database, instance: dg.DagsterInstance
    ) -> None:
        execution, run = carried(database, instance)
        with database.transaction() as tables:
            tables.runs.release_lease(run.run_id, 1)
        reconcile(instance)
        assert_ended_and_launched_again(database, instance, execution, run.run_id)

    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    def test_a_run_that_may_go_on_is_left_alone(
        self, database: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        execution, run = carried(database, instance, status)
        before = snapshot(database, execution), row_of(database, run.run_id)
        reconcile(instance)
        assert (snapshot(database, execution), row_of(database, run.run_id)) == before

    def test_a_run_that_was_created_and_never_submitted_is_ended_and_its_execution_launched_again(
        self, database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A webserver that is killed between the two leaves such a run, and Dagster never touches it again."""
        execution = start(database)
        run = dagster_run(instance, tags_of(execution), dg.DagsterRunStatus.NOT_STARTED)
        assert dispatch(instance) == []
        reconcile(instance)
        assert row_of(database, run.run_id).outcome is None
        monkeypatch.setattr(sensors, "_SUBMISSION_SECONDS", -1)
        reconcile(instance)
        assert_ended_and_launched_again(database, instance, execution, run.run_id)

    def test_a_tick_is_bounded_and_all_open_runs_have_their_turn(
        self, database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sensors, "_RUNS_PER_TICK", 2)
        alive = [carried(database, instance)[1].run_id for _ in range(3)]
        with database.transaction() as tables:
            lost = dagster_run_of(claimed(tables))
        cursor = reconcile(instance)
        assert cursor
        assert row_of(database, lost).outcome is None
        cursor = reconcile(instance, cursor)
        assert row_of(database, lost).outcome is RunOutcome.LOST
        assert reconcile(instance, cursor) == ""
        assert all(row_of(database, run).outcome is None for run in alive)

    def test_two_reconcilers_at_once_end_a_run_once(self, database: Database, instance: dg.DagsterInstance) -> None:
        with database.transaction() as tables:
            execution = claimed(tables)
        launches_so_far(database, execution.id, 2)
        together = threading.Barrier(2)

        def tick() -> None:
            together.wait(LONG_WAIT)
            reconcile(instance)

        threads = [threading.Thread(target=tick) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_WAIT)
        ended_row = row_of(database, dagster_run_of(execution))
        assert ended_row.outcome is RunOutcome.LOST
        with database.transaction() as tables:
            record_run_end(tables, dagster_run_of(execution), RunOutcome.CANCELLED, maximum_launches=1)
        assert row_of(database, dagster_run_of(execution)) == ended_row
        assert load(database, execution.id).status is ExecutionStatus.RUNNING


class Inbox:
    """The folder and the sensor's memory of it."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.cursor: str | None = None
        self.requests: list[dg.RunRequest] = []
        self.age = 3_600.0

    def write(self, name: str, content: str | bytes, *, age: float | None = None) -> None:
        """A file that was written that many seconds ago; each a little later than the one before."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.age -= 1
        written = time.time() - (self.age if age is None else age)
        os.utime(path, (written, written))

    def tick(self) -> list[str]:
        """The executions that a tick asks Dagster for."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        answers = list(sensors.inbox(context) or [])
        self.cursor = context.cursor
        self.requests = [answer for answer in answers if isinstance(answer, dg.RunRequest)]
        return [request.tags[EXECUTION_TAG] for request in self.requests]


class TestInbox:
    @pytest.fixture
    def inbox(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, instance: dg.DagsterInstance
    ) -> Inbox:
        folder = tmp_path / "inbox"
        folder.mkdir()
        monkeypatch.setenv("BEEP_INBOX_FOLDER", str(folder))
        load_settings.cache_clear()
        assert load_settings() != settings
        return Inbox(folder, instance)

    @pytest.fixture
    def refused(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The names of the files that were read and refused."""
        names: list[str] = []
        accept = sensors._accept

        def noted(database: Database, path: Path, settings: Settings) -> Any:
            try:
                return accept(database, path, settings)
            except Exception:
                names.append(path.name)
                raise

        monkeypatch.setattr(sensors, "_accept", noted)
        return names

    def test_each_file_is_one_execution(self, database: Database, inbox: Inbox, service: WorkflowService) -> None:
        inbox.write("ada.txt", "Ada Lovelace lived in London.")
        inbox.write("alan.txt", "Alan Turing lived in Wilmslow.")
        started = inbox.tick()
        documents = [service.load_input(execution) for execution in started]
        assert sorted((document["document_id"], document["text"][:4]) for document in documents) == [
            ("ada.txt", "Ada "),
            ("alan.txt", "Alan"),
        ]
        assert {request.tags[ABOUT_TAG] for request in inbox.requests} == {"ada.txt", "alan.txt"}
        assert {service.get_status(execution).about for execution in started} == {"ada.txt", "alan.txt"}
        assert inbox.tick() == []
        assert load(database, WorkflowExecutionId(started[0])).status is ExecutionStatus.RUNNING

    def test_a_file_is_one_execution_also_when_the_cursor_is_lost(self, inbox: Inbox) -> None:
        inbox.write("ada.txt", "Ada Lovelace lived in London.")
        assert len(inbox.tick()) == 1
        inbox.cursor = None
        assert inbox.tick() == []

    def test_a_file_that_changed_is_another_execution(self, inbox: Inbox) -> None:
        inbox.write("ada.txt", "Ada Lovelace lived in London.")
        first = inbox.tick()
        inbox.write("ada.txt", "Ada Lovelace lived in London until 1852.")
        second = inbox.tick()
        assert (len(first), len(second)) == (1, 1)
        assert first != second

    @pytest.mark.parametrize(
        "content", [b"", b" \n", b"a\x00b", b"\xff\xfe\xfd"], ids=["empty", "blank", "NUL", "bytes"]
    )
    def test_a_bad_file_is_refused_once_and_again_when_it_changes(
        self, inbox: Inbox, refused: list[str], content: bytes
    ) -> None:
        inbox.write("bad.txt", content)
        inbox.write("good.txt", "Ada Lovelace lived in London.")
        assert len(inbox.tick()) == 1
        assert inbox.tick() == []
        assert refused == ["bad.txt"]
        inbox.write("bad.txt", content)
        assert inbox.tick() == []
        assert refused == ["bad.txt", "bad.txt"]
        inbox.write("bad.txt", "Alan Turing lived in Wilmslow.")
        assert len(inbox.tick()) == 1

    def test_a_file_that_is_being_written_waits(self, inbox: Inbox) -> None:
        inbox.write("ada.txt", "Ada Love", age=-0.5)
        assert inbox.tick() == []
        inbox.write("ada.txt", "Ada Lovelace lived in London.")
        assert len(inbox.tick()) == 1

    def test_a_file_dated_in_the_future_is_read(self, inbox: Inbox) -> None:
        inbox.write("ada.txt", "Ada Lovelace lived in London.", age=-86_400)
        assert len(inbox.tick()) == 1

    def test_hidden_files_and_folders_are_no_documents(self, inbox: Inbox, refused: list[str]) -> None:
        inbox.write(".ada.txt.swp", "Ada Lovelace lived in London.")
        (inbox.folder / "folder.txt").mkdir()
        assert inbox.tick() == []
        assert refused == []

    def test_a_tick_reads_a_bounded_number_of_files_and_none_is_forgotten(
        self, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sensors, "_FILES_PER_TICK", 2)
        for number in range(5):
            inbox.write(f"{number}.txt", f"Ada Lovelace wrote {number} letters.")
        assert [len(inbox.tick()) for _ in range(4)] == [2, 2, 1, 0]

    def test_no_folder_is_no_error(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        assert settings.inbox_folder is None
        context = dg.build_sensor_context(instance=instance)
        assert [type(answer) for answer in sensors.inbox(context) or []] == [dg.SkipReason]
