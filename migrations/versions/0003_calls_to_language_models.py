"""Calls to language models, and what they cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('knowledge_workflow_model_call',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('workflow_execution_id', sa.Text(), nullable=False, comment='whose document the answer speaks of: it is deleted with it'),
    sa.Column('organization_id', sa.Text(), nullable=False, comment='an answer is recalled within its organization only'),
    sa.Column('activity_name', sa.Text(), nullable=False),
    sa.Column('activity_type', sa.Text(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False, comment='the model and the settings that shape its answers'),
    sa.Column('question_digest', sa.Text(), nullable=False, comment='of all that the model was told'),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('expected_tokens', sa.BigInteger(), nullable=False, comment='stands for the tokens until they are known'),
    sa.Column('input_tokens', sa.BigInteger(), nullable=True),
    sa.Column('output_tokens', sa.BigInteger(), nullable=True),
    sa.Column('cost', sa.Numeric(), nullable=True, comment='in the currency of the prices; null if the price is unknown'),
    sa.Column('answer', sa.Text(), nullable=True, comment='JSON as received, to be recalled; null if recalling is switched off'),
    sa.Column('tally', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True, comment='what was made of the answer: names aligned, dropped, ...'),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(status = 'sent') = (ended_at IS NULL)", name=op.f('ck_knowledge_workflow_model_call_ended_at_iff_ended')),
    sa.CheckConstraint("status IN ('sent', 'answered', 'unusable', 'lost', 'refused', 'recalled')", name=op.f('ck_knowledge_workflow_model_call_status')),
    sa.ForeignKeyConstraint(['workflow_execution_id'], ['knowledge_workflow_execution.id'], name=op.f('fk_knowledge_workflow_model_call_workflow_execution_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_workflow_model_call'))
    )
    op.create_index('ix_knowledge_workflow_model_call_answer', 'knowledge_workflow_model_call', ['organization_id', 'question_digest'], unique=False, postgresql_where=sa.text('answer IS NOT NULL'))
    op.create_index('ix_knowledge_workflow_model_call_execution', 'knowledge_workflow_model_call', ['workflow_execution_id', 'activity_name'], unique=False)
    op.add_column('knowledge_workflow_execution', sa.Column('resumed_at', sa.DateTime(timezone=True), nullable=True, comment='since when what language models cost counts against the budget'))


def downgrade() -> None:
    op.drop_column('knowledge_workflow_execution', 'resumed_at')
    op.drop_index('ix_knowledge_workflow_model_call_execution', table_name='knowledge_workflow_model_call')
    op.drop_index('ix_knowledge_workflow_model_call_answer', table_name='knowledge_workflow_model_call', postgresql_where=sa.text('answer IS NOT NULL'))
    op.drop_table('knowledge_workflow_model_call')
