"""The audit log: who did what to an operator's players, games, webhooks, keys and money, and when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.actors import ACTOR_LIMIT
from contracts.interventions import REASON_LIMIT


class Kind(StrEnum):
    """What was done. The first four are decisions about rounds, by the names of contracts.interventions."""

    RETRY_NOW = "retry-now"
    PAID_OUTSIDE = "paid-outside"
    REFUNDED_OUTSIDE = "refunded-outside"
    VOID = "void"
    PLAYER_BLOCKED = "player-blocked"
    PLAYER_UNBLOCKED = "player-unblocked"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    GAME_ENABLED = "game-enabled"
    GAME_DISABLED = "game-disabled"
    WEBHOOK_CREATED = "webhook-created"
    WEBHOOK_CHANGED = "webhook-changed"
    WEBHOOK_SECRET_ROTATED = "webhook-secret-rotated"  # noqa: S105 - the name of an act
    WEBHOOK_DELETED = "webhook-deleted"
    WEBHOOK_REPLAYED = "webhook-replayed"
    WEBHOOK_TESTED = "webhook-tested"
    KEY_CREATED = "key-created"
    KEY_ROTATED = "key-rotated"
    KEY_REVOKED = "key-revoked"


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, by the names of contracts/actors.py, and why, where that is said."""

    actor: str
    reason: str | None = None

    def __post_init__(self) -> None:
        assert 0 < len(self.actor) <= ACTOR_LIMIT
        assert self.reason is None or 0 < len(self.reason) <= REASON_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. `subject` is the id of what it was done to: a round, player, game, webhook or key. `detail`
    says more, by the kind. A decision about a round also has whose the round is, its state before (None where
    it had no row yet), and may be `refused`; any other act is here because it was accepted."""

    entry_id: str
    kind: str
    actor: str
    subject: str
    detail: dict[str, Any]
    reason: str | None
    verdict: str
    player_id: str | None
    demo: bool
    state_before: str | None
    created_at: datetime
