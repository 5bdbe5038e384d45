"""What the routes and transports work with, handed in by the composition root."""

from dataclasses import dataclass, field

from api.bet.actions import ActionService
from api.bet.service import BetService
from api.event.service import EventFeed, GameEvents
from api.gateway.rate_limits import RateLimits
from api.operator.service import OperatorKeys, Switches
from api.platform.service import Operators
from api.result.interventions import Interventions
from api.result.pushes import Pushes
from api.result.service import ResultService
from api.session.service import SessionService
from api.wallet.service import WalletService
from api.webhook.service import WebhookService
from games.registry import Registry
from security.tokens import TokenVerifier


@dataclass(frozen=True, slots=True)
class Services:
    """`game_client_url` is where launch URLs point; the token goes in its fragment, which browsers keep
    to themselves."""

    games: Registry
    bets: BetService
    actions: ActionService
    sessions: SessionService
    wallet: WalletService
    results: ResultService
    interventions: Interventions
    feed: EventFeed
    game_events: GameEvents
    webhooks: WebhookService
    switches: Switches
    operator_keys: OperatorKeys
    operators: Operators
    pushes: Pushes
    tokens: TokenVerifier
    game_client_url: str
    limits: RateLimits = field(default_factory=RateLimits)
