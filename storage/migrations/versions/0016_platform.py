"""operators that are disabled, keys of the platform, which belong to no operator, and wallets that are unset

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operators", sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("operator_wallets", sa.Column("unset_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("api_keys", "operator_id", existing_type=sa.String(), nullable=True)
    op.drop_constraint("api_key_scope", "api_keys", type_="check")
    op.create_check_constraint(
        "api_key_scope", "api_keys", "scope IN ('game', 'operator', 'admin', 'platform')"
    )
    op.create_check_constraint(
        "api_key_of_operator_or_platform", "api_keys", "(scope = 'platform') = (operator_id IS NULL)"
    )
