"""The real job: whichever way a run of it is launched, the graph is whole and no completed activity is repeated."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from beep_orchestration import faults
from beep_orchestration.dagster_client import (
    ABOUT_TAG,
    DAGSTER_PARENT_TAG,
    DAGSTER_ROOT_TAG,
    EXECUTION_TAG,
    ORGANIZATION_TAG,
    PARENT_TAG,
    launch_tags,
)
from beep_orchestration.errors import IdempotencyConflictError
from beep_orchestration.extraction import Extractors, extract, parse_extraction_input
from beep_orchestration.extraction.model import Graph, Source
from beep_orchestration.extraction.taught.learning import Pupil
from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_run
from beep_orchestration.jobs import WORKFLOW_JOBS, WORKFLOW_RESOURCES
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from beep_orchestration.resources import ExecutionSession
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from beep_orchestration.workflow_types import EXTRACTION
from tests.durability.location import extraction_job
from tests.durability.workflow import assert_consistent, attempts, load, statuses
from tests.extraction.films import ONTOLOGY, films
from tests.factories import ORGANIZATION
from tests.faults.extractors import quick_extractors

TEXT = """Ada Lovelace was born in London in 1815. She worked with Charles Babbage on the Analytical Engine.

Alan Turing was born in London in 1912 and studied at King's College in Cambridge. He worked at Bletchley Park.

Grace Hopper was born in New York City. She worked for the United States Navy and studied at Yale University.
"""
HILL = (
    "John Bardeen of Bell Labs built the first transistor at Murray Hill. "
    "Its research moved to Murray Hill in New Jersey."
)
FILM = "The Night of the Hunter is a 1955 thriller film directed by Charles Laughton."
DOCUMENT = {
    "document_id": "pioneers",
    "text": TEXT,
    "options": {"chunk_size": 200, "chunk_overlap": 0, "batch_size": 3, "concurrency": 2},
}
STAGES = ("chunk", "mentions-1", "entities-0", "relations-1", "assemble")
RUN_CONFIG = {"ops": {"chunk_text": {"config": DOCUMENT}}}

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="module")
def graph() -> str:
    """What the same functions make of the document in memory."""
    return canonical(extract(parse_extraction_input(DOCUMENT)).model_dump(mode="json"))


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def run(instance: dg.DagsterInstance, *, config: Any = None, **tags: str) -> dg.ExecuteInProcessResult:
    return extraction_job().execute_in_process(run_config=config, instance=instance, tags=tags, raise_on_error=False)


def launched_in_the_ui(instance: dg.DagsterInstance) -> tuple[dg.ExecuteInProcessResult, WorkflowExecutionId]:
    result = run(instance, config=RUN_CONFIG)
    return result, execution_id_for_run(result.run_id)


def re_executed(instance: dg.DagsterInstance, earlier: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
    """All steps again, as the UI does: the tags are copied."""
    return run(instance, config=RUN_CONFIG, **_copied_tags(instance, earlier.run_id))


def _copied_tags(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    record = instance.get_run_by_id(run_id)
    assert record is not None
    return {DAGSTER_ROOT_TAG: run_id} | dict(record.tags) | {DAGSTER_PARENT_TAG: run_id}


def output_of(database: Database, execution: WorkflowExecutionId) -> str:
    with database.transaction() as tables:
        return canonical(tables.executions.load_output(execution))


def fail_at(point: faults.FaultPoint, subject: str) -> None:
    def fail(reached: str) -> None:
        if reached == subject:
            raise RuntimeError("broken on purpose")

    faults.inject(point, fail)


def test_things_of_one_name_and_type_are_one_for_every_activity(
    database: Database, instance: dg.DagsterInstance
) -> None:
    """The recognizer takes the place for a building, and then for a person of whom the relation is told."""
    document = {"document_id": "hill", "text": HILL}
    expected = extract(parse_extraction_input(document))
    assert [(entity.id, len(entity.mentions)) for entity in expected.entities if entity.name == "Murray Hill"] == [
        ("murray-hill", 2)
    ]
    launched = run(instance, config={"ops": {"chunk_text": {"config": document}}})
    found = output_of(database, execution_id_for_run(launched.run_id))
    assert found == canonical(expected.model_dump(mode="json"))


def test_a_stored_set_of_examples_is_learned_from_whichever_way_it_is_named(
    database: Database, service: WorkflowService, instance: dg.DagsterInstance, settings: Settings
) -> None:
    service.teach("films", films())
    document = {"document_id": "film", "text": FILM, "ontology": ONTOLOGY}
    expected = canonical(extract(parse_extraction_input({**document, "examples": films()})).model_dump(mode="json"))
    assert '"film maker"' in expected
    Pupil._kept.clear()  # as in the process of a run
    config = {"ops": {"chunk_text": {"config": {**document, "examples": "films"}}}}
    launched = run(instance, config=config)
    started = service.start("extraction", {**document, "examples": "films"})
    assert run(instance, **launch_tags(started, ORGANIZATION, "extraction", 1, None)).success
    for execution in (execution_id_for_run(launched.run_id), started):
        assert output_of(database, execution) == expected
    assert len(list((settings.data_folder / "learned").iterdir())) == 1


def test_other_examples_are_another_input(service: WorkflowService) -> None:
    document = {"document_id": "film", "text": FILM, "ontology": ONTOLOGY, "examples": films()}
    execution = service.start("extraction", document, idempotency_key="film")
    assert service.start("extraction", document, idempotency_key="film") == execution
    with pytest.raises(IdempotencyConflictError):
        service.start("extraction", {**document, "examples": films()[1:]}, idempotency_key="film")


def test_a_run_from_the_launchpad_creates_its_execution_and_its_graph_equals_that_in_memory(
    database: Database, instance: dg.DagsterInstance, graph: str
) -> None:
    result, execution = launched_in_the_ui(instance)
    assert result.success
    row = load(database, execution)
    assert (row.status, row.organization_id) == (ExecutionStatus.COMPLETED, ORGANIZATION)
    assert output_of(database, execution) == graph
    record = instance.get_run_by_id(result.run_id)
    assert record is not None
    assert (record.tags[EXECUTION_TAG], record.tags[ORGANIZATION_TAG]) == (execution, ORGANIZATION)
    assert (row.about, record.tags[ABOUT_TAG]) == ("pioneers", "pioneers")
    assert set(STAGES) < set(statuses(database, execution))
    assert set(map(tuple, statuses(database, execution).values())) == {("completed",)}
    assert_consistent(database, execution)


def test_the_ui_shows_counts_first_rows_and_the_execution_of_each_output(
    database: Database, instance: dg.DagsterInstance, settings: Settings, graph: str
) -> None:
    result, execution = launched_in_the_ui(instance)
    shown = {
        event.step_key: event.step_output_data.metadata for event in result.all_events if event.is_successful_output
    }
    columns = {
        "chunk_text": {"chunk", "start", "end"},
        "extract_mentions": {"text", "label", "start", "end"},
        "classify_entities": {"name", "type", "mentions"},
        "extract_relations": {"subject", "predicate", "object", "confidence"},
        "assemble_graph": {"subject", "predicate", "object"},
    }
    assert set(shown) == set(columns)
    for op, metadata in shown.items():
        preview = metadata["preview"]
        assert isinstance(preview, dg.TableMetadataValue)
        assert {column.name for column in preview.schema.columns} == columns[str(op)]
        assert 0 < len(preview.records) <= 20
        assert metadata["execution"].value == f"{settings.url}/runs?q[0]=tag%3Abeep/execution_id%3D{execution}"
    completed = Counter(name.partition("-")[0] for name in statuses(database, execution))
    counts = {EXTRACTION.activity_type_of(str(op)).name: metadata["activities"].value for op, metadata in shown.items()}
    assert counts == completed
    in_plural = ("chunks", "mentions", "entities", "relations")
    assert all(shown[op][name].value for op, name in zip(columns, in_plural, strict=False))
    expected = json.loads(graph)
    for part in ("entities", "relations"):
        assert shown["assemble_graph"][part].value == len(expected[part])


def test_an_accepted_execution_reads_its_input_from_its_row(
    instance: dg.DagsterInstance, service: WorkflowService, graph: str
) -> None:
    execution = service.start("extraction", DOCUMENT)
    result = run(instance, **launch_tags(execution, ORGANIZATION, "extraction", 1, None))
    assert result.success
    assert canonical(service.result(execution)) == graph
    assert service.get_status(execution).dagster_run_ids == (result.run_id,)


def test_re_executing_a_completed_run_repeats_nothing(database: Database, instance: dg.DagsterInstance) -> None:
    first, execution = launched_in_the_ui(instance)
    before = load(database, execution), attempts(database, execution)
    assert re_executed(instance, first).success
    assert (load(database, execution), attempts(database, execution)) == before


@pytest.mark.parametrize("subject", STAGES)
@pytest.mark.parametrize("point", ["before_checkpoint_commit", "after_checkpoint_commit"])
def test_a_run_that_fails_in_any_op_goes_on_where_it_was(
    database: Database, instance: dg.DagsterInstance, graph: str, point: faults.FaultPoint, subject: str
) -> None:
    fail_at(point, subject)
    first, execution = launched_in_the_ui(instance)
    faults.clear()
    assert not first.success
    is_over = (point, subject) == ("after_checkpoint_commit", "assemble")  # one transaction completes both
    expected = ExecutionStatus.COMPLETED if is_over else ExecutionStatus.FAILED
    assert load(database, execution).status is expected
    kept = {row.id for row in attempts(database, execution) if row.status == "completed"}
    assert re_executed(instance, first).success
    assert output_of(database, execution) == graph
    repeated = {name: made for name, made in statuses(database, execution).items() if made != ["completed"]}
    assert set(repeated) <= {subject, *_under_way_beside(subject)}
    assert kept <= {row.id for row in attempts(database, execution) if row.status == "completed"}
    assert_consistent(database, execution)


def _under_way_beside(subject: str) -> set[str]:
    """Activities of the same op may be under way when the commit fails, and may share its transaction."""
    kind, _, number = subject.rpartition("-")
    return {f"{kind}-{other}" for other in range(4)} if number else set()


@pytest.mark.parametrize("subject", ["mentions-1", "assemble"])
def test_a_re_execution_from_failure_is_whole(database: Database, graph: str, subject: str) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        fail_at("before_checkpoint_commit", subject)
        first, execution = launched_in_the_ui(instance)
        faults.clear()
        assert not first.success
        with _from_failure(instance, first.run_id) as second:
            assert second.success
            assert "chunk_text" not in {event.step_key for event in second.all_events if event.is_step_success}
        assert output_of(database, execution) == graph


def test_a_graph_names_the_extractor_that_recorded_a_fact_also_where_the_code_has_changed_since(
    database: Database,
) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        fail_at("before_checkpoint_commit", "assemble")
        first, execution = launched_in_the_ui(instance)
        faults.clear()
        with database.transaction() as tables:
            statement = (
                "UPDATE knowledge_workflow_activity SET code_version = 'older-mentions 0.9 rules-b' "
                "WHERE workflow_execution_id = :id AND activity_name = 'mentions-1'"
            )
            assert tables.connection.execute(text(statement), {"id": execution}).rowcount == 1
        with _from_failure(instance, first.run_id) as second:
            assert second.success
        found = Graph.model_validate(json.loads(output_of(database, execution)))
        older = Source(extractor="older-mentions", version="0.9 rules-b", activities=("mentions-1",))
        assert older in found.provenance.sources
        named = {name for source in found.provenance.sources for name in source.activities}
        assert {name for entity in found.entities for name in entity.mentions[0].found_by} <= named
        assert all(fact.found_by for fact in (*found.entities, *found.relations))


def test_a_re_execution_from_failure_refuses_to_go_on_with_a_missing_part(database: Database, graph: str) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        fail_at("before_checkpoint_commit", "entities-0")
        first, execution = launched_in_the_ui(instance)
        faults.clear()
        with database.transaction() as tables:
            statement = (
                "DELETE FROM knowledge_workflow_activity "
                "WHERE workflow_execution_id = :id AND activity_name = 'mentions-1'"
            )
            assert tables.connection.execute(text(statement), {"id": execution}).rowcount == 1
        with _from_failure(instance, first.run_id, raise_on_error=False) as second:
            assert not second.success
            failures = [event for event in second.all_events if event.is_step_failure]
            reasons = str([event.step_failure_data.error for event in failures])
        assert "IncompleteStageError" in reasons
        assert "run all steps again" in reasons
        assert load(database, execution).status is not ExecutionStatus.COMPLETED
        assert re_executed(instance, first).success
        assert output_of(database, execution) == graph


def _from_failure(instance: dg.DagsterInstance, run_id: str, *, raise_on_error: bool = True) -> dg.JobExecutionResult:
    return dg.execute_job(
        dg.reconstructable(extraction_job),
        instance=instance,
        tags=_copied_tags(instance, run_id),
        reexecution_options=dg.ReexecutionOptions.from_failure(run_id, instance),
        raise_on_error=raise_on_error,
    )


def test_a_code_location_may_choose_other_extractors_by_the_execution(
    database: Database, instance: dg.DagsterInstance
) -> None:
    chosen_for = set()

    def choose(session: ExecutionSession) -> Extractors:
        chosen_for.add((session.execution_id, session.input.document_id))
        return quick_extractors()

    location = dg.Definitions(jobs=WORKFLOW_JOBS, resources=WORKFLOW_RESOURCES | {"choose_extractors": choose})
    result = location.resolve_job_def(EXTRACTION.job_name).execute_in_process(run_config=RUN_CONFIG, instance=instance)
    execution = execution_id_for_run(result.run_id)
    assert chosen_for == {(execution, "pioneers")}
    mentions = [row for row in attempts(database, execution) if row.activity_name == "mentions-0"]
    assert [row.code_version for row in mentions] == [quick_extractors().mentions.identity]


def test_a_run_launched_for_an_execution_that_was_cancelled_stops_before_any_activity(
    database: Database, instance: dg.DagsterInstance, service: WorkflowService
) -> None:
    execution = service.start("extraction", DOCUMENT)
    service.cancel(execution)
    result = run(instance, **launch_tags(execution, ORGANIZATION, "extraction", 1, None))
    assert not result.success
    assert attempts(database, execution) == []
    assert load(database, execution).status is ExecutionStatus.CANCELLED


def test_an_execution_cancelled_in_an_op_stays_cancelled_until_it_is_resumed(
    database: Database, instance: dg.DagsterInstance, service: WorkflowService, graph: str
) -> None:
    execution = service.start("extraction", DOCUMENT)

    def cancel(reached: str) -> None:
        if reached == "entities-0":
            faults.clear()
            service.cancel(execution)

    faults.inject("before_checkpoint_commit", cancel)
    tags = launch_tags(execution, ORGANIZATION, "extraction", 1, None)
    first = run(instance, **tags)
    assert not first.success
    assert load(database, execution).status is ExecutionStatus.CANCELLED
    made = statuses(database, execution)
    follows = launch_tags(execution, ORGANIZATION, "extraction", 1, (first.run_id, first.run_id))
    assert follows[PARENT_TAG] == follows[DAGSTER_PARENT_TAG]
    assert not run(instance, **follows).success
    assert statuses(database, execution) == made
    service.resume(execution)
    assert run(instance, **follows).success
    assert canonical(service.result(execution)) == graph
    assert statuses(database, execution)["mentions-0"] == ["completed"]


def test_a_run_with_a_document_that_is_refused_stores_nothing(database: Database, instance: dg.DagsterInstance) -> None:
    config = {"ops": {"chunk_text": {"config": DOCUMENT | {"text": "  "}}}}
    result = run(instance, config=config)
    assert not result.success
    with database.transaction() as tables:
        assert tables.executions.find(execution_id_for_run(result.run_id)) is None


def test_a_run_of_another_organization_finds_no_execution(
    database: Database, instance: dg.DagsterInstance, service: WorkflowService, settings: Settings
) -> None:
    execution = service.start("extraction", DOCUMENT)
    stranger = str(settings.organization)[:-2] + "ff"
    assert not run(instance, **launch_tags(execution, stranger, "extraction", 1, None)).success
    assert attempts(database, execution) == []
