"""The complete record of one round, for whoever has to explain it."""

from dataclasses import dataclass
from datetime import datetime

from contracts.interventions import Action, InterventionVerdict
from contracts.views import RoundView
from contracts.wallet import WalletCall, WalletVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFact:
    """An amount (minor units) that moved from one account to another. The kinds are `player`, `house`,
    `cash` or `wallet`, and None for an account that is missing; `position` is the link in the player's hash
    chain."""

    kind: str
    amount: int
    currency: str
    debit_account: int
    debit_kind: str | None
    credit_account: int
    credit_kind: str | None
    available_after: int
    position: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFact:
    """One call of an operator's wallet and its result, as WalletAnswer has it. `amount` is in minor units,
    for bet and win; `created_at` is when the answer came or was given up."""

    call: WalletCall
    transaction_id: str
    amount: int | None
    verdict: WalletVerdict
    code: str | None
    sent: bool
    duplicate: bool
    took_us: int
    detail: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionFact:
    """One manual intervention, accepted or refused."""

    action: Action
    reason: str
    actor: str
    verdict: InterventionVerdict
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """The round's event: recorded with the round's end, confirmed by the broker, applied by the
    statistics."""

    event_id: str
    type: str
    sequence: int
    occurred_at: datetime
    published_at: datetime | None
    applied_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What is stored of one round; attempts and interventions oldest first."""

    view: RoundView
    transfers: tuple[TransferFact, ...]
    attempts: tuple[AttemptFact, ...]
    interventions: tuple[InterventionFact, ...]
    event: EventFact | None
