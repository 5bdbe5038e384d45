"""The messages of the queue ingress, checked exactly, as AsyncAPI describes them. An answer's body is REST's:
RoundOut or ProblemOut."""

from typing import Annotated

from pydantic import Field, SecretStr

from api.models import PlaceBet

# A secret, so that no log and no error shows it.
SessionToken = Annotated[SecretStr, Field(min_length=1)]


class SubmitRound(PlaceBet):
    """Routing key `rounds.submit`: plays a round, as POST /v1/game/rounds does."""

    session_token: SessionToken
