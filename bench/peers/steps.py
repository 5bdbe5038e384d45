"""The four steps of a round by the product's own code, for peers that bring their own orchestration."""

from dataclasses import dataclass
from typing import Any, Final

from contracts.failures import RESOLVE_FAILED, bounded
from contracts.rounds import Bet, DrawReference, ReleaseRequest, Resolution, RoundState, SettleRequest
from contracts.views import RoundView
from events.publisher import Publisher
from games.checks import play_round
from games.draws import HmacDraws
from games.protocol import Wager
from games.registry import Registry
from runtime.resources import Resources
from security.seeds import SeedVault
from storage import outbox
from storage.database import Database
from wallet.ledger import LedgerSteps

PUBLISH_LIMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A round as its end is answered and recorded. Amounts are minor units of `currency`."""

    round_id: str
    state: RoundState
    currency: str
    win: int
    balance: int | None
    outcome: dict[str, Any] | None
    event_id: str | None
    failure_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What reserve gives: the draw of a held stake, or how the round is closed already."""

    draw: DrawReference | None
    closed: Closed | None


class Steps:
    """Each may be repeated: it answers from what it stored. An error that a retry may cure is raised as it
    comes; a game's own fault is a ValueError or a RuntimeError."""

    def __init__(
        self, database: Database, publisher: Publisher, registry: Registry, vault: SeedVault
    ) -> None:
        self._pool = database.pool
        self._money = LedgerSteps(database.pool)
        self._publisher = publisher
        self._registry = registry
        self._vault = vault

    @classmethod
    def over(cls, resources: Resources, registry: Registry) -> "Steps":
        return cls(resources.database, resources.publisher, registry, SeedVault(resources.keyring))

    async def reserve(self, bet: Bet) -> Held:
        view = await self._money.reserve(bet)
        if view.state.final:
            return Held(draw=None, closed=_closed(view))
        return Held(draw=view.draw, closed=None)

    async def resolve(self, bet: Bet, draw: DrawReference) -> Resolution:
        game = self._registry.get(bet.game_id, bet.game_version)
        seed = self._vault.open(draw.seed_id, draw.sealed_server_seed)
        draws = HmacDraws(server_seed=seed, client_seed=draw.client_seed, nonce=draw.nonce)
        step = play_round(game, Wager(stake=bet.stake, mode=bet.mode, choice=bet.choice), draws)
        return Resolution(outcome=step.outcome, win=step.win)

    async def settle(self, bet: Bet, resolution: Resolution) -> Closed:
        request = SettleRequest(bet=bet, resolution=resolution)
        return _closed((await self._money.settle(request)).view)

    async def release(self, bet: Bet, reason: str) -> Closed:
        """The compensation, when resolve has failed for good."""
        request = ReleaseRequest(bet=bet, failure_code=RESOLVE_FAILED, failure_detail=bounded(reason))
        return _closed(await self._money.release(request))

    async def emit(self, event_id: str) -> bool:
        """True when this call published the event, False when it had been before."""
        found = await outbox.find(self._pool, event_id)
        assert found is not None, "the transaction that closed the round recorded it"
        event, published = found
        if published:
            return False
        await self._publisher.publish(event, timeout_seconds=PUBLISH_LIMIT_S)
        await outbox.mark_published(self._pool, [event.event_id])
        return True


def _closed(view: RoundView) -> Closed:
    return Closed(
        round_id=view.key.round_id,
        state=view.state,
        currency=view.currency,
        win=view.win,
        balance=view.balance,
        outcome=view.outcome,
        event_id=view.event_id,
        failure_code=view.failure_code,
    )
