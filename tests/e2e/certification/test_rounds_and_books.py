"""Certification cases 29 to 41: rounds under way, limits, the books, fairness, figures."""

import asyncio
import dataclasses
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from games.registry import Registry
from operator_wallet.faults import Kind
from security.seeds import SeedVault
from storage import rounds
from storage.database import Database
from tests.conftest import Services
from tests.e2e.certification.seats import Operators, Seat, faults, held_open, new_seat
from tests.e2e.certification.terms import BET, NEARLY_ALWAYS, OPENING, STAKE, TAKEN_UNHEARD, TAKES_NO_WIN, WIN
from tests.e2e.parties import Gateway, Operator, broken, checked_problem
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet
from verification import books
from verification.check.agreement import Agreement
from verification.invariants.money import (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    NEVER_OVERDRAWN,
    TRANSFERS_BALANCE,
)
from verification.invariants.rounds import ONE_TERMINAL, WALLET_BETS_ARE_RESOLVED, WALLETS_ARE_SQUARE
from verification.outcomes import Replayer

MONEY = (
    TRANSFERS_BALANCE,
    BALANCES_ARE_POSTINGS,
    NEVER_OVERDRAWN,
    HOLDS_ARE_OPEN_STAKES,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
)


# Rounds under way


async def test_case_29_a_dropped_connection_finds_the_exact_state_on_return(theirs: Seat) -> None:
    """No game has free spins or picks yet: the connection is dropped when the result is on record and the
    wallet has not taken the win. On return the session names the round, asking for it shows that very
    result, and so do its end and a repeat of the bet."""
    assert theirs.wallet is not None
    wager = theirs.player.wager(choice=NEARLY_ALWAYS)
    round_id = wager["round_id"]
    unheard = (Kind.PROCESSED_THEN_TIMEOUT, WIN)
    async with faults(theirs.wallet, unheard, round_of=theirs.key(round_id), **TAKES_NO_WIN):
        asking = asyncio.create_task(theirs.player.call("POST", "/rounds", json=wager))
        await theirs.wallet.until_fired(Kind.PROCESSED_THEN_TIMEOUT)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        found = await theirs.round(round_id)
        assert (found["state"], await theirs.open_round()) == ("settling", round_id)
        await theirs.wallet.until_fired(Kind.ERROR_BEFORE)
    ended = await theirs.end_of(round_id)
    result = ("outcome", "win", "stake", "fairness", "created_at", "game", "mode")
    assert [ended[name] for name in result] == [found[name] for name in result]
    assert ended["outcome"]["win"] == ended["win"]["amount"]
    again = await theirs.player.call("POST", "/rounds", json=wager)
    assert (again.status_code, again.json()) == (200, ended)
    assert await theirs.open_round() is None
    await theirs.assert_square(ended)


async def test_case_29_a_connection_dropped_at_once_leaves_one_round_to_come_back_to(seat: Seat) -> None:
    """Whether the bet was read or not when the client hung up: the repeat is that round, or its first."""
    for after_s in (0.0, 0.001, 0.003, 0.01):
        wager = seat.player.wager()
        asking = asyncio.create_task(seat.player.call("POST", "/rounds", json=wager))
        await asyncio.sleep(after_s)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        played = await seat.player.call("POST", "/rounds", json=wager)
        assert played.json() == await seat.round(wager["round_id"])
    history = await seat.player.history()
    assert len(history) == 4
    await seat.assert_square(*history)


async def test_case_30_a_second_start_while_a_round_is_open_is_refused_and_names_it(seat: Seat) -> None:
    round_id = uuid4().hex
    async with held_open(seat, round_id):
        problem = checked_problem(await seat.player.bet(), 409, "round-open")
        assert problem["open_round"] == await seat.open_round() == round_id
    assert await seat.open_round() is None
    await seat.assert_square(await seat.player.played(), await seat.round(round_id))


async def test_case_31_another_currency_is_refused(seat: Seat) -> None:
    """A bet is in its session's currency and can name no other."""
    books = await seat.player.operator.books()
    checked_problem(await seat.player.bet(currency="USD"), 422, "invalid")
    assert await seat.player.operator.books() == books
    await seat.assert_square()


async def test_case_31_another_currency_than_the_accounts_is_refused(ours: Seat) -> None:
    """A genuine token whose session and account do not fit each other."""
    books = await ours.player.operator.books()
    checked_problem(await ours.player.with_claims(currency="USD").bet(), 401, "session-expired")
    assert await ours.player.operator.books() == books
    await ours.assert_square()


async def test_case_31_another_currency_than_the_wallets_is_refused(
    operators: Operators, wallet: RunningWallet
) -> None:
    player_id = uuid4().hex
    wallet.book.open_player(operators.usual.operator_id, player_id, "USD", OPENING)
    seat = Seat(await operators.usual.open_session(player_id, currency="EUR"), wallet)
    checked_problem(await seat.player.bet(), 422, "currency-mismatch")
    assert await seat.attempts(BET) == [("refused", "currency-mismatch", STAKE)]
    await seat.assert_square()


@pytest.mark.parametrize("stake", [STAKE + 1, STAKE // 2, 100_001, 200_000])
async def test_case_32_a_stake_off_the_step_or_above_the_cap_is_refused_on_the_server(
    seat: Seat, stake: int
) -> None:
    """No wallet is asked and no round is started."""
    round_id = uuid4().hex
    books = await seat.player.operator.books()
    checked_problem(await seat.player.bet(round_id, stake=stake), 422, "stake-not-allowed")
    assert not await seat.player.operator.gateway.has_workflow(seat.key(round_id).workflow_id)
    assert await seat.attempts(BET) == []
    assert await seat.player.operator.books() == books
    await seat.assert_square()


async def test_case_32_a_stake_that_comes_too_soon_is_refused_on_the_server(seat: Seat) -> None:
    """Before the last round has ended, or less than the session's shortest time after it began."""
    round_id = uuid4().hex
    async with held_open(seat, round_id):
        money = await seat.money()
        for _ in range(3):
            checked_problem(await seat.player.bet(), 409, "round-open")
        assert await seat.money() == money
    await seat.assert_square(await seat.round(round_id))

    hasty = await new_seat(seat.player.operator, seat.wallet, limits={"min_cycle_ms": 600_000})
    played = [await hasty.player.played()]
    told = checked_problem(await hasty.player.bet(), 403, "limit-exceeded")
    assert told["limit"] == "min_cycle_ms"
    assert 500 <= told["retry_after"] <= 600
    assert len(await hasty.attempts(BET)) == (0 if hasty.wallet is None else 1), "the wallet was asked"
    await _ten_minutes_pass(hasty)
    played.append(await hasty.player.played())
    await hasty.assert_square(*played)


async def _ten_minutes_pass(seat: Seat) -> None:
    await seat.player.operator.gateway.database.pool.execute(
        "UPDATE round_starts SET started_at = started_at - interval '10 minutes' WHERE player_key = $1",
        seat.player.claims.player_key,
    )


async def test_case_33_a_round_finishes_though_its_player_is_blocked_in_the_middle(seat: Seat) -> None:
    """On both sides."""
    round_id = uuid4().hex
    async with held_open(seat, round_id):
        blocked = await seat.player.operator.call(
            "PUT", f"/players/{seat.player.player_id}", json={"blocked": True}
        )
        assert blocked.status_code == 200, blocked.text
        if seat.wallet is not None:
            seat.wallet.book.block_player(*seat.owner, blocked=True)
    settled = await seat.round(round_id)
    assert settled["state"] == "settled"
    checked_problem(await seat.player.bet(), 403, "player-blocked")
    await seat.assert_square(settled)


async def test_case_33_a_round_finishes_though_its_game_is_disabled_in_the_middle(seat: Seat) -> None:
    """And a new bet is refused, until the game is enabled again."""
    operator, round_id = seat.player.operator, uuid4().hex
    try:
        async with held_open(seat, round_id):
            disabled = await operator.call("PUT", "/games/dice", json={"enabled": False})
            assert (disabled.status_code, disabled.json()) == (200, {"game_id": "dice", "enabled": False})
            checked_problem(await seat.player.bet(), 403, "game-disabled")
        assert (await seat.round(round_id))["state"] == "settled"
        checked_problem(await seat.player.bet(), 403, "game-disabled")
    finally:
        assert (await operator.call("PUT", "/games/dice", json={"enabled": True})).status_code == 200
    await seat.assert_square(await seat.round(round_id), await seat.player.played())


async def test_case_33_a_game_that_is_offered_no_more_takes_no_bet_and_shows_its_rounds(seat: Seat) -> None:
    """As when a game leaves the settings while sessions of it are open."""
    played = await seat.player.played()
    retired = seat.player.with_claims(game_id="retired")
    books = await seat.player.operator.books()
    checked_problem(await retired.bet(), 403, "game-disabled")
    assert await seat.player.operator.books() == books
    assert (await retired.call("GET", f"/rounds/{played['round_id']}")).json() == played
    await seat.assert_square(played)


async def test_case_34_another_players_rollback_takes_nothing_back(
    gateway: Gateway, operator: Operator
) -> None:
    """The round's id is released for a player who has no round of this id."""
    victim, stranger = [await new_seat(operator, None) for _ in range(2)]
    round_id, pool = uuid4().hex, gateway.database.pool
    async with held_open(victim, round_id):
        await rounds.release(pool, stranger.player.stored_bet(round_id), "round-cancelled", "")
        assert await victim.in_custody() == (OPENING, STAKE)
        checked_problem(await stranger.player.bet(round_id, stake=500), 422, "id-reused")
        assert await stranger.money() == OPENING
    assert (await victim.round(round_id))["state"] == "settled"
    await victim.assert_square(await victim.round(round_id))
    await stranger.assert_square(await stranger.round(round_id))


async def test_case_34_another_players_rollback_is_asked_of_another_operator_in_vain(
    rival: Operator, seat: Seat
) -> None:
    round_id = uuid4().hex
    body = {"reason": "a certification case"}
    async with held_open(seat, round_id):
        checked_problem(await rival.call("POST", f"/rounds/{round_id}/void", json=body), 404, "not-found")
    assert (await seat.round(round_id))["state"] == "settled"
    await seat.assert_square(await seat.round(round_id))


async def test_case_34_another_players_rollback_takes_nothing_back_at_the_wallet(
    operators: Operators, wallet: RunningWallet
) -> None:
    """Two players have rounds of one id, one is rolled back: the other stays what it is."""
    victim, stranger = [await new_seat(operators.usual, wallet) for _ in range(2)]
    round_id = uuid4().hex
    played = await victim.player.played(round_id=round_id)
    async with faults(wallet, *TAKEN_UNHEARD, round_of=stranger.key(round_id)):
        await stranger.player.bet(round_id)
        void = await stranger.end_of(round_id)
    assert void["state"] == "void"
    assert await victim.round(round_id) == played
    await victim.assert_square(played)
    await stranger.assert_square(void)


@pytest.mark.parametrize("claim", [{"free": True}, {"free_round_id": "f-1"}, {"bonus": 1}, {"stake": 0}])
async def test_case_35_a_bet_that_claims_to_be_free_is_refused(seat: Seat, claim: dict[str, Any]) -> None:
    """There are no free bets yet, so none may be played as one that costs."""
    books = await seat.player.operator.books()
    checked_problem(await seat.player.bet(**claim), 422, "invalid")
    assert await seat.player.operator.books() == books
    await seat.assert_square()


# The books

POSTINGS_BY_KIND = """
    SELECT a.kind AS account, t.kind AS transfer, sum(p.amount)::bigint AS amount
    FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
    WHERE t.player_key = $1 AND t.kind <> 'deposit' GROUP BY a.kind, t.kind
"""


async def test_case_36_stakes_add_up_exactly_and_no_part_of_one_goes_elsewhere(seat: Seat) -> None:
    """There are no jackpots yet, so nothing may be contributed: what is staked is what is won and what the
    house keeps, to the last unit."""
    played = [await seat.won(), *[await seat.player.played() for _ in range(15)]]
    played = await seat.player.history()
    stakes, wins = (sum(round_[name]["amount"] for round_ in played) for name in ("stake", "win"))
    rows = await seat.player.operator.gateway.database.pool.fetch(
        POSTINGS_BY_KIND, seat.player.claims.player_key
    )
    expected = {
        ("player", "stake"): -stakes,
        ("house", "stake"): stakes,
        ("player", "win"): wins,
        ("house", "win"): -wins,
    }
    if seat.wallet is not None:
        expected |= {
            ("wallet", "collected"): -stakes,
            ("player", "collected"): stakes,
            ("player", "paid"): -wins,
            ("wallet", "paid"): wins,
        }
    assert {(row["account"], row["transfer"]): row["amount"] for row in rows} == expected
    await seat.assert_square(*played)


async def test_case_37_every_debit_has_one_terminal_and_the_ledger_sums_to_the_balance(
    database: Database, seat: Seat
) -> None:
    before = await broken(database, *MONEY)
    played = [await seat.player.played() for _ in range(5)]
    checked_problem(await seat.player.bet(stake=100_000), 402, "insufficient-funds")
    if seat.wallet is not None:
        round_id = uuid4().hex
        async with faults(seat.wallet, *TAKEN_UNHEARD, round_of=seat.key(round_id)):
            await seat.player.bet(round_id)
            played.append(await seat.end_of(round_id))
    await seat.assert_square(*played)
    mirrored, _ = await seat.in_custody()
    assert sum(entry["amount"]["amount"] for entry in await seat.statement()) == mirrored
    if seat.wallet is not None:
        _assert_each_bet_ended_once(seat)
    assert await broken(database, *MONEY) <= before
    async with database.pool.acquire() as connection:
        assert set((await books.ledger_sums(connection)).values()) == {0}


def _assert_each_bet_ended_once(seat: Seat) -> None:
    """In the wallet's own book."""
    assert seat.wallet is not None
    operator_id, player_id = seat.owner
    entries = seat.wallet.book.statement(operator_id=operator_id, player_id=player_id)
    bets = [entry.transaction_id for entry in entries if entry.call == BET]
    ends = Counter(entry.bet_transaction_id for entry in entries if entry.bet_transaction_id)
    assert ends == Counter(bets)
    assert sum(entry.moved for entry in entries) == seat.wallet.book.player(*seat.owner).balance  # type: ignore[union-attr]  # it was opened


# Fairness and figures


async def test_case_38_replay_and_seed_verification_reproduce_the_payout(
    gateway: Gateway, services: Services, database: Database, seat: Seat
) -> None:
    """From the sealed seed, as `./croupier audit` does: a call of the API for it is not built yet."""
    played = [await seat.player.played(choice=NEARLY_ALWAYS, stake=200) for _ in range(5)]
    commitment = (await seat.player.call("GET", "/session")).json()["fairness"]["server_seed_hash"]
    assert {round_["fairness"]["server_seed_hash"] for round_ in played} == {commitment}
    assert [round_["fairness"]["nonce"] for round_ in played] == list(range(5))
    replayer = Replayer(Registry.load(services.settings.games), SeedVault(gateway.keyring))
    agreement, tampered = Agreement(), Agreement()
    for round_ in played:
        view = await rounds.find(database.pool, seat.key(round_["round_id"]))
        assert view is not None
        assert (view.outcome, view.win) == (round_["outcome"], round_["win"]["amount"])
        await replayer.check(agreement, view)
        await replayer.check(tampered, dataclasses.replace(view, win=view.win + 1))
    assert (agreement.replayed, agreement.fair.count) == (len(played), 0)
    assert (tampered.replayed, tampered.fair.count) == (0, len(played)), "the verification sees nothing"


async def test_case_39_figures_ignore_repeats_and_demo_and_net_rollbacks(
    operators: Operators, wallet: RunningWallet, database: Database
) -> None:
    """Nor does the wallet hear of rounds of play money."""
    seat = await new_seat(operators.counted, wallet)
    played = [await seat.player.played() for _ in range(5)]
    for round_ in played:
        wager = seat.player.wager(round_["round_id"])
        repeats = [await seat.player.call("POST", "/rounds", json=wager) for _ in range(3)]
        assert [repeat.status_code for repeat in repeats] == [200] * 3
    checked_problem(await seat.player.bet(stake=100_000), 402, "insufficient-funds")
    round_id = uuid4().hex
    async with faults(wallet, *TAKEN_UNHEARD, round_of=seat.key(round_id)):
        await seat.player.bet(round_id)
        assert (await seat.end_of(round_id))["state"] == "void"
    demo = await operators.counted.open_session(seat.player.player_id, mode="demo")
    assert {(await demo.played())["demo"] for _ in range(3)} == {True}
    assert await Seat(demo, wallet).attempts(BET) == []
    played.append(await seat.player.played())

    async def counted() -> list[tuple[int, ...]]:
        """Once the last event is in the consumer's inbox; events of one player arrive in order."""
        rows = await database.pool.fetch(
            "SELECT rounds, voids, stake, win FROM game_statistics WHERE operator_id = $1",
            operators.counted.operator_id,
        )
        found = [tuple(row) for row in rows]
        return found if found and sum(found[0][:2]) >= len(played) + 1 else []

    wins = sum(round_["win"]["amount"] for round_ in played)
    assert await until(counted) == [(6, 1, 6 * STAKE, wins)]


async def test_case_40_bet_and_win_in_one_call(seat: Seat) -> None:
    """A round is one request: it has debited the stake and credited the win when it is answered."""
    won = await seat.won()
    win = won["win"]["amount"]
    assert await seat.moves(won["round_id"]) == [("bet", -STAKE), ("win", win)]
    assert (won["state"], won["balance"]["amount"]) == ("settled", await seat.money())
    assert (await seat.open_round(), won["failure"]) == (None, None)


@pytest.mark.parametrize("amount", [2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), -(10**30)])
async def test_case_41_limits_of_integers_are_refused_cleanly(seat: Seat, amount: int) -> None:
    """No stake comes near to 2**53 - 1, the most that every JSON client reads exactly; beyond, it is none."""
    books = await seat.player.operator.books()
    code = "stake-not-allowed" if amount == 2**53 - 1 else "invalid"
    checked_problem(await seat.player.bet(stake=amount), 422, code)
    assert await seat.player.operator.books() == books
    await seat.assert_square()


async def test_case_41_limits_of_integers_hold_for_deposits(ours: Seat) -> None:
    books = await ours.player.operator.books()
    for amount in (2**53, 2**63 - 1, 2**63, 10**30, -(2**63)):
        checked_problem(await ours.player.deposit(amount), 422, "invalid")
    too_much = checked_problem(await ours.player.deposit(2**53 - 1), 403, "limit-exceeded")
    assert too_much["balance"]["amount"] == OPENING
    assert await ours.player.operator.books() == books
    assert (await ours.player.deposit(2**52 - 1 - OPENING)).status_code == 201
    assert await ours.money() == 2**52 - 1
