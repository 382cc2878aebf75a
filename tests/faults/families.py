"""The invariants of parents and children, as questions to the tables; `invariants` has those of every execution."""

from collections.abc import Iterator, Sequence

from beep_orchestration.ids import WorkflowExecutionId, execution_id_for_child
from beep_orchestration.models import Json
from tests.faults.installation import Postgres
from tests.faults.oracle import canonical, expected_digests, graph_digest


def children_of(postgres: Postgres, parents: Sequence[str]) -> list[str]:
    """The children of these executions."""
    statement = "SELECT id FROM knowledge_workflow_execution WHERE parent_execution_id = ANY(%s) ORDER BY started_at"
    return [str(row[0]) for row in postgres.ask(statement, list(parents))]


def broken_now(postgres: Postgres) -> Iterator[str]:
    """What no moment may see: a child that outlives its parent, a parent that sleeps when its child has ended."""
    outliving = """
        SELECT child.id, parent.id, parent.status FROM knowledge_workflow_execution AS child
        JOIN knowledge_workflow_execution AS parent ON parent.id = child.parent_execution_id
        WHERE child.status = 'running' AND parent.status <> 'running'
    """
    asleep = """
        SELECT parent.id, child.id, child.status FROM knowledge_workflow_execution AS parent
        CROSS JOIN jsonb_array_elements(parent.checkpoint -> 'waiting_for') AS wait
        JOIN knowledge_workflow_execution AS child ON child.id = wait ->> 'child'
        WHERE parent.status = 'running' AND parent.launch_at IS NULL AND child.status <> 'running'
    """
    for child, parent, status in postgres.ask(outliving):
        yield f"{child} runs and its parent {parent} is {status}"
    for parent, child, status in postgres.ask(asleep):
        yield f"{parent} is parked for its child {child}, which is {status}"


def failed_with_a_cancelled_child(postgres: Postgres) -> list[str]:
    """Parents that nothing but the cancellation of a child has failed."""
    statement = """
        SELECT id FROM knowledge_workflow_execution WHERE status = 'failed'
        AND error ->> 'type' = 'ChildFailedError' AND error ->> 'message' LIKE '%%: it was cancelled (%%'
    """
    return [str(row[0]) for row in postgres.ask(statement)]


def broken_families(postgres: Postgres, parents: Sequence[str]) -> Iterator[str]:
    """Completed parents that do not have their children once each, and the output of each."""
    statement = """
        SELECT id, input -> 'documents', output FROM knowledge_workflow_execution
        WHERE status = 'completed' AND id = ANY(%s)
    """
    for parent, documents, output in postgres.ask(statement, list(parents)):
        expected = canonical({"digests": expected_digests(documents)})
        if canonical(output) != expected:
            yield f"{parent} yields {output} and the oracle {expected!r}"
        yield from _broken_children(postgres, WorkflowExecutionId(str(parent)), documents, output)


def _broken_children(postgres: Postgres, parent: WorkflowExecutionId, documents: Json, output: Json) -> Iterator[str]:
    statement = """
        SELECT child_name, id, output, (
            SELECT count(*) FROM knowledge_workflow_signal WHERE workflow_execution_id = child.parent_execution_id
            AND signal_name = 'state' AND payload @> jsonb_build_object('change', 'child_started', 'child', child.id)
        ), (
            SELECT count(*) FROM knowledge_workflow_signal WHERE workflow_execution_id = child.id
            AND signal_name = 'state' AND payload @> '{"change": "resumed"}'
        ) FROM knowledge_workflow_execution AS child WHERE parent_execution_id = %s
    """
    rows = postgres.ask(statement, parent)
    if sorted(str(name) for name, *_ in rows) != sorted(documents):
        yield f"{parent} has the children {[name for name, *_ in rows]} and not {list(documents)}"
    for name, child, graph, starts, resumes in rows:
        if child != execution_id_for_child(parent, str(name)):
            yield f"{parent} has {child} as its child {name}"
        if not 1 <= starts <= 1 + resumes:
            yield f"{parent} has started {name} {starts} times, and it was resumed {resumes} times"
        if graph is None or output["digests"].get(name) != graph_digest(graph):
            yield f"{parent} has another output of {name} than {child} yielded"
