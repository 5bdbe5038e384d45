"""every operator's rounds without a settlement, newest first

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa

from storage.online import create_index_beside_writers

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index_beside_writers(
        "rounds_without_settlement_of_all",
        "rounds",
        ["state", sa.text("(- id)")],
        unique=False,
        postgresql_where=sa.text("state IN ('declined', 'void') AND NOT demo"),
    )


def contract() -> None:
    """Nothing to drop. From its end on no program is left that cannot replay a round with named steps, so
    rounds begin with contracts.steps.NAMED_STEPS."""
