"""Rounds at a wallet that breaks one call in a few, in every way that there is: nothing is lost or doubled,
and nothing stays open when it has come to itself."""

import asyncio
from collections import Counter
from typing import Any

from contracts.wallet import WalletCall
from operator_wallet.faults import Kind
from tests.faults.agreement import assert_all_agree, until_at_rest
from tests.faults.casino import Casino
from tests.support.clients import playing
from tests.support.conditions import until

PLAYERS = 16
# Within this time a fault of the schedule comes about if it ever does: one at a rollback waits for a bet that
# breaks twice, and the wallet is left alone for 5 s now and then.
NEXT_WITHIN_S = 240
# Of so many calls one breaks. Rollbacks are rare, for only a bet that breaks twice in a row comes to one: all
# of them break, until each kind has come about.
ONE_IN = {"bet": 3, "win": 5, "rollback": 1}
# Every kind at every call that moves money, but that only a bet can lack funds.
EVERY_FAULT = {
    (kind.value, call.value)
    for kind in Kind
    for call in (WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK)
    if kind is not Kind.NO_FUNDS or call is WalletCall.BET
}


async def test_rounds_at_a_faulty_wallet(casino: Casino, full: bool) -> None:
    times = 10 if full else 1
    players = await casino.seat_at_wallet(PLAYERS)
    await casino.break_wallet(seed=7, one_in=ONE_IN, times=times)
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with playing([*players]):
        faults = await _until_nothing_is_left(casino)
        await casino.wallet.clear_faults()
        stopped_at = loop.time()
    await until_at_rest(casino)
    at_rest_at = loop.time()
    await assert_all_agree(casino, players)
    told = Counter(answer["state"] for player in players for answer in player.answers.values())
    declined = Counter(code for player in players for code in player.declined.values())
    # Shown when the test fails, or with -s.
    print(  # noqa: T201
        f"{told | declined} in {stopped_at - began_at:.1f} s, at rest {at_rest_at - stopped_at:.1f} s later;"
        f" answers {sum((player.statuses for player in players), Counter())};"
        f" {faults['total']} faults: {faults['fired']}"
    )
    fired = {(kind, call): n for kind, calls in faults["fired"].items() for call, n in calls.items()}
    assert fired.keys() == EVERY_FAULT
    assert min(fired.values()) >= times
    decided = sum(player.decided for player in players)
    assert told["settled"] > decided // 2, "a wallet that works two times in three lets most rounds come off"
    assert told["void"] > 0


async def _until_nothing_is_left(casino: Casino) -> dict[str, Any]:
    """What the wallet reports when its schedule is through."""
    faults = await casino.wallet.faults()
    while _count(faults):
        faults = await _until_fewer_are_left(casino, faults)
    return faults


async def _until_fewer_are_left(casino: Casino, before: dict[str, Any]) -> dict[str, Any]:
    async def fewer() -> dict[str, Any] | None:
        faults = await casino.wallet.faults()
        return faults if _count(faults) < _count(before) else None

    try:
        faults = await until(fewer, within_s=NEXT_WITHIN_S)
    except TimeoutError:
        raise AssertionError(f"these faults do not come about: {before['left']}") from None
    assert faults is not None
    return faults


def _count(faults: dict[str, Any]) -> int:
    """How many faults are left."""
    return sum(sum(calls.values()) for calls in faults["left"].values())
