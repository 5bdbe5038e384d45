"""What the routes work with, handed in by the composition root."""

from dataclasses import dataclass, field

from api.actions import ActionDesk
from api.bets import BetDesk
from api.limits import Limits
from games.registry import Registry
from runtime.interventions import Interventions
from runtime.pushes import Pushes
from runtime.services import EventFeed, GameEvents, OperatorKeys, Players, Rounds, Sessions
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
    rounds: Rounds
    pushes: Pushes
    interventions: Interventions
    feed: EventFeed
    game_events: GameEvents
    operator_keys: OperatorKeys
    tokens: TokenVerifier
    game_client_url: str
    limits: Limits = field(default_factory=Limits)
