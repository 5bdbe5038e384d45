"""no table changes: from its second half on, no program is left that cannot replay a round with named steps

Revision ID: 0021
Revises: 0020
"""

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def contract() -> None:
    """From here on rounds begin with contracts.steps.NAMED_STEPS."""
