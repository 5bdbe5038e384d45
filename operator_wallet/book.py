"""The wallet's book: players, balances and every call that was ever taken, so that each takes effect once.

What docs/platform/wallet.md asks of a wallet is kept here, most of it by the database itself: a unique key on
transaction ids, a unique key on what ends a bet, no balance below zero, entries that never change. One call
is one transaction that holds the write lock from its first read, so that nothing is checked, then written by
somebody else, then written by us.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from contracts.wallet import WalletCall, WalletRefusal, WalletRequest
from operator_wallet.entries import (
    AMOUNT_LIMIT,
    ENTRY_COLUMNS,
    FILTERS,
    OPENING,
    SCHEMA,
    Entry,
    Player,
    Policy,
    Refused,
    RepeatBalance,
    Taken,
)

# Another process may hold the write lock; no call of ours holds it for more than a few milliseconds.
LOCK_PATIENCE_S: Final = 30.0


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Book:
    """A book in the file `path`, or `:memory:`. Threads may share one; processes open the same file."""

    def __init__(
        self, path: str, policy: Policy | None = None, *, now_ms: Callable[[], int] = _milliseconds
    ) -> None:
        self._policy = policy or Policy()
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            path, timeout=LOCK_PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        # FULL waits for the disk before a call is answered.
        waits = "FULL" if self._policy.survives_power_cuts else "NORMAL"
        self._database.execute(f"PRAGMA synchronous = {waits}")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    # The five calls. Each raises Refused.

    def take(self, request: WalletRequest) -> Taken:
        """Whichever of the five `request` is."""
        match request.call:
            case WalletCall.AUTHENTICATE:
                return self.authenticate(request)
            case WalletCall.BALANCE:
                return self.balance(request)
            case WalletCall.BET:
                return self.bet(request)
            case WalletCall.WIN:
                return self.win(request)
            case WalletCall.ROLLBACK:
                return self.rollback(request)

    def authenticate(self, request: WalletRequest) -> Taken:
        """May the session's player play, and with how much?"""
        with self._transaction():
            player = self._player_who_may_play(request)
            return Taken(balance=player.balance, currency=player.currency)

    def balance(self, request: WalletRequest) -> Taken:
        with self._transaction():
            player = self._known_player(request)
            return Taken(balance=player.balance, currency=player.currency)

    def bet(self, request: WalletRequest) -> Taken:
        """Debits the stake, once, unless a rollback of it came first."""
        with self._transaction():
            earlier = self._earlier(request)
            # Also for a bet that was taken before its rollback: saying yes again would let a round go on that
            # has no stake any more.
            end = self._end_of(request, _own_id(request))
            if end is not None and end.call == WalletCall.ROLLBACK:
                raise self._refused(request, WalletRefusal.ROLLED_BACK)
            if earlier is not None:
                return self._repeated(request, earlier)
            player = self._player_who_may_play(request)
            if player.balance < _amount(request):
                raise Refused(WalletRefusal.INSUFFICIENT_FUNDS, player.balance)
            return self._enter(request, player, moved=-_amount(request), ends_bet=False)

    def win(self, request: WalletRequest) -> Taken:
        """Credits the win, once. Sessions and blocks do not matter: a win is owed."""
        with self._transaction():
            earlier = self._earlier(request)
            if earlier is not None:
                return self._repeated(request, earlier)
            if request.bet_transaction_id is not None:
                self._need_an_open_bet(request, request.bet_transaction_id)
            player = self._known_player(request)
            ends_bet = request.bet_transaction_id is not None
            return self._enter(request, player, moved=_amount(request), ends_bet=ends_bet)

    def rollback(self, request: WalletRequest) -> Taken:
        """Undoes a bet, once, for the amount it had; remembers the rollback of a bet that has not come."""
        with self._transaction():
            earlier = self._earlier(request)
            if earlier is not None:
                return self._repeated(request, earlier)
            bet = self._bet_of(request, _bet_id(request))
            end = self._end_of(request, _bet_id(request))
            if end is not None and end.call == WalletCall.WIN:
                raise self._refused(request, WalletRefusal.ALREADY_WON)
            if bet is None and end is None and self._is_of_another_player(request, _bet_id(request)):
                raise self._refused(request, WalletRefusal.ID_REUSED)
            player = self._find_player(request) or Player(request.currency, 0, blocked=True)
            if end is not None:
                return self._enter(request, player, moved=0, ends_bet=False, duplicate=True)
            return self._enter(request, player, moved=bet.amount if bet else 0, ends_bet=True)

    # The operator's orders

    def open_player(self, operator_id: str, player_id: str, currency: str, balance: int) -> None:
        """Opens an account, or raises ValueError when it is there. `balance` is in minor units."""
        with self._transaction():
            if self._player(operator_id, player_id) is not None:
                raise ValueError("the player is there already")
            self._open(operator_id, player_id, currency, balance)

    def block_player(self, operator_id: str, player_id: str, *, blocked: bool) -> None:
        """A blocked player may not bet; wins and rollbacks still come in."""
        with self._transaction():
            self._database.execute(
                "UPDATE players SET blocked = ? WHERE operator_id = ? AND player_id = ?",
                (int(blocked), operator_id, player_id),
            )

    def end_session(self, operator_id: str, session_id: str) -> None:
        """From now on no bet is taken on it. Ending it twice is ending it."""
        with self._transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO ended_sessions VALUES (?, ?)", (operator_id, session_id)
            )

    def player(self, operator_id: str, player_id: str) -> Player | None:
        """The account, or None; reading opens none."""
        with self._transaction():
            return self._player(operator_id, player_id)

    def funds(self, request: WalletRequest) -> int | None:
        """The balance that a bet would meet; None when it was taken before, or the player is unknown."""
        with self._transaction():
            player = self._player(request.operator_id, request.player_id)
            return None if player is None or self._entry(request, _own_id(request)) else player.balance

    def statement(self, *, limit: int = 100, **filters: str | int | None) -> list[Entry]:
        """The entries that fit all `filters` (names of FILTERS; None filters nothing), oldest first."""
        given = {name: value for name, value in filters.items() if value is not None}
        where = " AND ".join(FILTERS[name] for name in given) or "true"
        with self._transaction():
            rows = self._database.execute(
                f"SELECT {ENTRY_COLUMNS} FROM entries WHERE {where} ORDER BY number LIMIT :limit",  # noqa: S608 - constants
                {**given, "limit": limit},
            ).fetchall()
        return [Entry(*row) for row in rows]

    # Looking things up

    def _earlier(self, request: WalletRequest) -> Entry | None:
        """The entry that this call made before. Raises Refused when its id has stood for something else."""
        entry = self._entry(request, _own_id(request))
        if entry is not None and _payload_of_entry(entry) != _payload(request):
            raise self._refused(request, WalletRefusal.ID_REUSED)
        return entry

    def _bet_of(self, request: WalletRequest, bet_id: str) -> Entry | None:
        """The bet that a win or a rollback names. Raises Refused when the name stands for something else."""
        entry = self._entry(request, bet_id)
        if entry is not None and (entry.call, entry.round_id) != (WalletCall.BET, request.round_id):
            raise self._refused(request, WalletRefusal.ID_REUSED)
        return entry

    def _need_an_open_bet(self, request: WalletRequest, bet_id: str) -> None:
        bet = self._bet_of(request, bet_id)
        end = self._end_of(request, bet_id)
        if end is not None:
            won = end.call == WalletCall.WIN
            raise self._refused(request, WalletRefusal.ALREADY_WON if won else WalletRefusal.ROLLED_BACK)
        if bet is None:
            raise self._refused(request, WalletRefusal.UNKNOWN_TRANSACTION)

    def _entry(self, request: WalletRequest, transaction_id: str) -> Entry | None:
        return self._one_entry("transaction_id = ?", request, transaction_id)

    def _end_of(self, request: WalletRequest, bet_id: str) -> Entry | None:
        """What ended the bet: its win, or its rollback."""
        return self._one_entry("bet_transaction_id = ? AND ends_bet = 1", request, bet_id)

    def _one_entry(self, where: str, request: WalletRequest, transaction_id: str) -> Entry | None:
        row = self._database.execute(
            f"SELECT {ENTRY_COLUMNS} FROM entries WHERE operator_id = ? AND player_id = ? AND {where}",  # noqa: S608 - constants
            (request.operator_id, request.player_id, transaction_id),
        ).fetchone()
        return Entry(*row) if row else None

    def _is_of_another_player(self, request: WalletRequest, bet_id: str) -> bool:
        """Is this the bet of another player of the operator?"""
        found = self._database.execute(
            "SELECT 1 FROM entries WHERE operator_id = ? AND transaction_id = ?",
            (request.operator_id, bet_id),
        )
        return found.fetchone() is not None

    # Players

    def _player(self, operator_id: str, player_id: str) -> Player | None:
        row = self._database.execute(
            "SELECT currency, balance, blocked FROM players WHERE operator_id = ? AND player_id = ?",
            (operator_id, player_id),
        ).fetchone()
        return Player(row[0], row[1], bool(row[2])) if row else None

    def _find_player(self, request: WalletRequest) -> Player | None:
        """The player, opened on first sight when that is the policy. Raises Refused for another currency."""
        player = self._player(request.operator_id, request.player_id)
        if player is None and self._policy.new_players is not None:
            currency, balance = self._policy.currency, self._policy.new_players
            player = self._open(request.operator_id, request.player_id, currency, balance)
        if player is not None and player.currency != request.currency:
            raise Refused(WalletRefusal.CURRENCY_MISMATCH, player.balance)
        return player

    def _known_player(self, request: WalletRequest) -> Player:
        player = self._find_player(request)
        if player is None:
            raise Refused(WalletRefusal.PLAYER_BLOCKED)
        return player

    def _player_who_may_play(self, request: WalletRequest) -> Player:
        player = self._known_player(request)
        if self._has_ended(request):
            raise Refused(WalletRefusal.SESSION_EXPIRED, player.balance)
        if player.blocked:
            raise Refused(WalletRefusal.PLAYER_BLOCKED, player.balance)
        return player

    def _has_ended(self, request: WalletRequest) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM ended_sessions WHERE operator_id = ? AND session_id = ?",
            (request.operator_id, request.session_id),
        )
        return found.fetchone() is not None

    # Writing

    def _open(self, operator_id: str, player_id: str, currency: str, balance: int) -> Player:
        self._database.execute(
            "INSERT INTO players (operator_id, player_id, currency, balance) VALUES (?, ?, ?, ?)",
            (operator_id, player_id, currency, balance),
        )
        self._append(
            operator_id=operator_id,
            player_id=player_id,
            transaction_id=str(uuid4()),
            call=OPENING,
            currency=currency,
            amount=balance,
            moved=balance,
            balance=balance,
        )
        return Player(currency, balance, blocked=False)

    def _enter(
        self, request: WalletRequest, player: Player, *, moved: int, ends_bet: bool, duplicate: bool = False
    ) -> Taken:
        """Moves the money and writes the entry that says so. Raises Refused when no integer holds the sum."""
        balance = player.balance + moved
        if balance > AMOUNT_LIMIT:
            raise Refused(WalletRefusal.INVALID, player.balance)
        self._database.execute(
            "UPDATE players SET balance = ? WHERE operator_id = ? AND player_id = ?",
            (balance, request.operator_id, request.player_id),
        )
        number = self._append(
            operator_id=request.operator_id,
            player_id=request.player_id,
            transaction_id=_own_id(request),
            call=request.call.value,
            round_id=request.round_id,
            game_id=request.game_id,
            bet_transaction_id=request.bet_transaction_id,
            currency=request.currency,
            amount=_amount(request),
            moved=moved,
            balance=balance,
            ends_bet=int(ends_bet),
        )
        return Taken(
            balance=balance,
            currency=player.currency,
            wallet_transaction_id=str(number),
            duplicate=duplicate,
        )

    def _append(self, **values: str | int | None) -> int:
        """Returns the number of the new entry."""
        empty = dict.fromkeys(("round_id", "game_id", "bet_transaction_id"))
        row = {"number": None, "ends_bet": 0, "at_ms": self._now_ms(), **empty, **values}
        places = ", ".join(f":{name.strip()}" for name in ENTRY_COLUMNS.split(","))
        added = self._database.execute(
            f"INSERT INTO entries ({ENTRY_COLUMNS}) VALUES ({places})",  # noqa: S608 - constants
            row,
        )
        assert added.lastrowid is not None
        return added.lastrowid

    # Answering

    def _repeated(self, request: WalletRequest, entry: Entry) -> Taken:
        balance = entry.balance
        if self._policy.repeat_balance is RepeatBalance.LIVE:
            player = self._player(request.operator_id, request.player_id)
            balance = player.balance if player else 0
        return Taken(
            balance=balance,
            currency=entry.currency,
            wallet_transaction_id=str(entry.number),
            duplicate=True,
        )

    def _refused(self, request: WalletRequest, code: WalletRefusal) -> Refused:
        player = self._player(request.operator_id, request.player_id)
        return Refused(code, player.balance if player else None)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the block or nothing of it, with the write lock from the start."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


def _payload(request: WalletRequest) -> tuple[str | int | None, ...]:
    """What has to be the same for a call to be a repeat. The session is not part of it: it may have been
    renewed since."""
    return (
        request.call.value,
        request.round_id,
        request.game_id,
        request.bet_transaction_id,
        request.currency,
        _amount(request),
    )


def _payload_of_entry(entry: Entry) -> tuple[str | int | None, ...]:
    return (
        entry.call,
        entry.round_id,
        entry.game_id,
        entry.bet_transaction_id,
        entry.currency,
        entry.amount,
    )


def _own_id(request: WalletRequest) -> str:
    assert request.transaction_id is not None, "a call that moves money has an id"
    return request.transaction_id


def _bet_id(request: WalletRequest) -> str:
    assert request.bet_transaction_id is not None, "a rollback names its bet"
    return request.bet_transaction_id


def _amount(request: WalletRequest) -> int:
    """A rollback has none of its own: the bet's counts."""
    return 0 if request.call is WalletCall.ROLLBACK else request.amount or 0
