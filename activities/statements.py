"""Reconciliation's check of operators' wallets: their statements against our ledger, in both directions.

Our ledger records what a wallet will be asked before it is asked (the bet's row, the recorded result, the
mark of a release). So the ledger knows of everything that a wallet has taken, however late its answer; a
difference is never a matter of time.
"""

import logging
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any, Final, Self

import asyncpg
from prometheus_client import Gauge
from temporalio import activity

from activities.incidents import ReviewNotPossible, note
from activities.reconciliation import PATIENCE, Patience
from contracts import reconciliation as steps
from contracts.failures import bounded
from contracts.reconciliation import Finding, Incident, IncidentKind, Page, PageResult
from contracts.wallet import WalletCall
from security.keyring import UnknownKey
from security.sealing import SealBroken
from security.standard_webhooks import WebhookKey
from storage import operator_wallets
from storage import reconciliation as stored
from storage.operator_wallets import StoredWallet
from storage.reconciliation import Attempt, WalletRound
from wallet.dialect import Dialect, Ids
from wallet.directory import WalletVault, client_config
from wallet.statement import (
    MOVING,
    NoStatement,
    Statement,
    StatementItem,
    StatementQuery,
    StatementUnavailable,
    allowed_moves,
    as_ours,
    difference,
    open_statement,
    part_of,
)

# One page of the check is one span of one wallet's statement.
SPAN: Final = timedelta(minutes=2)
FIRST_SPAN: Final = timedelta(days=1)
# A call's answer is recorded shortly after the wallet took it, and clocks differ. Entries from this long
# before the span need no call of their own.
BEFORE_SPAN: Final = timedelta(seconds=30)
# How slow a wallet's clock may be: so much more of its statement is read with each span.
LONGEST_BEHIND: Final = timedelta(minutes=15)

CLOCK_DIFFERENCE: Final = Gauge(
    "croupier_wallet_clock_difference_seconds",
    "How slow (below 0: how fast) the clock of an operator's wallet is, by its statement of our calls.",
    ["operator"],
)

log = logging.getLogger(__name__)


class StatementChecks:
    """`tls` is made once, because reading all of a machine's certificates takes a while. `platform_keys` sign
    for every wallet whose dialect takes them, as in calls. `label` gives an operator's in the metrics."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: WalletVault,
        dialects: Mapping[str, Dialect],
        tls: Callable[[], ssl.SSLContext],
        patience: Patience = PATIENCE,
        platform_keys: Sequence[WebhookKey] = (),
        label: Callable[[str], str] = str,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._dialects = dialects
        self._tls = tls
        self._patience = patience
        self._platform_keys = platform_keys
        self._label = label
        self._without: set[str] = set()
        self._clocks: set[str] = set()

    @activity.defn(name=steps.STATEMENTS.name)
    async def statements(self, page: Page) -> PageResult:
        """Compares the next span of the wallet whose turn is next. One that is away, or that has much to
        catch up on, holds up no other."""
        wallets = {wallet.operator_id: wallet for wallet in await operator_wallets.read_all(self._pool)}
        turns = _Turns.read(page.cursor)
        operator_id = turns.next_of(wallets)
        if operator_id is None:
            return PageResult()
        wallet = wallets[operator_id]
        compared = _Compared()
        try:
            compared = await self._compare(wallet)
        except NoStatement:
            self._note_without(wallet)
        except _CANNOT_BE_ASKED as problem:
            compared = _Compared(problem=str(problem))
        following = turns.after(operator_id, more=compared.more)
        named = bounded(f"the wallet of {operator_id}: {compared.problem}")
        return PageResult(
            cursor=None if following.next_of(wallets) is None else str(following),
            looked_at=compared.looked_at,
            opened=compared.opened,
            problems=() if compared.problem is None else (named,),
        )

    async def review(self, incident: Incident) -> bool:
        """Returns whether wallet and ledger agree by now."""
        finding, detail = incident.finding, incident.finding.detail
        wallets = {wallet.operator_id: wallet for wallet in await operator_wallets.read_all(self._pool)}
        try:
            async with self._statement(wallets[finding.operator_id]) as statement:
                if detail["transaction_id"] is None:
                    whose = _Whose(finding.operator_id, detail["player_id"], finding.round_id)
                    return not await self._look_at_round(statement, whose, _Found())
                written_id = (detail["wallet"] or {}).get("transaction_id") or statement.written_id(
                    detail["transaction_id"]
                )
                item = await _find(statement, finding.operator_id, detail["player_id"], written_id)
        except (KeyError, NoStatement, *_CANNOT_BE_ASKED) as problem:
            raise ReviewNotPossible(bounded(f"the wallet of {finding.operator_id}: {problem}")) from None
        if item is None:
            return not detail["accepted"]
        return difference(item, await self._ours(_whose(item), [item])) is None

    async def of_round(self, operator_id: str, player_id: str, round_id: str) -> list[StatementItem]:
        """The wallet's entries of a round. Raises NoStatement, and ReviewNotPossible."""
        wallets = {wallet.operator_id: wallet for wallet in await operator_wallets.read_all(self._pool)}
        query = StatementQuery(operator_id=operator_id, player_id=player_id, round_id=round_id)
        try:
            async with self._statement(wallets[operator_id]) as statement:
                return [item async for item in statement.items(query)]
        except (KeyError, *_CANNOT_BE_ASKED) as problem:
            raise ReviewNotPossible(bounded(f"the wallet of {operator_id}: {problem}")) from None

    async def _compare(self, wallet: StoredWallet) -> "_Compared":
        operator_id, name = wallet.operator_id, f"statement:{wallet.operator_id}"
        now = datetime.now(UTC)
        found = await stored.mark(self._pool, name)
        mark = _Mark.read(found) if found else await self._first_mark(now)
        until = min(now - self._patience.recorded, mark.since + SPAN)
        if until <= mark.since:
            return _Compared()
        begin = mark.since - BEFORE_SPAN
        async with self._statement(wallet) as statement:
            span = StatementQuery(operator_id=operator_id, since=begin - mark.behind, until=until)
            items = [item async for item in statement.items(span)]
            attempts, position = await self._attempts(operator_id, until, mark.attempt)
            outside = await stored.decided_outside(
                self._pool, operator_id=operator_id, since=begin, until=until
            )
            opened = 0
            ids = self._dialects[wallet.dialect].ids
            for whose, part in _by_round(operator_id, items, attempts, outside, ids).items():
                opened += await self._compare_round(statement, whose, part)
            slow = await _how_slow(statement, items, attempts)
        behind = mark.behind if slow is None else _to_allow_for(slow)
        compared = _Mark(since=until, attempt=position, behind=behind)
        if behind > mark.behind + BEFORE_SPAN:
            # What the wallet took alone may be earlier, by its clock, than what was read: the span again.
            compared = replace(mark, behind=behind)
        await stored.move_mark(self._pool, name, found, str(compared))
        return _Compared(
            looked_at=len(items) + sum(attempt.accepted for attempt in attempts),
            opened=opened,
            more=compared.since < now - self._patience.recorded,
            problem=self._note_clock(operator_id, slow),
        )

    async def _first_mark(self, now: datetime) -> "_Mark":
        return _Mark(since=now - FIRST_SPAN, attempt=await stored.first_attempt(self._pool))

    def _note_clock(self, operator_id: str, slow: timedelta | None) -> str | None:
        """Returns what is to be said of a clock that is too slow to allow for."""
        if slow is None:
            return None
        CLOCK_DIFFERENCE.labels(self._label(operator_id)).set(slow.total_seconds())
        differs, seconds = abs(slow) > BEFORE_SPAN, abs(slow) // timedelta(seconds=1)
        text = f"its clock is {seconds} seconds {'slow' if slow > timedelta(0) else 'fast'}"
        if differs and operator_id not in self._clocks:
            log.warning("the wallet of %s: %s", operator_id, text)
        (self._clocks.add if differs else self._clocks.discard)(operator_id)
        return f"{text}: what it took alone may not be found" if slow > LONGEST_BEHIND else None

    async def _attempts(self, operator_id: str, until: datetime, after: int) -> tuple[list[Attempt], int]:
        """The calls up to `until` that move money. Also returns how far they were read."""
        found: list[Attempt] = []
        while page := await stored.attempts(self._pool, after=after, before=until):
            after = page[-1].position
            found += [a for a in page if a.operator_id == operator_id and a.call in MOVING]
            if len(page) < stored.EVENT_PAGE:
                break
        return found, after

    async def _compare_round(self, statement: Statement, whose: "_Whose", part: "_Found") -> int:
        """Compares what the span has of a round, and all of the round where that differs: a span may have
        but a part of it. Returns how many incidents that opened."""
        ours = await self._ours(whose, part.items)
        differing = _findings(whose, part, ours, ended=_has_ended(ours))
        if differing and whose.round_id is not None:
            differing = await self._look_at_round(statement, whose, part)
        noted = [await note(self._pool, finding) for finding in differing]
        return sum(one.opened for one in noted)

    async def _look_at_round(self, statement: Statement, whose: "_Whose", part: "_Found") -> list[Finding]:
        """What differs in all that there is of the round.

        The interleaving that must not hurt: the round goes on meanwhile. The ledger knows of a transaction
        before the wallet takes it, so it is read after the wallet; and the wallet has taken everything when
        the ledger says that it was accepted, or that the round has ended, so that is read before."""
        before = await self._ours(whose, part.items)
        accepted = part.accepted if before is None else await stored.accepted(self._pool, before.key)
        query = StatementQuery(
            operator_id=whose.operator_id, player_id=whose.player_id, round_id=whose.round_id
        )
        everything = _Found([item async for item in statement.items(query)], accepted)
        ours = await self._ours(whose, everything.items)
        if not any(item.call == WalletCall.BET for item in everything.items):
            # The rollback of a bet that never came moved nothing: a wallet may have no entry of it.
            taken = [attempt for attempt in accepted if attempt.call != WalletCall.ROLLBACK]
            everything = replace(everything, accepted=taken)
        return _findings(whose, everything, ours, ended=_has_ended(before))

    async def _ours(self, whose: "_Whose", items: Iterable[StatementItem]) -> WalletRound | None:
        """The round by its id, or by its bet where the wallet's id of it may be a shorter one."""
        if whose.round_id is None:
            return None
        player = {"operator_id": whose.operator_id, "player_id": whose.player_id}
        ours = await stored.wallet_round(self._pool, **player, round_id=whose.round_id)
        for bet_id in {item.bet_id for item in items if item.bet_id is not None}:
            ours = ours or await stored.long_round(self._pool, **player, bet_transaction_id=bet_id)
        return ours

    @asynccontextmanager
    async def _statement(self, wallet: StoredWallet) -> AsyncIterator[Statement]:
        """Raises NoStatement, and what _CANNOT_BE_ASKED names."""
        secrets = self._vault.open(wallet.operator_id, wallet.sealed_secrets)
        config = client_config(wallet, secrets, self._dialects)
        dialect = self._dialects[wallet.dialect]
        async with open_statement(
            config, dialect, platform_keys=self._platform_keys, tls=self._tls()
        ) as statement:
            yield statement

    def _note_without(self, wallet: StoredWallet) -> None:
        if wallet.operator_id not in self._without:
            self._without.add(wallet.operator_id)
            log.info("the wallet of %s offers no statement to compare with", wallet.operator_id)


_CANNOT_BE_ASKED: Final = (StatementUnavailable, SealBroken, UnknownKey, ValueError)


async def _find(
    statement: Statement, operator_id: str, player_id: str, written_id: str
) -> StatementItem | None:
    """The entry with this id, as the wallet writes it: it may know an id that is not ours by nothing else."""
    query = StatementQuery(operator_id=operator_id, player_id=player_id, written_id=written_id)
    async for item in statement.items(query):
        if (item.player_id, item.transaction_id) == (player_id, as_ours(written_id)):
            return item
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What came of one span. `more` says that there is a next one, `problem` what could not be compared."""

    looked_at: int = 0
    opened: int = 0
    more: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Turns:
    """Whose turn it is, as the cursor `last|behind,behind`: each wallet once, in the order of their
    operators, of which `last` had its turn; then, span by span and by turns, those that have more."""

    last: str = ""
    behind: tuple[str, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        last, _, behind = (cursor or "").partition("|")
        return cls(last, tuple(behind.split(",")) if behind else ())

    def __str__(self) -> str:
        return f"{self.last}|{','.join(self.behind)}"

    def next_of(self, operators: Iterable[str]) -> str | None:
        """None when all have been compared up to now."""
        there = set(operators)
        first = min((one for one in there if one > self.last), default=None)
        return first or next((one for one in self.behind if one in there), None)

    def after(self, operator_id: str, *, more: bool) -> "_Turns":
        """Whose turn it is when the operator's span is done, and whether it has more."""
        others = tuple(one for one in self.behind if one != operator_id)
        return _Turns(max(self.last, operator_id), (*others, operator_id) if more else others)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """How far a wallet was compared: up to a time, by our clock, and an attempt. `behind` is how slow its own
    clock was. set_operator_wallet_v1 makes the first mark, and no later setting of the wallet moves it."""

    since: datetime
    attempt: int
    behind: timedelta = timedelta(0)

    @classmethod
    def read(cls, text: str) -> Self:
        since, attempt, *behind = text.split("|")
        return cls(
            since=datetime.fromisoformat(since),
            attempt=int(attempt),
            behind=timedelta(milliseconds=int(behind[0])) if behind else timedelta(0),
        )

    def __str__(self) -> str:
        return f"{self.since.isoformat()}|{self.attempt}|{self.behind // timedelta(milliseconds=1)}"


@dataclass(frozen=True, slots=True)
class _Whose:
    """A player's round; no round for entries that name none."""

    operator_id: str
    player_id: str
    round_id: str | None


@dataclass(frozen=True, slots=True)
class _Found:
    """The wallet's entries of a round, and the calls of it that the wallet accepted."""

    items: list[StatementItem] = field(default_factory=list)
    accepted: list[Attempt] = field(default_factory=list)


def _whose(item: StatementItem) -> _Whose:
    return _Whose(item.operator_id, item.player_id, item.round_id)


def _by_round(
    operator_id: str,
    items: Iterable[StatementItem],
    attempts: Sequence[Attempt],
    outside: Sequence[tuple[str, str]],
    ids: Ids,
) -> dict[_Whose, _Found]:
    """All that the span has, under the rounds' own ids where the calls tell what the wallet's stand for."""
    known = [(attempt.player_id, attempt.round_id) for attempt in attempts] + [*outside]
    own = {(player_id, ids.round_id(round_id)): round_id for player_id, round_id in known}
    rounds: defaultdict[_Whose, _Found] = defaultdict(_Found)
    for item in items:
        whose = _whose(item)
        round_id = own.get((item.player_id, item.round_id or ""), item.round_id)
        rounds[replace(whose, round_id=round_id)].items.append(item)
    for attempt in attempts:
        part = rounds[_Whose(operator_id, attempt.player_id, attempt.round_id)]
        if attempt.accepted:
            part.accepted.append(attempt)
    for player_id, round_id in outside:
        rounds.setdefault(_Whose(operator_id, player_id, round_id), _Found())
    return dict(rounds)


async def _how_slow(
    statement: Statement, items: Iterable[StatementItem], attempts: Iterable[Attempt]
) -> timedelta | None:
    """How much later than the wallet our clock was when it took our calls; None where nothing tells."""
    times = {(item.player_id, item.transaction_id): item.at for item in items}
    taken = [attempt for attempt in attempts if attempt.accepted and not attempt.duplicate]
    told = [
        attempt.created_at - at
        for attempt in taken
        if (at := times.get((attempt.player_id, attempt.transaction_id))) is not None
    ]
    if taken and not told:
        latest = taken[-1]
        written_id = statement.written_id(latest.transaction_id)
        item = await _find(statement, latest.operator_id, latest.player_id, written_id)
        told = [] if item is None or item.at is None else [latest.created_at - item.at]
    return median_low(told) if told else None


def _to_allow_for(slow: timedelta) -> timedelta:
    """How much earlier than by our clock a span begins at a wallet."""
    return min(slow, LONGEST_BEHIND) if slow > BEFORE_SPAN else timedelta(0)


def _has_ended(ours: WalletRound | None) -> bool:
    return ours is not None and ours.ended


def _findings(whose: _Whose, found: _Found, ours: WalletRound | None, *, ended: bool) -> list[Finding]:
    """What differs: single transactions, or else the sum of a round that has ended."""
    shown = {item.transaction_id for item in found.items}
    differing = [
        *(_entry_differs(item, ours, why) for item in found.items if (why := difference(item, ours))),
        *(_does_not_show(attempt) for attempt in found.accepted if attempt.transaction_id not in shown),
    ]
    moved = sum(item.moved for item in found.items)
    if differing or not ended or ours is None or moved == ours.net:
        return differing
    return [_sum_differs(whose, ours, moved)]


def _entry_differs(item: StatementItem, ours: WalletRound | None, why: str) -> Finding:
    return Finding(
        kind=IncidentKind.WALLET_DIFFERS,
        subject=_subject(item.operator_id, item.player_id, item.transaction_id),
        operator_id=item.operator_id,
        player_key=None if ours is None else ours.key.player_key,
        round_id=item.round_id if ours is None else ours.key.round_id,
        game_id=None if ours is None else ours.game_id,
        detail={
            "why": why,
            "player_id": item.player_id,
            "transaction_id": item.transaction_id,
            "call": item.call,
            "accepted": False,
            "wallet": item.as_dict(),
            "ledger": None if ours is None else _ours_as_dict(item, ours),
        },
    )


def _does_not_show(attempt: Attempt) -> Finding:
    return Finding(
        kind=IncidentKind.WALLET_DIFFERS,
        subject=_subject(attempt.operator_id, attempt.player_id, attempt.transaction_id),
        operator_id=attempt.operator_id,
        player_key=attempt.player_key,
        round_id=attempt.round_id,
        detail={
            "why": "the wallet accepted it and does not show it",
            "player_id": attempt.player_id,
            "transaction_id": attempt.transaction_id,
            "call": attempt.call,
            "accepted": True,
            "wallet": None,
            "ledger": {"call": attempt.call, "amount": attempt.amount},
        },
    )


def _sum_differs(whose: _Whose, ours: WalletRound, moved: int) -> Finding:
    """No transaction differs, and one is missing: a refund that was never booked, for instance."""
    return Finding(
        kind=IncidentKind.WALLET_DIFFERS,
        subject=_subject(whose.operator_id, whose.player_id, f"round:{ours.key.round_id}"),
        operator_id=whose.operator_id,
        player_key=ours.key.player_key,
        round_id=ours.key.round_id,
        game_id=ours.game_id,
        detail={
            "why": "the wallet's entries of the round do not add up to its result",
            "player_id": whose.player_id,
            "transaction_id": None,
            "call": None,
            "accepted": False,
            "wallet": {"moved": moved, "currency": ours.currency},
            "ledger": {"state": ours.state, "moved": [ours.net], "currency": ours.currency},
        },
    )


def _ours_as_dict(item: StatementItem, ours: WalletRound) -> dict[str, Any]:
    """Our figures beside the wallet's, in minor units."""
    part = part_of(item, ours) if item.call in MOVING else None
    allowed = frozenset() if part is None else allowed_moves(WalletCall(item.call), part)
    return {"state": ours.state, "moved": sorted(allowed), "currency": ours.currency}


def _subject(operator_id: str, player_id: str, transaction_id: str) -> str:
    return f"{operator_id}:{player_id}:{transaction_id}"
