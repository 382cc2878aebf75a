"""The invariants of parents and children see what they are to see."""

import json
from pathlib import Path

import pytest

from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import StateChange
from beep_orchestration.persistence import Database
from tests.factories import accepted, claimed
from tests.faults.documents import document
from tests.faults.families import broken_families, broken_now
from tests.faults.installation import Postgres
from tests.faults.oracle import expected_digests, expected_graph

DOCUMENTS = {name: document(1, number) for number, name in enumerate(("one", "two"))}
OF_CHILD = "WHERE child_name = 'one'"
OF_PARENT = "WHERE workflow_type = 'collection'"
EXECUTION, SIGNAL = "knowledge_workflow_execution", "knowledge_workflow_signal"


@pytest.fixture
def family(database: Database) -> WorkflowExecutionId:
    """A parent that is completed, as its children are, and as the oracle wants them."""
    with database.transaction() as tables:
        parent = claimed(tables, workflow_type="collection", input={"documents": DOCUMENTS})
        for name, raw in DOCUMENTS.items():
            child = accepted(
                tables,
                id=execution_id_for_child(parent.id, name),
                input=raw,
                parent_execution_id=parent.id,
                child_name=name,
            )
            tables.children.tell_started(parent.id, child.id, name)
            epoch = tables.executions.claim(child.id, f"run-of-{name}")
            assert epoch is not None
            assert tables.executions.complete(child.id, epoch, json.loads(expected_graph(raw)))
        assert tables.executions.complete(parent.id, parent.epoch, {"digests": expected_digests(DOCUMENTS)})
    return parent.id


@pytest.fixture
def server(database_url: str) -> Postgres:
    return Postgres(Path(), database_url)


def test_a_sound_family_is_found_sound(server: Postgres, family: WorkflowExecutionId) -> None:
    assert [*broken_now(server), *broken_families(server, [family])] == []


@pytest.mark.parametrize(
    ("breaks", "found"),
    [
        (f"UPDATE {EXECUTION} SET status = 'running', completed_at = NULL {OF_CHILD}", "runs and its parent"),
        (
            f"""
            UPDATE {EXECUTION} SET status = 'running', completed_at = NULL, launch_at = NULL, checkpoint = (
                SELECT jsonb_build_object('waiting_for', jsonb_build_array(jsonb_build_object('child', id)))
                FROM {EXECUTION} {OF_CHILD}
            ) {OF_PARENT}
            """,
            "is parked for its child",
        ),
        (f"UPDATE {EXECUTION} SET child_name = 'three' {OF_CHILD}", "has the children"),
        (f'UPDATE {EXECUTION} SET output = output || \'{{"document_id": "x"}}\' {OF_CHILD}', "another output of one"),
        (f"UPDATE {EXECUTION} SET output = '{{\"digests\": {{}}}}' {OF_PARENT}", "and the oracle"),
        (
            f"""
            INSERT INTO {SIGNAL} SELECT (
                jsonb_populate_record(told, jsonb_build_object('id', id || '-', 'sequence', sequence + 100))
            ).* FROM {SIGNAL} AS told WHERE payload ->> 'child_name' = 'one'
            """,
            "has started one 2 times",
        ),
    ],
)
def test_a_broken_family_is_found(server: Postgres, family: WorkflowExecutionId, breaks: str, found: str) -> None:
    server.ask(breaks)
    assert any(found in problem for problem in [*broken_now(server), *broken_families(server, [family])])


def test_the_tables_tell_of_started_children_in_these_words() -> None:
    assert (StateChange.CHILD_STARTED, StateChange.RESUMED) == ("child_started", "resumed")
