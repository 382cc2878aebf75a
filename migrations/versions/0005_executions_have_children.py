"""Executions have children."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

EXECUTION = 'knowledge_workflow_execution'


def upgrade() -> None:
    op.add_column(EXECUTION, sa.Column('parent_execution_id', sa.Text(), nullable=True, comment='the execution that started this one as its child and waits for its end'))
    op.add_column(EXECUTION, sa.Column('child_name', sa.Text(), nullable=True, comment='what its parent calls it; a second start of that name is this child'))
    op.create_foreign_key(op.f('fk_knowledge_workflow_execution_parent_execution_id'), EXECUTION, EXECUTION, ['parent_execution_id'], ['id'], ondelete='SET NULL')
    op.create_check_constraint(op.f('ck_knowledge_workflow_execution_child_has_name'), EXECUTION, 'parent_execution_id IS NULL OR child_name IS NOT NULL')
    op.create_unique_constraint('uq_knowledge_workflow_execution_child', EXECUTION, ['parent_execution_id', 'child_name'])


def downgrade() -> None:
    op.drop_constraint('uq_knowledge_workflow_execution_child', EXECUTION, type_='unique')
    op.drop_constraint(op.f('ck_knowledge_workflow_execution_child_has_name'), EXECUTION, type_='check')
    op.drop_constraint(op.f('fk_knowledge_workflow_execution_parent_execution_id'), EXECUTION, type_='foreignkey')
    op.drop_column(EXECUTION, 'child_name')
    op.drop_column(EXECUTION, 'parent_execution_id')
