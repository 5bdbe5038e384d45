"""The one read model of rounds, for the command line and whoever else shows them: a list, one on its time
line, what is stuck, what is open now.

Each question names its tenant, an operator or explicitly every one. None of them writes, so that a role that
can only read is enough, and none reads more as the history grows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.failures import one_line
from contracts.interventions import Action, allowed
from contracts.views import EVERY_OPERATOR, RoundFilter, RoundView, Tenant
from events.broker import LinkLost
from overview import overdue, services
from overview.model import Kind, RoundPage, Stuck, StuckReport
from overview.things import events_stuck, incident_stuck, transaction_stuck, webhook_stuck
from runtime.services import Unreachable
from security.keyring import KeyringInvalid
from storage import history, operators, pending, players
from storage import stuck as stored
from storage.stuck import OpenNow
from timeline.read import timeline
from timeline.timeline import Timeline

# Temporal may be what is broken; the rest is told all the same, after this time.
TEMPORAL_LIMIT_S: Final = 10.0
# So many runs of Temporal and the ledger apart: a workflow that has just begun is no news.
OLDER_THAN: Final = timedelta(minutes=1)
NO_KEY: Final = 0  # of no player

Connect = Callable[[], Awaitable[Client]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a look is taken. `connect` reaches Temporal, or raises Unreachable; `amqp_url` is None where the
    broker is not to be asked."""

    pool: asyncpg.Pool
    connect: Connect
    amqp_url: str | None = None


class Rounds:
    """Raises what asyncpg raises, and OSError, when the database does not answer; the others may be away."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._pool = sources.pool

    async def has_operator(self, operator_id: str) -> bool:
        """Whether there is one of this id."""
        return await operators.find(self._pool, operator_id) is not None

    async def player_key(self, operator_id: str, player_id: str, *, demo: bool) -> int:
        """The key to filter by. A player whom the operator does not have has no rounds."""
        found = await players.find_player(self._pool, operator_id=operator_id, player_id=player_id, demo=demo)
        return NO_KEY if found is None else found

    async def page(self, wanted: RoundFilter, *, before: int | None = None, limit: int) -> RoundPage:
        """First the rounds that have only begun at a wallet, then stored ones; newest first. Reads one window
        of the history."""
        begun, following = await pending.page(self._pool, wanted, before=before, limit=limit)
        if len(begun) == limit:
            return RoundPage(begun, following or pending.END, begun[-1].created_at)
        rows_before = None if before is None or before >= pending.END else before
        found = await history.find(self._pool, wanted, before=rows_before, limit=limit - len(begun))
        known = {view.key for view in begun}  # one of them may have got its row between the two reads
        stored_ones = [view for view in found.rounds if view.key not in known]
        return RoundPage(begun + stored_ones, found.following, found.reached)

    async def timeline(self, view: RoundView, *, ui: str | None = None) -> Timeline:
        """Everything about one round; `ui` is the address of Temporal's web interface, for the link."""
        return await timeline(self._pool, view, self._sources.connect, ui=ui)

    async def actions(self, views: Sequence[RoundView]) -> list[tuple[Action, ...]]:
        """The manual interventions that the ledger would accept of each."""
        asked = await stored.at_wallet(self._pool, [view.key for view in views])
        return [
            allowed(
                None if view.begun_only else view.state,
                at_wallet=view.key in asked,
                releasing=asked.get(view.key, False),
            )
            for view in views
        ]

    async def now(self, tenant: Tenant) -> list[OpenNow]:
        """How many rounds are open, by state, money, age and currency, and what they hold."""
        return await stored.now(self._pool, tenant, moment=datetime.now(UTC))

    async def stuck(self, tenant: Tenant, *, older_than: timedelta = OLDER_THAN, limit: int) -> StuckReport:
        """What should have gone on `older_than` ago: at most `limit` of each kind, the longest first. What is
        the platform's own (services, queues, transactions) is told to whoever asks for every operator."""
        now = datetime.now(UTC)
        before = now - older_than
        rounds, more = await self._overdue(tenant, before, limit)
        things, more_incidents = await self._things(tenant, before, limit)
        (found, from_temporal, unasked), from_broker = await asyncio.gather(
            self._temporal(tenant, rounds, before, now), self._broker(tenant)
        )
        report = [*from_broker, *from_temporal, *found, *things]
        order = list(Kind)
        report.sort(key=lambda one: order.index(one.kind))
        return StuckReport(report, {**more, Kind.INCIDENT: more_incidents}, unasked)

    async def _overdue(
        self, tenant: Tenant, before: datetime, limit: int
    ) -> tuple[list[Stuck], dict[Kind, int]]:
        rounds, all_rounds = await stored.rounds(self._pool, tenant, before=before, limit=limit)
        bets, all_bets = await stored.bets(self._pool, tenant, before=before, limit=limit)
        more = {Kind.ROUND: all_rounds - len(rounds), Kind.BET: all_bets - len(bets)}
        return [overdue.stuck(found) for found in (*rounds, *bets)], more

    async def _things(self, tenant: Tenant, before: datetime, limit: int) -> tuple[list[Stuck], int]:
        pool = self._pool
        found = [events_stuck(each) for each in await stored.events(pool, tenant, before=before)]
        for webhook in await stored.webhooks(pool, tenant, before=before):
            found += webhook_stuck(webhook)
        if tenant is EVERY_OPERATOR:
            found += map(transaction_stuck, await stored.transactions(pool, before=before))
        incidents, all_incidents = await stored.incidents(pool, tenant, limit=limit)
        return [*found, *map(incident_stuck, incidents)], all_incidents - len(incidents)

    async def _temporal(
        self, tenant: Tenant, rounds: list[Stuck], before: datetime, now: datetime
    ) -> tuple[list[Stuck], list[Stuck], list[str]]:
        """The overdue rounds with what their workflows wait for, what else Temporal tells, and what was left
        out."""
        try:
            async with asyncio.timeout(TEMPORAL_LIMIT_S):
                client = await self._sources.connect()
                lost = await self._begun_only(client, tenant, before)
                mine = await self._reconciliation(client, tenant, before, now)
                found = await overdue.described(client, [*rounds, *lost])
        except KeyringInvalid as problem:
            return rounds, [], [f"Temporal was not asked: {problem}"]
        except Unreachable as problem:
            return rounds, [services.away("Temporal", str(problem))], []
        except RPCError as error:
            return rounds, [services.away("Temporal", f"{error.status.name}: {error}")], []
        except TimeoutError:
            return rounds, [services.away("Temporal", f"nothing came within {TEMPORAL_LIMIT_S:g} s")], []
        left = len(found) - overdue.DESCRIBED
        unasked = [f"Temporal was asked about the first {overdue.DESCRIBED} rounds"] if left > 0 else []
        return found, mine, unasked

    async def _reconciliation(
        self, client: Client, tenant: Tenant, before: datetime, now: datetime
    ) -> list[Stuck]:
        if tenant is not EVERY_OPERATOR:
            return []
        return await services.reconciliation(client, now, older_than=now - before)

    async def _begun_only(self, client: Client, tenant: Tenant, before: datetime) -> Iterable[Stuck]:
        running = await services.running_rounds(client, tenant, before)
        return [overdue.begun_only(key) for key in await stored.unknown(self._pool, running)]

    async def _broker(self, tenant: Tenant) -> list[Stuck]:
        if self._sources.amqp_url is None or tenant is not EVERY_OPERATOR:
            return []
        try:
            return await services.queues(self._sources.amqp_url)
        except LinkLost as lost:
            return [services.away("RabbitMQ", one_line(str(lost)))]
