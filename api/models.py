"""The bodies of requests, checked exactly, and of answers, as OpenAPI describes them."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
)

from api.problems import problems
from contracts.currencies import exponent, known
from events.catalogue import EVENT_TYPES, INCIDENT_OPENED
from security.api_keys import KeyScope

# `$` is the very end here (Rust's syntax, and ECMAScript's in OpenAPI): a trailing newline does not pass.
# Ids that callers choose: they are idempotency keys, parts of workflow ids and words of routing keys.
CallerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _known(currency: str) -> str:
    """Without an exponent nobody could say what an amount is worth. Raises UnknownCurrency, a ValueError."""
    exponent(currency)
    return currency


def _printable(text: str) -> str:
    """Raises ValueError for text of spaces alone, or with something in it that a terminal would obey."""
    if not text.strip() or not text.isprintable():
        raise ValueError("1 to 300 printable characters")
    return text


Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2,9}$"),
    AfterValidator(_known),
    Field(json_schema_extra={"enum": sorted(known())}),
]
GameId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
# 2**53 - 1: the largest integer that every JSON client reads exactly.
Amount = Annotated[int, Field(strict=True, gt=0, le=2**53 - 1)]


def _rfc3339(value: object) -> object:
    """Pydantic alone would take a number for seconds since 1970, and a date for its midnight."""
    if isinstance(value, str) and re.fullmatch(_RFC_3339, value) is None:
        raise ValueError("a time as in RFC 3339, such as 2026-11-22T16:56:52Z")
    return value


_RFC_3339: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MoneyIn(_Request):
    """`amount` in minor units of `currency`."""

    amount: Amount
    currency: Currency


SessionMode = Literal["real", "demo"]
# 0 would refuse every bet: that is what ending the session, or the switches, are for.
Limit = Annotated[int, Field(strict=True, gt=0, le=2**53 - 1)]


class Limits(_Request):
    """Amounts in minor units of the session's currency. `stakes` are the only ones that may be bet.
    `loss_limit` is of the session's net loss, the stake that is asked for included. `min_cycle_ms` is from
    one round's start to the next one's."""

    max_stake: Limit | None = None
    stakes: Annotated[list[Amount], Field(min_length=1, max_length=100)] | None = None
    loss_limit: Limit | None = None
    max_session_s: Annotated[int, Field(strict=True, gt=0, le=366 * 24 * 3600)] | None = None
    min_cycle_ms: Annotated[int, Field(strict=True, gt=0, le=3_600_000)] | None = None


class OpenSession(_Request):
    """`mode` is `demo` for play money. `jurisdiction` names the profile whose rules hold as well; whichever
    of its limits and `limits` is stricter does."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"player_id": "alice", "game_id": "dice", "currency": "EUR"}]}
    )

    player_id: CallerId
    game_id: GameId
    currency: Currency
    mode: SessionMode = "real"
    client_seed: CallerId | None = None
    jurisdiction: Annotated[str, StringConstraints(max_length=16)] | None = None
    limits: Limits | None = None


class SwitchGame(_Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})

    enabled: Annotated[bool, Field(strict=True)]


class SwitchPlayer(_Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"blocked": False}]})

    blocked: Annotated[bool, Field(strict=True)]


class Deposit(_Request):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"transaction_id": "t-1001", "amount": {"amount": 5_000, "currency": "EUR"}}]
        }
    )

    transaction_id: CallerId
    amount: MoneyIn


class Withdrawal(_Request):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"transaction_id": "t-1002", "amount": {"amount": 1_000, "currency": "EUR"}}]
        }
    )

    transaction_id: CallerId
    amount: MoneyIn


WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_WebhookType = Annotated[str, Field(json_schema_extra={"enum": sorted(EVENT_TYPES - {INCIDENT_OPENED})})]
EventTypes = Annotated[list[_WebhookType], Field(min_length=1, max_length=20)]


class CreateWebhook(_Request):
    """`types` are the events to send; all of them when not given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://203.0.113.1/croupier", "types": ["round.settled"]}]}
    )

    url: WebhookUrl
    types: EventTypes | None = None


class ChangeWebhook(_Request):
    """What is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False}]})

    url: WebhookUrl | None = None
    types: EventTypes | None = None
    enabled: bool | None = None


class ReplayEvents(_Request):
    """Either the ids of dead events, or all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_dead": True}]})

    event_ids: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(max_length=100)] | None = None
    all_dead: bool = False


Reason = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_printable)]


class VoidRound(_Request):
    """`reason` is kept for good, with the id of the key that was used."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "ticket 4711: the player was paid by hand"}]}
    )

    reason: Reason


class ResolveRound(_Request):
    """`paid-outside`: the recorded win was paid by other means. `refunded-outside`: the stake was given back
    by other means. `retry-now`: the wallet is asked again at once. `void`: the stake goes back."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"action": "retry-now", "reason": "ticket 4711: the wallet is back"}]}
    )

    action: Literal["retry-now", "paid-outside", "refunded-outside", "void"]
    reason: Reason


class PlaceBet(_Request):
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


class TakeAction(_Request):
    """A decision in a round that waits for its player: one of its `choices`, with a value for each of that
    one's `params`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action_id": "a-1001", "action": "gamble", "params": {"color": "red"}}]
        }
    )

    action_id: CallerId
    action: ActionName
    params: Params = {}


def _utc(text: str) -> str:
    """The moment as events have it. Raises ValueError for one that is in no calendar."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError:
        raise ValueError("a time between the years 1 and 9999") from None


def _small(data: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(data, separators=(",", ":"))) > GAME_EVENT_BYTES:
        raise ValueError(f"at most {GAME_EVENT_BYTES} bytes of JSON")
    return data


GAME_EVENT_BYTES: Final = 4_096


class GameEventIn(_Request):
    """Something that a game client tells of itself. `event_id` is the player's own, for ever; `at` is RFC
    3339; `data` is at most 4096 bytes of JSON."""

    event_id: CallerId
    type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]
    at: Annotated[str, StringConstraints(pattern=_RFC_3339), AfterValidator(_utc)]
    data: Annotated[dict[str, Any], AfterValidator(_small)]


class TellEvents(_Request):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "event_id": "e-1001",
                            "type": "tutorial.finished",
                            "at": "2026-11-22T16:56:52Z",
                            "data": {"steps": 4},
                        }
                    ]
                }
            ]
        }
    )

    events: Annotated[list[GameEventIn], Field(min_length=1, max_length=50)]


class EventsAccepted(BaseModel):
    """How many events the call told, those among them that were known before."""

    accepted: int


class Money(BaseModel):
    """`amount` in minor units of `currency`."""

    amount: int
    currency: str


class GameName(BaseModel):
    id: str
    version: str


class Fairness(BaseModel):
    server_seed_hash: str | None
    client_seed: str | None
    nonce: int | None


class Failure(BaseModel):
    code: str


class ChoiceOut(BaseModel):
    """What the player may do, and what it costs: `params` has the values that are allowed for each name."""

    action: str
    params: dict[str, list[str | int | bool]]
    debit: Money


class TakenAction(BaseModel):
    """What was done. `by` is "timer" where the house decided for a player who stayed away."""

    action_id: str
    action: str
    params: dict[str, str | int | bool]
    debit: Money
    by: Literal["player", "timer"]
    at: datetime


class RoundOut(BaseModel):
    """`stake` is all that was staked, further debits included; `choices` is what the round waits for, until
    `decide_by` (null: without end); `actions` is what was chosen before."""

    round_id: str
    state: Literal["pending", "awaiting_choice", "settling", "settled", "declined", "void"]
    game: GameName
    mode: str
    stake: Money
    win: Money
    balance: Money | None
    outcome: dict[str, Any] | None
    choices: list[ChoiceOut]
    decide_by: datetime | None
    actions: list[TakenAction]
    fairness: Fairness
    sequence: int | None
    created_at: datetime | None  # None while nothing of a pending round is stored yet
    settled_at: datetime | None
    failure: Failure | None
    demo: bool  # played with play money


class RoundPage(BaseModel):
    items: list[RoundOut]
    next_cursor: str | None


class OperatorRound(RoundOut):
    player_id: str
    session_id: str
    event_id: str | None
    workflow_id: str


class WalletAttempt(BaseModel):
    """One call of the operator's own wallet. `amount` is null for a rollback; `sent` is false when not one
    byte of the call left us."""

    call: Literal["bet", "win", "rollback"]
    at: datetime
    transaction_id: str
    amount: Money | None
    verdict: Literal["accepted", "refused", "unknown"]
    code: str | None
    sent: bool
    duplicate: bool
    took_ms: float
    detail: str


class InterventionOut(BaseModel):
    """What a person decided about the round. `actor` is `key:` and an API key's id, or `cli:` and a name."""

    action: Literal["retry-now", "paid-outside", "refunded-outside", "void"]
    reason: str
    actor: str
    verdict: Literal["accepted", "refused"]
    at: datetime


class EventOut(BaseModel):
    """`published_at` is null until the broker has confirmed the event."""

    id: str
    type: str
    published_at: datetime | None


class OperatorRoundRecord(OperatorRound):
    """A round with everything that is on record of it. `event` is null until the round has ended."""

    wallet_attempts: list[WalletAttempt]
    interventions: list[InterventionOut]
    event: EventOut | None


class OperatorRoundPage(BaseModel):
    items: list[OperatorRound]
    next_cursor: str | None


class CloudEvent(BaseModel):
    """An event as the broker carries it: CloudEvents 1.0. `data` is as its type's own description says;
    `sequence` is the player's, without gaps."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    operator: str
    sequence: int
    data: dict[str, Any]


class EventPage(BaseModel):
    """`next_cursor` is always there: after the last event it is where the next ones will follow."""

    items: list[CloudEvent]
    next_cursor: str


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


class GameSwitched(BaseModel):
    game_id: str
    enabled: bool


class PlayerSwitched(BaseModel):
    player_id: str
    blocked: bool


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
    limits: Limits
    lost: Money | None
    enabled: bool
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class BalanceOut(BaseModel):
    balance: Money


class OperatorBalance(BaseModel):
    """`balance` is available; `held` is reserved by open rounds; `total` is both. All of our own ledger."""

    balance: Money
    held: Money
    total: Money


class Deposited(BaseModel):
    transaction_id: str
    balance: Money


class Withdrawn(BaseModel):
    transaction_id: str
    balance: Money


class StatementItem(BaseModel):
    """`amount` is negative when it left the player; `balance` is what was available right after.
    `reference` is the round's id for a stake or a win, the transaction id otherwise. `position` counts the
    player's postings in all currencies: 1, 2, 3, ..."""

    position: int
    kind: str
    reference: str
    amount: Money
    balance: Money
    at: datetime


class StatementPage(BaseModel):
    items: list[StatementItem]
    next_cursor: str | None


class WebhookOut(BaseModel):
    """`disabled` says why nothing is sent: `by-operator`, or `gone` when the endpoint answered 410. `pending`
    events are being sent again, `dead` ones were given up. `last_error` is the latest failure, whatever came
    of it."""

    webhook_id: str
    url: str
    types: list[str] | None
    enabled: bool
    disabled: Literal["by-operator", "gone"] | None
    pending: int
    dead: int
    last_success_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    created_at: datetime
    updated_at: datetime


class WebhookCreated(WebhookOut):
    """`secret` is `whsec_...`; it is shown once, here."""

    secret: str


class WebhookList(BaseModel):
    items: list[WebhookOut]


class DeadEvent(BaseModel):
    """An event that was given up after so many attempts, and what the last one came to."""

    event_id: str
    type: str
    subject: str
    occurred_at: datetime
    attempts: int
    last_error: str
    dead_at: datetime


class DeadEventPage(BaseModel):
    items: list[DeadEvent]
    next_cursor: str | None


class ReplayedEvents(BaseModel):
    """How many events were begun anew."""

    replayed: int


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    """`failing` names what does not answer."""

    status: Literal["ready", "not ready"]
    failing: list[str]


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


class ProblemOut(BaseModel):
    """RFC 9457. Clients switch on `code`; `detail` is for people. Further members as the case needs."""

    model_config = ConfigDict(extra="allow", title="Problem")
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retry_after: int = Field(default=0, description="whole seconds, with a status of 429 or 503")
    round_id: str = Field(default="", description="the round that was declined")
    open_round: str | None = Field(default=None, description="the round to finish first")
    balance: Money | None = Field(default=None, description="what is available")


SeedHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RotateSeed(_Request):
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


class VerifyAction(_Request):
    """One of a round's `actions`, as far as its outcome depends on it."""

    action: ActionName
    params: Params = {}


class VerifyOutcome(_Request):
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
    actions: Annotated[list[VerifyAction], Field(max_length=100)] = []

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


class NewApiKey(_Request):
    """`expires_at` is when the key ends by itself; never when it is not given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scope": "game", "expires_at": "2099-01-01T00:00:00Z"}]}
    )

    scope: KeyScope
    # Not strict: JSON has no times, so a text must do.
    expires_at: Annotated[AwareDatetime | None, Field(strict=False)] = None


class RotateApiKey(_Request):
    """For how many seconds the old key still opens what it did; 0 ends it at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 3_600}]})

    overlap_s: int = Field(ge=0, le=30 * 86_400)


class ApiKeyIssued(BaseModel):
    """A new key, shown this once. `replaces` is the key that it was rotated from, which ends at
    `replaced_until`."""

    key_id: str
    key: str
    scope: KeyScope
    expires_at: datetime | None
    replaces: str | None
    replaced_until: datetime | None


class ApiKeyListed(BaseModel):
    """A key without its secret. `active` is whether it opens anything now."""

    key_id: str
    scope: KeyScope
    active: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeyPage(BaseModel):
    items: list[ApiKeyListed]


# What every router says of its errors: the door refuses what is too large, compressed or too much, and bugs
# are told.
PROBLEM_RESPONSES: Final = problems(
    "too-large", "unsupported-media-type", "too-many-requests", "internal", "overloaded"
)


def headers(*names: str) -> dict[str, Any]:
    """What a response says of its headers; api/openapi.py describes each."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def repeat(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """For the `responses` of a route that does a thing once: how it answers the same request again."""
    description = "A repeat: the first answer again"
    return {200: {"model": model, "description": description, "headers": headers("Idempotent-Replayed")}}
