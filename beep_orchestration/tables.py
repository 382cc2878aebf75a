"""The schema on one page; Alembic's target.

The three tables of the specification, column for column, the runs that carry executions, the operator's switch that
pauses an organization, and the calls to language models. Columns that the specification does not have say in their
comment why they are there.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from beep_orchestration.models import ActivityStatus, ExecutionStatus, ModelCallStatus, RunOutcome

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _timestamp(name: str, *, nullable: bool = False, comment: str | None = None) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


def _audit_created_at() -> Column[object]:
    return Column(
        "created_at", DateTime(timezone=True), nullable=False, server_default=func.now(), comment="audit: row written"
    )


def _trace_parent() -> Column[object]:
    return Column("trace_parent", Text, comment="W3C trace context of the caller, continued by the run")


def _one_of(
    column: str, values: type[ExecutionStatus | ActivityStatus | RunOutcome | ModelCallStatus]
) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


execution = Table(
    "knowledge_workflow_execution",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("workflow_type", Text, nullable=False),
    Column("workflow_version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("current_activity", Text),
    Column("input", JSONB(none_as_null=True), nullable=False),
    Column("output", JSONB(none_as_null=True)),
    Column("error", JSONB(none_as_null=True)),
    Column("checkpoint", JSONB(none_as_null=True)),
    _timestamp("started_at"),
    _timestamp("completed_at", nullable=True),
    _timestamp("updated_at"),
    Column("idempotency_key", Text, comment="a second start with this key answers with this execution"),
    Column("input_digest", Text, nullable=False, comment="tells whether a second start brings the same input"),
    Column(
        "epoch", Integer, nullable=False, server_default=text("0"), comment="grows with each claim; a commit checks it"
    ),
    Column(
        "signal_sequence",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="last signal's sequence, so that the order of visibility is the order of sequence",
    ),
    Column(
        "launch_at",
        DateTime(timezone=True),
        server_default=func.now(),
        comment="when a run may be launched, if no open run carries the execution; null while it waits for a signal",
    ),
    Column(
        "launches",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="claims since an activity was last completed; bounds how often a dying worker is replaced",
    ),
    _timestamp("resumed_at", nullable=True, comment="since when what language models cost counts against the budget"),
    _timestamp("paused_at", nullable=True, comment="set by the signal `pause`: no activity starts until `resume`"),
    _trace_parent(),
    Column(
        "parent_execution_id",
        Text,
        ForeignKey("knowledge_workflow_execution.id", ondelete="SET NULL"),
        comment="the execution that started this one as its child and waits for its end",
    ),
    Column("child_name", Text, comment="what its parent calls it; a second start of that name is this child"),
    Column("about", Text, comment="what the input says that it is about, for lists of executions, which read no input"),
    _audit_created_at(),
    _one_of("status", ExecutionStatus),
    CheckConstraint("(status = 'running') = (completed_at IS NULL)", name="completed_at_iff_ended"),
    CheckConstraint("status <> 'completed' OR output IS NOT NULL", name="completed_has_output"),
    CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="error_iff_failed"),
    CheckConstraint("parent_execution_id IS NULL OR child_name IS NOT NULL", name="child_has_name"),
    UniqueConstraint("parent_execution_id", "child_name", name="uq_knowledge_workflow_execution_child"),
    UniqueConstraint(
        "organization_id", "workflow_type", "idempotency_key", name="uq_knowledge_workflow_execution_idempotency_key"
    ),
    Index("ix_knowledge_workflow_execution_newest", "organization_id", text("started_at DESC"), text("id DESC")),
    Index("ix_knowledge_workflow_execution_launch_at", "launch_at", postgresql_where=text("status = 'running'")),
)

activity = Table(
    "knowledge_workflow_activity",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_execution_id", Text, ForeignKey("knowledge_workflow_execution.id"), nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("activity_name", Text, nullable=False),
    Column("activity_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt_number", Integer, nullable=False, server_default=text("1")),
    Column("input", JSONB(none_as_null=True), nullable=False),
    Column("output", JSONB(none_as_null=True)),
    Column("error", JSONB(none_as_null=True)),
    _timestamp("started_at"),
    _timestamp("completed_at", nullable=True),
    Column("epoch", Integer, nullable=False, comment="the claim under which the attempt was made"),
    Column("input_digest", Text, nullable=False, comment="a checkpoint is reused only for an equal input"),
    Column("code_version", Text, nullable=False, comment="a checkpoint is reused only by the code that wrote it"),
    _audit_created_at(),
    _one_of("status", ActivityStatus),
    CheckConstraint("attempt_number >= 1", name="attempt_number"),
    CheckConstraint("(status IN ('completed', 'failed')) = (completed_at IS NOT NULL)", name="completed_at_iff_ended"),
    CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="error_iff_failed"),
    UniqueConstraint(
        "workflow_execution_id", "activity_name", "attempt_number", name="uq_knowledge_workflow_activity_attempt"
    ),
    Index(
        "uq_knowledge_workflow_activity_completed",
        "workflow_execution_id",
        "activity_name",
        unique=True,
        postgresql_where=text("status = 'completed'"),
    ),
    Index(
        "ix_knowledge_workflow_activity_open",
        "workflow_execution_id",
        postgresql_where=text("status IN ('pending', 'running')"),
    ),
    Index("ix_knowledge_workflow_activity_type", "workflow_execution_id", "activity_type"),
)

signal = Table(
    "knowledge_workflow_signal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_execution_id", Text, ForeignKey("knowledge_workflow_execution.id"), nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("signal_name", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    _timestamp("created_at"),
    Column("sequence", Integer, nullable=False, comment="order within the execution; a reader's cursor"),
    Column("sender_key", Text, comment="a repeated send with this key is one row"),
    Column(
        "consumed_by",
        Text,
        ForeignKey("knowledge_workflow_activity.id"),
        comment="the attempt whose checkpoint the signal fed, set in the checkpoint's transaction",
    ),
    _trace_parent(),
    UniqueConstraint("workflow_execution_id", "sequence", name="uq_knowledge_workflow_signal_sequence"),
    UniqueConstraint("workflow_execution_id", "sender_key", name="uq_knowledge_workflow_signal_sender_key"),
    Index(
        "ix_knowledge_workflow_signal_unconsumed",
        "workflow_execution_id",
        "signal_name",
        "sequence",
        postgresql_where=text("consumed_by IS NULL AND signal_name <> 'progress'"),
    ),
    Index("ix_knowledge_workflow_signal_consumed_by", "consumed_by", postgresql_where=text("consumed_by IS NOT NULL")),
)

run = Table(
    "knowledge_workflow_run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_execution_id", Text, ForeignKey("knowledge_workflow_execution.id"), nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("dagster_run_id", Text, nullable=False),
    Column("epoch", Integer, comment="the run's latest claim; null until it claims"),
    _timestamp("lease_expires_at", nullable=True, comment="on the database's clock; a silent run loses its claim then"),
    _timestamp("started_at", nullable=True),
    _timestamp("ended_at", nullable=True),
    Column("outcome", Text),
    _audit_created_at(),
    _one_of("outcome", RunOutcome),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended_at_iff_outcome"),
    UniqueConstraint("dagster_run_id"),
    Index("ix_knowledge_workflow_run_execution", "workflow_execution_id", "id"),
    Index("ix_knowledge_workflow_run_open", "id", postgresql_where=text("outcome IS NULL")),
)

example_set = Table(
    "knowledge_example_set",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column(
        "examples", JSONB, nullable=False, comment="sentences with their triples, copied into inputs that name them"
    ),
    _timestamp("taught_at"),
)

pause = Table(
    "knowledge_workflow_pause",
    metadata,
    Column("organization_id", Text, primary_key=True, comment="'*' pauses every organization"),
    Column("reason", Text),
    _timestamp("paused_at"),
)

model_call = Table(
    "knowledge_workflow_model_call",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "workflow_execution_id",
        Text,
        ForeignKey("knowledge_workflow_execution.id", ondelete="CASCADE"),
        nullable=False,
        comment="whose document the answer speaks of: it is deleted with it",
    ),
    Column("organization_id", Text, nullable=False, comment="an answer is recalled within its organization only"),
    Column("account", Text, comment="the name under which executions share a budget; null if its own only"),
    Column("activity_name", Text, nullable=False),
    Column("activity_type", Text, nullable=False),
    Column("model", Text, nullable=False, comment="the model and the settings that shape its answers"),
    Column("question_digest", Text, nullable=False, comment="of all that the model was told"),
    Column("status", Text, nullable=False),
    Column("expected_tokens", BigInteger, nullable=False, comment="stands for the tokens until they are known"),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost", Numeric, comment="in the currency of the prices; null if the price is unknown"),
    Column("answer", Text, comment="JSON as received, to be recalled; null if recalling is switched off"),
    Column("tally", JSONB(none_as_null=True), comment="what was made of the answer: names aligned, dropped, ..."),
    Column("error", Text),
    _timestamp("started_at"),
    _timestamp("ended_at", nullable=True),
    _one_of("status", ModelCallStatus),
    CheckConstraint("(status = 'sent') = (ended_at IS NULL)", name="ended_at_iff_ended"),
    Index("ix_knowledge_workflow_model_call_execution", "workflow_execution_id", "activity_name"),
    Index(
        "ix_knowledge_workflow_model_call_account",
        "organization_id",
        "account",
        postgresql_where=text("account IS NOT NULL"),
    ),
    Index(
        "ix_knowledge_workflow_model_call_answer",
        "organization_id",
        "question_digest",
        postgresql_where=text("answer IS NOT NULL"),
    ),
)
