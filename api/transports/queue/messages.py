"""The messages of the queue ingress, checked exactly, as AsyncAPI describes them. An answer's body is REST's:
RoundOut or ProblemOut."""

from typing import Annotated

from pydantic import Field, SecretStr

from api.bet.schemas import PlaceBet, TakeAction
from api.gateway.schemas import CallerId

# A secret, so that no log and no error shows it.
SessionToken = Annotated[SecretStr, Field(min_length=1)]


class SubmitRound(PlaceBet):
    """Routing key `rounds.submit`: plays a round, as POST /v1/game/rounds does."""

    session_token: SessionToken


class ActOnRound(TakeAction):
    """Routing key `rounds.act`: decides in a round that waits for its player, as
    POST /v1/game/rounds/{id}/actions does."""

    session_token: SessionToken
    round_id: CallerId
