"""Who calls on behalf of a game client, by whichever transport, and what the call is answered with."""

from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.responses import JSONResponse

from api.services import Services
from contracts.rounds import RoundKey
from contracts.sessions import SessionClaims

# On the answer to a repeat: nothing was done again.
REPLAYED: Final = {"Idempotent-Replayed": "true"}


@dataclass(frozen=True, slots=True)
class Caller:
    """The session that calls, and the services that it calls. `request_id` is the call's own: it
    distinguishes a first answer from a repeat's."""

    claims: SessionClaims
    services: Services
    request_id: str

    def round_key(self, round_id: str) -> RoundKey:
        """The key of one of the player's own rounds."""
        return self.claims.round_key(round_id)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the status and headers that HTTP gives it, and its body."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def respond(reply: Reply) -> JSONResponse:
    """The reply as HTTP gives it."""
    return JSONResponse(reply.body, reply.status, headers=reply.headers)
