"""All invariants, in the order in which they are checked and shown."""

from typing import Final

from verification.invariants.events import (
    EVENTS_AGREE,
    EVENTS_APPLIED,
    EVENTS_PUBLISHED,
    MOVEMENTS_AGREE,
    NO_INVENTED_EVENT,
    ONE_EVENT,
    SEQUENCES_GAPLESS,
    SESSIONS_AGREE,
    STATISTICS_ARE_ROUNDS,
)
from verification.invariants.guards import GUARDS_IN_PLACE, NONCES_USED_ONCE, SECRETS_SEALED
from verification.invariants.invariant import Invariant
from verification.invariants.money import (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    NEVER_OVERDRAWN,
    NO_HOLD_OVERDUE,
    TRANSFERS_BALANCE,
)
from verification.invariants.owners import PLAY_MONEY_APART, ROWS_BELONG_TOGETHER, TRANSFERS_STAY_HOME
from verification.invariants.rounds import (
    ACTIONS_ARE_COUNTED,
    ONE_TERMINAL,
    ROUNDS_ARE_COMPLETE,
    WALLET_BETS_ARE_RESOLVED,
    WALLETS_ARE_SQUARE,
)

INVARIANTS: Final[tuple[Invariant, ...]] = (
    TRANSFERS_BALANCE,
    BALANCES_ARE_POSTINGS,
    NEVER_OVERDRAWN,
    HOLDS_ARE_OPEN_STAKES,
    NO_HOLD_OVERDUE,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
    ROUNDS_ARE_COMPLETE,
    ACTIONS_ARE_COUNTED,
    ONE_EVENT,
    MOVEMENTS_AGREE,
    SESSIONS_AGREE,
    EVENTS_PUBLISHED,
    EVENTS_APPLIED,
    NO_INVENTED_EVENT,
    STATISTICS_ARE_ROUNDS,
    SEQUENCES_GAPLESS,
    NONCES_USED_ONCE,
    GUARDS_IN_PLACE,
    EVENTS_AGREE,
    ROWS_BELONG_TOGETHER,
    TRANSFERS_STAY_HOME,
    PLAY_MONEY_APART,
    SECRETS_SEALED,
)
