"""The resolve step: opens the sealed seed and plays the game. A repeat gives the same outcome."""

from collections import OrderedDict
from typing import Final

from prometheus_client import Counter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts import steps
from contracts.failures import GAME_ERROR
from contracts.jurisdictions import jurisdiction
from contracts.rounds import Resolution, ResolveRequest, RoundKey
from games.checks import failure
from games.draws import HmacDraws
from games.protocol import Game, Step, Wager
from games.registry import Registry
from hosting.games import play_round
from hosting.health import GameHealth
from hosting.lane import GameLost, GameOutOfOrder
from security.keyring import UnknownKey
from security.sealing import SealBroken
from security.seeds import SeedVault

# A round that failed on the fast path comes once more on the durable one, at once.
FAILED_REMEMBERED: Final = 1_000
SEEDS_UNOPENED: Final = Counter(
    "croupier_seeds_unopened_total",
    "Attempts to play a round whose seed did not open: its key is missing here, or it was changed.",
)


class GameActivities:
    """The server seed is in the clear only inside `resolve`, for as long as the game plays. `health` hears
    how each round went."""

    def __init__(self, registry: Registry, vault: SeedVault, health: GameHealth) -> None:
        self._registry = registry
        self._vault = vault
        self._health = health
        self._failed: OrderedDict[tuple[RoundKey, int], str] = OrderedDict()

    @activity.defn(name=steps.RESOLVE.name)
    async def resolve(self, request: ResolveRequest) -> Resolution:
        """Raises UnknownGame, UnknownKey or SealBroken, which another worker may succeed at, GameOutOfOrder,
        which passes, and ApplicationError for a game that fails, which no retry repairs."""
        bet = request.bet
        if (why := self._failed.get((bet.key, len(request.actions)))) is not None:
            raise _for_good(why)
        game = self._registry.get(bet.game_id, bet.game_version)
        step = await self._play(game, request)
        self._health.answered(game)
        offer = None if step.offer is None else jurisdiction(bet.jurisdiction).applied_to(step.offer)
        return Resolution(outcome=step.outcome, win=step.win, offer=offer, actions=len(request.actions))

    async def _play(self, game: Game, request: ResolveRequest) -> Step:
        bet, draw = request.bet, request.draw
        try:
            seed = self._vault.open(draw.seed_id, draw.sealed_server_seed)
        except (UnknownKey, SealBroken):
            SEEDS_UNOPENED.inc()
            raise
        draws = HmacDraws(server_seed=seed, client_seed=draw.client_seed, nonce=draw.nonce)
        wager = Wager(stake=bet.stake, mode=bet.mode, choice=bet.choice)
        try:
            return await play_round(game, wager, draws, request.actions)
        except GameOutOfOrder as error:
            if request.actions:  # they are on record, and what is on record is played when the game is back
                raise
            raise _for_good(str(error)) from None
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            why = failure(game, error)
            if not isinstance(error, GameLost):  # of which the health has heard
                self._health.failed(game, why)
            self._remember(request, why)
            raise _for_good(why) from None

    def _remember(self, request: ResolveRequest, why: str) -> None:
        """The same draws fail again: a game that hangs costs its round, and its neighbours, one time-out."""
        self._failed[request.bet.key, len(request.actions)] = why
        if len(self._failed) > FAILED_REMEMBERED:
            self._failed.popitem(last=False)


def _for_good(why: str) -> ApplicationError:
    return ApplicationError(why, type=GAME_ERROR, non_retryable=True)
