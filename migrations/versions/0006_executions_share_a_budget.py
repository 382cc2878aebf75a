"""Executions share a budget under an account."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('knowledge_workflow_model_call', sa.Column('account', sa.Text(), nullable=True, comment='the name under which executions share a budget; null if its own only'))
    op.create_index('ix_knowledge_workflow_model_call_account', 'knowledge_workflow_model_call', ['organization_id', 'account'], unique=False, postgresql_where=sa.text('account IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_knowledge_workflow_model_call_account', table_name='knowledge_workflow_model_call', postgresql_where=sa.text('account IS NOT NULL'))
    op.drop_column('knowledge_workflow_model_call', 'account')
