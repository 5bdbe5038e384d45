"""Every settled round's outcome, computed again from its sealed seed: what no chain of transfers can tell."""

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from cli.check.agreement import Agreement, Replayer
from cli.check.report import Finding
from contracts.views import RoundView
from games.registry import Registry, UnknownGame
from security.seeds import SeedVault
from storage import audit
from storage.rounds import round_view

# The replayer remembers the seeds it has opened; a new one begins after so many rounds.
SEEDS_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """`skipped` are rounds of games, or of versions of them, that are not installed here."""

    finding: Finding
    rounds: int
    skipped: int


async def examine(
    connection: asyncpg.Connection,
    player_id: str | None,
    registry: Registry,
    vault: SeedVault,
    advance: Callable[[], None],
) -> Replayed:
    """Reads one round after another; needs a transaction."""
    agreement, replayer, seen, skipped = Agreement(), Replayer(registry, vault), 0, 0
    async for row in audit.settled(connection, player_id):
        view = round_view(row)
        seen += 1
        if seen % SEEDS_REMEMBERED == 0:
            replayer = Replayer(registry, vault)
        if _is_installed(registry, view):
            replayer.check(agreement, view)
        else:
            skipped += 1
        advance()
    return Replayed(finding=agreement.fair.finding(), rounds=seen - skipped, skipped=skipped)


def _is_installed(registry: Registry, view: RoundView) -> bool:
    try:
        registry.get(view.game_id, view.game_version)
    except UnknownGame:
        return False
    return True
