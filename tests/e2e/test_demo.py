"""Play money over HTTP: the same games and the same durable rounds, and nobody's money or figures."""

from typing import Any
from uuid import uuid4

from api.session.service import DEMO_BALANCE
from tests.e2e.parties import Gateway, Operator, broken, checked_problem, checked_round
from verification import books
from verification.invariants.events import ONE_EVENT, SEQUENCES_GAPLESS
from verification.invariants.money import BALANCES_ARE_POSTINGS, TRANSFERS_BALANCE
from verification.invariants.owners import PLAY_MONEY_APART
from verification.invariants.rounds import ONE_TERMINAL

PLAYERS = 20  # of whom one has the luck that a test needs


async def test_a_round_of_play_money_is_a_durable_round_that_nobody_counts(
    gateway: Gateway, operator: Operator
) -> None:
    player = await operator.open_session(mode="demo")
    shown = (await player.call("GET", "/session")).json()
    assert (shown["mode"], shown["balance"]["amount"]) == ("demo", DEMO_BALANCE)
    wager = player.wager()
    response = await player.call("POST", "/rounds", json=wager)
    played = checked_round(response)
    assert (response.status_code, played["state"], played["demo"], played["sequence"]) == (
        201,
        "settled",
        True,
        None,
    )
    again = await player.call("POST", "/rounds", json=wager)
    assert (again.status_code, again.json()) == (200, played)
    assert await gateway.has_workflow(player.round_key(played["round_id"]).workflow_id)
    left = DEMO_BALANCE - 100 + played["win"]["amount"]
    assert await player.balance() == played["balance"]["amount"] == left
    assert await player.history() == [played]
    events = await gateway.database.pool.fetchval(
        "SELECT count(*) FROM outbox WHERE player_key = $1", player.claims.player_key
    )
    assert events == 0


async def test_a_player_of_both_kinds_of_money_mixes_nothing(gateway: Gateway) -> None:
    """The same round id with both, one of them under way while the other is played."""
    operator = await gateway.new_operator()
    real = await operator.open_session("anna", balance=1_000)
    play = await operator.open_session("anna", mode="demo")
    round_id = uuid4().hex
    of_real, of_play = await real.played(round_id=round_id), await play.played(round_id=round_id)
    assert (of_real["demo"], of_play["demo"]) == (False, True)
    assert (await real.history(), await play.history()) == ([of_real], [of_play])
    assert await real.balance() == 900 + of_real["win"]["amount"]

    assert [r["demo"] for r in await operator.rounds()] == [False]
    assert [r["demo"] for r in await operator.rounds(mode="demo")] == [True]
    assert [r["demo"] for r in await operator.rounds(mode="demo", player_id="anna")] == [True]
    one = (await operator.call("GET", f"/rounds/{round_id}")).json()
    assert (one["demo"], one["event"]["type"]) == (False, "round.settled")
    one = (await operator.call("GET", f"/rounds/{round_id}", params={"mode": "demo"})).json()
    assert (one["demo"], one["event"]) == (True, None)
    statement = (await operator.call("GET", "/players/anna/statement")).json()["items"]
    assert {entry["kind"] for entry in statement} <= {"deposit", "stake", "win"}
    balance = (await operator.call("GET", "/players/anna/balance", params={"currency": "EUR"})).json()
    assert balance["total"]["amount"] == await real.balance()


async def test_a_deposit_for_a_player_of_play_money_is_real_money(gateway: Gateway) -> None:
    operator = await gateway.new_operator()
    play = await operator.open_session("anna", mode="demo")
    assert (await play.deposit(500)).status_code == 201
    assert await play.balance() == DEMO_BALANCE
    real = await operator.open_session("anna")
    assert await real.balance() == 500
    assert (await operator.call("GET", "/players/anna/balance", params={"currency": "EUR"})).json()["total"][
        "amount"
    ] == 500


async def test_play_money_knows_no_more_than_there_is(operator: Operator) -> None:
    never: dict[str, Any] = {"choice": {"direction": "over", "target": 9_799}, "stake": 50_000}
    for _ in range(PLAYERS):
        player = await operator.open_session(mode="demo", limits={"max_stake": 50_000})
        checked_problem(await player.bet(stake=100_000), 403, "limit-exceeded")
        for _ in range(DEMO_BALANCE // 50_000):
            await player.played(**never)
        if await player.balance() < 50_000:
            break  # whoever wins, one in fifty, would have to lose it all again
    checked_problem(await player.bet(**never), 402, "insufficient-funds")
    assert await (await operator.open_session(player.player_id, mode="demo")).balance() == DEMO_BALANCE


async def test_an_open_round_of_play_money_is_voided_as_such(gateway: Gateway) -> None:
    operator = await gateway.new_operator()
    real = await operator.open_session("anna", balance=1_000)
    play = await operator.open_session("anna", mode="demo")
    settled = await real.played()
    path = f"/rounds/{settled['round_id']}/void"
    reason = {"reason": "a test"}
    checked_problem(await operator.call("POST", path, json=reason, params={"mode": "demo"}), 404, "not-found")
    played = await play.played(round_id=settled["round_id"])
    closed = await operator.call("POST", path, json=reason, params={"mode": "demo"})
    assert checked_problem(closed, 409, "wrong-state")["state"] == played["state"] == "settled"


async def test_the_books_hold_with_play_money_in_them(gateway: Gateway, operator: Operator) -> None:
    rules = (
        TRANSFERS_BALANCE,
        BALANCES_ARE_POSTINGS,
        ONE_TERMINAL,
        ONE_EVENT,
        SEQUENCES_GAPLESS,
        PLAY_MONEY_APART,
    )
    before = await broken(gateway.database, *rules)
    play = await operator.open_session(mode="demo")
    for _ in range(3):
        await play.played()
    assert await broken(gateway.database, *rules) <= before
    async with gateway.database.pool.acquire() as connection:
        assert set((await books.ledger_sums(connection)).values()) == {0}
