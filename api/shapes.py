"""What the API shows of stored things: pure translations into api.md's shapes."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from api.problems import Problem
from contracts.choices import Choice
from contracts.movements import StatementEntry
from contracts.records import AttemptFact, RoundRecord
from contracts.rounds import Bet, RoundState
from contracts.views import ApiKeyRecord, RoundView, SessionView
from contracts.webhooks import DeadDelivery, WebhookStatus


def money(amount: int, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def round_body(view: RoundView) -> dict[str, Any]:
    """A round as its player sees it."""
    return {
        "round_id": view.key.round_id,
        "state": view.state.value,
        "game": {"id": view.game_id, "version": view.game_version},
        "mode": view.mode,
        "stake": money(view.staked, view.currency),
        "win": money(view.win, view.currency),
        "balance": None if view.balance is None else money(view.balance, view.currency),
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
        "created_at": moment(view.created_at),
        "settled_at": moment(view.closed_at) if view.state is RoundState.SETTLED else None,
        "failure": None if view.failure_code is None else {"code": view.failure_code},
        "demo": view.demo,
    }


def _choice(choice: Choice, currency: str) -> dict[str, Any]:
    return {"action": choice.action, "params": choice.params, "debit": money(choice.debit, currency)}


def pending_body(bet: Bet) -> dict[str, Any]:
    """A round that nothing is stored of yet: what the bet itself says."""
    return {
        "round_id": bet.key.round_id,
        "state": RoundState.PENDING.value,
        "game": {"id": bet.game_id, "version": bet.game_version},
        "mode": bet.mode,
        "stake": money(bet.stake, bet.currency),
        "win": money(0, bet.currency),
        "balance": None,
        "outcome": None,
        "choices": [],
        "decide_by": None,
        "actions": [],
        "fairness": {"server_seed_hash": None, "client_seed": None, "nonce": None},
        "sequence": None,
        "created_at": None,
        "settled_at": None,
        "failure": None,
        "demo": bet.demo,
    }


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
        "limits": limits,
        "lost": money(session.lost, session.currency) if "loss_limit" in limits else None,
        "enabled": session.enabled,
        "created_at": moment(session.created_at),
        "expires_at": moment(ends_by),
        "ended_at": moment(session.ended_at),
    }


def operator_round_body(view: RoundView) -> dict[str, Any]:
    """A round as its operator sees it."""
    return round_body(view) | {
        "player_id": view.player_id,
        "session_id": view.session_id,
        "event_id": view.event_id,
        "workflow_id": view.key.workflow_id,
    }


def operator_pending_body(bet: Bet) -> dict[str, Any]:
    """The same, as its operator sees it."""
    return pending_body(bet) | {
        "player_id": bet.player_id,
        "session_id": bet.session_id,
        "event_id": None,
        "workflow_id": bet.key.workflow_id,
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


def statement_item(entry: StatementEntry) -> dict[str, Any]:
    """A posting as the player's operator sees it."""
    return {
        "position": entry.position,
        "kind": entry.kind,
        "reference": entry.reference,
        "amount": money(entry.amount, entry.currency),
        "balance": money(entry.balance, entry.currency),
        "at": moment(entry.created_at),
    }


def webhook_body(status: WebhookStatus) -> dict[str, Any]:
    """A webhook as its operator sees it, without its secret."""
    webhook = status.webhook
    return {
        "webhook_id": webhook.key.webhook_id,
        "url": webhook.url,
        "types": None if webhook.types is None else list(webhook.types),
        "enabled": webhook.disabled is None,
        "disabled": webhook.disabled and webhook.disabled.value,
        "pending": status.pending,
        "dead": status.dead,
        "last_success_at": moment(status.last_success_at),
        "last_error": status.last_error,
        "last_error_at": moment(status.last_error_at),
        "created_at": moment(webhook.created_at),
        "updated_at": moment(webhook.updated_at),
    }


def dead_event_item(dead: DeadDelivery) -> dict[str, Any]:
    """An event that a webhook never took."""
    return {
        "event_id": dead.event_id,
        "type": dead.type,
        "subject": dead.subject,
        "occurred_at": moment(dead.occurred_at),
        "attempts": dead.attempts,
        "last_error": dead.last_error,
        "dead_at": moment(dead.dead_at),
    }


def cursor(position: int | None) -> str | None:
    """Opaque to clients, so that its meaning may change."""
    return None if position is None else base64.urlsafe_b64encode(b"r%d" % position).decode().rstrip("=")


def position(text: str | None) -> int | None:
    """What `cursor` made. Raises the problem `invalid` for anything else."""
    if text is None:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        if not decoded.startswith("r") or not decoded[1:].isascii() or not decoded[1:].isdigit():
            raise ValueError
        value = int(decoded[1:])
        if value >= 2**63:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Problem("invalid", "cursor: use the next_cursor of an earlier answer") from None
    return value


def api_key_body(record: ApiKeyRecord) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "key_id": record.key_id,
        "scope": record.scope,
        "active": record.active,
        "created_at": moment(record.created_at),
        "expires_at": moment(record.expires_at),
        "revoked_at": moment(record.revoked_at),
    }
