"""Recovery of a restored ledger: nobody plays on it before every round that it has lost is on record.

A restore puts the ledger back, and neither Temporal nor an operator's wallet. Going on from there would draw
nonces again whose outcomes were seen, give out ids and numbers that others hold, and leave the bets of the
time between without an answer. So a new epoch begins: sequences skip ahead, seeds retire, and each round that
Temporal played and the ledger does not know becomes an incident with what its workflow still tells.

The interleavings that must not hurt:
* Two recoveries at once. One waits for the other's lock and finds the ledger open.
* A recovery that dies. Its epoch is on record and not open; the next one goes on with it, and finds each
  round either recorded with its incident or not at all.
* A round that was reserved in the time between, and still runs. Its workflow is terminated before it is
  recorded, and what it might yet ask of the ledger finds the round void.
* A round that is open and went on in the time between, so that its player knows what a choice leads to. It
  is given up. One that has not gone on plays on from the draw that it has, which gives the same outcome.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import asyncpg
import msgspec
from temporalio.service import RPCError

from contracts.reconciliation import Finding, IncidentKind
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.views import RoundView
from contracts.wallet import WalletCall
from runtime.past_rounds import LostAction, PastRound, PastRounds
from security.payload_codec import CANNOT_OPEN
from security.seeds import SeedVault
from storage import incidents, restores
from storage.restores import Epoch, LedgerState, Lost
from wallet.operator import transaction_id
from wallet.retired_seeds import new_seed

# Two recoveries wait for each other by this lock; the number only names it.
ADVISORY_LOCK: Final = 0x43524F56
# A round's stake is taken within half a minute of its workflow's start, and clocks differ.
BEFORE_RESTORE: Final = timedelta(minutes=2)
AT_ONCE: Final = 20
# Where all of the latest are known, nothing is behind; where some are not, these tell whose they are.
SAMPLE: Final = 10
PAUSE_S: Final = 0.5
WHY: Final = "lost with a restore of the ledger"

log = logging.getLogger(__name__)

Say = Callable[[str], None]
Restart = Callable[[Bet], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRound:
    """A round of the time between, by its bet, what its workflow says of it, and what became of it here."""

    bet: Bet
    told: str
    became: Lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """`warnings` say what could not be compared."""

    epoch: Epoch
    lost: tuple[LostRound, ...]
    warnings: tuple[str, ...]


async def is_behind(pool: asyncpg.Pool, past: PastRounds) -> bool:
    """Whether Temporal has completed rounds of players of ours that the ledger does not know: it was put back
    without a trace. Raises RPCError while Temporal does not answer."""
    missing = await restores.unknown(pool, await past.latest_completed())
    for key in missing[:SAMPLE]:
        if await restores.was_lost(pool, key):
            continue
        told = await past.tell(key)
        closed = None if told is None or told.result is None else told.result.state
        played = told is not None and closed in (RoundState.SETTLED, RoundState.VOID)
        if told is not None and played and await restores.is_ours(pool, told.bet):
            return True
    return False


async def close_if_behind(pool: asyncpg.Pool, past: PastRounds) -> None:
    """Closes an open ledger that Temporal is ahead of. What Temporal does not answer is asked again by the
    next program."""
    try:
        if await restores.state(pool) is not LedgerState.OPEN or not await is_behind(pool, past):
            return
    except (RPCError, *CANNOT_OPEN) as error:
        log.warning("the ledger is not compared with Temporal: %s", type(error).__name__)
        return
    log.error("Temporal has rounds that the ledger does not know: it was put back to an earlier moment")
    await restores.suspect(pool)


async def until_open(pool: asyncpg.Pool, past: PastRounds) -> None:
    """For a program that is about to play: returns when the ledger is one to play on."""
    await close_if_behind(pool, past)
    while await restores.state(pool) is not LedgerState.OPEN:  # noqa: ASYNC110 - another program opens it
        await asyncio.sleep(PAUSE_S)


class Recovery:
    """`restart` starts a round's workflow again."""

    def __init__(self, pool: asyncpg.Pool, past: PastRounds, restart: Restart, vault: SeedVault) -> None:
        self._pool, self._past, self._restart, self._vault = pool, past, restart, vault

    async def keep_known(self) -> None:
        """Tells Temporal of an epoch that it does not know: the first, or after it has lost its data."""
        epoch = await restores.last(self._pool)
        if epoch.opened_at is not None and await self._past.epoch() < epoch.number:
            await self._past.keep_epoch(epoch.number)

    async def recover(self, say: Say = log.warning) -> Recovered | None:
        """Recovers a restored ledger and opens it. None for one that is open. Raises RPCError, CANNOT_OPEN
        and what PostgreSQL raises: the ledger stays closed, and the next try goes on."""
        async with self._alone() as connection:
            if await restores.state(connection) is LedgerState.OPEN:
                return None
            say("the ledger was restored: its seeds retire, and its sequences skip ahead")
            known = await self._past.epoch()
            epoch = await restores.begin(connection, known=known)
            lost = [found async for found in self._compare_open(connection, epoch)]
            say(f"Temporal is asked for rounds since {epoch.restored_to:%Y-%m-%d %H:%M:%S} UTC")
            lost += [found async for found in self._compare_past(connection, epoch)]
            warnings = await self._warnings(epoch, known=known)
            await self._past.keep_epoch(epoch.number)
            await restores.open_(connection, epoch)
        for warning in warnings:
            say(warning)
        say(f"the ledger is open, in epoch {epoch.number}; rounds that were lost: {len(lost)}")
        return Recovered(epoch=epoch, lost=tuple(lost), warnings=warnings)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Any]:
        """One connection for all of it, which the end of all others leaves out."""
        async with self._pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK, timeout=None)
            try:
                yield connection
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)

    async def _warnings(self, epoch: Epoch, *, known: int) -> tuple[str, ...]:
        assert epoch.restored_to is not None
        if not known:  # every reconciler and ingress tells Temporal of the ledger as it starts
            return (
                "this Temporal has never known this ledger: rounds that were lost are not listed, and a bet"
                " of one that comes again is played anew. If the one of before is left, bring it back and"
                " restore again",
            )
        kept, back = await self._past.retention(), epoch.noticed_at - epoch.restored_to
        if kept >= back:
            return ()
        return (
            f"Temporal keeps ended rounds for {_hours(kept)} h, and the ledger went back by {_hours(back)} h:"
            " rounds that ended before are not listed",
        )

    async def _compare_open(self, connection: Any, epoch: Epoch) -> AsyncIterator[LostRound]:
        views = await restores.open_rounds(connection)
        async for view, told in self._told(views, lambda view: view.key):
            further = _further(view, told)
            if not further and (told.running or not told.waited):
                if told.running and view.state is RoundState.PENDING:
                    await self._past.terminate(view.key, WHY)
                    await self._restart(view.bet)
                continue
            if told.running:
                await self._past.terminate(view.key, WHY)
            actions = _documents(view.bet, _priced(view, further))
            async with connection.transaction():
                became = await restores.give_up(connection, view.bet, why=WHY, actions=actions)
                found = await self._note(connection, epoch, view.bet, told, became, told.actions)
            yield found
        async for _, told in self._told(await restores.begun_bets(connection), lambda bet: bet.key):
            if (unanswered := await self._record(connection, epoch, told)) is not None:
                yield unanswered

    async def _compare_past(self, connection: Any, epoch: Epoch) -> AsyncIterator[LostRound]:
        assert epoch.restored_to is not None
        since = epoch.restored_to - BEFORE_RESTORE
        async for page in self._past.started(since=since, until=epoch.noticed_at):
            missing = await restores.unknown(connection, page)
            async for _, told in self._told(missing, lambda key: key):
                if (found := await self._record(connection, epoch, told)) is not None:
                    yield found

    async def _told(
        self, items: Sequence[Any], key_of: Callable[[Any], RoundKey]
    ) -> AsyncIterator[tuple[Any, PastRound]]:
        """What Temporal tells of each, a few at once; those that it has forgotten are left out."""
        for first in range(0, len(items), AT_ONCE):
            some = items[first : first + AT_ONCE]
            for item, told in zip(
                some, await asyncio.gather(*(self._past.tell(key_of(item)) for item in some)), strict=True
            ):
                if told is not None:
                    yield item, told

    async def _record(self, connection: Any, epoch: Epoch, told: PastRound) -> LostRound | None:
        """None for a bet that was declined, of which nothing is lost, and for one that is recorded."""
        bet = told.bet
        if told.result is not None and told.result.state is RoundState.DECLINED:
            return None
        if told.running:
            await self._past.terminate(bet.key, WHY)
        if await restores.was_lost(connection, bet.key):
            return None
        async with connection.transaction():
            became = await restores.record(connection, bet, why=WHY, spare=new_seed(self._vault))
            if became is Lost.KNOWN:
                return None
            return await self._note(connection, epoch, bet, told, became, told.actions)

    async def _note(
        self,
        connection: Any,
        epoch: Epoch,
        bet: Bet,
        told: PastRound,
        became: Lost,
        actions: Sequence[LostAction],
    ) -> LostRound:
        state = "running" if told.result is None else told.result.state.value
        detail = {
            "became": became.value,
            "workflow": state,
            "started_at": told.started_at.isoformat(),
            "stake": {"amount": bet.stake, "currency": bet.currency},
            "epoch": epoch.number,
            "actions": _documents(bet, actions),
            "bet": msgspec.to_builtins(bet),
        }
        finding = Finding(
            kind=IncidentKind.LOST_ROUND,
            subject=bet.key.workflow_id,
            operator_id=bet.key.operator_id,
            player_key=bet.key.player_key,
            round_id=bet.key.round_id,
            game_id=bet.game_id,
            detail=detail,
        )
        await incidents.note(connection, finding)
        return LostRound(bet=bet, told=state, became=became)


def _further(view: RoundView, told: PastRound) -> list[LostAction]:
    """The actions of the workflow that the ledger does not know."""
    known = {taken["action_id"] for taken in view.taken or ()}
    return [taken for taken in told.actions if taken.action.action_id not in known]


def _priced(view: RoundView, actions: Sequence[LostAction]) -> list[LostAction]:
    """The same, the first with its cost by the offer that the ledger has."""
    if not actions or view.offer is None:
        return list(actions)
    first = actions[0]
    chosen = view.offer.find(first.action.chosen)
    return [LostAction(action=first.action, debit=None if chosen is None else chosen.debit), *actions[1:]]


def _documents(bet: Bet, actions: Sequence[LostAction]) -> list[dict[str, Any]]:
    """As the database's functions for lost rounds read them. What is not known to cost something costs 0."""
    return [
        {
            "action_id": taken.action.action_id,
            "action": taken.action.chosen.action,
            "params": taken.action.chosen.params,
            "request_id": taken.action.request_id,
            "debit": taken.debit or 0,
            "transaction_id": transaction_id(bet.key, WalletCall.BET, taken.action.action_id),
        }
        for taken in actions
    ]


def _hours(span: timedelta) -> int:
    return span // timedelta(hours=1)
