"""The operator's calls: deposits, balances with holds, and the rounds of its players by every filter."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest

from api.result.schemas import OperatorRound
from storage import rounds
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.conditions import until


async def test_a_deposit_is_credited_and_makes_the_player(operator: Operator) -> None:
    path = f"/players/{uuid4().hex}"
    body = {"transaction_id": "t-1", "amount": {"amount": 2_500, "currency": "EUR"}}

    response = await operator.call("POST", f"{path}/deposits", json=body)

    assert response.status_code == 201
    assert response.json() == {"transaction_id": "t-1", "balance": {"amount": 2_500, "currency": "EUR"}}
    balance = await operator.call("GET", f"{path}/balance", params={"currency": "EUR"})
    assert {name: money["amount"] for name, money in balance.json().items()} == {
        "balance": 2_500, "held": 0, "total": 2_500,
    }  # fmt: skip


async def test_a_repeated_deposit_credits_once_and_gets_the_first_answer(player: Player) -> None:
    first = await player.deposit(500, "t-1")
    await player.played()
    balance = await player.balance()

    again = await player.deposit(500, "t-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert await player.balance() == balance


@pytest.mark.parametrize(("amount", "currency"), [(501, "EUR"), (500, "USD")])
async def test_a_transaction_id_used_again_for_another_deposit_is_refused(
    player: Player, amount: int, currency: str
) -> None:
    await player.deposit(500, "t-1")
    checked_problem(await player.deposit(amount, "t-1", currency=currency), 422, "id-reused")
    assert await player.balance() == 10_500


async def test_a_transaction_id_is_its_players_own(
    player: Player, operator: Operator, rival: Operator
) -> None:
    others = [player, await operator.open_session(), await rival.open_session(player.player_id)]
    assert [(await p.deposit(100, "t-1")).status_code for p in others] == [201, 201, 201]
    assert [await p.balance() for p in others] == [10_100, 100, 100]


async def test_fifty_identical_deposits_at_once_credit_once(operator: Operator) -> None:
    path = f"/players/{uuid4().hex}/deposits"
    body = {"transaction_id": "t-1", "amount": {"amount": 700, "currency": "EUR"}}

    async def deposited() -> httpx.Response | None:
        answer = await operator.call("POST", path, json=body)
        return None if answer.status_code == 503 else answer  # so many at once may wait for too long

    responses = await asyncio.gather(*(until(deposited) for _ in range(50)))
    said = Counter(r.status_code for r in responses if r is not None)
    assert said[201] <= 1
    assert said[200] + said[201] == 50
    assert len({r.content for r in responses if r is not None}) == 1


async def test_different_deposits_at_once_are_all_credited(operator: Operator) -> None:
    player = await operator.open_session()
    await asyncio.gather(*(player.deposit(amount) for amount in range(1, 31)))
    assert await player.balance() == sum(range(1, 31))


async def test_a_balance_shows_what_an_open_round_holds(gateway: Gateway, player: Player) -> None:
    bet = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, bet)
    try:
        found = await balance_of(player)
        assert found == {"balance": 9_900, "held": 100, "total": 10_000}
    finally:
        await rounds.release(gateway.database.pool, bet, "round-cancelled", "")
    assert await balance_of(player) == {"balance": 10_000, "held": 0, "total": 10_000}


async def test_each_currency_has_a_balance_of_its_own(player: Player) -> None:
    await player.deposit(77, currency="USD")
    assert (await balance_of(player))["balance"] == 10_000
    assert (await balance_of(player, "USD"))["balance"] == 77


async def test_a_balance_that_was_never_opened_is_not_found(player: Player) -> None:
    path = f"/players/{player.player_id}/balance"
    checked_problem(await player.operator.call("GET", path, params={"currency": "USD"}), 404, "not-found")
    checked_problem(
        await player.operator.call("GET", "/players/nobody/balance?currency=EUR"), 404, "not-found"
    )


async def test_the_operator_sees_a_round_as_the_player_does_and_more(player: Player) -> None:
    played = await player.played()
    response = await player.operator.call("GET", f"/rounds/{played['round_id']}")
    seen = response.json()
    OperatorRound.model_validate_json(response.content)
    assert {**seen, **played} == seen
    assert (seen["player_id"], seen["session_id"]) == (player.player_id, player.session_id)
    assert seen["workflow_id"] == player.round_key(played["round_id"]).workflow_id
    assert await player.operator.gateway.has_workflow(seen["workflow_id"])
    event = await player.operator.gateway.database.pool.fetchrow(
        "SELECT type, subject FROM outbox WHERE event_id = $1", seen["event_id"]
    )
    assert tuple(event) == ("round.settled", played["round_id"])


async def test_a_round_id_of_several_players_needs_the_player(operator: Operator) -> None:
    round_id = uuid4().hex
    players = [await operator.open_session(balance=100) for _ in range(2)]
    for player in players:
        await player.played(round_id=round_id)
    problem = checked_problem(await operator.call("GET", f"/rounds/{round_id}"), 422, "invalid")
    assert "player_id" in problem["detail"]
    for player in players:
        params = {"player_id": player.player_id}
        found = await operator.call("GET", f"/rounds/{round_id}", params=params)
        assert found.json()["player_id"] == player.player_id


async def test_rounds_are_filtered_by_player_game_and_state(gateway: Gateway) -> None:
    operator = await gateway.new_operator()
    ann = await operator.open_session("ann", balance=300)
    ann_slot = await operator.open_session("ann", game_id="fruit-lines")
    bob = await operator.open_session("bob", balance=100)
    await ann.played(round_id="1")
    await ann_slot.played(round_id="2", stake=10)
    await bob.bet(round_id="3", stake=1_000)
    await bob.played(round_id="4")

    async def found(**filters: object) -> list[str]:
        return [r["round_id"] for r in await operator.rounds(limit=1, **filters)]

    assert await found() == ["4", "3", "2", "1"]
    assert await found(player_id="ann") == ["2", "1"]
    assert await found(game_id="dice") == ["4", "3", "1"]
    assert await found(state="declined") == ["3"]
    assert await found(state="settled", player_id="bob") == ["4"]
    assert await found(game_id="fruit-lines", state="declined") == []
    assert await found(player_id="nobody") == []


@pytest.mark.parametrize(
    "query", ["state=open", "state=", "player_id=a.b", "game_id=" + "g" * 65, "limit=0", "limit=ten"]
)
async def test_a_filter_that_cannot_match_anything_is_refused(operator: Operator, query: str) -> None:
    checked_problem(await operator.call("GET", f"/rounds?{query}"), 422, "invalid")


async def balance_of(player: Player, currency: str = "EUR") -> dict[str, int]:
    path = f"/players/{player.player_id}/balance"
    response = await player.operator.call("GET", path, params={"currency": currency})
    assert response.status_code == 200
    assert {money["currency"] for money in response.json().values()} == {currency}
    return {name: money["amount"] for name, money in response.json().items()}


async def test_no_deposit_makes_a_balance_without_room_for_wins(operator: Operator) -> None:
    player, largest = await operator.open_session(), 2**52 - 1
    assert (await player.deposit(largest - 1)).status_code == 201
    refused = checked_problem(await player.deposit(2), 403, "limit-exceeded")
    assert refused["balance"]["amount"] == await player.balance() == largest - 1
    assert (await player.deposit(1)).status_code == 201


async def test_rounds_are_found_by_the_time_of_their_start(operator: Operator) -> None:
    player = await operator.open_session(balance=1_000)
    first, second = [await player.played(), await player.played()]
    earlier = {"from": first["created_at"], "to": second["created_at"]}
    assert [r["round_id"] for r in await operator.rounds(**earlier)] == [first["round_id"]]
    later = {"from": second["created_at"]}
    assert [r["round_id"] for r in await operator.rounds(**later)] == [second["round_id"]]
    checked_problem(await operator.call("GET", "/rounds", params={"from": "yesterday"}), 422, "invalid")
