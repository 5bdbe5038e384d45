"""What the routes work with, handed in by the composition root."""

from dataclasses import dataclass, field

from api.actions import ActionDesk
from api.bets import BetDesk
from api.limits import Limits
from games.registry import Registry
from runtime.interventions import Interventions
from runtime.pushes import Pushes
from runtime.services import (
    EventFeed,
    GameEvents,
    GameSwitches,
    OperatorKeys,
    Players,
    Rounds,
    Sessions,
)
from runtime.webhooks import Webhooks
from security.tokens import TokenVerifier


@dataclass(frozen=True, slots=True)
class Services:
    """`game_client_url` is where launch URLs point; the token goes in its fragment, which browsers keep
    to themselves."""

    games: Registry
    bets: BetDesk
    actions: ActionDesk
    sessions: Sessions
    players: Players
    switches: GameSwitches
    rounds: Rounds
    pushes: Pushes
    interventions: Interventions
    feed: EventFeed
    game_events: GameEvents
    webhooks: Webhooks
    operator_keys: OperatorKeys
    tokens: TokenVerifier
    game_client_url: str
    limits: Limits = field(default_factory=Limits)
