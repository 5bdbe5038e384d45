"""What is on record of a person's decisions: once, whatever is repeated, and unchanged."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from contracts.interventions import Action, InterventionVerdict
from contracts.rounds import Bet, RoundState
from contracts.wallet import WalletCall, WalletVerdict
from storage import interventions, timeline
from storage.database import open_database
from tests.conftest import Services
from tests.integration.interventions.decisions import (
    REASON,
    STAKE,
    WIN,
    accepted,
    decide,
    on_record,
    settling,
    stands,
)
from tests.integration.wallet.seats import WalletSeat
from tests.integration.wallet.table import ACCEPTED, TIMEOUT, Table
from tests.support.databases import as_application, owner_url
from wallet.steps import WalletPending


class TestWhatIsOnRecord:
    async def test_the_same_intervention_answers_what_the_first_one_did(self, seat: WalletSeat) -> None:
        """The interleaving: the step has committed, and its answer is lost; the round moves on meanwhile."""
        bet = seat.bet()
        await settling(seat, bet)
        same = str(uuid4())
        first = await decide(seat.seat, bet, Action.PAID_OUTSIDE, intervention_id=same)
        repeats = [await decide(seat.seat, bet, Action.PAID_OUTSIDE, intervention_id=same) for _ in range(2)]
        assert repeats == [first, first]
        assert await on_record(seat.seat, bet) == [("paid-outside", "settling", "accepted")]

    async def test_twenty_repeats_at_once_decide_once(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        same = str(uuid4())
        decided = await asyncio.gather(
            *(decide(seat.seat, bet, Action.REFUNDED_OUTSIDE, intervention_id=same) for _ in range(20))
        )
        assert len(set(map(repr, decided))) == 1
        assert len(await on_record(seat.seat, bet)) == 1
        assert len(await seat.seat.events()) == 1

    async def test_an_id_of_another_decision_decides_nothing(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        same = str(uuid4())
        await decide(seat.seat, bet, Action.RETRY_NOW, intervention_id=same)
        with pytest.raises(asyncpg.UniqueViolationError):
            await decide(seat.seat, bet, Action.PAID_OUTSIDE, intervention_id=same)
        assert (await stands(seat.seat, bet)).state is RoundState.SETTLING
        await seat.close(bet)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE interventions SET reason = 'another'",
            "DELETE FROM interventions",
            "TRUNCATE interventions",
        ],
    )
    async def test_what_was_decided_stays_written(self, seat: WalletSeat, statement: str) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        await accepted(seat.seat, bet, Action.PAID_OUTSIDE)
        with pytest.raises(asyncpg.RestrictViolationError):
            await seat.pool.execute(statement)

    @pytest.mark.parametrize(
        "change", ["bet = NULL", "release_code = 'another'", "release_detail = NULL", "releasing = false"]
    )
    async def test_a_wallet_bet_keeps_its_bet_and_its_first_reason(
        self, seat: WalletSeat, change: str
    ) -> None:
        bet = seat.bet()
        await seat.pending(bet)
        await accepted(seat.seat, bet, Action.VOID)
        with pytest.raises(asyncpg.RestrictViolationError):
            await seat.pool.execute(
                f"UPDATE wallet_bets SET {change} WHERE player_key = $1",  # noqa: S608
                bet.key.player_key,
            )
        await seat.release(bet)

    async def test_the_programs_role_decides_and_writes_nothing_past_it(
        self, seat: WalletSeat, services: Services
    ) -> None:
        url = await owner_url(services, seat.seat.database)
        application = await open_database(as_application(services, url), connections=1)
        try:
            bet = seat.bet()
            await settling(seat, bet)
            intervened = await decide(seat.seat, bet, Action.PAID_OUTSIDE, pool=application.pool)
            assert intervened.state is RoundState.SETTLED
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.pool.execute("INSERT INTO interventions SELECT * FROM interventions")
        finally:
            await application.close()

    async def test_a_round_is_found_with_its_bet_whether_it_has_a_row_or_not(self, seat: WalletSeat) -> None:
        asked, taken = seat.bet(choice={"direction": "over"}), seat.bet(game_id="dice2")
        operator_id = asked.key.operator_id
        pool = seat.pool

        async def found(bet: Bet) -> list[tuple[Bet, RoundState | None]]:
            subjects = await interventions.find(
                pool, bet.key.round_id, operator_id=operator_id, player_id=None, limit=2
            )
            return [(s.bet, None if s.view is None else s.view.state) for s in subjects]

        await seat.begin(asked)
        assert await found(asked) == [(asked, None)]
        await seat.accept(asked)
        assert await found(asked) == [(asked, RoundState.PENDING)]
        await seat.begin_release(asked)
        await seat.release(asked)
        assert await found(asked) == [(asked, RoundState.VOID)]
        assert await found(taken) == []

    async def test_a_rounds_record_tells_calls_and_decisions(self, table: Table) -> None:
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        with pytest.raises(WalletPending):
            await table.settle(bet, TIMEOUT)
        await accepted(table.seat, bet, Action.PAID_OUTSIDE)
        record = await timeline.record(table.seat.database.pool, bet.key)
        assert [(a.call, a.verdict, a.amount, a.code) for a in record.attempts] == [
            (WalletCall.BET, WalletVerdict.ACCEPTED, STAKE, None),
            (WalletCall.WIN, WalletVerdict.UNKNOWN, WIN, "timeout"),
        ]
        assert [(i.action, i.verdict, i.reason) for i in record.interventions] == [
            (Action.PAID_OUTSIDE, InterventionVerdict.ACCEPTED, REASON)
        ]
