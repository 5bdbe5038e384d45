"""Games, and the check of an outcome, as requests and answers have them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bet.schemas import ActionName, Params
from api.gateway.schemas import Amount, GameId, StrictModel


class GameMode(BaseModel):
    """A way to bet: `stakes`, in minor units, are the game's own times `stake_multiplier`."""

    description: str
    stake_multiplier: int
    stakes: list[int]


class GameSummary(BaseModel):
    """`stakes` in minor units; `max_win` in stakes; `choice` is the JSON Schema of a bet's choice, or null
    when the game takes none."""

    id: str
    version: str
    title: str
    modes: dict[str, GameMode]
    stakes: list[int]
    max_win: int
    choice: dict[str, Any] | None


class GameOut(GameSummary):
    """A game with its rules, in the game's own terms."""

    rules: dict[str, Any]


class GameList(BaseModel):
    items: list[GameSummary]


class VerifyAction(StrictModel):
    """One of a round's `actions`, as far as its outcome depends on it."""

    action: ActionName
    params: Params = Field({})


class VerifyOutcome(StrictModel):
    """A round as its player knows it, and the revealed server seed as hex. `stake` in minor units, the bet's
    alone. `choices` is the choice that was made with the bet, or a list with that alone; `actions` is what
    was chosen later, in its order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "game": "dice",
                    "version": "1.0.0",
                    "server_seed": "5f" * 32,
                    "client_seed": "seven-green-apples",
                    "nonce": 0,
                    "stake": 100,
                    "choices": {"direction": "over", "target": 4_999},
                }
            ]
        }
    )

    game: GameId
    version: Annotated[str, StringConstraints(max_length=64)]
    server_seed: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
    client_seed: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    nonce: Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]
    mode: Annotated[str, StringConstraints(max_length=64)] = "base"
    stake: Amount
    choices: dict[str, Any] | Annotated[list[dict[str, Any]], Field(max_length=1)] | None = None
    actions: Annotated[list[VerifyAction], Field(max_length=100)] = Field([])

    @property
    def choice(self) -> dict[str, Any] | None:
        """The choice that was made with the bet."""
        if isinstance(self.choices, list):
            return self.choices[0] if self.choices else None
        return self.choices


class VerifiedOutcome(BaseModel):
    """`server_seed_hash` is what must have been shown before play; `win` is in minor units."""

    server_seed_hash: str
    outcome: dict[str, Any]
    win: int
