"""The resolve step: opens the sealed seed and plays the game. A repeat gives the same outcome."""

from typing import Final

from prometheus_client import Counter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts import steps
from contracts.failures import GAME_ERROR, bounded
from contracts.jurisdictions import jurisdiction
from contracts.rounds import Resolution, ResolveRequest
from games.checks import play_round
from games.draws import HmacDraws
from games.protocol import Wager
from games.registry import Registry
from security.keyring import UnknownKey
from security.sealing import SealBroken
from security.seeds import SeedVault

SEEDS_UNOPENED: Final = Counter(
    "croupier_seeds_unopened_total",
    "Attempts to play a round whose seed did not open: its key is missing here, or it was changed.",
)


class GameActivities:
    """The server seed is in the clear only inside `resolve`, for as long as the game plays."""

    def __init__(self, registry: Registry, vault: SeedVault) -> None:
        self._registry = registry
        self._vault = vault

    @activity.defn(name=steps.RESOLVE.name)
    async def resolve(self, request: ResolveRequest) -> Resolution:
        """Raises UnknownGame, UnknownKey or SealBroken, which another worker may succeed at, and
        ApplicationError for what the game raises, which no retry repairs."""
        bet, draw = request.bet, request.draw
        game = self._registry.get(bet.game_id, bet.game_version)
        try:
            seed = self._vault.open(draw.seed_id, draw.sealed_server_seed)
        except (UnknownKey, SealBroken):
            SEEDS_UNOPENED.inc()
            raise
        draws = HmacDraws(server_seed=seed, client_seed=draw.client_seed, nonce=draw.nonce)
        wager = Wager(stake=bet.stake, mode=bet.mode, choice=bet.choice)
        try:
            step = play_round(game, wager, draws, request.actions)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            message = bounded(f"{type(error).__name__}: {error}")
            raise ApplicationError(message, type=GAME_ERROR, non_retryable=True) from None
        offer = None if step.offer is None else jurisdiction(bet.jurisdiction).applied_to(step.offer)
        return Resolution(outcome=step.outcome, win=step.win, offer=offer, actions=len(request.actions))
