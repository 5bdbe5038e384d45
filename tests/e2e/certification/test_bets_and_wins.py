"""Certification cases 1 to 15: who may speak, bets and wins, repeats.

The numbers and words are those of `./croupier certify`, which asks an operator's wallet; here they are asked
of our API, for a player whose money is in our ledger and for one whose money is in an operator's wallet.
"""

import asyncio
import string
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.wallet import WalletCall
from operator_wallet.faults import Kind
from storage import rounds
from tests.e2e.certification.line import TamperedLine
from tests.e2e.certification.seats import Operators, Seat, faults, new_seat
from tests.e2e.certification.terms import BET, NEARLY_ALWAYS, OPENING, STAKE, WIN
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet

REPLAYED = "idempotent-replayed"
BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
EVERY = 5  # of a token's bytes, each so many is tampered with


# Who may speak


async def test_case_01_credentials_that_are_missing_bad_or_stale_open_nothing(
    gateway: Gateway, ours: Seat
) -> None:
    player, operator = ours.player, ours.player.operator
    revoked = await gateway.new_key(operator.operator_id)
    await gateway.revoke(revoked)
    books = await operator.books()
    for key in ("-", "crk_", operator.key[:-1], operator.key + "x", revoked, player.token):
        stranger = Operator(gateway, operator.operator_id, key)
        refused = await Player(stranger, player.session_id, player.token).deposit(1)
        checked_problem(refused, 401, "unauthenticated")
    for token in ("-", "x", player.token[:-4], operator.key):
        refused = await player.with_token(token).call("POST", "/rounds", json=player.wager())
        checked_problem(refused, 401, "unauthenticated")
    checked_problem(await player.expired().bet(), 401, "session-expired")
    nobody = await gateway.http.post("/v1/game/rounds", json=player.wager())
    checked_problem(nobody, 401, "unauthenticated")
    assert await operator.books() == books
    await ours.assert_square()


async def test_case_01_credentials_that_the_wallet_does_not_know_move_nothing(
    operators: Operators, wallet: RunningWallet
) -> None:
    """Our calls are signed with a secret that is not the wallet's: it refuses, and the bet is declined."""
    seat = await new_seat(operators.stranger, wallet)
    checked_problem(await seat.player.bet(), 502, "wallet-failed")
    assert await seat.attempts(BET) == [("refused", "bad-signature", STAKE)]
    await seat.assert_square()


async def test_case_02_raw_bytes_of_a_token_are_what_is_signed(ours: Seat) -> None:
    books = await ours.player.operator.books()
    token, wager = ours.player.token, ours.player.wager()
    forged = [token[:at] + _another(token[at]) + token[at + 1 :] for at in range(0, len(token), EVERY)]
    assert len(forged) > 50
    for text in forged:
        refused = await ours.player.with_token(text).call("POST", "/rounds", json=wager)
        checked_problem(refused, 401, "unauthenticated")
    assert await ours.player.operator.books() == books


def _another(byte: str) -> str:
    """Its highest bit is another one, so no decoder can overlook it."""
    return BASE64URL[BASE64URL.index(byte) ^ 32] if byte in BASE64URL else "A"


async def test_case_02_raw_bytes_of_a_call_that_were_altered_on_the_line_are_refused(
    operators: Operators, wallet: RunningWallet, line: TamperedLine
) -> None:
    seat = await new_seat(operators.tampered, wallet)
    before = line.altered_bodies
    checked_problem(await seat.player.bet(), 502, "wallet-failed")
    assert line.altered_bodies == before + 1, "nothing was altered: no fault has fired"
    assert await seat.attempts(BET) == [("refused", "bad-signature", STAKE)]
    await seat.assert_square()


async def test_case_03_looking_changes_nothing(seat: Seat) -> None:
    played = await seat.player.played()
    books, money = await seat.player.operator.books(), await seat.money()
    for _ in range(3):
        looks = [
            await seat.player.call("GET", path)
            for path in ("/session", "/balance", "/rounds", f"/rounds/{played['round_id']}")
        ]
        looks += [
            await seat.player.operator.call("GET", path)
            for path in (f"/players/{seat.player.player_id}/statement", "/rounds?limit=1")
        ]
        assert [look.status_code for look in looks] == [200] * len(looks)
        assert await seat.player.balance() == money
    assert (await seat.player.operator.books(), await seat.money()) == (books, money)
    await seat.assert_square(played)


# Bets and wins


async def test_case_04_bet_debits_its_stake_once(seat: Seat) -> None:
    lost = await seat.lost()
    assert [move for move in await seat.moves(lost["round_id"]) if move[0] == "bet"] == [("bet", -STAKE)]
    assert lost["balance"]["amount"] == await seat.money()


async def test_case_05_bet_and_win_net_correctly(seat: Seat) -> None:
    played = [await seat.won(), *[await seat.player.played() for _ in range(10)]]
    balance = OPENING
    # The winning round may have come after losing ones, which the history has too.
    for round_ in reversed(await seat.player.history()):
        balance += round_["win"]["amount"] - round_["stake"]["amount"]
        assert round_["balance"]["amount"] == balance
    assert {round_["round_id"] for round_ in played} <= {r["round_id"] for r in await seat.player.history()}
    assert await seat.money() == balance
    await seat.assert_square(*await seat.player.history())


@pytest.mark.parametrize("shape", ["array", "object"])
async def test_case_06_a_batch_is_refused_whole(seat: Seat, shape: str) -> None:
    """There are no batches yet, so none may be played in part: nothing of one is read."""
    wagers = [seat.player.wager(), seat.player.wager()]
    books = await seat.player.operator.books()
    body: Any = wagers if shape == "array" else {"bets": wagers}
    checked_problem(await seat.player.call("POST", "/rounds", json=body), 422, "invalid")
    for wager in wagers:
        found = await seat.player.call("GET", f"/rounds/{wager['round_id']}")
        checked_problem(found, 404, "not-found")
        workflow_id = seat.key(wager["round_id"]).workflow_id
        assert not await seat.player.operator.gateway.has_workflow(workflow_id)
    assert await seat.player.operator.books() == books
    await seat.assert_square()


async def test_case_07_insufficient_funds_are_told_with_the_true_balance(seat: Seat) -> None:
    wager = seat.player.wager(stake=2 * OPENING)
    for expected in (None, "true"):
        refused = await seat.player.call("POST", "/rounds", json=wager)
        problem = checked_problem(refused, 402, "insufficient-funds")
        assert problem["balance"] == {"amount": OPENING, "currency": "EUR"}
        assert refused.headers.get(REPLAYED) == expected
    await seat.assert_square()
    await seat.assert_square(await seat.player.played(stake=OPENING))


@pytest.mark.parametrize("stake", [0, -STAKE, -1, 100.0, 100.5, "100", None, True])
async def test_case_08_odd_amounts_are_refused(seat: Seat, stake: object) -> None:
    """A zero stake is refused, too: that is our policy."""
    round_id = uuid4().hex
    books = await seat.player.operator.books()
    checked_problem(await seat.player.bet(round_id, stake=stake), 422, "invalid")
    assert not await seat.player.operator.gateway.has_workflow(seat.key(round_id).workflow_id)
    assert await seat.player.operator.books() == books
    await seat.assert_square()


async def test_case_09_zero_win_closes_the_round(seat: Seat) -> None:
    lost = await seat.lost()
    assert (lost["state"], lost["win"]["amount"], lost["settled_at"] is None) == ("settled", 0, False)
    assert await seat.open_round() is None
    if seat.wallet is not None:
        told = await seat.attempts(WIN)
        assert told[-1] == ("accepted", None, 0), "the wallet closes its round, too"
    await seat.player.played()


# Repeats


async def test_case_10_repeated_bet_debits_once_and_gets_the_same_answer(seat: Seat) -> None:
    wager = seat.player.wager()
    first = await seat.player.call("POST", "/rounds", json=wager)
    between = await seat.player.played()
    repeats = [await seat.player.call("POST", "/rounds", json=wager) for _ in range(3)]
    assert first.status_code == 201
    assert [(r.status_code, r.headers[REPLAYED], r.content) for r in repeats] == [
        (200, "true", first.content)
    ] * 3
    await seat.assert_square(first.json(), between)


async def test_case_11_repeated_win_is_credited_once_by_our_ledger(gateway: Gateway, ours: Seat) -> None:
    """The settle step is taken again, as after a crash, by three workers at once: the first result stands."""
    round_id = uuid4().hex
    bet, pool = ours.player.stored_bet(round_id), gateway.database.pool
    await rounds.reserve(pool, bet)
    settled = [(await rounds.settle(pool, bet.key, {"roll": 1}, 250)).view]
    again = await asyncio.gather(*(rounds.settle(pool, bet.key, {"roll": 2}, 999) for _ in range(3)))
    assert [settlement.view for settlement in again] == settled * 3
    round_ = await ours.round(round_id)
    assert (round_["win"]["amount"], round_["outcome"]) == (250, {"roll": 1})
    await ours.assert_square(round_)


async def test_case_11_repeated_win_is_credited_once_by_the_wallet(theirs: Seat) -> None:
    """The wallet takes the win and says 503: it is sent again until it says yes."""
    assert theirs.wallet is not None
    won = await _won_through(theirs, (Kind.ERROR_AFTER, WIN), (Kind.ERROR_AFTER, WIN))
    told = [(verdict, amount) for verdict, _, amount in await theirs.attempts(WIN)]
    win = won["win"]["amount"]
    assert told[-3:] == [("unknown", win), ("unknown", win), ("accepted", win)]
    await theirs.assert_square(*await theirs.player.history())


async def _won_through(seat: Seat, *script: tuple[Kind, WalletCall]) -> dict[str, Any]:
    """A round that paid, though its calls met these faults."""
    assert seat.wallet is not None
    while True:
        round_id = uuid4().hex
        async with faults(seat.wallet, *script, round_of=seat.key(round_id)):
            await seat.player.bet(round_id, choice=NEARLY_ALWAYS)
            round_ = await seat.end_of(round_id)
        assert round_["state"] == "settled"
        if round_["win"]["amount"]:
            return round_


@pytest.mark.parametrize("changes", [{"stake": 2 * STAKE}, {"choice": NEARLY_ALWAYS}])
async def test_case_12_same_id_other_payload_is_refused(seat: Seat, changes: dict[str, Any]) -> None:
    played = await seat.player.played()
    books = await seat.player.operator.books()
    for _ in range(2):
        checked_problem(await seat.player.bet(played["round_id"], **changes), 422, "id-reused")
    assert await seat.player.operator.books() == books
    assert await seat.round(played["round_id"]) == played
    await seat.assert_square(played)


async def test_case_12_same_id_other_payload_is_refused_of_a_deposit(ours: Seat) -> None:
    first = await ours.player.deposit(500, "t-1")
    checked_problem(await ours.player.deposit(501, "t-1"), 422, "id-reused")
    assert (first.status_code, await ours.money()) == (201, OPENING + 500)


async def test_case_13_parallel_bets_leave_the_right_balance(seat: Seat) -> None:
    """Ten clients of one player bet at once, until each has played. A player has one open round of a game, so
    a bet may be refused for another's; it then comes again under a new id."""
    played = await asyncio.gather(*(_play_in_turn(seat) for _ in range(10)))
    assert len({round_["sequence"] for round_ in played}) == 10
    told = [round_["sequence"] for round_ in await seat.player.history()]  # the refused ones too
    assert sorted(told) == list(range(min(told), min(told) + len(told)))
    await seat.assert_square(*played)


async def _play_in_turn(seat: Seat) -> dict[str, Any]:
    while True:
        response = await seat.player.bet()
        if response.status_code == 201:
            played: dict[str, Any] = response.json()
            return played
        assert checked_problem(response, 409, "round-open")["open_round"]


async def test_case_14_parallel_repeats_have_one_effect(seat: Seat) -> None:
    """As many as one operator may have under way, however slowly they are answered."""
    wager = seat.player.wager()
    responses = await asyncio.gather(*(seat.player.call("POST", "/rounds", json=wager) for _ in range(80)))
    assert Counter(r.status_code for r in responses) == {201: 1, 200: 79}
    assert len({r.content for r in responses}) == 1
    await seat.assert_square(responses[0].json())


async def test_case_14_parallel_repeats_of_a_deposit_have_one_effect(ours: Seat) -> None:
    async def deposited() -> httpx.Response | None:
        answer = await ours.player.deposit(700, "t-1")
        return None if answer.status_code == 503 else answer  # so many at once may wait for too long

    responses = await asyncio.gather(*(until(deposited) for _ in range(100)))
    said = Counter(r.status_code for r in responses if r is not None)
    assert said[201] <= 1
    assert said[200] + said[201] == 100
    assert await ours.money() == OPENING + 700


async def test_case_15_same_id_two_players_are_both_processed(
    operator: Operator, rival: Operator, operators: Operators, wallet: RunningWallet
) -> None:
    """Two players of each of three operators, one of which has a wallet."""
    places = [(operator, None), (rival, None), (operators.usual, wallet), (operators.other, wallet)]
    seats = [await new_seat(*place) for place in places for _ in range(2)]
    responses: list[httpx.Response] = [await seat.player.bet("the-same-id") for seat in seats]
    assert [response.status_code for response in responses] == [201] * len(seats)
    for seat, response in zip(seats, responses, strict=True):
        await seat.assert_square(response.json())
