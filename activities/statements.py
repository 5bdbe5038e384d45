"""Reconciliation's check of operators' wallets: their statements against our ledger, in both directions.

Our ledger records what a wallet will be asked before it is asked (the bet's row, the recorded result, the
mark of a release). So the ledger knows of everything that a wallet has taken, however late its answer; a
difference is never a matter of time.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
from temporalio import activity

from activities.reconciliation import PATIENCE, Patience, ReviewNotPossible, note
from contracts import reconciliation as steps
from contracts.failures import bounded
from contracts.reconciliation import Finding, Incident, IncidentKind, Page, PageResult
from contracts.wallet import WalletCall
from security.keyring import UnknownKey
from security.sealing import SealBroken
from storage import operator_wallets
from storage import reconciliation as stored
from storage.operator_wallets import StoredWallet
from storage.reconciliation import Attempt, WalletRound
from wallet.dialect import Dialect
from wallet.directory import WalletVault, client_config
from wallet.statement import (
    MOVING,
    NoStatement,
    Statement,
    StatementItem,
    StatementQuery,
    StatementUnavailable,
    allowed_moves,
    difference,
    offers_statement,
    open_statement,
    part_of,
)

# One page of the check is one span of one wallet's statement.
SPAN: Final = timedelta(minutes=2)
FIRST_SPAN: Final = timedelta(days=1)
# A call's answer is recorded shortly after the wallet took it, and clocks differ. Entries from this long
# before the span need no call of their own.
BEFORE_SPAN: Final = timedelta(seconds=30)

log = logging.getLogger(__name__)


class StatementChecks:
    """`tls` is made once, because reading all of a machine's certificates takes a while."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: WalletVault,
        dialects: Mapping[str, Dialect],
        tls: Callable[[], ssl.SSLContext],
        patience: Patience = PATIENCE,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._dialects = dialects
        self._tls = tls
        self._patience = patience
        self._without: set[str] = set()

    @activity.defn(name=steps.STATEMENTS.name)
    async def statements(self, page: Page) -> PageResult:
        """Compares the next span of the first wallet after the cursor. A wallet that is away holds up no
        other."""
        wallets = sorted(await operator_wallets.read_all(self._pool), key=lambda wallet: wallet.operator_id)
        # The cursor is the last wallet that is done, or `operator|` for one with more spans to come.
        after, goes_on, _ = (page.cursor or "").partition("|")
        waiting = [
            wallet
            for wallet in wallets
            if wallet.operator_id > after or (goes_on and wallet.operator_id == after)
        ]
        if not waiting:
            return PageResult()
        wallet = waiting[0]
        looked_at = opened = 0
        more = False
        problems: tuple[str, ...] = ()
        try:
            looked_at, opened, more = await self._compare(wallet)
        except NoStatement:
            self._note_without(wallet)
        except _CANNOT_BE_ASKED as problem:
            problems = (bounded(f"the wallet of {wallet.operator_id}: {problem}"),)
        done = wallet is waiting[-1] and not more
        cursor = wallet.operator_id + ("|" if more else "")
        return PageResult(
            cursor=None if done else cursor, looked_at=looked_at, opened=opened, problems=problems
        )

    async def review(self, incident: Incident) -> bool:
        """Returns whether wallet and ledger agree by now."""
        finding, detail = incident.finding, incident.finding.detail
        wallets = {wallet.operator_id: wallet for wallet in await operator_wallets.read_all(self._pool)}
        try:
            async with self._statement(wallets[finding.operator_id]) as statement:
                item = await _find(
                    statement, finding.operator_id, detail["player_id"], detail["transaction_id"]
                )
        except (KeyError, NoStatement, *_CANNOT_BE_ASKED) as problem:
            raise ReviewNotPossible(bounded(f"the wallet of {finding.operator_id}: {problem}")) from None
        if item is None:
            return not detail["accepted"]
        return difference(item, await self._ours(item)) is None

    async def _compare(self, wallet: StoredWallet) -> tuple[int, int, bool]:
        """Returns how many entries were compared, how many incidents that opened, and whether there is
        more."""
        name = f"statement:{wallet.operator_id}"
        found = await stored.mark(self._pool, name)
        now = datetime.now(UTC)
        since_text, _, position = (found or "").partition("|")
        since = max(
            await stored.wallet_set_at(self._pool, wallet.operator_id),
            datetime.fromisoformat(since_text) if since_text else now - FIRST_SPAN,
        )
        until = min(now - self._patience.recorded, since + SPAN)
        if until <= since:
            return 0, 0, False
        after = int(position) if position else await stored.first_attempt(self._pool)
        async with self._statement(wallet) as statement:
            items, opened, seen = await self._theirs(statement, wallet.operator_id, since, until)
            accepted, more_opened, after = await self._accepted(
                statement, wallet.operator_id, since, until, after, seen
            )
        await stored.move_mark(self._pool, name, found, f"{until.isoformat()}|{after}")
        return items + accepted, opened + more_opened, until < now - self._patience.recorded

    async def _theirs(
        self, statement: Statement, operator_id: str, since: datetime, until: datetime
    ) -> tuple[int, int, set[tuple[str, str]]]:
        """Compares every entry of the wallet's statement with our ledger. Also returns which were seen."""
        looked_at = opened = 0
        seen: set[tuple[str, str]] = set()
        async for item in statement.items(
            StatementQuery(operator_id=operator_id, since=since - BEFORE_SPAN, until=until)
        ):
            looked_at += 1
            seen.add((item.player_id, item.transaction_id))
            opened += await self._check(item)
        return looked_at, opened, seen

    async def _accepted(
        self,
        statement: Statement,
        operator_id: str,
        since: datetime,
        until: datetime,
        after: int,
        seen: set[tuple[str, str]],
    ) -> tuple[int, int, int]:
        """Compares every call that the wallet accepted with its statement. Also returns how far they were
        read."""
        looked_at = opened = 0
        while page := await stored.attempts(self._pool, after=after, before=until):
            after = page[-1].position
            for attempt in page:
                if attempt.operator_id != operator_id or not _counts(attempt, since):
                    continue
                looked_at += 1
                if (attempt.player_id, attempt.transaction_id) not in seen:
                    opened += await self._check_accepted(statement, attempt)
            if len(page) < stored.EVENT_PAGE:
                break
        return looked_at, opened, after

    async def _check(self, item: StatementItem) -> int:
        ours = await self._ours(item)
        why = difference(item, ours)
        if why is None:
            return 0
        return await self._open(item, ours, why)

    async def _check_accepted(self, statement: Statement, attempt: Attempt) -> int:
        """Asks the wallet, by its id, for a transaction that was not among the span's entries."""
        item = await _find(statement, attempt.operator_id, attempt.player_id, attempt.transaction_id)
        if item is not None:
            return await self._check(item)
        detail = {
            "why": "the wallet accepted it and does not show it",
            "player_id": attempt.player_id,
            "transaction_id": attempt.transaction_id,
            "call": attempt.call,
            "accepted": True,
            "wallet": None,
            "ledger": {"call": attempt.call, "amount": attempt.amount},
        }
        finding = Finding(
            kind=IncidentKind.WALLET_DIFFERS,
            subject=_subject(attempt.operator_id, attempt.player_id, attempt.transaction_id),
            operator_id=attempt.operator_id,
            player_key=attempt.player_key,
            round_id=attempt.round_id,
            detail=detail,
        )
        return int((await note(self._pool, finding)).opened)

    async def _open(self, item: StatementItem, ours: WalletRound | None, why: str) -> int:
        finding = Finding(
            kind=IncidentKind.WALLET_DIFFERS,
            subject=_subject(item.operator_id, item.player_id, item.transaction_id),
            operator_id=item.operator_id,
            player_key=None if ours is None else ours.key.player_key,
            round_id=item.round_id,
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
        return int((await note(self._pool, finding)).opened)

    async def _ours(self, item: StatementItem) -> WalletRound | None:
        if item.round_id is None:
            return None
        return await stored.wallet_round(
            self._pool, operator_id=item.operator_id, player_id=item.player_id, round_id=item.round_id
        )

    @asynccontextmanager
    async def _statement(self, wallet: StoredWallet) -> AsyncIterator[Statement]:
        """Raises NoStatement, and what _CANNOT_BE_ASKED names."""
        secrets = self._vault.open(wallet.operator_id, wallet.sealed_secrets)
        config = client_config(wallet, secrets, self._dialects)
        dialect = self._dialects[wallet.dialect]
        if not offers_statement(dialect):
            raise NoStatement
        async with open_statement(config, dialect, tls=self._tls()) as statement:
            yield statement

    def _note_without(self, wallet: StoredWallet) -> None:
        if wallet.operator_id not in self._without:
            self._without.add(wallet.operator_id)
            log.info("the wallet of %s offers no statement to compare with", wallet.operator_id)


_CANNOT_BE_ASKED: Final = (StatementUnavailable, SealBroken, UnknownKey, ValueError)


async def _find(
    statement: Statement, operator_id: str, player_id: str, transaction_id: str
) -> StatementItem | None:
    query = StatementQuery(operator_id=operator_id, player_id=player_id, transaction_id=transaction_id)
    async for item in statement.items(query):
        if (item.player_id, item.transaction_id) == (player_id, transaction_id):
            return item
    return None


def _counts(attempt: Attempt, since: datetime) -> bool:
    return attempt.accepted and attempt.call in MOVING and attempt.created_at >= since


def _ours_as_dict(item: StatementItem, ours: WalletRound) -> dict[str, Any]:
    """Our figures beside the wallet's, in minor units."""
    part = part_of(item, ours) if item.call in MOVING else None
    allowed = frozenset() if part is None else allowed_moves(WalletCall(item.call), part)
    return {"state": ours.state, "moved": sorted(allowed), "currency": ours.currency}


def _subject(operator_id: str, player_id: str, transaction_id: str) -> str:
    return f"{operator_id}:{player_id}:{transaction_id}"
