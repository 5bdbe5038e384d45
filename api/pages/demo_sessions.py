"""Sessions with demo money, for whoever has the lobby's key and no operator's."""

import hmac
from typing import Final

from api.session.service import SessionService
from contracts.sessions import DEMO
from contracts.views import SessionView

PLAYER: Final = "lobby"
CURRENCY: Final = "EUR"


class DemoSessions:
    """All are of one player of `operator_id`, so each new one fills the balance of all."""

    def __init__(self, sessions: SessionService, *, operator_id: str, key: str) -> None:
        self._sessions = sessions
        self._operator_id = operator_id
        self._key = key.encode()

    def opened_by(self, key: str) -> bool:
        return hmac.compare_digest(key.encode(), self._key)

    async def open(self, game_id: str) -> tuple[SessionView, str]:
        """A session and its token. Raises OperatorDisabled."""
        return await self._sessions.open(
            operator_id=self._operator_id,
            player_id=PLAYER,
            game_id=game_id,
            currency=CURRENCY,
            client_seed=None,
            mode=DEMO,
        )
