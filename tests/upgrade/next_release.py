"""A made-up next release, as edits of this tree: a bet has a field more, and with it a type and a function.

The field is the edition of the round's rules, stored with it: edition 2 does something more after a round
with choices. As docs/sre/upgrades.md asks, the release knows both editions, and begins rounds of the second
one only when no program that does not know it can come back.
"""

from pathlib import Path
from typing import Final

from storage.schema import newest

SCHEMA: Final = "9001"
MIGRATION: Final = f'''"""an edition of the rules in each bet

Revision ID: {SCHEMA}
Revises: {{before}}
"""

import sqlalchemy as sa
from alembic import op

revision = "{SCHEMA}"
down_revision = "{{before}}"
branch_labels = None
depends_on = None

BET_V2 = """
    CREATE TYPE bet_v2 AS (
        operator_id text, player_key bigint, round_id text, player_id text, account_id bigint,
        session_id text, game_id text, game_version text, currency text, stake bigint, mode text,
        choice jsonb, request_id text, edition int)
"""


def upgrade() -> None:
    op.add_column("rounds", sa.Column("edition", sa.Integer(), server_default="1", nullable=False))
    op.execute(BET_V2)
'''
OLD_BET: Final = (
    "ROW(p_new.operator_id, p_new.player_key, p_new.round_id, p_new.player_id, p_new.account_id,"
    " p_new.session_id, p_new.game_id, p_new.game_version, p_new.currency, p_new.stake, p_new.mode,"
    " p_new.choice, p_new.request_id)::bet_v1"
)
# By file: what stands there once, and what comes in its place.
EDITS: Final[dict[str, list[tuple[str, str]]]] = {
    "contracts/rounds.py": [
        (
            "    version: int = 1  # of the workflow",
            "    edition: int = 1  # of the rules\n    version: int = 1  # of the workflow",
        ),
        ("FINAL_STATES = ", "WRITTEN = {'edition': 1}\nFINAL_STATES = "),
    ],
    "contracts/views.py": [
        (
            "    asked: AskedAction | None = None\n",
            "    asked: AskedAction | None = None\n    edition: int = 1\n",
        ),
    ],
    "api/bet/schemas.py": [
        (
            "        jurisdiction=claims.jurisdiction,\n",
            "        jurisdiction=claims.jurisdiction,\n        edition=WRITTEN['edition'],\n",
        ),
        ("from contracts.rounds import ", "from contracts.rounds import WRITTEN, "),
    ],
    "runtime/services.py": [
        (
            "        await schema.check(database.pool)\n",
            "        from contracts.rounds import WRITTEN\n"
            "        serves_from = await schema.check(database.pool)\n"
            f"        WRITTEN['edition'] = 2 if serves_from >= '{SCHEMA}' else 1\n",
        ),
    ],
    "storage/bets.py": [
        ("range(first, first + len(FIELDS))", "range(first, first + len(FIELDS) - 1)"),
        (
            "    values: tuple[Any, ...] = _values(bet)\n    return values\n",
            "    return tuple(_values(bet)[:-1])\n\n\n"
            "def bet_v2_parameter() -> str:\n"
            "    return f\"ROW({', '.join(f'${n}' for n in range(1, len(FIELDS) + 1))})::bet_v2\"\n\n\n"
            "def bet_v2_arguments(bet: Bet) -> tuple[Any, ...]:\n    return tuple(_values(bet))\n",
        ),
    ],
    "storage/rounds.py": [
        ("reserve_round_v1({bet_parameter()})", "reserve_round_v2({bet_v2_parameter()})"),
        ("pool.fetchrow(RESERVE, *bet_arguments(bet))", "pool.fetchrow(RESERVE, *bet_v2_arguments(bet))"),
        (
            "from storage.bets import bet_arguments, bet_parameter\n",
            "from storage.bets import bet_arguments, bet_parameter, bet_v2_arguments, bet_v2_parameter\n",
        ),
    ],
    "storage/functions/20_ledger.sql": [("r.brand\nFROM rounds r", "r.brand, r.edition\nFROM rounds r")],
    "storage/functions/30_reserve.sql": [
        (
            "reserve_round_v1(p_bet bet_v1) RETURNS SETOF round_view LANGUAGE plpgsql AS $$\nDECLARE\n",
            "reserve_round_v2(p_new bet_v2) RETURNS SETOF round_view LANGUAGE plpgsql AS $$\nDECLARE\n"
            f"    p_bet bet_v1 := {OLD_BET};\n",
        ),
        (
            "    RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;\n",
            "    UPDATE rounds SET edition = p_new.edition\n"
            "    WHERE id = r.id AND p_new.edition > 1 AND is_open(state);\n"
            "    RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;\n",
        ),
    ],
    "storage/functions/90_access.sql": [
        ("'reserve_round_v1'", "'reserve_round_v2'"),
        ("GRANT USAGE ON TYPE bet_v1 TO", "GRANT USAGE ON TYPE bet_v1, bet_v2 TO"),
    ],
    "workflows/round.py": [
        (
            "        return await uninterrupted(self._emit(bet, terminal))\n\n    async def _emit_if_",
            "        if bet.edition >= 2:\n"
            "            await uninterrupted(asyncio.sleep(0.001))\n"
            "        return await uninterrupted(self._emit(bet, terminal))\n\n    async def _emit_if_",
        ),
    ],
}


def make(root: Path) -> None:
    """Turns the copy of this tree in `root` into the next release."""
    for name, edits in EDITS.items():
        path = root / name
        text = path.read_text()
        for old, new in edits:
            assert text.count(old) == 1, f"{name} has not {old!r} once: change tests/upgrade/next_release.py"
            text = text.replace(old, new)
        path.write_text(text)
    folder = root / "storage" / "migrations" / "versions"
    (folder / f"{SCHEMA}_an_edition_in_each_bet.py").write_text(MIGRATION.format(before=newest()))
