"""A settled round computed once more from its seed, as a verifier does when the seed is revealed."""

from dataclasses import dataclass
from typing import Any

from contracts.rounds import RoundState
from contracts.views import RoundView
from games.protocol import Wager
from games.registry import Registry, UnknownGame
from hosting.games import recompute
from hosting.lane import GameBusy, GameOutOfOrder
from security.keyring import UnknownKey
from security.sealing import SealBroken
from security.seeds import SeedVault, commitment


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came out: `outcome` and `win` (minor units) are None where nothing could be computed. `why` says,
    for people, why it is not what is recorded; None exactly when it is."""

    outcome: dict[str, Any] | None
    win: int | None
    why: str | None


class Replays:
    """Opens seeds, and gives none away: what comes out is compared with what its player was shown."""

    def __init__(self, registry: Registry, vault: SeedVault) -> None:
        self._registry = registry
        self._vault = vault

    async def replay(self, view: RoundView) -> Replay:
        """Computes a round again, as it is stored. One that is not settled is not: what it would come to is
        nobody's to know. Raises GameBusy and GameOutOfOrder."""
        if view.state is not RoundState.SETTLED or view.seed_id is None:
            return _cannot(f"The round is {view.state.value}: only settled rounds are computed again.")
        try:
            game = self._registry.get(view.game_id, view.game_version)
            seed = self._vault.open(view.seed_id, view.sealed_server_seed or "")
        except UnknownGame:
            return _cannot(f"Version {view.game_version} of the game is not installed here.")
        except (SealBroken, UnknownKey):
            return _cannot("The round's seed does not open here: its key is gone, or it was changed.")
        if commitment(seed) != view.server_seed_hash:
            return _cannot("The server's seed is not the one that was promised.")
        try:
            step = await recompute(
                game,
                Wager(stake=view.stake, mode=view.mode, choice=view.choice),
                server_seed=seed,
                client_seed=view.client_seed or "",
                nonce=view.nonce or 0,
                actions=view.chosen,
            )
        except (GameBusy, GameOutOfOrder):
            raise
        except (ValueError, RuntimeError):
            return _cannot("The game computes nothing from this bet now.")
        same = (step.outcome, step.win) == (view.outcome, view.win)
        why = None if same else "What comes out is not what is recorded. Tell whoever runs Croupier."
        return Replay(outcome=dict(step.outcome), win=step.win, why=why)


def _cannot(why: str) -> Replay:
    return Replay(outcome=None, win=None, why=why)
