"""The calls of an operator's wallet as rows of the time line."""

from collections.abc import Iterable, Iterator

from contracts.failures import one_line
from contracts.records import AttemptFact
from contracts.wallet import WalletVerdict
from timeline.model import Entry, Source
from timeline.wording import money


def wallet_entries(attempts: Iterable[AttemptFact], currency: str) -> Iterator[Entry]:
    """One row for each attempt, at the time when its answer was there or was given up."""
    for attempt in attempts:
        yield Entry(attempt.created_at, Source.WALLET, _attempted(attempt, currency))


def _attempted(attempt: AttemptFact, currency: str) -> str:
    amount = "" if attempt.amount is None else f" of {money(attempt.amount, currency)}"
    said = f"{attempt.verdict}, repeated" if attempt.duplicate else attempt.verdict.value
    why = ""
    if attempt.verdict is not WalletVerdict.ACCEPTED:
        why = one_line(": ".join(filter(None, (attempt.code, attempt.detail))))
    unsent = "" if attempt.sent else ", never sent"
    what = f"{attempt.call}{amount}: {said}{unsent}" + (f" ({why})" if why else "")
    return f"{what}, in {attempt.took_us / 1000:.1f} ms, transaction {attempt.transaction_id}"
