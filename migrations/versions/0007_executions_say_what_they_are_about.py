"""Executions say what they are about."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('knowledge_workflow_execution', sa.Column('about', sa.Text(), nullable=True, comment='what the input says that it is about, for lists of executions, which read no input'))


def downgrade() -> None:
    op.drop_column('knowledge_workflow_execution', 'about')
