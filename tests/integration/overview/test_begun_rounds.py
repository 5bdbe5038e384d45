"""The list of rounds has those of which only the bet is written. A ledger of its own: test_list compares
with all rounds of its ledger."""

from dataclasses import replace

from contracts.rounds import RoundState
from contracts.views import RoundFilter
from overview.rounds import Rounds
from storage.database import Database
from tests.integration.overview.pages import listed
from tests.integration.wallet.seats import WalletSeat
from tests.support.ledger import take_seat


async def test_they_come_first_and_once(own: Database, rounds: Rounds) -> None:
    seat = await take_seat(own, balance=1_000)
    at_wallet = WalletSeat(await take_seat(own, operator_id=seat.session.operator_id))
    stored, begun = seat.bet(), at_wallet.bet()
    await seat.reserve(stored)
    await at_wallet.begin(begun)
    wanted = RoundFilter(operator_id=seat.session.operator_id)
    ids = [begun.key.round_id, stored.key.round_id]
    for limit in (1, 2, 3):
        assert await listed(rounds, wanted, limit=limit) == ids
    assert await listed(rounds, replace(wanted, state=RoundState.PENDING), limit=5) == ids
    for narrower in ({"brand": "north"}, {"failure_code": "rolled-back"}, {"demo": True}):
        assert await listed(rounds, replace(wanted, **narrower), limit=5) == []
