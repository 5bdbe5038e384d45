"""What the routes and transports work with, handed in by the composition root."""

from dataclasses import dataclass, field

from api.bet.actions import ActionService
from api.bet.service import BetService
from api.event.service import EventFeed, GameEvents
from api.gateway.rate_limits import RateLimits
from api.operator.people import People
from api.operator.service import OperatorKeys, Switches
from api.pages.demo_sessions import DemoSessions
from api.platform.service import Operators
from api.result.interventions import Interventions
from api.result.pushes import Pushes
from api.result.replay import Replays
from api.result.service import ResultService
from api.session.service import SessionService
from api.wallet.service import WalletService
from api.webhook.service import WebhookService
from games.registry import Registry
from runtime.webhook_workflows import WebhookTests
from security.tokens import TokenVerifier


@dataclass(frozen=True, slots=True)
class Services:
    """`game_client_url` is where launch URLs point; the token goes in its fragment, which browsers keep
    to themselves. `frame_origins` are of the pages that may show ours in a frame. `demo_sessions` is None
    where there is no lobby, and `people` where no issuer's tokens are taken."""

    games: Registry
    bets: BetService
    actions: ActionService
    sessions: SessionService
    wallet: WalletService
    results: ResultService
    replays: Replays
    interventions: Interventions
    feed: EventFeed
    game_events: GameEvents
    webhooks: WebhookService
    webhook_tests: WebhookTests
    switches: Switches
    operator_keys: OperatorKeys
    operators: Operators
    pushes: Pushes
    tokens: TokenVerifier
    game_client_url: str
    frame_origins: tuple[str, ...] = ()
    demo_sessions: DemoSessions | None = None
    people: People | None = None
    limits: RateLimits = field(default_factory=RateLimits)
