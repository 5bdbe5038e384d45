"""The reference wallet's statement and its control interface."""

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from contracts.wallet import WalletCall, WalletRequest
from tests.integration.operator_wallet.calls import FUNDS, refused, said
from tests.support.operator_wallet import OPERATOR, RunningWallet, bet

# The statement


async def test_a_statement_is_signed_over_its_target(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    status, body = said(await wallet.statement(f"round_id={stake['round_id']}"))
    assert status == 200
    (item,) = body["items"]
    at = item.pop("at")
    assert item == {
        "wallet_transaction_id": item["wallet_transaction_id"],
        "operator_id": OPERATOR,
        "player_id": player,
        "transaction_id": stake["transaction_id"],
        "call": "bet",
        "round_id": stake["round_id"],
        "game_id": "dice",
        "bet_transaction_id": None,
        "currency": "EUR",
        "moved": -100,
        "balance": FUNDS - 100,
    }
    later = f"player_id={player}&from={quote(at)}&to=2999-01-01T00:00:00%2B00:00"
    assert [entry["call"] for entry in (await wallet.statement(later)).json()["items"]][-1] == "bet"
    for query in (
        "x=1",
        "from=today",
        "from=2030-01-01T00:00:00",
        "cursor=-1",
        "round_id=",
        "&",
        "to=1&to=2",
    ):
        assert said(await wallet.statement(query)) == (422, refused("invalid")), query
    signed = wallet.signed(b"/statement?round_id=mine")
    other = await wallet.client.get(f"{wallet.url}/statement?round_id=other", headers=signed)
    assert said(other) == (401, refused("bad-signature"))


async def test_a_statement_is_read_on_until_its_end(wallet: RunningWallet, player: str) -> None:
    for _ in range(249):
        wallet.book.bet(_as_request(bet(1, player_id=player)))
    pages, cursor = [], "0"
    while cursor is not None:
        page = (await wallet.statement(f"player_id={player}&cursor={cursor}")).json()
        pages.append(page["items"])
        cursor = page["next_cursor"]
    assert [len(page) for page in pages] == [100, 100, 50]
    assert sum(item["moved"] for page in pages for item in page) == FUNDS - 249


def _as_request(body: dict[str, Any]) -> WalletRequest:
    return WalletRequest(**{**body, "call": WalletCall(body["call"])})


# The control interface


async def test_control_needs_its_token(wallet: RunningWallet) -> None:
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": wallet.control_token}):
        answer = await wallet.client.get(f"{wallet.url}/control/faults", headers=headers)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "plan",
    [
        {"rates": {"nothing": 1}},
        {"rates": {"slow": 0.6, "html": 0.5}},
        {"rates": {"slow": -1}},
        {"rates": ["slow"]},
        {"only": ["deposit"]},
        {"script": ["slow"]},
        {"script": [{"call": "bet"}]},
        {"slow_s": 10_000},
        {"seed": "x"},
        {"more": 1},
    ],
)
async def test_a_plan_that_does_not_fit_is_refused(wallet: RunningWallet, plan: dict[str, Any]) -> None:
    answer = await wallet.client.post(
        f"{wallet.url}/control/faults",
        content=json.dumps(plan).encode(),
        headers={"Authorization": f"Bearer {wallet.control_token}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["detail"]


async def test_players_and_sessions_can_be_ordered(wallet: RunningWallet) -> None:
    async def order(path: str, **body: Any) -> int:
        answer = await wallet.client.post(
            wallet.url + path,
            content=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {wallet.control_token}"},
        )
        return answer.status_code

    whom = {"operator_id": OPERATOR, "player_id": uuid4().hex}
    session = uuid4().hex
    assert await order("/control/players", **whom, balance=50, currency="USD") == 200
    assert await order("/control/players", **whom, balance=50) == 422
    stake = bet(10, player_id=whom["player_id"], currency="USD", session_id=session)
    assert (await wallet.call("bet", stake)).json()["balance"] == 40
    assert await order("/control/players", **whom, blocked=True) == 200
    late = bet(10, player_id=whom["player_id"], currency="USD", session_id=session)
    assert (await wallet.call("bet", late)).json() == refused("player-blocked", 40)
    assert await order("/control/sessions/end", operator_id=OPERATOR, session_id=session) == 200
    assert (await wallet.call("bet", late)).json() == refused("session-expired", 40)
