"""What is asked often is answered through an index, and touches few rows however many there are.

The statements are those of persistence itself, caught on their way to the driver and explained with their values.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowRunId
from beep_orchestration.models import Checkpoint, Standing
from beep_orchestration.persistence import Database, WorkflowPersistence
from tests.factories import ERROR, ORGANIZATION
from tests.postgres import TEMPLATE, PostgresServer, opened

EXECUTIONS = 6_000
RUNNING = 40
"""The newest ones; the others are completed. One in three is of `ORGANIZATION`, and one in four is due for a launch."""

DUE = RUNNING // 4
"""The newer half of them has an open run."""

CHILDREN, PARENT_NUMBER = 30, 99
"""The oldest ones are children of a later one."""

PAUSED_NUMBER = EXECUTIONS - 3
"""One of `ORGANIZATION` that is not due. It was paused some times before."""

RUNS_OF_ONE = CALLS_OF_ONE = 2
ATTEMPTS_OF_ONE = 300
OPEN_ATTEMPTS_OF_ONE = 10
SIGNALS_OF_ONE = 2_000
"""Of the newest execution; a few others have attempts and signals too."""


def _uuid(number: str) -> str:
    return f"('00000000-0000-7000-8000-' || lpad(({number})::text, 12, '0'))"


def _id_of(number: int) -> WorkflowExecutionId:
    return WorkflowExecutionId(f"knowledge_workflow_execution__00000000-0000-7000-8000-{number:012}")


ONE, PARENT, CHILD = _id_of(EXECUTIONS), _id_of(PARENT_NUMBER), _id_of(1)
LOAD = f"""
INSERT INTO knowledge_workflow_execution (id, organization_id, workflow_type, workflow_version, status, input, output,
    started_at, completed_at, updated_at, input_digest, idempotency_key, launch_at, signal_sequence)
SELECT 'knowledge_workflow_execution__' || {_uuid("n")},
    CASE n % 3 WHEN 0 THEN '{ORGANIZATION}'
        ELSE 'shared_organization__00000000-0000-7000-8000-00000000000' || (n % 3) END,
    'extraction', 1, CASE WHEN is_running THEN 'running' ELSE 'completed' END, '{{}}',
    CASE WHEN NOT is_running THEN '{{}}'::jsonb END,
    started_at, CASE WHEN NOT is_running THEN started_at END, started_at, '', 'key-' || n,
    now() + CASE n % 4 WHEN 0 THEN - interval '1 hour' ELSE interval '1 hour' END,
    CASE WHEN n >= {EXECUTIONS - 9} THEN {SIGNALS_OF_ONE} ELSE 0 END
FROM (SELECT n, n > {EXECUTIONS - RUNNING} AS is_running,
    timestamptz '2026-01-01 00:00Z' + n * interval '1 minute' AS started_at
    FROM generate_series(1, {EXECUTIONS}) AS n) AS numbers;

UPDATE knowledge_workflow_execution SET child_name = id, parent_execution_id =
    'knowledge_workflow_execution__' || {_uuid(str(PARENT_NUMBER))}
WHERE id BETWEEN 'knowledge_workflow_execution__' || {_uuid("1")}
    AND 'knowledge_workflow_execution__' || {_uuid(str(CHILDREN))};

INSERT INTO knowledge_workflow_run (id, workflow_execution_id, organization_id, dagster_run_id, epoch,
    lease_expires_at, started_at, ended_at, outcome)
SELECT 'knowledge_workflow_run__' || {_uuid("n * 10 + k")}, 'knowledge_workflow_execution__' || {_uuid("n")},
    '{ORGANIZATION}', 'run-' || n || '-' || k, k,
    now(), now(), CASE WHEN is_over THEN now() END, CASE WHEN is_over THEN 'succeeded' END
FROM (SELECT n, k, n <= {EXECUTIONS - RUNNING // 2} OR k = 1 AS is_over
    FROM generate_series(1, {EXECUTIONS}) AS n, generate_series(1, {RUNS_OF_ONE}) AS k) AS numbers;

INSERT INTO knowledge_workflow_activity (id, workflow_execution_id, organization_id, activity_name, activity_type,
    status, input, output, started_at, completed_at, epoch, input_digest, code_version)
SELECT 'knowledge_workflow_activity__' || {_uuid("n * 1000 + k")}, 'knowledge_workflow_execution__' || {_uuid("n")},
    '{ORGANIZATION}', type || '-' || k, type,
    CASE WHEN is_over THEN 'completed' ELSE 'running' END, '{{}}', CASE WHEN is_over THEN '{{}}'::jsonb END,
    now(), CASE WHEN is_over THEN now() END, 1, '', '1'
FROM (SELECT n, k, k <= {ATTEMPTS_OF_ONE - OPEN_ATTEMPTS_OF_ONE} AS is_over,
    (ARRAY['mentions', 'entities', 'relations'])[1 + k % 3] AS type
    FROM generate_series({EXECUTIONS - 60}, {EXECUTIONS}) AS n, generate_series(1, {ATTEMPTS_OF_ONE}) AS k) AS numbers;

INSERT INTO knowledge_workflow_signal (id, workflow_execution_id, organization_id, signal_name, payload, created_at,
    sequence, sender_key)
SELECT 'knowledge_workflow_signal__' || {_uuid("n * 10000 + k")}, 'knowledge_workflow_execution__' || {_uuid("n")},
    '{ORGANIZATION}', 'progress', '{{}}', now(), k, 'key-' || k
FROM generate_series({EXECUTIONS - 9}, {EXECUTIONS}) AS n, generate_series(1, {SIGNALS_OF_ONE}) AS k;

UPDATE knowledge_workflow_execution SET paused_at = now()
WHERE id = 'knowledge_workflow_execution__' || {_uuid(str(PAUSED_NUMBER))};

UPDATE knowledge_workflow_signal SET signal_name = 'state', payload = '{{"change": "paused", "reason": "lunch"}}'
WHERE workflow_execution_id = 'knowledge_workflow_execution__' || {_uuid(str(PAUSED_NUMBER))} AND sequence % 500 = 0;

INSERT INTO knowledge_workflow_model_call (id, workflow_execution_id, organization_id, activity_name, activity_type,
    model, question_digest, status, expected_tokens, started_at, ended_at)
SELECT 'knowledge_workflow_model_call__' || {_uuid("n * 10 + k")}, 'knowledge_workflow_execution__' || {_uuid("n")},
    '{ORGANIZATION}', 'mentions-' || k, 'mentions', '', '', 'answered', 0, now(), now()
FROM generate_series(1, {EXECUTIONS}) AS n, generate_series(1, {CALLS_OF_ONE}) AS k;
"""


@pytest.fixture(scope="module")
def loaded_database(postgres: PostgresServer) -> Iterator[Database]:
    """Some ten thousand rows of each table, with statistics."""
    with postgres.new_database(TEMPLATE) as url, opened(url) as database:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(LOAD.replace("%", "%%"))
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield database


@dataclass(frozen=True)
class Plan:
    """How one statement was executed: which indexes it used, and how many rows of tables it looked at."""

    indexes: frozenset[str]
    scanned_tables: frozenset[str]
    rows_touched: float


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _rows_touched(node: dict[str, Any]) -> float:
    if "Relation Name" not in node or node["Node Type"] == "ModifyTable":
        return 0
    kinds = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(float(node.get(kind, 0)) for kind in kinds) * float(node["Actual Loops"])


def _explain(connection: Connection, statement: str, parameters: Any) -> Plan:
    explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    (answer,) = connection.exec_driver_sql(explained, parameters).scalar_one()
    nodes = list(_nodes(answer["Plan"]))
    return Plan(
        indexes=frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        scanned_tables=frozenset(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
        rows_touched=sum(map(_rows_touched, nodes)),
    )


def _plans(database: Database, call: Callable[[WorkflowPersistence], object]) -> list[Plan]:
    """The plans of all statements that a call sends; nothing of it is kept."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        sent: list[tuple[str, Any]] = []

        def catch(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            sent.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

        event.listen(connection, "before_cursor_execute", catch)
        savepoint = connection.begin_nested()
        call(WorkflowPersistence(connection))
        savepoint.rollback()
        event.remove(connection, "before_cursor_execute", catch)
        plans = [_explain(connection, *one) for one in sent if not one[0].startswith(("SAVEPOINT", "ROLLBACK"))]
        transaction.rollback()
    return plans


@dataclass(frozen=True)
class Question:
    """A call, the index that answers it, and how many rows it may touch."""

    name: str
    call: Callable[[WorkflowPersistence], object]
    index: str
    most_rows: int


def _page(tables: WorkflowPersistence) -> object:
    last = tables.executions.load(_id_of(EXECUTIONS // 2))
    return tables.statuses.list_newest(ORGANIZATION, limit=20, before=(last.started_at, last.id))


EXECUTION, ACTIVITY = "knowledge_workflow_execution", "knowledge_workflow_activity"
SIGNAL, RUN, MODEL_CALL = "knowledge_workflow_signal", "knowledge_workflow_run", "knowledge_workflow_model_call"
PAUSE = "knowledge_workflow_pause"  # one row for each organization that an operator has paused: no index is faster
ATTEMPT = WorkflowActivityId(f"knowledge_workflow_activity__00000000-0000-7000-8000-{EXECUTIONS * 1000 + 299:012}")
PER_TYPE = ATTEMPTS_OF_ONE // 3
PER_STATUS = 1 + RUNS_OF_ONE + CALLS_OF_ONE

QUESTIONS = [
    Question("execution by id", lambda t: t.executions.find(ONE, ORGANIZATION), f"pk_{EXECUTION}", 1),
    Question("status by id", lambda t: t.statuses.load(ONE, ORGANIZATION), f"ix_{RUN}_execution", PER_STATUS),
    Question(
        "status of a paused one",
        lambda t: t.statuses.load(_id_of(PAUSED_NUMBER), ORGANIZATION),
        f"ix_{SIGNAL}_unconsumed",
        PER_STATUS + 1,
    ),
    Question(
        "status of a parent",
        lambda t: t.statuses.load(PARENT, ORGANIZATION),
        f"uq_{EXECUTION}_child",
        PER_STATUS + 2 * CHILDREN,
    ),
    Question("claim", lambda t: t.executions.claim(ONE, "run-77-1"), f"pk_{EXECUTION}", 1),
    Question(
        "first page",
        lambda t: t.statuses.list_newest(ORGANIZATION, limit=20),
        f"ix_{EXECUTION}_newest",
        20 * PER_STATUS + 1,  # one of them is the paused one
    ),
    Question("later page", _page, f"ix_{EXECUTION}_newest", 20 * PER_STATUS),
    Question(
        "page of the running",
        lambda t: t.statuses.list_newest(ORGANIZATION, limit=10, status=Standing.RUNNING),
        f"ix_{EXECUTION}_launch_at",
        RUNNING + 10 * PER_STATUS,
    ),
    Question(
        "page of those that wait",
        lambda t: t.statuses.list_newest(ORGANIZATION, limit=10, status=Standing.WAITING),
        f"ix_{EXECUTION}_launch_at",
        RUNNING + 10 * PER_STATUS,
    ),
    Question(
        "running executions to launch",
        lambda t: t.executions.take_launchable(limit=DUE, workflow_types=["extraction"], next_try_seconds=60),
        f"ix_{EXECUTION}_launch_at",
        DUE + DUE * RUNS_OF_ONE + DUE // 2,
    ),
    Question(
        "stuck executions",
        lambda t: t.stuck.list_all(patience_seconds=60, known_types=None),
        f"ix_{EXECUTION}_launch_at",
        RUNNING * (1 + 4 * RUNS_OF_ONE),
    ),
    Question("children that run", lambda t: t.children.list_running(PARENT), f"uq_{EXECUTION}_child", CHILDREN),
    Question(
        "page of children",
        lambda t: t.statuses.list_newest(ORGANIZATION, limit=5, parent_id=PARENT),
        f"uq_{EXECUTION}_child",
        CHILDREN + 5 * PER_STATUS,
    ),
    Question("a child's parent", lambda t: t.executions.lock_parent(CHILD), f"pk_{EXECUTION}", 2),
    Question("runs of an execution", lambda t: t.runs.list_of(ONE), f"ix_{RUN}_execution", RUNS_OF_ONE),
    Question("run by Dagster's id", lambda t: t.runs.find("run-77-1"), f"uq_{RUN}_dagster_run_id", 1),
    Question("holder of a claim", lambda t: t.runs.find_holder(ONE, RUNS_OF_ONE), f"ix_{RUN}_execution", RUNS_OF_ONE),
    Question("open runs", lambda t: t.runs.list_all_open(limit=10), f"ix_{RUN}_open", RUNNING // 2),
    Question(
        "open runs, next page",
        lambda t: t.runs.list_all_open(
            limit=10, after=WorkflowRunId(f"{RUN}__00000000-0000-7000-8000-{EXECUTIONS * 10 - 50:012}")
        ),
        f"ix_{RUN}_open",
        RUNNING,
    ),
    Question(
        "activities by type", lambda t: t.activities.load_latest(ONE, "mentions"), f"ix_{ACTIVITY}_type", PER_TYPE
    ),
    Question(
        "outputs by type",
        lambda t: t.activities.load_completed_outputs(ONE, "mentions"),
        f"ix_{ACTIVITY}_type",
        PER_TYPE,
    ),
    Question(
        "code versions by type",
        lambda t: t.activities.load_code_versions(ONE, ["mentions"]),
        f"ix_{ACTIVITY}_type",
        PER_TYPE,
    ),
    Question("attempt by id", lambda t: t.activities.find_status(ATTEMPT), f"pk_{ACTIVITY}", 1),
    Question("attempt completed", lambda t: t.activities.complete([(ATTEMPT, "{}")]), f"pk_{ACTIVITY}", 1),
    Question(
        "checkpoint written",
        lambda t: t.checkpoints.write(
            ONE, 0, current_activity=None, checkpoint=Checkpoint(), begun=[], completed=[(ATTEMPT, "{}")], progress=[]
        ),
        f"pk_{ACTIVITY}",
        3,
    ),
    Question(
        "completed activities",
        lambda t: t.activities.count_completed(ONE),
        f"uq_{ACTIVITY}_completed",
        ATTEMPTS_OF_ONE,
    ),
    Question(
        "attempts left open",
        lambda t: t.activities.fail_running(ONE, ERROR),
        f"ix_{ACTIVITY}_open",
        OPEN_ATTEMPTS_OF_ONE,
    ),
    Question(
        "signals after a cursor",
        lambda t: t.signals.load(ONE, after=SIGNALS_OF_ONE - 500, limit=100),
        f"uq_{SIGNAL}_sequence",
        100,
    ),
    Question(
        "signals to consume",
        lambda t: t.signals.load_unconsumed(ONE, ["approve", "reject"], limit=1),
        f"ix_{SIGNAL}_unconsumed",
        1,
    ),
    Question(
        "what an execution told after a cursor",
        lambda t: t.signals.load_told(ONE, ORGANIZATION, after=SIGNALS_OF_ONE - 500, limit=100),
        f"uq_{SIGNAL}_sequence",
        101,
    ),
    Question("signal of a sender", lambda t: t.signals.find_sent(ONE, "key-7"), f"uq_{SIGNAL}_sender_key", 1),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.name for question in QUESTIONS])
def test_an_index_answers_and_few_rows_are_touched(loaded_database: Database, question: Question) -> None:
    plan = _plans(loaded_database, question.call)[-1]
    assert question.index in plan.indexes
    assert plan.scanned_tables <= {PAUSE}
    assert plan.rows_touched <= question.most_rows


def test_a_status_is_one_statement(loaded_database: Database) -> None:
    """So what it says of several tables was true at one moment."""
    assert len(_plans(loaded_database, lambda t: t.statuses.load(PARENT, ORGANIZATION))) == 1


def test_the_plan_of_a_checkpoint_for_any_values_scans_no_table(loaded_database: Database) -> None:
    """The connection that writes checkpoints has them planned once, see `Database.statement`."""
    sent: list[str] = []
    with loaded_database.engine.connect() as connection, connection.begin() as transaction:
        event.listen(connection, "before_cursor_execute", lambda _c, _cursor, statement, *_: sent.append(statement))
        WorkflowPersistence(connection).checkpoints.write(
            ONE, 0, current_activity=None, checkpoint=Checkpoint(), begun=[], completed=[], progress=[]
        )
        numbers: dict[str, int] = {}
        statement = re.sub(r"%\((\w+)\)s", lambda m: f"${numbers.setdefault(m[1], len(numbers) + 1)}", sent[0])
        (answer,) = connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement}").scalar_one()
        transaction.rollback()
    nodes = list(_nodes(answer["Plan"]))
    assert {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} <= {PAUSE}
    assert {f"pk_{EXECUTION}", f"pk_{ACTIVITY}"} <= {node.get("Index Name") for node in nodes}


def test_the_loaded_rows_are_many(loaded_database: Database) -> None:
    """Otherwise the bounds above would say nothing."""
    with loaded_database.engine.connect() as connection:
        for table in (EXECUTION, RUN, ACTIVITY, SIGNAL, MODEL_CALL):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() >= EXECUTIONS


def test_a_plan_without_an_index_is_seen(loaded_database: Database) -> None:
    """The measure itself: a question that no index answers scans the table."""
    with loaded_database.engine.connect() as connection:
        plan = _explain(connection, f"SELECT * FROM {EXECUTION} WHERE input_digest = %(digest)s", {"digest": "none"})
    assert plan == Plan(indexes=frozenset(), scanned_tables=frozenset({EXECUTION}), rows_touched=EXECUTIONS)
