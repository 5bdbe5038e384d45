"""Wallets that are broken in one way each, for the certification cases to find."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

from contracts.wallet import WalletRefusal, WalletRequest
from operator_wallet.book import Book
from operator_wallet.connections import Request
from operator_wallet.entries import ENTRY_COLUMNS, Entry, Policy, Refused, Taken
from security.standard_webhooks import (
    TIMESTAMP_HEADER,
    SharedSecret,
    WebhookRefused,
    signed_headers,
    verify,
)

SECRET = "whsec_" + base64.b64encode(b"only for these wallets, only now").decode()
KEY = SharedSecret.parse(SECRET)
ENDED = "ended"
# Threads in which a book runs into itself.
MANY = 8


class DebitsAgain(Book):
    """A repeated bet."""

    def bet(self, request: WalletRequest) -> Taken:
        taken = super().bet(request)
        return self.spoil(request, taken, -(request.amount or 0)) if taken.duplicate else taken

    def spoil(self, request: WalletRequest, taken: Taken, moved: int) -> Taken:
        """Moves money beside the entries."""
        _move(self, request, moved)
        return replace(taken, balance=taken.balance + moved)


class CreditsAgain(DebitsAgain):
    """A repeated win."""

    def bet(self, request: WalletRequest) -> Taken:
        return Book.bet(self, request)

    def win(self, request: WalletRequest) -> Taken:
        taken = super().win(request)
        return self.spoil(request, taken, request.amount or 0) if taken.duplicate else taken


class TakesAnotherAmount(Book):
    """An id that comes again with another payload is a repeat to it."""

    def _earlier(self, request: WalletRequest) -> Entry | None:
        assert request.transaction_id is not None
        return self._entry(request, request.transaction_id)


class ForgetsRollbacks(Book):
    """No tombstone."""

    def rollback(self, request: WalletRequest) -> Taken:
        with self._transaction():
            known = self._entry(request, request.bet_transaction_id or "")
            player = self._known_player(request)
        if known is not None:
            return super().rollback(request)
        return Taken(balance=player.balance, currency=player.currency)


class PaysRollbacksAgain(DebitsAgain):
    """A second rollback, with an id of its own."""

    def bet(self, request: WalletRequest) -> Taken:
        return Book.bet(self, request)

    def rollback(self, request: WalletRequest) -> Taken:
        with self._transaction():
            repeated = self._entry(request, request.transaction_id or "") is not None
            bet = self._entry(request, request.bet_transaction_id or "")
        taken = super().rollback(request)
        return self.spoil(request, taken, bet.amount) if taken.duplicate and bet and not repeated else taken


class PaysRollbackAfterWin(Book):
    """A bet that was won is undone all the same."""

    def rollback(self, request: WalletRequest) -> Taken:
        try:
            return super().rollback(request)
        except Refused as refused:
            if refused.code is not WalletRefusal.ALREADY_WON:
                raise
            with self._transaction():
                bet = self._entry(request, request.bet_transaction_id or "")
            assert bet is not None
            _move(self, request, bet.amount)
            return Taken(balance=(refused.balance or 0) + bet.amount, currency=request.currency)


class PaysWinAfterRollback(Book):
    """A bet that was undone is won all the same."""

    def win(self, request: WalletRequest) -> Taken:
        try:
            return super().win(request)
        except Refused as refused:
            if refused.code is not WalletRefusal.ROLLED_BACK:
                raise
            return super().win(replace(request, bet_transaction_id=None))


class PaysWinsWithoutBets(Book):
    """A win whose bet never came is credited."""

    def win(self, request: WalletRequest) -> Taken:
        try:
            return super().win(request)
        except Refused as refused:
            if refused.code is not WalletRefusal.UNKNOWN_TRANSACTION:
                raise
            return super().win(replace(request, bet_transaction_id=None))


class BillsForLooking(Book):
    """A balance call costs a minor unit."""

    def balance(self, request: WalletRequest) -> Taken:
        taken = super().balance(request)
        _move(self, request, -1)
        return taken


class OneSpaceOfIds(Book):
    """Ids are unique over all players, not for each."""

    def _one_entry(self, where: str, request: WalletRequest, transaction_id: str) -> Entry | None:
        row = self._database.execute(
            f"SELECT {ENTRY_COLUMNS} FROM entries WHERE operator_id = ? AND {where}",  # noqa: S608 - constants
            (request.operator_id, transaction_id),
        ).fetchone()
        return Entry(*row) if row else None


class OneBetARound(Book):
    """A further bet of a round is a repeat of the first to it."""

    def bet(self, request: WalletRequest) -> Taken:
        with self._transaction():
            known = self._one_entry("round_id = ? AND call = 'bet'", request, request.round_id or "")
        if known is None or known.transaction_id == request.transaction_id:
            return super().bet(request)
        return Taken(balance=known.balance, currency=known.currency, duplicate=True)


class UndoesTheWholeRound(DebitsAgain):
    """A rollback gives back what the other bets of its round had, too."""

    def bet(self, request: WalletRequest) -> Taken:
        return Book.bet(self, request)

    def rollback(self, request: WalletRequest) -> Taken:
        bets = [entry for entry in self.statement(round_id=request.round_id) if entry.call == "bet"]
        others = [entry.amount for entry in bets if entry.transaction_id != request.bet_transaction_id]
        taken = super().rollback(request)
        return taken if taken.duplicate else self.spoil(request, taken, sum(others))


class RefusesWinsOfEndedSessions(Book):
    """What was won is owed, but not by this one."""

    def win(self, request: WalletRequest) -> Taken:
        if request.session_id == ENDED:
            raise Refused(WalletRefusal.SESSION_EXPIRED)
        return super().win(request)


class TakesBetsOnEndedSessions(Book):
    """It does not look at sessions."""

    def _has_ended(self, request: WalletRequest) -> bool:
        return False


class BetsInAuthenticatedSessions(Book):
    """No defect: some wallets do."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._sessions: set[tuple[str, str]] = set()

    def authenticate(self, request: WalletRequest) -> Taken:
        self._sessions.add((request.player_id, request.session_id))
        return super().authenticate(request)

    def bet(self, request: WalletRequest) -> Taken:
        if (request.player_id, request.session_id) not in self._sessions:
            raise Refused(WalletRefusal.SESSION_EXPIRED)
        return super().bet(request)


class SaysAnotherBalance(Book):
    """When the balance does not cover the stake."""

    def bet(self, request: WalletRequest) -> Taken:
        try:
            return super().bet(request)
        except Refused as refused:
            if refused.code is not WalletRefusal.INSUFFICIENT_FUNDS:
                raise
            raise Refused(refused.code, 0) from None


class TakesAnyCurrency(Book):
    """A unit is a unit to it."""

    def take(self, request: WalletRequest) -> Taken:
        return super().take(replace(request, currency="EUR"))


class ChecksThenActs(Book):
    """Looks for a repeat, and moves the money a moment later."""

    def bet(self, request: WalletRequest) -> Taken:
        with self._transaction():
            seen = self._entry(request, request.transaction_id or "") is not None
        give_way(20)
        taken = super().bet(request)
        if taken.duplicate and not seen:
            _move(self, request, -(request.amount or 0))
        return taken


class RefundsInARace(Book):
    """Looks for the bet's end, and pays a moment later."""

    def rollback(self, request: WalletRequest) -> Taken:
        with self._transaction():
            bet = self._entry(request, request.bet_transaction_id or "")
            ended = self._end_of(request, request.bet_transaction_id or "") is not None
        give_way(20)
        taken = super().rollback(request)
        if taken.duplicate and not ended and bet:
            _move(self, request, bet.amount)
        return taken


class EndsTwiceInARace(Book):
    """Looks for a rollback, and pays the win a moment later."""

    def win(self, request: WalletRequest) -> Taken:
        with self._transaction():
            ended = self._end_of(request, request.bet_transaction_id or "") is not None
        give_way(50)
        try:
            return super().win(request)
        except Refused as refused:
            if refused.code is not WalletRefusal.ROLLED_BACK or ended:
                raise
            return super().win(replace(request, bet_transaction_id=None))


def give_way(times: int) -> None:
    """Lets the calls that were sent with this one catch up. When the machine pauses, one of these pauses is
    longer: one long pause would be over before the others had a turn."""
    for _ in range(times):
        time.sleep(0.001)


def _move(book: Book, request: WalletRequest, moved: int) -> None:
    with book._transaction():
        book._database.execute(
            "UPDATE players SET balance = balance + ? WHERE operator_id = ? AND player_id = ?",
            (moved, request.operator_id, request.player_id),
        )


def resign(request: Request) -> None:
    """Any signature will do."""
    request.headers |= signed_headers([KEY], message_id="any", timestamp=int(time.time()), body=request.body)


def resign_old(request: Request) -> None:
    """A signature that fits will do, of whatever time."""
    sent = request.headers.get(TIMESTAMP_HEADER, "")
    try:
        verify([KEY], request.headers, request.body, now=lambda: int(sent))
    except (WebhookRefused, ValueError):
        return
    resign(request)


def sign_for_the_content(request: Request) -> None:
    """The signature is checked over the JSON as the wallet would have written it."""
    try:
        request.body = json.dumps(json.loads(request.body)).encode()
    except ValueError:
        return


def pass_over_the_call(request: Request) -> None:
    """A body is taken for what its path says, whatever it says itself."""
    try:
        verify([KEY], request.headers, request.body, now=time.time)
        body = json.loads(request.body)
    except (WebhookRefused, ValueError):
        return
    request.body = json.dumps({**body, "call": request.path.removeprefix("/")}).encode()
    resign(request)


def make_positive(request: Request) -> None:
    """A negative amount is taken for one without its sign."""
    body = json.loads(request.body)
    amount = body.get("amount")
    if type(amount) is int and amount < 0:
        request.body = json.dumps({**body, "amount": -amount}).encode()
        resign(request)


def nothing(request: Request) -> None:
    """As it is."""


class HidesRollbacks(Book):
    """Its statement has no entry of them."""

    def statement(self, *, limit: int = 100, **filters: Any) -> list[Entry]:
        return [entry for entry in super().statement(limit=limit, **filters) if entry.call != "rollback"]


def book_of_yesterday(path: str, policy: Policy) -> Book:
    """Its clock is slow."""
    return Book(path, policy, now_ms=lambda: int(time.time() - 86_400) * 1_000)
