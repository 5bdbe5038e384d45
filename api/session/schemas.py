"""Sessions and seeds as requests and answers have them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.gateway.schemas import Amount, CallerId, Currency, GameId, Money, StrictModel, moment, money
from api.session.launch import Told
from contracts.views import SessionView

SessionMode = Literal["real", "demo"]
# 0 would refuse every bet: that is what ending the session, or the switches, are for.
Limit = Annotated[int, Field(strict=True, gt=0, le=2**53 - 1)]


class Limits(StrictModel):
    """Amounts in minor units of the session's currency. `stakes` are the only ones that may be bet.
    `loss_limit` is of the session's net loss, the stake that is asked for included. `min_cycle_ms` is from
    one round's start to the next one's."""

    max_stake: Limit | None = None
    stakes: Annotated[list[Amount], Field(min_length=1, max_length=100)] | None = None
    loss_limit: Limit | None = None
    max_session_s: Annotated[int, Field(strict=True, gt=0, le=366 * 24 * 3600)] | None = None
    min_cycle_ms: Annotated[int, Field(strict=True, gt=0, le=3_600_000)] | None = None


class NewSession(StrictModel):
    """Who plays what, and by which rules."""

    player_id: CallerId
    game_id: GameId
    currency: Currency
    mode: SessionMode = "real"
    client_seed: CallerId | None = None
    jurisdiction: Annotated[str, StringConstraints(max_length=16)] | None = None
    limits: Limits | None = None
    brand: CallerId | None = None


class OpenSession(Told, NewSession):
    """`mode` is `demo` for demo money. `jurisdiction` names the profile whose rules hold as well; whichever
    of its limits and `limits` is stricter does. `brand` is a label of the operator's that the session's
    rounds and events carry; without it, that of the API key, if it has one.

    `lang` (BCP 47), `device`, `country` (ISO 3166-1) and the three URLs go into `launch_url`, for the game's
    page alone: its language, and where it leads whoever leaves, pays in or asks for the operator's own
    history. They change no rule."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"player_id": "alice", "game_id": "dice", "currency": "EUR"}]}
    )


class SessionOpened(BaseModel):
    """`enabled` is false while the operator has switched the game off: then no bet is taken."""

    session_id: str
    token: str
    launch_url: str
    expires_at: datetime
    limits: Limits
    enabled: bool


class SessionRefreshed(BaseModel):
    token: str
    expires_at: datetime


class SessionCommitment(BaseModel):
    server_seed_hash: str
    client_seed: str
    next_nonce: int


class PlayerName(BaseModel):
    id: str


class SessionOut(BaseModel):
    """`balance` is null while the operator's own wallet does not say it; GET /v1/game/balance asks again.
    `limits` are those that hold, and leave out what is not limited. `enabled` is false while no bet is taken
    because the operator has switched the game off."""

    session_id: str
    player: PlayerName
    game: dict[str, Any]
    currency: str
    mode: str
    balance: Money | None
    limits: Limits
    open_round: str | None
    fairness: SessionCommitment
    expires_at: datetime
    jurisdiction: str | None
    enabled: bool


class OperatorSession(BaseModel):
    """`state` is `expired` when the last token, or the longest time of the session, is over. `lost` is the
    net loss so far, null where no loss limit has it counted."""

    session_id: str
    state: Literal["open", "expired", "ended"]
    player_id: str
    game_id: str
    currency: str
    mode: SessionMode
    jurisdiction: str | None
    brand: str | None
    limits: Limits
    lost: Money | None
    enabled: bool
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


SeedHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RotateSeed(StrictModel):
    """`server_seed_hash` names the seed to reveal; without it, the session's current one is meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"client_seed": "seven-green-apples"}]})

    client_seed: CallerId
    server_seed_hash: SeedHash | None = None


class RevealedSeed(BaseModel):
    """`server_seed` is 32 bytes as hex. `last_nonce` is null when no round was drawn from it."""

    server_seed: str
    server_seed_hash: str
    client_seed: str
    last_nonce: int | None


class SeedRotated(BaseModel):
    revealed: RevealedSeed
    next: SessionCommitment


def operator_session_body(session: SessionView, *, now: datetime) -> dict[str, Any]:
    """A session as its operator sees it."""
    ends_by = min(session.expires_at, session.ends_by or session.expires_at)
    limits = session.limits or {}
    return {
        "session_id": session.session_id,
        "state": "ended" if session.ended_at else "expired" if ends_by <= now else "open",
        "player_id": session.player_id,
        "game_id": session.game_id,
        "currency": session.currency,
        "mode": session.mode,
        "jurisdiction": session.jurisdiction,
        "brand": session.brand,
        "limits": limits,
        "lost": money(session.lost, session.currency) if "loss_limit" in limits else None,
        "enabled": session.enabled,
        "created_at": moment(session.created_at),
        "expires_at": moment(ends_by),
        "ended_at": moment(session.ended_at),
    }


def session_body(
    session: SessionView, *, game: dict[str, Any], balance: dict[str, Any] | None, open_round: str | None
) -> dict[str, Any]:
    """A session as its player sees it."""
    return {
        "session_id": session.session_id,
        "player": {"id": session.player_id},
        "game": game,
        "currency": session.currency,
        "mode": session.mode,
        "balance": balance,
        "limits": session.limits or {},
        "open_round": open_round,
        "fairness": {
            "server_seed_hash": session.server_seed_hash,
            "client_seed": session.client_seed,
            "next_nonce": session.next_nonce,
        },
        "expires_at": moment(session.expires_at),
        "jurisdiction": session.jurisdiction,
        "enabled": session.enabled,
    }
