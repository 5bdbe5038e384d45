"""The claims of a game session's token: who plays which game, with which money, until when."""

from dataclasses import dataclass
from typing import Final

from contracts.rounds import RoundKey

REAL: Final = "real"
DEMO: Final = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClaims:
    """The claims of one session token. Ids are opaque; `expires_at` is seconds since the epoch, UTC."""

    session_id: str
    operator_id: str
    player_id: str
    player_key: int  # our own key of the player, so that no request has to query it
    account_id: int  # the player's account in the session's currency
    game_id: str
    currency: str
    mode: str  # "real" or "demo"
    expires_at: int
    jurisdiction: str | None = None  # the profile whose limits and rules hold

    @property
    def demo(self) -> bool:
        return self.mode == DEMO

    def round_key(self, round_id: str) -> RoundKey:
        """The key of one of the player's own rounds."""
        return RoundKey(operator_id=self.operator_id, player_key=self.player_key, round_id=round_id)
