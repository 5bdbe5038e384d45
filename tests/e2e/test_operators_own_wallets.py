"""An operator with a wallet of its own, over HTTP: players see what that wallet says, our ledger's own calls
are refused, and a wallet that is silent wedges nothing. The wallet is set while the ingress runs.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.session.schemas import SessionOut
from games.lucky_fruits import GAME
from tests.conftest import Services
from tests.e2e.choices import act, open_round
from tests.e2e.parties import Gateway, Operator, Player, checked_problem, checked_round
from tests.support.conditions import until
from tests.support.http import http_client
from tests.support.operator_wallet import RunningWallet, running_wallet
from tests.support.wallet_settings import program_settings, set_wallet

OPENING: Final = 50_000
LEFT_OVER: Final = 700
# How long a call of this wallet may take: so much longer than a look, which ends after two seconds, that no
# pause blurs the difference.
TOTAL_S: Final = 7


@dataclass(frozen=True, slots=True)
class Casino:
    """`operator` has had its wallet for a moment; before, a player had LEFT_OVER in our ledger."""

    operator: Operator
    wallet: RunningWallet
    player: Player
    metrics_url: str

    async def metric(self, name: str, **labels: str) -> float:
        """0 where it was never counted."""
        async with http_client() as client:
            page = (await client.get(self.metrics_url)).text
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0


@pytest.fixture(scope="module")
async def casino(gateway: Gateway, platform: dict[str, Any], services: Services) -> AsyncIterator[Casino]:
    operator = await gateway.new_operator()
    player = await operator.open_session(balance=LEFT_OVER)
    assert await player.balance() == LEFT_OVER
    async with running_wallet("--new-players", str(OPENING)) as wallet:
        await set_wallet(
            program_settings(services.stack),
            operator.operator_id,
            wallet.url,
            wallet.secret,
            read_ms=TOTAL_S * 1_000,
            total_ms=TOTAL_S * 1_000,
        )

        async def seen() -> bool:
            answer = await player.call("GET", "/balance")
            return answer.status_code == 200 and answer.json()["balance"]["amount"] == OPENING

        await until(seen)
        yield Casino(operator, wallet, player, platform["metrics_urls"]["ingress"])


@pytest.fixture
async def player(casino: Casino) -> AsyncIterator[Player]:
    yield await casino.operator.open_session()
    await casino.wallet.clear_faults()


async def _session(player: Player) -> dict[str, Any]:
    response = await player.call("GET", "/session")
    assert response.status_code == 200, response.text
    SessionOut.model_validate_json(response.content)
    body: dict[str, Any] = response.json()
    return body


async def test_a_player_sees_what_the_wallet_says_before_and_after_a_round(player: Player) -> None:
    opening = {"amount": OPENING, "currency": "EUR"}
    assert (await _session(player))["balance"] == opening
    played = await player.played()
    left = OPENING - 100 + played["win"]["amount"]
    assert played["balance"] == {"amount": left, "currency": "EUR"}
    assert await player.balance() == left
    assert (await _session(player))["balance"]["amount"] == left


async def test_looking_moves_nothing_and_says_which_call_it_is(casino: Casino, player: Player) -> None:
    before = await casino.metric(
        "croupier_wallet_calls_total",
        operator=casino.operator.operator_id,
        call="balance",
        outcome="accepted",
    )
    assert await player.balance() == OPENING
    assert casino.wallet.book.statement(player_id=player.player_id, limit=10)[1:] == []
    after = await casino.metric(
        "croupier_wallet_calls_total",
        operator=casino.operator.operator_id,
        call="balance",
        outcome="accepted",
    )
    assert after == before + 1


async def test_an_answer_that_the_wallet_writes_twice_is_no_answer_to_another_player(
    casino: Casino, player: Player
) -> None:
    poor = await casino.operator.open_session()
    casino.wallet.book.open_player(casino.operator.operator_id, poor.player_id, "EUR", 0)
    for call in ("bet", "win", "bet", "win"):
        await casino.wallet.set_faults(script=[{"kind": "answered-twice", "call": call}])
        await player.played()
        checked_problem(await poor.bet(), 402, "insufficient-funds")


async def test_a_wallet_that_sends_an_empty_line_beyond_each_answer_settles_every_round(
    casino: Casino, player: Player
) -> None:
    await casino.wallet.set_faults(rates={"empty-line": 1})
    for _ in range(10):
        assert (await player.played())["state"] == "settled"


async def test_a_round_counts_and_the_player_is_shown_a_balance_or_none(
    casino: Casino, player: Player
) -> None:
    await casino.wallet.set_faults(rates={"odd-balance": 1})
    for _ in range(6):
        played = await player.played()
        assert played["balance"] is None or played["balance"]["amount"] < OPENING
    seen: set[int | None] = set()

    async def both_seen() -> bool:
        """What it owes, and nothing for what no client could read exactly."""
        balance = (await _session(player))["balance"]
        seen.add(balance and balance["amount"])
        return seen >= {-50, None}

    await until(both_seen)
    assert seen == {-50, None}


async def test_a_session_is_authenticated_before_its_first_bet_and_no_more(
    casino: Casino, player: Player
) -> None:
    counted = {"operator": casino.operator.operator_id, "call": "authenticate", "outcome": "accepted"}
    before = await casino.metric("croupier_wallet_calls_total", **counted)
    for _ in range(3):
        await player.played()
    assert await casino.metric("croupier_wallet_calls_total", **counted) == before + 1


async def test_money_is_neither_moved_nor_shown_in_our_ledger(casino: Casino, player: Player) -> None:
    books = await casino.operator.books()
    checked_problem(await player.deposit(100), 409, "wrong-state")
    checked_problem(await casino.player.deposit(100), 409, "wrong-state")
    path = f"/players/{casino.player.player_id}"
    body = {"transaction_id": "w-1", "amount": {"amount": 1, "currency": "EUR"}}
    checked_problem(await casino.operator.call("POST", f"{path}/withdrawals", json=body), 409, "wrong-state")
    balance = await casino.operator.call("GET", f"{path}/balance", params={"currency": "EUR"})
    checked_problem(balance, 409, "wrong-state")
    assert await casino.operator.books() == books


@pytest.fixture
async def lucky(casino: Casino) -> AsyncIterator[Player]:
    yield await casino.operator.open_session(game_id=GAME.id)
    await casino.wallet.clear_faults()


def _cost(round_: dict[str, Any]) -> int:
    cost: int = next(c["debit"]["amount"] for c in round_["choices"] if c["action"] == "raise")
    return cost


async def test_a_raise_costs_what_it_says_at_the_wallet_and_is_taken_once(
    casino: Casino, lucky: Player
) -> None:
    round_ = await open_round(lucky, "raise")
    round_id, cost = round_["round_id"], _cost(round_)
    answers = [await act(lucky, round_id, "raise", action_id="r1", color="red") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["idempotent-replayed"] == "true"
    raised = checked_round(answers[0])
    assert raised["stake"]["amount"] == 100 + cost
    while raised["state"] == "awaiting_choice":
        assert await lucky.balance() == OPENING - 100 - cost
        raised = (await act(lucky, round_id, "collect")).json()
    assert await lucky.balance() == OPENING - 100 - cost + raised["win"]["amount"]
    moved = [entry.moved for entry in casino.wallet.book.statement(round_id=round_id)]
    assert moved == [-100, -cost, raised["win"]["amount"]]
    shown = (await casino.operator.call("GET", f"/rounds/{round_id}")).json()
    assert [(tried["call"], tried["verdict"]) for tried in shown["wallet_attempts"]] == [
        ("bet", "accepted"),
        ("bet", "accepted"),
        ("win", "accepted"),
    ]


async def test_a_raise_that_the_wallet_declines_leaves_the_round_waiting_with_the_same_choices(
    casino: Casino, lucky: Player
) -> None:
    round_ = await open_round(lucky, "raise")
    round_id = round_["round_id"]
    await casino.wallet.set_faults(script=[{"kind": "no-funds", "call": "bet"}])
    for _ in range(2):
        declined = await act(lucky, round_id, "raise", action_id="r1", color="red")
        assert checked_problem(declined, 402, "insufficient-funds")["state"] == "awaiting_choice"
    waits = (await lucky.call("GET", f"/rounds/{round_id}")).json()
    assert (waits["choices"], waits["decide_by"]) == (round_["choices"], round_["decide_by"])
    assert (await act(lucky, round_id, "raise", action_id="r2", color="red")).status_code == 200


async def test_a_raise_whose_outcome_stays_unknown_is_undone(casino: Casino, lucky: Player) -> None:
    round_ = await open_round(lucky, "raise")
    round_id = round_["round_id"]
    await casino.wallet.set_faults(script=[{"kind": "error-after", "call": "bet"}] * 2)
    failed = await act(lucky, round_id, "raise", action_id="r1", color="red")
    assert checked_problem(failed, 502, "wallet-failed")["round_id"] == round_id
    assert await lucky.balance() == OPENING - 100
    collected = checked_round(await act(lucky, round_id, "collect"))
    assert await lucky.balance() == OPENING - 100 + collected["win"]["amount"]


async def test_other_operators_still_have_our_ledger(casino: Casino, rival: Operator) -> None:
    other = await rival.open_session(casino.player.player_id, balance=300)
    assert await other.balance() == 300


@pytest.mark.parametrize("kind", ["processed-then-timeout", "error-before", "html", "wrong-amount"])
async def test_a_wallet_that_does_not_say_wedges_no_session(
    casino: Casino, player: Player, kind: str
) -> None:
    loop = asyncio.get_running_loop()
    await casino.wallet.set_faults(script=[{"kind": kind, "call": "balance"}] * 2)
    began = loop.time()
    checked_problem(await player.call("GET", "/balance"), 502, "wallet-failed")
    assert loop.time() - began < TOTAL_S, "it was waited for as long as a bet would be"
    began = loop.time()
    session = await _session(player)
    assert (session["balance"], session["open_round"]) == (None, None)
    assert loop.time() - began < TOTAL_S
    assert await casino.wallet.fired(kind) == 2
    assert await player.balance() == OPENING
    assert (await player.played())["state"] == "settled"


async def test_what_a_wallet_refuses_to_say_is_not_known_either(casino: Casino) -> None:
    """The wallet keeps the player's money in another currency than the session's."""
    dollars = await casino.operator.open_session(currency="USD")
    checked_problem(await dollars.call("GET", "/balance"), 502, "wallet-failed")
    assert (await _session(dollars))["balance"] is None


async def test_an_expired_session_still_looks(player: Player) -> None:
    assert await player.expired().balance() == OPENING


async def test_a_wallet_that_is_gone_opens_the_breaker_which_is_shown(casino: Casino, player: Player) -> None:
    operator_id = casino.operator.operator_id

    async def is_open() -> float:
        return await casino.metric("croupier_wallet_breaker_open", operator=operator_id)

    assert await is_open() == 0
    await casino.wallet.kill()
    try:
        counted = {"operator": operator_id, "call": "balance"}

        async def left_alone() -> bool:
            """A look may be the one that tries whether the wallet is back, where the pause is over again."""
            checked_problem(await player.call("GET", "/balance"), 502, "wallet-failed")
            assert (await _session(player))["balance"] is None
            return await casino.metric("croupier_wallet_calls_total", **counted, outcome="not-asked") >= 2

        await until(left_alone)
        assert await is_open() == 1
        assert await casino.metric("croupier_wallet_calls_total", **counted, outcome="unknown") >= 5
        assert await casino.metric("croupier_wallet_calls_waiting", operator=operator_id) == 0
        timed = await casino.metric("croupier_wallet_call_duration_seconds_count", operator=operator_id)
        assert timed >= 5
    finally:
        await casino.wallet.start()

    async def recovered() -> bool:
        return (await player.call("GET", "/balance")).status_code == 200

    await until(recovered)
    assert await is_open() == 0
