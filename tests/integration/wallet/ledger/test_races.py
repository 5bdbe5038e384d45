"""Rounds at an operator's wallet: operations raced against each other."""

import asyncio
from collections import Counter

from contracts.rounds import RoundState
from storage.operator_wallets import Verdict
from tests.integration.wallet.ledger.moves import all_attempts, another, driven_to_its_end
from tests.integration.wallet.seats import WalletSeat


async def test_twenty_begins_at_once_ask_for_one_round_of_a_game(seat: WalletSeat) -> None:
    decided = await asyncio.gather(*(seat.begin(seat.bet()) for _ in range(20)))
    assert Counter(d.verdict for d in decided) == {Verdict.ASK: 1, Verdict.STANDS: 19}


async def test_twenty_accepts_at_once_collect_once(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    decided = await asyncio.gather(*(seat.accept(bet) for _ in range(20)))
    assert len({repr(d.view) for d in decided}) == 1
    assert await seat.kinds() == [("collected", 100)]


async def test_twenty_closes_and_releases_at_once_end_a_round_once(seat: WalletSeat) -> None:
    """The interleaving: the win was taken and the rollback was taken, and both close the round."""
    for _ in range(5):
        own = await another(seat)
        bet = own.bet()
        await own.pending(bet)
        await asyncio.gather(
            *(
                all_attempts(own, bet, "record", "close")
                if n % 2
                else all_attempts(own, bet, "begin_release", "release")
                for n in range(20)
            )
        )
        assert (await driven_to_its_end(own, bet)).state.final
        assert len(await own.seat.events()) == 1
        assert await own.seat.money() == (0, 0)


async def test_an_accept_that_races_its_release_never_leaves_a_hold(seat: WalletSeat) -> None:
    for _ in range(20):
        own = await another(seat)
        bet = own.bet()
        await own.begin(bet)
        await asyncio.gather(own.accept(bet), all_attempts(own, bet, "begin_release", "release"))
        assert await own.seat.money() == (0, 0)
        assert [e["type"] for e in await own.seat.events()] == ["round.void"]


async def test_a_decline_that_races_an_accept_of_another_asking_decides_once(seat: WalletSeat) -> None:
    for _ in range(10):
        own = await another(seat)
        bet = own.bet()
        await own.begin(bet)
        await asyncio.gather(own.decline(bet), all_attempts(own, bet, "begin"))
        view = await driven_to_its_end(own, bet)
        assert view.state in (RoundState.DECLINED, RoundState.SETTLED)


async def test_the_bets_of_several_players_and_one_round_id_do_not_meet(seat: WalletSeat) -> None:
    other = await another(seat)
    for own in (seat, other):
        await own.pending(own.bet("same"))
        await own.record(own.bet("same"))
        assert (await own.close(own.bet("same"))).view.sequence == 2  # after the session
