"""The schema of a migrated database: the columns of the specification, and what the database itself refuses."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import ActivityStatus, ExecutionStatus, RunOutcome
from beep_orchestration.persistence import WorkflowPersistence
from tests.factories import accepted, claimed, dagster_run_of, ended, with_attempt, with_signal

SPECIFICATION = Path(__file__).parents[2] / "shared" / "seed"

# The tables of the specification: name, type, nullable, default.
SPECIFIED = """
knowledge_workflow_execution
    id                      text         not null
    organization_id         text         not null
    workflow_type           text         not null
    workflow_version        integer      not null
    status                  text         not null
    current_activity        text         null
    input                   jsonb        not null
    output                  jsonb        null
    error                   jsonb        null
    checkpoint              jsonb        null
    started_at              timestamptz  not null
    completed_at            timestamptz  null
    updated_at              timestamptz  not null
knowledge_workflow_activity
    id                      text         not null
    workflow_execution_id   text         not null
    organization_id         text         not null
    activity_name           text         not null
    activity_type           text         not null
    status                  text         not null
    attempt_number          integer      not null  1
    input                   jsonb        not null
    output                  jsonb        null
    error                   jsonb        null
    started_at              timestamptz  not null
    completed_at            timestamptz  null
knowledge_workflow_signal
    id                      text         not null
    workflow_execution_id   text         not null
    organization_id         text         not null
    signal_name             text         not null
    payload                 jsonb        not null
    created_at              timestamptz  not null
"""


class SpecifiedColumn(NamedTuple):
    """A column as the specification has it, and as the database is asked for it."""

    table: str
    name: str
    type: str
    is_nullable: bool
    default: str | None

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


def _specified_columns() -> Iterator[SpecifiedColumn]:
    table = ""
    for line in SPECIFIED.strip().splitlines():
        match = re.fullmatch(r"    (\w+) +(\w+) +(not null|null) *(\w+)?", line)
        if match is None:
            table = line
        else:
            yield SpecifiedColumn(table, match[1], match[2], match[3] == "null", match[4])


COLUMNS = list(_specified_columns())
TABLES = list(dict.fromkeys(column.table for column in COLUMNS))


def _columns_in_the_database(tables: WorkflowPersistence) -> dict[tuple[str, str], SpecifiedColumn]:
    statement = text(
        """
        SELECT table_name, column_name, replace(data_type, 'timestamp with time zone', 'timestamptz'),
               is_nullable = 'YES', column_default
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY(:tables)
        """
    )
    rows = tables.connection.execute(statement, {"tables": TABLES})
    return {(row[0], row[1]): SpecifiedColumn(*row) for row in rows}


def test_every_column_of_the_specification_is_in_the_table_above() -> None:
    """Reads the specification itself, where it lies beside the checkout."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification does not lie beside this checkout")
    source = "".join(path.read_text() for path in sorted(SPECIFICATION.iterdir()))
    found = re.findall(
        r'^  \w+: pg\.(text|integer|jsonb|timestamp)\("(\w+)"([^\n]*)(\n    \.[^\n]*)*', source, re.MULTILINE
    )
    types = {"timestamp": "timestamptz"}
    read = [
        (name, types.get(kind, kind), ".notNull()" not in rest, (re.findall(r"default\((\w+)\)", rest) or [None])[0])
        for kind, name, rest, _ in found
    ]
    assert read == [column[1:] for column in COLUMNS if column.name != "id"]  # the ids come from the prelude


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_a_specified_column_has_its_type_nullability_and_default(
    tables: WorkflowPersistence, column: SpecifiedColumn
) -> None:
    assert _columns_in_the_database(tables).get((column.table, column.name)) == column


def test_additional_columns_say_why_they_are_there(tables: WorkflowPersistence) -> None:
    statement = text(
        """
        SELECT c.table_name, c.column_name, col_description(format('%I', c.table_name)::regclass, c.ordinal_position)
        FROM information_schema.columns c WHERE table_schema = 'public' AND table_name = ANY(:tables)
        """
    )
    specified = {(column.table, column.name) for column in COLUMNS}
    rows = tables.connection.execute(statement, {"tables": TABLES}).all()
    additional = [row for row in rows if (row[0], row[1]) not in specified]
    assert {row[1] for row in additional} >= {"idempotency_key", "input_digest", "epoch", "sequence", "code_version"}
    assert [row[:2] for row in additional if not row[2]] == []


def test_ids_are_the_primary_keys(tables: WorkflowPersistence) -> None:
    statement = text(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'p' AND conrelid::regclass::text = ANY(:tables)"
    )
    keys = {row[0]: row[1] for row in tables.connection.execute(statement, {"tables": TABLES})}
    assert keys == dict.fromkeys(TABLES, "PRIMARY KEY (id)")
    assert {WorkflowExecutionId.entity, WorkflowActivityId.entity, WorkflowSignalId.entity} == set(TABLES)


def _refused(tables: WorkflowPersistence, constraint: str, statement: str, **values: object) -> None:
    with pytest.raises(IntegrityError) as refusal, tables.connection.begin_nested():
        tables.connection.execute(text(statement), values)
    diagnostics = getattr(refusal.value.orig, "diag", None)
    assert getattr(diagnostics, "constraint_name", None) == constraint


WRONG_STATUSES = ["", "RUNNING", "canceled", "cancelled ", "queued", "succeeded", "pending"]


@pytest.mark.parametrize("status", WRONG_STATUSES)
def test_an_execution_has_no_other_status(tables: WorkflowPersistence, status: str) -> None:
    execution = accepted(tables)
    _refused(
        tables,
        "ck_knowledge_workflow_execution_status",
        "UPDATE knowledge_workflow_execution SET status = :status, completed_at = now() WHERE id = :id",
        status=status,
        id=execution.id,
    )


@pytest.mark.parametrize("status", [*WRONG_STATUSES[:-1], "cancelled"])
def test_an_attempt_has_no_other_status(tables: WorkflowPersistence, status: str) -> None:
    attempt = with_attempt(tables, claimed(tables))
    _refused(
        tables,
        "ck_knowledge_workflow_activity_status",
        "UPDATE knowledge_workflow_activity SET status = :status WHERE id = :id",
        status=status,
        id=attempt.id,
    )


@pytest.mark.parametrize("outcome", ["", "SUCCESS", "success", "canceled", "running"])
def test_a_run_has_no_other_outcome(tables: WorkflowPersistence, outcome: str) -> None:
    execution = claimed(tables)
    _refused(
        tables,
        "ck_knowledge_workflow_run_outcome",
        "UPDATE knowledge_workflow_run SET outcome = :outcome, ended_at = now() WHERE workflow_execution_id = :id",
        outcome=outcome,
        id=execution.id,
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("execution", ExecutionStatus),
        ("activity", ActivityStatus),
        ("run", RunOutcome),
    ],
)
def test_the_database_knows_the_same_words_as_the_code(
    tables: WorkflowPersistence, name: str, values: type[ExecutionStatus | ActivityStatus | RunOutcome]
) -> None:
    column = "outcome" if values is RunOutcome else "status"
    constraint = f"ck_knowledge_workflow_{name}_{column}"
    definition = tables.connection.execute(
        text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"), {"name": constraint}
    ).scalar_one()
    assert set(re.findall(r"'(\w+)'", definition)) == {value.value for value in values}


EXECUTION_RULES = [
    (ExecutionStatus.COMPLETED, "completed_at = NULL", "completed_at_iff_ended"),
    (ExecutionStatus.RUNNING, "completed_at = now()", "completed_at_iff_ended"),
    (ExecutionStatus.COMPLETED, "output = NULL", "completed_has_output"),
    (ExecutionStatus.FAILED, "error = NULL", "error_iff_failed"),
    (ExecutionStatus.CANCELLED, "error = '{}'", "error_iff_failed"),
]


@pytest.mark.parametrize(("status", "change", "rule"), EXECUTION_RULES)
def test_an_execution_agrees_with_its_status(
    tables: WorkflowPersistence, status: ExecutionStatus, change: str, rule: str
) -> None:
    execution = ended(tables, status)
    statement = f"UPDATE knowledge_workflow_execution SET {change} WHERE id = :id"
    _refused(tables, f"ck_knowledge_workflow_execution_{rule}", statement, id=execution.id)


ATTEMPT_RULES = [
    (ActivityStatus.COMPLETED, "completed_at = NULL", "completed_at_iff_ended"),
    (ActivityStatus.PENDING, "completed_at = now()", "completed_at_iff_ended"),
    (ActivityStatus.FAILED, "error = NULL", "error_iff_failed"),
    (ActivityStatus.COMPLETED, "error = '{}'", "error_iff_failed"),
    (ActivityStatus.RUNNING, "attempt_number = 0", "attempt_number"),
]


@pytest.mark.parametrize(("status", "change", "rule"), ATTEMPT_RULES)
def test_an_attempt_agrees_with_its_status(
    tables: WorkflowPersistence, status: ActivityStatus, change: str, rule: str
) -> None:
    attempt = with_attempt(tables, claimed(tables), status)
    statement = f"UPDATE knowledge_workflow_activity SET {change} WHERE id = :id"
    _refused(tables, f"ck_knowledge_workflow_activity_{rule}", statement, id=attempt.id)


@pytest.mark.parametrize("change", ["outcome = 'lost'", "ended_at = now()"])
def test_a_run_has_an_end_if_and_only_if_it_has_an_outcome(tables: WorkflowPersistence, change: str) -> None:
    statement = f"UPDATE knowledge_workflow_run SET {change} WHERE workflow_execution_id = :id"
    _refused(tables, "ck_knowledge_workflow_run_ended_at_iff_outcome", statement, id=claimed(tables).id)


@pytest.mark.parametrize("table", ["activity", "signal", "run"])
def test_rows_belong_to_an_execution_that_exists(tables: WorkflowPersistence, table: str) -> None:
    execution = claimed(tables)
    with_attempt(tables, execution)
    with_signal(tables, execution.id)
    statement = (
        f"UPDATE knowledge_workflow_{table} SET workflow_execution_id = :missing WHERE workflow_execution_id = :id"
    )
    constraint = f"fk_knowledge_workflow_{table}_workflow_execution_id"
    _refused(tables, constraint, statement, id=execution.id, missing=WorkflowExecutionId.new())


@pytest.mark.parametrize("table", ["activity", "signal", "run"])
def test_an_execution_cannot_be_deleted_under_its_rows(tables: WorkflowPersistence, table: str) -> None:
    execution = claimed(tables)
    with_attempt(tables, execution)
    with_signal(tables, execution.id)
    for other in {"activity", "signal", "run"} - {table}:
        statement = f"DELETE FROM knowledge_workflow_{other} WHERE workflow_execution_id = :id"
        tables.connection.execute(text(statement), {"id": execution.id})
    constraint = f"fk_knowledge_workflow_{table}_workflow_execution_id"
    _refused(tables, constraint, "DELETE FROM knowledge_workflow_execution WHERE id = :id", id=execution.id)


def _copy(tables: WorkflowPersistence, constraint: str, table: str, row_id: str, **changed: object) -> None:
    """A second row with the same values but these is refused."""
    found = tables.connection.execute(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = :table"), {"table": table}
    )
    columns = list(found.scalars())
    values = ", ".join(f":{name}" if name in changed else name for name in columns)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE id = :source"
    _refused(tables, constraint, statement, source=row_id, **changed)


def test_an_activity_has_one_completed_attempt(tables: WorkflowPersistence) -> None:
    attempt = with_attempt(tables, claimed(tables), ActivityStatus.COMPLETED)
    _copy(
        tables,
        "uq_knowledge_workflow_activity_completed",
        "knowledge_workflow_activity",
        attempt.id,
        id=WorkflowActivityId.new(),
        attempt_number=2,
    )


def test_an_activity_may_have_many_failed_attempts_beside_the_completed_one(tables: WorkflowPersistence) -> None:
    execution = claimed(tables)
    for number in (1, 2, 3):
        with_attempt(tables, execution, ActivityStatus.FAILED, attempt_number=number)
    with_attempt(tables, execution, ActivityStatus.COMPLETED, attempt_number=4)
    assert tables.activities.count_completed(execution.id) == 1
    assert len(tables.activities.list_attempts(execution.id)) == 4


def test_attempts_of_an_activity_have_different_numbers(tables: WorkflowPersistence) -> None:
    attempt = with_attempt(tables, claimed(tables))
    _copy(
        tables,
        "uq_knowledge_workflow_activity_attempt",
        "knowledge_workflow_activity",
        attempt.id,
        id=WorkflowActivityId.new(),
    )


def test_signals_of_an_execution_have_different_sequence_numbers(tables: WorkflowPersistence) -> None:
    signal = with_signal(tables, accepted(tables).id)
    _copy(
        tables,
        "uq_knowledge_workflow_signal_sequence",
        "knowledge_workflow_signal",
        signal.id,
        id=WorkflowSignalId.new(),
    )


def test_a_sender_key_names_one_signal_of_an_execution(tables: WorkflowPersistence) -> None:
    signal = with_signal(tables, accepted(tables).id, sender_key="sent-1")
    _copy(
        tables,
        "uq_knowledge_workflow_signal_sender_key",
        "knowledge_workflow_signal",
        signal.id,
        id=WorkflowSignalId.new(),
        sequence=99,
    )


def test_a_dagster_run_carries_one_execution(tables: WorkflowPersistence) -> None:
    run = tables.runs.find(dagster_run_of(claimed(tables)))
    assert run is not None
    _copy(
        tables,
        "uq_knowledge_workflow_run_dagster_run_id",
        "knowledge_workflow_run",
        run.id,
        id="knowledge_workflow_run__00000000-0000-7000-8000-000000000000",
    )


def test_an_idempotency_key_names_one_execution_of_an_organization_and_type(tables: WorkflowPersistence) -> None:
    execution = accepted(tables, idempotency_key="key-1")
    _copy(
        tables,
        "uq_knowledge_workflow_execution_idempotency_key",
        "knowledge_workflow_execution",
        execution.id,
        id=WorkflowExecutionId.new(),
    )
