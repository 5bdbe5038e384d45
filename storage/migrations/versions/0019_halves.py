"""which programs a database serves, and what its functions were made from

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schema_version",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("serves_from", sa.String(), nullable=False),
        sa.CheckConstraint("one", name="schema_version_is_one_row"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "schema_objects",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    # Programs of 0017 go on meanwhile, and do not ask.
    op.execute("INSERT INTO schema_version (version, serves_from) VALUES ('0017', '0017')")
