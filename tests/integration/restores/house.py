"""A casino of two operators, one on our ledger and one with a wallet of its own, whose database goes back."""

import dataclasses
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from activities.incidents import IncidentSteps
from activities.lost_rounds import LostRounds
from activities.reconciliation import Patience, RoundChecks
from activities.statements import StatementChecks
from api.bet.service import NothingStored
from compose.backups import Backup, Backups
from compose.restore import Target, put_back
from compose.stack import Stack
from contracts.actions import PlayerAction
from contracts.choices import Chosen
from contracts.reconciliation import IncidentKind, Page
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.views import RoundView
from games.lucky_fruits import GAME as LUCKY_FRUITS
from games.protocol import Wager
from games.recompute import recompute
from outbound.client import tls_context
from runtime.past_rounds import PastRounds
from runtime.recovery import Recovered, Recovery
from security.seeds import SeedVault, commitment, new_server_seed
from storage import incidents, rounds
from storage.database import Database, open_database
from tests.integration.wallet.casino import OPENING, Casino, Player
from tests.support.conditions import HANG_S, until
from tests.support.ledger import Seat
from verification.ledger import LedgerState, audit
from wallet import dialect
from wallet.directory import WalletDirectory, WalletVault
from workers import wallets

AT_ONCE: Final = Patience(
    open=timedelta(0), applied=timedelta(0), visible=timedelta(0), recorded=timedelta(0)
)
DICE: Final = {"direction": "over", "target": 4_999}
KINDS: Final = (IncidentKind.WORKFLOW_LOST, IncidentKind.WORKFLOW_FAILED, IncidentKind.STUCK)
ROW: Final = """
    SELECT r.round_id, r.player_key, r.seed_id, r.nonce, r.outcome, r.state, r.id FROM rounds r
    ORDER BY r.id
"""


@dataclass
class House:
    """`shown` has every round that a player was shown the end of, by its key, the latest last."""

    casino: Casino
    stack: Stack
    own_operator: str
    bets: dict[RoundKey, Bet] = field(default_factory=dict)
    shown: dict[RoundKey, RoundView] = field(default_factory=dict)

    @property
    def backups(self) -> Backups:
        return Backups(self.stack.settings.home)

    async def owner(self) -> Database:
        """The database as it is now, past the programs' check."""
        return await open_database(self.stack.addresses.database_url, connections=2)

    # Playing

    async def seat(self, game_id: str = "dice", balance: int = 10_000) -> Seat:
        """A player whose money is in our ledger."""
        session, _ = await self.casino.sessions.open(
            operator_id=self.own_operator,
            player_id=uuid4().hex,
            game_id=game_id,
            currency="EUR",
            client_seed=None,
        )
        seat = Seat(self.casino.resources.database, session)
        await seat.deposit(balance)
        return seat

    async def play(self, bet: Bet) -> RoundView:
        """The round as its player is shown it: at its end, or waiting."""
        answer = await self.casino.bets.place(bet)
        assert answer.view is not None
        self.bets[bet.key] = bet
        self.shown[bet.key] = answer.view
        return answer.view

    async def open_offer(self, bet: Bet) -> RoundView:
        """Plays a round of Lucky Fruits that waits for its player and offers to raise."""
        database = await self.owner()
        session = await database.pool.fetchrow(
            "SELECT s.seed_id, d.client_seed, d.next_nonce FROM sessions s JOIN seeds d ON d.id = s.seed_id"
            " WHERE s.id = $1",
            bet.session_id,
        )
        seed = next(s for s in iter(new_server_seed, None) if _offers(s, session, bet.stake))
        await database.pool.execute(
            "UPDATE seeds SET sealed_server_seed = $2, server_seed_hash = $3 WHERE id = $1",
            session["seed_id"],
            SeedVault(self.casino.resources.keyring).seal(session["seed_id"], seed),
            commitment(seed),
        )
        await database.close()
        view = await self.play(bet)
        assert view.state is RoundState.AWAITING_CHOICE
        return view

    async def act(self, bet: Bet, name: str, **params: str) -> RoundView:
        action = PlayerAction(
            action_id=uuid4().hex, chosen=Chosen(action=name, params=dict(params)), request_id=uuid4().hex
        )
        verdict = await self.casino.workflows.act(bet, action, within=timedelta(seconds=HANG_S))
        assert verdict.counts, verdict
        view = await rounds.find(self.casino.resources.database.pool, bet.key)
        assert view is not None
        self.shown[bet.key] = view
        return view

    async def listed(self, bet: Bet) -> None:
        """Waits until Temporal's lists, by which recovery looks, have its workflow."""
        query = f'WorkflowId = "{bet.key.workflow_id}"'

        async def there() -> bool:
            return [each async for each in self.casino.temporal.list_workflows(query)] != []

        await until(there)

    async def finish(self, bet: Bet) -> RoundView:
        """Raises on red if that is offered, and collects."""
        view = await self.act(bet, "raise", color="red")
        while not view.state.final:
            view = await self.act(bet, "collect")
        return view

    # Going back

    async def now(self) -> datetime:
        moment: datetime = await self.casino.resources.database.pool.fetchval("SELECT clock_timestamp()")
        return moment

    async def restore(self, backup: Backup, at: datetime, timeline: int | None = 1) -> None:
        """Leaves the casino's worker, and Temporal and the wallet, as they are."""
        if "postgres" in self.stack.names():
            await self.stack.stop_one("postgres")
        target = Target(backup=backup, at=at, timeline=timeline)
        await put_back(self.stack, self.backups, target, lambda text: None)

    async def recover(self) -> Recovered | None:
        database = await self.owner()
        vault = SeedVault(self.casino.resources.keyring)
        past = PastRounds(self.casino.temporal)
        try:
            recovery = Recovery(database.pool, past, self.casino.workflows.restart, vault)
            return await recovery.recover(lambda text: None)
        finally:
            await database.close()

    async def rows(self) -> dict[RoundKey, Any]:
        """What the ledger has of the rounds that were played here."""
        database = await self.owner()
        found = {(row["player_key"], row["round_id"]): row for row in await database.pool.fetch(ROW)}
        await database.close()
        return {
            key: found[key.player_key, key.round_id]
            for key in self.bets
            if (key.player_key, key.round_id) in found
        }

    # Afterwards

    async def answer(self, bet: Bet) -> str:
        """What a repeat of the bet is told: the round's state, or the problem."""
        try:
            answered = await self.casino.bets.place(dataclasses.replace(bet, request_id=uuid4().hex))
        except NothingStored as problem:
            return problem.code
        assert answered.view is not None
        assert not answered.first
        return answered.view.state.value

    async def reconciled(self) -> None:
        """Runs what reconciliation does about rounds until no incident is open."""
        async with wallets.opened(self.casino.resources) as directory:
            await self._reconcile(directory)

    async def _reconcile(self, directory: WalletDirectory) -> None:
        resources = self.casino.resources
        pool = resources.database.pool
        checks = RoundChecks(pool, self.casino.workflows, AT_ONCE)
        statements = StatementChecks(
            pool, WalletVault(resources.keyring), dialect.load(), functools.cache(tls_context), AT_ONCE
        )
        lost = LostRounds(pool, directory.wallets, statements, AT_ONCE)
        reviews = {IncidentKind.LOST_ROUND: lost.review, IncidentKind.WALLET_DIFFERS: statements.review}
        steps = IncidentSteps(pool, resources.publisher, {**dict.fromkeys(KINDS, checks.review), **reviews})

        async def done() -> bool:
            await _every_page(checks.open_rounds)
            await _every_page(checks.unanswered_bets)
            result = await steps.open_incidents(Page())
            assert result.problems == (), result.problems
            return not await incidents.listed(pool, resolved_too=False, limit=1_000)

        await until(done)
        await _every_page(statements.statements)
        assert await incidents.listed(pool, resolved_too=False, limit=1_000) == []

    async def lost_incidents(self) -> set[str]:
        pool = self.casino.resources.database.pool
        found = await incidents.listed(pool, resolved_too=True, limit=10_000)
        return {one.finding.subject for one in found if one.finding.kind is IncidentKind.LOST_ROUND}

    async def audited(self) -> LedgerState:
        database = await self.owner()
        try:
            # Nothing here reads the broker: what waits for its consumers is no matter of a restore.
            return await audit(database, overdue_after_s=3_600)
        finally:
            await database.close()

    async def wallet_owes(self, players: list[Player]) -> dict[str, int]:
        """By player, what the wallet has beyond what the ledger says that its rounds moved."""
        owed = {}
        for player in players:
            moved = await self.casino.resources.database.pool.fetchval(
                "SELECT coalesce(sum(win - stake - extra) FILTER (WHERE state NOT IN ('void', 'declined')),"
                " 0)::bigint FROM rounds WHERE player_key = $1",
                player.player_key,
            )
            if player.balance != OPENING + moved:
                owed[player.player_id] = player.balance - OPENING - moved
        return owed


async def _every_page(check: Callable[[Page], Awaitable[Any]]) -> None:
    page = Page()
    while (result := await check(page)).cursor is not None:
        page = Page(cursor=result.cursor)


def _offers(seed: bytes, session: Any, stake: int) -> bool:
    step = recompute(
        LUCKY_FRUITS,
        Wager(stake=stake, mode="base", choice=None),
        server_seed=seed,
        client_seed=session["client_seed"],
        nonce=session["next_nonce"],
    )
    return step.offer is not None and any(choice.action == "raise" for choice in step.offer.choices)
