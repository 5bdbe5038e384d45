"""The restore drill: the database goes back to a moment, and neither Temporal nor the wallet does.

Rounds are played at both operators, some wait for their player; a base backup; more rounds. Then the server
is put back to a moment in between, under a worker that goes on. In short it goes back once, with `--full` to
each of ten moments, always from the first backup."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from contracts.rounds import Bet, RoundKey, RoundState
from storage.database import LedgerRestored
from tests.integration.restores.house import DICE, House
from tests.integration.wallet.casino import Player
from tests.support.conditions import until
from tests.support.ledger import Seat

ROUNDS = 3


@dataclass
class Floor:
    """Who plays. `waiting` are rounds with choices that wait at the first moment."""

    house: House
    own: Seat
    guest: Player
    guests: list[Player]
    waiting: dict[str, Bet] = field(default_factory=dict)

    async def rounds(self) -> None:
        """Some rounds at each operator."""
        for _ in range(ROUNDS):
            await self.house.play(self.own.bet(choice=DICE))
            await self.house.play(self.guest.bet())


async def opened(house: House) -> Floor:
    """Everybody has played, and three rounds wait for a choice."""
    guests = [await house.casino.seat("lucky-fruits") for _ in range(2)]
    guest = await house.casino.seat()
    floor = Floor(house, await house.seat(), guest, [guest, *guests])
    own = await house.seat("lucky-fruits")
    bets = {"own": own.bet(), "left": guests[0].bet(), "raised": guests[1].bet()}
    for name, bet in bets.items():
        await house.open_offer(bet)
        floor.waiting[name] = bet
    await floor.rounds()
    return floor


async def lost_time(floor: Floor) -> None:
    """What happens after the moment: rounds, a round of a new player at the wallet and one at our ledger, and
    two of those that waited come to their ends."""
    house = floor.house
    await floor.rounds()
    newcomer = await house.casino.seat()
    floor.guests.append(newcomer)
    await house.play(newcomer.bet())
    await house.play((await house.seat()).bet(choice=DICE))
    for name in ("own", "raised"):
        if (bet := floor.waiting.pop(name, None)) is not None:
            await house.finish(bet)


async def interrupted_win(floor: Floor) -> Bet:
    """A round whose bet the wallet took and whose win it did not: its workflow still runs."""
    bet = floor.guest.bet()
    await floor.house.casino.wallet.set_faults(script=[{"kind": "error-before", "call": "win"}] * 200)
    view = await floor.house.play(bet)
    assert view.state is RoundState.SETTLING
    await floor.house.casino.wallet.until_fired("error-before")
    return bet


@dataclass
class Drawn:
    """What players have been shown so far, to compare with what comes after a restore."""

    pairs: set[tuple[str, int]] = field(default_factory=set)
    rolls: list[Any] = field(default_factory=list)
    sequence: int = 0
    place: int = 0

    async def note(self, floor: Floor) -> None:
        pool = floor.house.casino.resources.database.pool
        rows = await floor.house.rows()
        self.pairs |= {(row["seed_id"], row["nonce"]) for row in rows.values() if row["seed_id"]}
        own = floor.own.session.player_key
        self.rolls = [row["outcome"] for key, row in rows.items() if key.player_key == own]
        self.sequence = max(self.sequence, await pool.fetchval("SELECT max(sequence) FROM players"))
        self.place = max(self.place, await pool.fetchval("SELECT max(id) FROM outbox"))


async def test_a_restore_loses_no_money_and_repeats_no_outcome(
    house: House, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    floor, drawn = await opened(house), Drawn()
    backup = await asyncio.to_thread(
        house.backups.make, house.stack.addresses.database_url, canaries={}, epoch=1, say=lambda text: None
    )
    moments: list[datetime] = []
    for _ in range(10 if full else 1):
        await floor.rounds()
        moments.append(await house.now())
    await lost_time(floor)
    table = []
    for at in moments:
        table.append(await restored(floor, drawn, backup, at))
    # The one that nobody touched since its offer plays on, from the draw that it had.
    await house.finish(floor.waiting["left"])
    await assert_square(floor, {}, {})
    with capsys.disabled():
        print("\nmoment                      rounds lost  void  at the wallet  foreign  epoch")  # noqa: T201
        print("\n".join(table))  # noqa: T201


async def restored(floor: Floor, drawn: Drawn, backup: Any, at: datetime) -> str:
    """One restore, and all that must hold after it."""
    house = floor.house
    await drawn.note(floor)
    broken = await interrupted_win(floor)
    shown = dict(house.shown)
    await house.restore(backup, at)
    await house.casino.wallet.clear_faults()
    await assert_closed(house)
    in_flight = floor.own.bet(choice=DICE)
    await house.casino.workflows.start(in_flight)
    await house.listed(in_flight)
    house.bets[in_flight.key] = in_flight
    before = await house.rows()

    recovered = await house.recover()
    assert recovered is not None
    expected = expected_losses(house, before)
    assert {lost.bet.key for lost in recovered.lost} == expected
    assert {in_flight.key, broken.key} <= expected
    assert await house.recover() is None, "a second recovery finds it open"
    # One that waited and went on is still there, and being released.
    await assert_answers(house, expected, {"void", "round-lost", "awaiting_choice"})
    await assert_answers(house, before.keys() - expected, {"settled", "void", "awaiting_choice"})
    await house.reconciled()
    await assert_answers(house, expected, {"void", "round-lost", "settled"})
    assert await house.lost_incidents() >= {key.workflow_id for key in expected}
    await assert_square(floor, shown, before)
    await assert_new_draws(floor, drawn)
    kinds = [lost.became.value for lost in recovered.lost]
    return (
        f"{at:%Y-%m-%d %H:%M:%S.%f}  {len(kinds):>11}  {kinds.count('void'):>4}"
        f"  {kinds.count('at-wallet'):>13}  {kinds.count('foreign'):>7}  {recovered.epoch.number:>5}"
    )


async def assert_closed(house: House) -> None:
    """The worker of before finds no connection that it could play on."""

    async def refused() -> bool:
        try:
            await house.casino.resources.database.pool.fetchval("SELECT 1")
        except LedgerRestored:
            return True
        except Exception:  # noqa: BLE001 - a connection of before, which is dead
            return False
        raise AssertionError("a ledger that was restored is played on")

    await until(refused)


def expected_losses(house: House, before: dict[RoundKey, Any]) -> set[RoundKey]:
    """The rounds that the restored ledger does not have, and those that wait there and had gone on."""
    open_again = {
        key
        for key, row in before.items()
        if row["state"] == "awaiting_choice" and house.shown[key].state is not RoundState.AWAITING_CHOICE
    }
    return {key for key in house.bets if key not in before} | open_again


async def assert_answers(house: House, keys: Iterable[RoundKey], answers: set[str]) -> None:
    """Each repeated bet has one of these answers at once."""
    for key in keys:
        assert await house.answer(house.bets[key]) in answers, key


async def assert_square(floor: Floor, shown: dict[RoundKey, Any], before: dict[RoundKey, Any]) -> None:
    """The wallet's players have what the ledger says, a round that the wallet has paid is settled with that
    win, and all invariants hold."""
    house = floor.house
    assert await house.wallet_owes(floor.guests) == {}
    after = await house.rows()
    for key, view in shown.items():
        if key.operator_id == house.casino.operator_id and view.state is RoundState.SETTLED:
            assert after[key]["state"] == "settled", key
    kept = {key: row for key, row in before.items() if row["state"] in ("settled", "void")}
    assert {key: dict(after[key]) for key in kept} == {key: dict(row) for key, row in kept.items()}
    state = await house.audited()
    assert [finding for finding in state.findings if not finding.holds] == []


async def assert_new_draws(floor: Floor, drawn: Drawn) -> None:
    """What is played now has new nonces, ids and numbers, and other outcomes."""
    house = floor.house
    pool = house.casino.resources.database.pool
    first = [await house.play(floor.own.bet(choice=DICE)) for _ in range(ROUNDS)]
    await house.play(floor.guest.bet())
    pairs = {(view.seed_id, view.nonce) for view in first}
    assert not pairs & drawn.pairs
    assert [view.outcome for view in first] != drawn.rolls[-ROUNDS:]
    assert all((view.sequence or 0) > drawn.sequence for view in first)
    newest = await pool.fetchval("SELECT max(id) FROM outbox")
    assert newest > drawn.place
