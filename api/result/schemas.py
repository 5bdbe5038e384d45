"""Rounds as answers have them, and manual interventions as requests have them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from api.gateway.schemas import Money, Reason, StrictModel, balance_money, moment, money
from contracts.choices import Choice
from contracts.records import AttemptFact, RoundRecord
from contracts.rounds import Bet, RoundState
from contracts.views import RoundView, round_begun


class VoidRound(StrictModel):
    """`reason` is kept for good, with the id of the key that was used."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "ticket 4711: the player was paid by hand"}]}
    )

    reason: Reason


class ResolveRound(StrictModel):
    """`paid-outside`: the recorded win was paid by other means. `refunded-outside`: the stake was paid back
    by other means. `retry-now`: the wallet is asked again at once. `void`: the stake goes back."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"action": "retry-now", "reason": "ticket 4711: the wallet is back"}]}
    )

    action: Literal["retry-now", "paid-outside", "refunded-outside", "void"]
    reason: Reason


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
    demo: bool  # played with demo money


class RoundPage(BaseModel):
    items: list[RoundOut]
    next_cursor: str | None


class OperatorRound(RoundOut):
    """`brand` is the session's, null without one, and while nothing of a pending round is stored yet."""

    player_id: str
    session_id: str
    brand: str | None
    event_id: str | None
    workflow_id: str


class RoundReplay(BaseModel):
    """A settled round, computed once more from its seed. `reproduced` is whether what came out is what is
    recorded, and `why` says why not; `outcome` and `win` are what came out, null where nothing could be
    computed."""

    round_id: str
    reproduced: bool
    why: str | None
    outcome: dict[str, Any] | None
    win: Money | None


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
    """What a person decided about the round. `actor` is `key:` and an API key's id, `oidc:` and an
    issuer's id of a person, or `cli:` and a name."""

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


def round_body(view: RoundView) -> dict[str, Any]:
    """A round as its player sees it."""
    return {
        "round_id": view.key.round_id,
        "state": view.state.value,
        "game": {"id": view.game_id, "version": view.game_version},
        "mode": view.mode,
        "stake": money(view.staked, view.currency),
        "win": money(view.win, view.currency),
        "balance": None if view.balance is None else balance_money(view.balance, view.currency),
        "outcome": view.outcome,
        "choices": [] if view.offer is None else [_choice(c, view.currency) for c in view.offer.choices],
        "decide_by": moment(view.decide_by),
        "actions": [taken | {"debit": money(taken["debit"], view.currency)} for taken in view.taken or ()],
        "fairness": {
            "server_seed_hash": view.server_seed_hash,
            "client_seed": view.client_seed,
            "nonce": view.nonce,
        },
        "sequence": view.sequence,
        "created_at": None if view.begun_only else moment(view.created_at),
        "settled_at": moment(view.closed_at) if view.state is RoundState.SETTLED else None,
        "failure": None if view.failure_code is None else {"code": view.failure_code},
        "demo": view.demo,
    }


def _choice(choice: Choice, currency: str) -> dict[str, Any]:
    return {"action": choice.action, "params": choice.params, "debit": money(choice.debit, currency)}


def operator_round_body(view: RoundView) -> dict[str, Any]:
    """A round as its operator sees it."""
    return round_body(view) | {
        "player_id": view.player_id,
        "session_id": view.session_id,
        "brand": view.brand,
        "event_id": view.event_id,
        "workflow_id": view.key.workflow_id,
    }


def operator_record_body(record: RoundRecord) -> dict[str, Any]:
    """A round as its operator sees it, with everything that is on record."""
    view, event = record.view, record.event
    return operator_round_body(view) | {
        "wallet_attempts": [_attempt(attempt, view.currency) for attempt in record.attempts],
        "interventions": [
            {
                "action": decided.action.value,
                "reason": decided.reason,
                "actor": decided.actor,
                "verdict": decided.verdict.value,
                "at": moment(decided.created_at),
            }
            for decided in record.interventions
        ],
        "event": None
        if event is None
        else {"id": event.event_id, "type": event.type, "published_at": moment(event.published_at)},
    }


def _attempt(attempt: AttemptFact, currency: str) -> dict[str, Any]:
    return {
        "call": attempt.call.value,
        "at": moment(attempt.created_at),
        "transaction_id": attempt.transaction_id,
        "amount": None if attempt.amount is None else money(attempt.amount, currency),
        "verdict": attempt.verdict.value,
        "code": attempt.code,
        "sent": attempt.sent,
        "duplicate": attempt.duplicate,
        "took_ms": attempt.took_us / 1000,
        "detail": attempt.detail,
    }


def pending_body(bet: Bet, body_of: Callable[[RoundView], dict[str, Any]] = round_body) -> dict[str, Any]:
    """A round of which nothing is stored yet: what the bet itself says."""
    return body_of(round_begun(bet))
