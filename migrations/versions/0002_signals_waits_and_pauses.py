"""Signals are consumed, executions wait and pause."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    _limit_outcomes("outcome IN ('succeeded', 'failed', 'cancelled', 'lost', 'parked')")
    op.alter_column('knowledge_workflow_execution', 'launch_at', existing_type=sa.DateTime(timezone=True), existing_server_default=sa.text('now()'), nullable=True, comment='when a run may be launched, if no open run carries the execution; null while it waits for a signal', existing_comment='when the dispatcher may launch a run, if no open run carries the execution')
    op.create_table('knowledge_workflow_pause',
    sa.Column('organization_id', sa.Text(), nullable=False, comment="'*' pauses every organization"),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('organization_id', name=op.f('pk_knowledge_workflow_pause'))
    )
    op.add_column('knowledge_workflow_execution', sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True, comment='set by the signal `pause`: no activity starts until `resume`'))
    op.add_column('knowledge_workflow_execution', sa.Column('trace_parent', sa.Text(), nullable=True, comment='W3C trace context of the caller, continued by the run'))
    op.add_column('knowledge_workflow_signal', sa.Column('consumed_by', sa.Text(), nullable=True, comment="the attempt whose checkpoint the signal fed, set in the checkpoint's transaction"))
    op.add_column('knowledge_workflow_signal', sa.Column('trace_parent', sa.Text(), nullable=True, comment='W3C trace context of the caller, continued by the run'))
    op.create_index('ix_knowledge_workflow_signal_unconsumed', 'knowledge_workflow_signal', ['workflow_execution_id', 'signal_name', 'sequence'], unique=False, postgresql_where=sa.text("consumed_by IS NULL AND signal_name <> 'progress'"))
    op.create_index('ix_knowledge_workflow_signal_consumed_by', 'knowledge_workflow_signal', ['consumed_by'], unique=False, postgresql_where=sa.text('consumed_by IS NOT NULL'))
    op.create_foreign_key(op.f('fk_knowledge_workflow_signal_consumed_by'), 'knowledge_workflow_signal', 'knowledge_workflow_activity', ['consumed_by'], ['id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_knowledge_workflow_signal_consumed_by'), 'knowledge_workflow_signal', type_='foreignkey')
    op.drop_index('ix_knowledge_workflow_signal_consumed_by', table_name='knowledge_workflow_signal', postgresql_where=sa.text('consumed_by IS NOT NULL'))
    op.drop_index('ix_knowledge_workflow_signal_unconsumed', table_name='knowledge_workflow_signal', postgresql_where=sa.text("consumed_by IS NULL AND signal_name <> 'progress'"))
    op.drop_column('knowledge_workflow_signal', 'trace_parent')
    op.drop_column('knowledge_workflow_signal', 'consumed_by')
    op.drop_column('knowledge_workflow_execution', 'trace_parent')
    op.drop_column('knowledge_workflow_execution', 'paused_at')
    op.drop_table('knowledge_workflow_pause')
    op.execute("UPDATE knowledge_workflow_execution SET launch_at = now() WHERE launch_at IS NULL")
    op.alter_column('knowledge_workflow_execution', 'launch_at', existing_type=sa.DateTime(timezone=True), existing_server_default=sa.text('now()'), nullable=False, comment='when the dispatcher may launch a run, if no open run carries the execution', existing_comment='when a run may be launched, if no open run carries the execution; null while it waits for a signal')
    op.execute("UPDATE knowledge_workflow_run SET outcome = 'succeeded' WHERE outcome = 'parked'")
    _limit_outcomes("outcome IN ('succeeded', 'failed', 'cancelled', 'lost')")


def _limit_outcomes(condition: str) -> None:
    name = op.f('ck_knowledge_workflow_run_outcome')
    op.drop_constraint(name, 'knowledge_workflow_run', type_='check')
    op.create_check_constraint(name, 'knowledge_workflow_run', condition)
