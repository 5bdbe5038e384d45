"""What the certification cases speak of: calls, amounts, odds, faults."""

from typing import Any, Final

from contracts.wallet import WalletCall
from operator_wallet.faults import Kind

BET, WIN, ROLLBACK = WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK
OPENING: Final = 10_000
STAKE: Final = 100
# Wins on 9,800 of 10,000 rolls, and on 10.
NEARLY_ALWAYS: Final = {"direction": "over", "target": 199}
NEARLY_NEVER: Final = {"direction": "over", "target": 9_989}
# A plan of faults: the wallet answers every win with 503, for as long as the plan is in force.
TAKES_NO_WIN: Final[dict[str, Any]] = {"rates": {Kind.ERROR_BEFORE: 1.0}, "only": [WIN]}
# A script of faults: the stake is taken, but nobody hears of it, twice, after which the round is released.
TAKEN_UNHEARD: Final = ((Kind.ERROR_AFTER, BET), (Kind.ERROR_AFTER, BET))
