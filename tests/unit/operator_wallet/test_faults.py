"""A schedule of faults: it brings about every kind at every call that it is for, and says which are left."""

import json
from collections import Counter

import pytest

from contracts.wallet import WalletCall, WalletRequest
from operator_wallet.control import NotUnderstood, read_plan
from operator_wallet.faults import ONLY_FOR, Faults, Kind, Plan, Schedule

BET, WIN, ROLLBACK = WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK
seeds = pytest.mark.parametrize("seed", range(10))


def request(call: WalletCall, number: int) -> WalletRequest:
    return WalletRequest(
        call=call,
        operator_id="demo",
        player_id="anna",
        session_id="s",
        currency="EUR",
        transaction_id=str(number),
    )


def begun(seed: int = 1, *, times: int = 1, **one_in: int) -> Faults:
    faults = Faults()
    schedule = Schedule(one_in={WalletCall(call): number for call, number in one_in.items()}, times=times)
    faults.begin(Plan(seed=seed, schedule=schedule))
    return faults


def met(faults: Faults, call: WalletCall, calls: int) -> list[Kind | None]:
    """What so many calls meet, one after the other. All of it comes about."""
    kinds: list[Kind | None] = []
    for number in range(calls):
        fault = faults.meet(request(call, number))
        kinds.append(fault.kind if fault else None)
        if fault is not None:
            faults.came_about(fault)
    return kinds


@seeds
@pytest.mark.parametrize("call", WalletCall)
def test_every_kind_for_a_call_comes_about_and_then_none(seed: int, call: WalletCall) -> None:
    expected = {kind for kind in Kind if call in ONLY_FOR.get(kind, WalletCall)}
    faults = begun(seed, **{call: 3})
    kinds = met(faults, call, 3 * len(expected))
    assert Counter(kinds) == Counter([*expected, *[None] * (2 * len(expected))])
    assert all(kinds[n : n + 3].count(None) == 2 for n in range(0, len(kinds), 3)), "one of every three"
    assert faults.report()["left"] == {}
    assert met(faults, call, 30) == [None] * 30


def test_the_seed_says_in_which_order() -> None:
    orders = [met(begun(seed, bet=2), BET, 2 * len(Kind)) for seed in range(10)]
    assert met(begun(3, bet=2), BET, 2 * len(Kind)) == orders[3]
    assert len({tuple(order) for order in orders}) == 10


def test_each_comes_about_as_often_as_it_shall_evenly_mixed() -> None:
    faults = begun(times=3, win=1)
    one = len(Kind) - 1  # all but no-funds
    kinds = met(faults, WIN, 3 * one)
    assert [Counter(kinds[n : n + one]) for n in (0, one, 2 * one)] == [Counter(set(kinds))] * 3
    assert faults.report()["left"] == {}


def test_what_is_left_is_named_until_it_has_come_about() -> None:
    faults = begun(bet=1)
    fault = faults.meet(request(BET, 1))
    assert fault is not None
    assert len(faults.report()["left"]) == len(Kind)
    faults.came_about(fault)
    left = faults.report()["left"]
    assert left == {kind.value: {"bet": 1} for kind in Kind if kind is not fault.kind}


@seeds
def test_what_came_to_nothing_is_dealt_again_and_holds_up_no_other(seed: int) -> None:
    faults = begun(seed, bet=1)
    for number in range(100):
        fault = faults.meet(request(BET, number))
        assert fault is not None
        if fault.kind is Kind.NO_FUNDS:
            faults.came_to_nothing(fault)
        else:
            faults.came_about(fault)
    assert faults.report()["left"] == {"no-funds": {"bet": 1}}


def test_a_call_goes_on_breaking_while_another_one_waits_for_its_faults() -> None:
    faults = begun(bet=1, rollback=1)
    assert Counter(met(faults, BET, 2 * len(Kind))) == dict.fromkeys(Kind, 2)
    assert faults.report()["left"] == {
        kind.value: {"rollback": 1} for kind in Kind if kind is not Kind.NO_FUNDS
    }
    assert met(faults, ROLLBACK, len(Kind) - 1).count(None) == 0
    assert met(faults, BET, 10) == [None] * 10


def test_calls_that_are_not_in_it_meet_nothing() -> None:
    assert met(begun(bet=1), WIN, 20) == [None] * 20


def test_a_schedule_that_is_ended_says_what_it_has_left() -> None:
    faults = begun(bet=1)
    met(faults, BET, 10)
    faults.end()
    assert met(faults, BET, 20) == [None] * 20
    assert len(faults.report()["left"]) == len(Kind) - 10


def test_it_is_read_from_json() -> None:
    plan = read_plan(json.dumps({"schedule": {"one_in": {"bet": 5, "win": 4}, "times": 2}}).encode())
    assert plan.schedule == Schedule(one_in={BET: 5, WIN: 4}, times=2)
    assert read_plan(b'{"schedule": {"one_in": {"bet": 1}}}').schedule == Schedule(one_in={BET: 1})


@pytest.mark.parametrize(
    "plan",
    [
        {"schedule": {"one_in": {"bet": 5}}, "rates": {"slow": 1}},
        {"schedule": {"one_in": {}}},
        {"schedule": {"one_in": {"deposit": 5}}},
        {"schedule": {"one_in": {"bet": 0}}},
        {"schedule": {"one_in": {"bet": 0.5}}},
        {"schedule": {"one_in": {"bet": 5}, "times": 0}},
        {"schedule": {"one_in": {"bet": 5}, "more": 1}},
        {"schedule": {"times": 1}},
        {"schedule": ["bet"]},
        {"schedule": 5},
    ],
)
def test_what_is_no_schedule_is_refused(plan: dict[str, object]) -> None:
    with pytest.raises(NotUnderstood):
        read_plan(json.dumps(plan).encode())
