"""Bets and actions as requests have them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr, StringConstraints

from api.gateway.schemas import Amount, CallerId, StrictModel
from contracts.rounds import Bet, RoundKey
from contracts.sessions import SessionClaims


class PlaceBet(StrictModel):
    """`stake` in minor units of the session's currency; `choice` as the game's own description says."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"round_id": "r-1001", "stake": 100, "choice": {"direction": "over", "target": 4_999}}
            ]
        }
    )

    round_id: CallerId
    stake: Amount
    mode: Annotated[str, StringConstraints(max_length=64)] = "base"
    choice: dict[str, Any] | None = None


ActionName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# A value for each parameter that the choice has.
Params = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        StrictBool | StrictInt | Annotated[StrictStr, StringConstraints(max_length=200)],
    ],
    Field(max_length=20),
]


class TakeAction(StrictModel):
    """A decision in a round that waits for its player: one of its `choices`, with a value for each of that
    one's `params`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action_id": "a-1001", "action": "gamble", "params": {"color": "red"}}]
        }
    )

    action_id: CallerId
    action: ActionName
    params: Params = Field({})


def bet_of(body: PlaceBet, claims: SessionClaims, *, game_version: str, request_id: str) -> Bet:
    """The bet that a session's request is: what a PlaceBet and a Bet both have is copied by its name."""
    return Bet(
        key=RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=body.round_id),
        player_id=claims.player_id,
        account_id=claims.account_id,
        session_id=claims.session_id,
        game_id=claims.game_id,
        game_version=game_version,
        currency=claims.currency,
        stake=body.stake,
        mode=body.mode,
        choice=body.choice,
        request_id=request_id,
        demo=claims.demo,
        jurisdiction=claims.jurisdiction,
    )
