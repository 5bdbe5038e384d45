"""What goes over a socket, in both directions, as AsyncAPI describes it. See docs/game/sockets.md."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bet.schemas import PlaceBet, TakeAction
from api.gateway.schemas import CallerId, Money, ProblemOut
from api.result.schemas import RoundOut
from api.session.schemas import SessionOut


class _FromClient(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Hello(_FromClient):
    """The first message. With `last_sequence`, the rounds that have closed since are sent first."""

    type: Literal["hello"]
    # A genuine token is far shorter; a longer text is no token, and is not verified.
    token: Annotated[str, StringConstraints(max_length=4_096)] = Field(repr=False)
    last_sequence: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None


class _Request(_FromClient):
    """`id` is the client's own, for finding the answer: one that is used again only makes that harder."""

    id: CallerId


class BetMessage(PlaceBet):
    """A bet as POST /v1/game/rounds takes it. Answered by `round`."""

    type: Literal["bet"]
    id: CallerId


class ActionMessage(TakeAction):
    """A decision as POST /v1/game/rounds/{round_id}/actions takes it. Answered by `round`."""

    type: Literal["action"]
    id: CallerId
    round_id: CallerId


class RoundMessage(_Request):
    """Asks for one of the player's rounds. Answered by `round`."""

    type: Literal["round"]
    round_id: CallerId


class BalanceMessage(_Request):
    """Answered by `balance`."""

    type: Literal["balance"]


class SessionMessage(_Request):
    """Answered by `session`."""

    type: Literal["session"]


class PingMessage(_Request):
    """Answered by `pong`."""

    type: Literal["ping"]


class HelloAnswer(BaseModel):
    """`sequence` is the player's: that of what happened last to the player's money. The server pings every
    `heartbeat_s` seconds, with frames that a client's library answers by itself."""

    type: Literal["hello"]
    session_id: str
    sequence: int
    heartbeat_s: int


class RoundAnswer(BaseModel):
    """`replayed` says that the bet or action was made before, and this is its first answer again."""

    type: Literal["round"]
    id: str
    replayed: bool
    round: RoundOut


class BalanceAnswer(BaseModel):
    type: Literal["balance"]
    id: str
    balance: Money


class SessionAnswer(BaseModel):
    type: Literal["session"]
    id: str
    session: SessionOut


class ProblemAnswer(BaseModel):
    """`id` is null when the message did not say its own, or was no message at all."""

    type: Literal["problem"]
    id: str | None
    replayed: bool
    problem: ProblemOut


class PongAnswer(BaseModel):
    type: Literal["pong"]
    id: str


class RoundPush(BaseModel):
    """A round of the player reached a state."""

    type: Literal["round"]
    round: RoundOut


class BalancePush(BaseModel):
    """What the player can bet in the session's currency, after a round closed."""

    type: Literal["balance"]
    balance: Money


class SessionEndedPush(BaseModel):
    """The operator has ended the session. The socket is closed after it."""

    type: Literal["session-ended"]


class ResyncPush(BaseModel):
    """Rounds may have closed that were not sent: list them, or connect again with `last_sequence`."""

    type: Literal["resync"]


FROM_CLIENT: Final = (
    *(Hello, BetMessage, ActionMessage, RoundMessage),
    *(BalanceMessage, SessionMessage, PingMessage),
)
ANSWERS: Final = (HelloAnswer, RoundAnswer, BalanceAnswer, SessionAnswer, ProblemAnswer, PongAnswer)
PUSHES: Final = (RoundPush, BalancePush, SessionEndedPush, ResyncPush)

# Codes that a socket is closed with, beside those of RFC 6455 for what is no text, not UTF-8 or too large.
BAD_HELLO: Final = 4400
UNAUTHENTICATED: Final = 4401
HELLO_TIMEOUT: Final = 4408
SESSION_ENDED: Final = 4410
TOO_MANY: Final = 4429
RESTARTING: Final = 1012
TRY_LATER: Final = 1013
NOT_TEXT: Final = 1003
