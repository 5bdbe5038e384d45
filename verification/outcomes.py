"""Every settled round's outcome, computed again from its sealed seed: what no chain of transfers can tell."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from contracts.failures import error_line
from contracts.views import RoundView
from games.protocol import Wager
from games.registry import Registry, UnknownGame
from hosting.games import recompute
from security.keyring import UnknownKey
from security.sealing import SealBroken
from security.seeds import SeedVault, commitment
from storage.rounds import round_view
from verification import books
from verification.findings import Finding, Tally

# The replayer remembers the seeds it has opened; a new one begins after so many rounds.
SEEDS_REMEMBERED: Final = 10_000
SECRET_SAMPLES: Final = 20


@dataclass(slots=True)
class Outcomes:
    """What was computed again. `secrets` are samples of what must not be readable in any history."""

    replayed: int = 0
    secrets: set[bytes] = field(default_factory=set)
    fair: Tally = field(
        default_factory=lambda: Tally(
            "I6", "outcomes-replay", "each outcome is what its committed seed, client seed and nonce give"
        )
    )


class Replayer:
    """Computes outcomes again from the sealed seeds, as a verifier does after a seed is revealed."""

    def __init__(self, registry: Registry, vault: SeedVault) -> None:
        self._registry = registry
        self._vault = vault
        self._seeds: dict[str, bytes] = {}

    async def check(self, outcomes: Outcomes, view: RoundView) -> None:
        """Counts a round whose outcome and win come out again, and reports any other."""
        try:
            await self._replay(outcomes, view)
        except (SealBroken, UnknownKey, UnknownGame, ValueError, RuntimeError) as error:
            outcomes.fair.add(f"round {view.key.round_id}: {error_line(error)}")

    async def _replay(self, outcomes: Outcomes, view: RoundView) -> None:
        seed = self._open(view)
        if len(outcomes.secrets) < SECRET_SAMPLES:
            outcomes.secrets |= {seed, seed.hex().encode(), (view.client_seed or "").encode()}
        step = await recompute(
            self._registry.get(view.game_id, view.game_version),
            Wager(stake=view.stake, mode=view.mode, choice=view.choice),
            server_seed=seed,
            client_seed=view.client_seed or "",
            nonce=view.nonce or 0,
            actions=view.chosen,
        )
        if (step.outcome, step.win) != (view.outcome, view.win):
            outcomes.fair.add(f"round {view.key.round_id}: stored win {view.win}, computed {step.win}")
        else:
            outcomes.replayed += 1

    def _open(self, view: RoundView) -> bytes:
        """The round's server seed, which must be the one that was promised."""
        assert view.seed_id is not None, "a settled round has a seed"
        if view.seed_id not in self._seeds:
            seed = self._vault.open(view.seed_id, view.sealed_server_seed or "")
            if commitment(seed) != view.server_seed_hash:
                raise ValueError("the server seed is not the one that was promised")
            self._seeds[view.seed_id] = seed
        return self._seeds[view.seed_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
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
) -> ReplayResult:
    """Reads one round after another; needs a transaction."""
    outcomes, replayer, seen, skipped = Outcomes(), Replayer(registry, vault), 0, 0
    async for row in books.settled(connection, player_id):
        view = round_view(row)
        seen += 1
        if seen % SEEDS_REMEMBERED == 0:
            replayer = Replayer(registry, vault)
        if _is_installed(registry, view):
            await replayer.check(outcomes, view)
        else:
            skipped += 1
        advance()
    return ReplayResult(finding=outcomes.fair.finding(), rounds=seen - skipped, skipped=skipped)


def _is_installed(registry: Registry, view: RoundView) -> bool:
    try:
        registry.get(view.game_id, view.game_version)
    except UnknownGame:
        return False
    return True
