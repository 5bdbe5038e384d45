"""Each fault of the reference wallet comes about, is counted, and leaves in the book what it says."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.operator_wallet.calls import FUNDS, refused, said
from tests.support.conditions import HANG_S, until
from tests.support.operator_wallet import RunningWallet, bet, rollback, subject, win


async def meet(
    wallet: RunningWallet, kind: str, body: dict[str, Any], *, patience_s: float = HANG_S, **plan: Any
) -> httpx.Response | None:
    """The answer to a bet that meets the fault, or None when the connection broke or stayed silent. A bet
    after it goes well: the script has one cue."""
    await wallet.set_faults(script=[{"kind": kind}], **plan)
    try:
        return await wallet.call("bet", body, timeout_s=patience_s)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("kind", "status", "processed"),
    [
        ("processed-then-timeout", None, True),
        ("error-before", 503, False),
        ("error-after", 503, True),
        ("reset-mid-body", None, True),
        ("wrong-amount", 200, True),
        ("duplicate-answer", 200, True),
        ("no-funds", 402, False),
        ("html", 200, True),
        ("empty", 200, True),
        ("redirect", 307, False),
        ("huge", 200, True),
    ],
)
async def test_a_fault_comes_about_and_leaves_what_it_says(
    wallet: RunningWallet, player: str, kind: str, status: int | None, processed: bool
) -> None:
    body = bet(100, player_id=player)
    answer = await meet(wallet, kind, body, patience_s=HANG_S if status else 1)
    assert (answer.status_code if answer is not None else None) == status
    await wallet.until_fired(kind)
    report = await wallet.faults()
    assert report["fired"] == {kind: {"bet": 1}}
    assert (report["total"], report["under_way"]) == (1, 0)
    assert report["latest"] == [{"kind": kind, "call": "bet", "transaction_id": body["transaction_id"]}]
    assert wallet.moved(body["transaction_id"]) == (-100 if processed else None)
    repeat = (await wallet.call("bet", body)).json()
    assert (repeat["duplicate"], repeat["balance"]) == (processed, FUNDS - 100)
    assert (await wallet.faults())["total"] == 1


async def test_processed_after_the_client_has_given_up(wallet: RunningWallet, player: str) -> None:
    body = bet(100, player_id=player)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await meet(wallet, "timeout-then-processed", body, patience_s=0.1, delay_s=3) is None
    early = wallet.moved(body["transaction_id"])
    assert early is None or loop.time() - began >= 3
    await wallet.until_fired("timeout-then-processed")
    assert wallet.moved(body["transaction_id"]) == -100


async def test_slow_is_slow(wallet: RunningWallet, player: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await meet(wallet, "slow", bet(100, player_id=player), slow_s=0.3)
    assert answer is not None
    assert answer.json()["balance"] == FUNDS - 100
    assert loop.time() - began >= 0.3
    assert await wallet.fired("slow") == 1


async def test_a_slow_call_is_processed_though_the_client_left(wallet: RunningWallet, player: str) -> None:
    body = bet(100, player_id=player)
    assert await meet(wallet, "slow", body, patience_s=0.1, slow_s=2) is None
    await wallet.until_fired("slow")
    assert wallet.moved(body["transaction_id"]) == -100


async def test_a_bet_is_overtaken_by_its_rollback(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(script=[{"kind": "out-of-order", "call": "bet"}], hold_s=HANG_S)
    stake = bet(100, player_id=player)
    held = asyncio.create_task(wallet.call("bet", stake))

    async def under_way() -> bool:
        return bool((await wallet.faults())["under_way"])

    await until(under_way)
    assert (await wallet.call("rollback", rollback(stake))).json()["balance"] == FUNDS
    assert said(await held) == (409, refused("rolled-back", FUNDS))
    assert await wallet.fired("out-of-order") == 1


async def test_nobody_overtaking_is_no_fault(wallet: RunningWallet, player: str) -> None:
    answer = await meet(wallet, "out-of-order", bet(100, player_id=player), hold_s=0.1)
    assert answer is not None
    assert answer.json()["balance"] == FUNDS - 100
    assert (await wallet.faults())["total"] == 0


async def test_wrong_amounts_are_of_every_wrong_kind(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(rates={"wrong-amount": 1})
    seen = set()
    for _ in range(40):
        answer = (await wallet.call("bet", bet(1, player_id=player))).json()
        seen.add((type(answer["balance"]).__name__, answer["currency"]))
    assert seen == {("float", "EUR"), ("str", "EUR"), ("int", "USD")}


async def bet_over_a_line(
    wallet: RunningWallet, player: str, kind: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes, int]:
    """The connection of a bet that meets the fault, its answer's head, and the length that this promises."""
    await wallet.set_faults(script=[{"kind": kind}])
    content = json.dumps(bet(player_id=player)).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in wallet.signed(content).items())
    url = httpx.URL(wallet.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST /bet HTTP/1.1\r\nhost: w\r\ncontent-length: {len(content)}\r\n{head}\r\n".encode() + content
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    promised = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return reader, writer, answer, promised


async def test_reset_leaves_half_a_body(wallet: RunningWallet, player: str) -> None:
    reader, writer, _, promised = await bet_over_a_line(wallet, player, "reset-mid-body")
    half = await reader.readexactly(promised // 2)
    assert half.startswith(b'{"balance"')
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_an_answer_is_written_twice(wallet: RunningWallet, player: str) -> None:
    reader, writer, head, promised = await bet_over_a_line(wallet, player, "answered-twice")
    body = await reader.readexactly(promised)
    assert await reader.readexactly(len(head) + promised) == head + body
    writer.close()


async def test_an_empty_line_is_beyond_the_answer(wallet: RunningWallet, player: str) -> None:
    reader, writer, _, promised = await bet_over_a_line(wallet, player, "empty-line")
    assert (await reader.readexactly(promised + 2))[-2:] == b"\r\n"
    writer.close()


async def test_the_huge_answer_is_right_but_huge(wallet: RunningWallet, player: str) -> None:
    answer = await meet(wallet, "huge", bet(100, player_id=player))
    assert answer is not None
    assert answer.json()["balance"] == FUNDS - 100
    assert len(answer.content) > 64 * 1024


async def test_a_bet_that_was_taken_is_never_denied_for_funds(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    answer = await meet(wallet, "no-funds", stake)
    assert answer is not None
    assert answer.json()["duplicate"]
    assert (await wallet.faults())["total"] == 0


async def test_a_script_waits_for_the_requests_that_it_names(wallet: RunningWallet, player: str) -> None:
    first, second = bet(100, player_id=player), bet(100, player_id=player)
    await wallet.set_faults(
        script=[
            {"kind": "error-after", "call": "win"},
            {"kind": "error-before", "transaction_id": second["transaction_id"]},
            {"kind": None, "call": "bet"},
            {"kind": "html", "call": "bet"},
        ]
    )
    assert (await wallet.call("bet", first)).status_code == 200
    assert (await wallet.call("bet", second)).status_code == 503
    assert (await wallet.call("bet", second)).headers["content-type"] == "text/html"
    assert (await wallet.call("win", win(first))).status_code == 503
    assert (await wallet.call("win", win(first, transaction_id="x"))).json()["code"] == "already-won"
    assert (await wallet.faults())["fired"] == {
        "error-after": {"win": 1},
        "error-before": {"bet": 1},
        "html": {"bet": 1},
    }


async def test_a_seed_gives_the_same_calls_the_same_faults(wallet: RunningWallet) -> None:
    player = uuid4().hex
    wallet.open_player(player, FUNDS)
    bodies = [bet(1, player_id=player) for _ in range(60)]

    async def run(seed: int, order: list[dict[str, Any]]) -> dict[str, int]:
        await wallet.set_faults(seed=seed, rates={"error-before": 0.3, "empty": 0.2}, only=["bet"])
        answers = await asyncio.gather(*(wallet.call("bet", body) for body in order))
        assert (await wallet.call("balance", subject(player_id=player))).status_code == 200
        return {
            body["transaction_id"]: answer.status_code if answer.content else 0
            for body, answer in zip(order, answers, strict=True)
        }

    once = await run(7, bodies)
    assert await run(7, bodies[::-1]) == once
    assert await run(8, bodies) != once
    assert {0, 200, 503} == set(once.values())


async def test_faults_end_with_their_count_and_on_request(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(rates={"error-before": 1}, until_count=3)
    bodies = [bet(1, player_id=player) for _ in range(10)]
    answers = await asyncio.gather(*(wallet.call("bet", body) for body in bodies))
    assert [answer.status_code for answer in answers].count(503) == 3
    await wallet.set_faults(rates={"error-before": 1})
    await wallet.call("bet", bet(1, player_id=player))
    await wallet.clear_faults()
    assert (await wallet.call("bet", bet(1, player_id=player))).status_code == 200
    assert (await wallet.faults())["total"] == 1
