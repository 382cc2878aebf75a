"""The tables of durable workflows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('knowledge_workflow_execution',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('organization_id', sa.Text(), nullable=False),
    sa.Column('workflow_type', sa.Text(), nullable=False),
    sa.Column('workflow_version', sa.Integer(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('current_activity', sa.Text(), nullable=True),
    sa.Column('input', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('output', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('error', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('checkpoint', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('idempotency_key', sa.Text(), nullable=True, comment='a second start with this key answers with this execution'),
    sa.Column('input_digest', sa.Text(), nullable=False, comment='tells whether a second start brings the same input'),
    sa.Column('epoch', sa.Integer(), server_default=sa.text('0'), nullable=False, comment='grows with each claim; a commit checks it'),
    sa.Column('signal_sequence', sa.Integer(), server_default=sa.text('0'), nullable=False, comment="last signal's sequence, so that the order of visibility is the order of sequence"),
    sa.Column('launch_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='when the dispatcher may launch a run, if no open run carries the execution'),
    sa.Column('launches', sa.Integer(), server_default=sa.text('0'), nullable=False, comment='claims since an activity was last completed; bounds how often a dying worker is replaced'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='audit: row written'),
    sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name=op.f('ck_knowledge_workflow_execution_error_iff_failed')),
    sa.CheckConstraint("(status = 'running') = (completed_at IS NULL)", name=op.f('ck_knowledge_workflow_execution_completed_at_iff_ended')),
    sa.CheckConstraint("status <> 'completed' OR output IS NOT NULL", name=op.f('ck_knowledge_workflow_execution_completed_has_output')),
    sa.CheckConstraint("status IN ('running', 'completed', 'failed', 'cancelled')", name=op.f('ck_knowledge_workflow_execution_status')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_workflow_execution')),
    sa.UniqueConstraint('organization_id', 'workflow_type', 'idempotency_key', name='uq_knowledge_workflow_execution_idempotency_key')
    )
    op.create_index('ix_knowledge_workflow_execution_launch_at', 'knowledge_workflow_execution', ['launch_at'], unique=False, postgresql_where=sa.text("status = 'running'"))
    op.create_index('ix_knowledge_workflow_execution_newest', 'knowledge_workflow_execution', ['organization_id', sa.literal_column('started_at DESC'), sa.literal_column('id DESC')], unique=False)
    op.create_table('knowledge_workflow_activity',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('workflow_execution_id', sa.Text(), nullable=False),
    sa.Column('organization_id', sa.Text(), nullable=False),
    sa.Column('activity_name', sa.Text(), nullable=False),
    sa.Column('activity_type', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('attempt_number', sa.Integer(), server_default=sa.text('1'), nullable=False),
    sa.Column('input', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('output', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('error', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('epoch', sa.Integer(), nullable=False, comment='the claim under which the attempt was made'),
    sa.Column('input_digest', sa.Text(), nullable=False, comment='a checkpoint is reused only for an equal input'),
    sa.Column('code_version', sa.Text(), nullable=False, comment='a checkpoint is reused only by the code that wrote it'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='audit: row written'),
    sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name=op.f('ck_knowledge_workflow_activity_error_iff_failed')),
    sa.CheckConstraint("(status IN ('completed', 'failed')) = (completed_at IS NOT NULL)", name=op.f('ck_knowledge_workflow_activity_completed_at_iff_ended')),
    sa.CheckConstraint("status IN ('pending', 'running', 'completed', 'failed')", name=op.f('ck_knowledge_workflow_activity_status')),
    sa.CheckConstraint('attempt_number >= 1', name=op.f('ck_knowledge_workflow_activity_attempt_number')),
    sa.ForeignKeyConstraint(['workflow_execution_id'], ['knowledge_workflow_execution.id'], name=op.f('fk_knowledge_workflow_activity_workflow_execution_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_workflow_activity')),
    sa.UniqueConstraint('workflow_execution_id', 'activity_name', 'attempt_number', name='uq_knowledge_workflow_activity_attempt')
    )
    op.create_index('ix_knowledge_workflow_activity_open', 'knowledge_workflow_activity', ['workflow_execution_id'], unique=False, postgresql_where=sa.text("status IN ('pending', 'running')"))
    op.create_index('ix_knowledge_workflow_activity_type', 'knowledge_workflow_activity', ['workflow_execution_id', 'activity_type'], unique=False)
    op.create_index('uq_knowledge_workflow_activity_completed', 'knowledge_workflow_activity', ['workflow_execution_id', 'activity_name'], unique=True, postgresql_where=sa.text("status = 'completed'"))
    op.create_table('knowledge_workflow_run',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('workflow_execution_id', sa.Text(), nullable=False),
    sa.Column('organization_id', sa.Text(), nullable=False),
    sa.Column('dagster_run_id', sa.Text(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=True, comment="the run's latest claim; null until it claims"),
    sa.Column('lease_expires_at', sa.DateTime(timezone=True), nullable=True, comment="on the database's clock; a silent run loses its claim then"),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='audit: row written'),
    sa.CheckConstraint("outcome IN ('succeeded', 'failed', 'cancelled', 'lost')", name=op.f('ck_knowledge_workflow_run_outcome')),
    sa.CheckConstraint('(outcome IS NULL) = (ended_at IS NULL)', name=op.f('ck_knowledge_workflow_run_ended_at_iff_outcome')),
    sa.ForeignKeyConstraint(['workflow_execution_id'], ['knowledge_workflow_execution.id'], name=op.f('fk_knowledge_workflow_run_workflow_execution_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_workflow_run')),
    sa.UniqueConstraint('dagster_run_id', name=op.f('uq_knowledge_workflow_run_dagster_run_id'))
    )
    op.create_index('ix_knowledge_workflow_run_execution', 'knowledge_workflow_run', ['workflow_execution_id', 'id'], unique=False)
    op.create_index('ix_knowledge_workflow_run_open', 'knowledge_workflow_run', ['id'], unique=False, postgresql_where=sa.text('outcome IS NULL'))
    op.create_table('knowledge_workflow_signal',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('workflow_execution_id', sa.Text(), nullable=False),
    sa.Column('organization_id', sa.Text(), nullable=False),
    sa.Column('signal_name', sa.Text(), nullable=False),
    sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sequence', sa.Integer(), nullable=False, comment="order within the execution; a reader's cursor"),
    sa.Column('sender_key', sa.Text(), nullable=True, comment='a repeated send with this key is one row'),
    sa.ForeignKeyConstraint(['workflow_execution_id'], ['knowledge_workflow_execution.id'], name=op.f('fk_knowledge_workflow_signal_workflow_execution_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_workflow_signal')),
    sa.UniqueConstraint('workflow_execution_id', 'sender_key', name='uq_knowledge_workflow_signal_sender_key'),
    sa.UniqueConstraint('workflow_execution_id', 'sequence', name='uq_knowledge_workflow_signal_sequence')
    )


def downgrade() -> None:
    op.drop_table('knowledge_workflow_signal')
    op.drop_index('ix_knowledge_workflow_run_open', table_name='knowledge_workflow_run', postgresql_where=sa.text('outcome IS NULL'))
    op.drop_index('ix_knowledge_workflow_run_execution', table_name='knowledge_workflow_run')
    op.drop_table('knowledge_workflow_run')
    op.drop_index('uq_knowledge_workflow_activity_completed', table_name='knowledge_workflow_activity', postgresql_where=sa.text("status = 'completed'"))
    op.drop_index('ix_knowledge_workflow_activity_type', table_name='knowledge_workflow_activity')
    op.drop_index('ix_knowledge_workflow_activity_open', table_name='knowledge_workflow_activity', postgresql_where=sa.text("status IN ('pending', 'running')"))
    op.drop_table('knowledge_workflow_activity')
    op.drop_index('ix_knowledge_workflow_execution_newest', table_name='knowledge_workflow_execution')
    op.drop_index('ix_knowledge_workflow_execution_launch_at', table_name='knowledge_workflow_execution', postgresql_where=sa.text("status = 'running'"))
    op.drop_table('knowledge_workflow_execution')
