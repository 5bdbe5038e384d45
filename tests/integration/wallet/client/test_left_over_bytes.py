"""What a wallet sends beyond an answer answers nobody: the next call is another player's."""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import httpcore
import pytest

from contracts.wallet import WalletAnswer, WalletCall, WalletVerdict
from outbound import connections
from tests.integration.wallet.client.scripted import (
    BET,
    DIALECTS,
    FINE,
    Say,
    Wallet,
    answer,
    config,
    wallet,
)
from wallet.operator_http import OperatorWallets

# The first player has money; the second has none, and its bet is never taken.
OTHERS_BET = replace(BET, player_id="p2", transaction_id="5f0c2f5e-6d2b-5b0e-9f59-0c5a1d3b7e12")
TAKEN = answer()
NO_FUNDS = answer(json.dumps({"code": "insufficient-funds", "balance": 0}).encode(), "402 Payment Required")
CHUNKED = answer(b"", "200 OK", "Transfer-Encoding: chunked", length=False) + b"%x\r\n%s\r\n0\r\n\r\n" % (
    len(FINE),
    FINE,
)


def in_turn(*turns: Iterable[bytes]) -> Say:
    """Says one of them to each request; the parts of each at once."""
    left = [*turns]

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.writelines(left.pop(0))

    return say


async def both(wallets: OperatorWallets, served: Wallet) -> tuple[WalletAnswer, WalletAnswer]:
    """The answers to the first player's bet and to the other's, one after the other."""
    first = await wallets.call(config(served.url), BET)
    return first, await wallets.call(config(served.url), OTHERS_BET)


def check_each_has_its_own(answers: tuple[WalletAnswer, WalletAnswer]) -> None:
    assert [answer.verdict for answer in answers] == [WalletVerdict.ACCEPTED, WalletVerdict.REFUSED]
    assert answers[1].code == "insufficient-funds"


@pytest.mark.parametrize("first", [TAKEN, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "beyond",
    [TAKEN, NO_FUNDS, TAKEN[:7], b"\r\n", b"}", b"\x00" * 1_000],
    ids=["twice", "another", "part", "crlf", "brace", "zeros"],
)
async def test_a_connection_with_left_over_bytes_carries_no_further_call(
    wallets: OperatorWallets, first: bytes, beyond: bytes
) -> None:
    async with wallet(in_turn([first + beyond], [NO_FUNDS])) as served:
        check_each_has_its_own(await both(wallets, served))
        assert (served.connections, len(served.requests)) == (2, 2)


async def test_an_answer_that_is_written_again_while_nothing_is_asked_answers_nobody(
    wallets: OperatorWallets,
) -> None:
    answered, repeated = asyncio.Event(), asyncio.Event()

    async def say(writer: asyncio.StreamWriter) -> None:
        if repeated.is_set():
            writer.write(NO_FUNDS)
            return
        writer.write(TAKEN)
        await answered.wait()
        writer.write(TAKEN)
        repeated.set()

    async with wallet(say) as served:
        first = await wallets.call(config(served.url), BET)
        answered.set()
        await repeated.wait()
        check_each_has_its_own((first, await wallets.call(config(served.url), OTHERS_BET)))
        assert served.connections == 2


async def test_what_comes_after_the_pools_check_and_before_the_call_answers_nobody(
    wallets: OperatorWallets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interleaving: the pool finds the connection clean, then the bytes come, then the call is sent."""
    checks = iter([True])
    monkeypatch.setattr(connections, "_has_records", lambda _tls: next(checks, False))
    async with wallet(in_turn([TAKEN], [NO_FUNDS])) as served:
        check_each_has_its_own(await both(wallets, served))
        assert (served.connections, len(served.requests)) == (2, 2)


async def test_an_answer_beyond_what_is_read_at_once_answers_nobody(wallets: OperatorWallets) -> None:
    """The first answer ends where a read ends, so that all that follows is beyond it."""
    padding = httpcore.AsyncHTTP11Connection.READ_NUM_BYTES - len(TAKEN) - 3  # as many digits more
    long = answer(FINE + b" " * padding)
    assert len(long) == httpcore.AsyncHTTP11Connection.READ_NUM_BYTES
    async with wallet(in_turn([long + TAKEN], [NO_FUNDS])) as served:
        check_each_has_its_own(await both(wallets, served))


@pytest.mark.parametrize("beyond", [TAKEN, b"\r\n"], ids=["twice", "crlf"])
async def test_a_further_record_of_tls_answers_nobody(
    certificate: Path, server_tls: ssl.SSLContext, beyond: bytes
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    wallets = OperatorWallets(DIALECTS, tls=trusting)
    async with wallet(in_turn([TAKEN, beyond], [NO_FUNDS]), tls=server_tls) as served:
        check_each_has_its_own(await both(wallets, served))
        assert served.connections == 2
    await wallets.aclose()


async def test_a_clean_connection_is_kept_also_with_tls(
    certificate: Path, server_tls: ssl.SSLContext
) -> None:
    wallets = OperatorWallets(DIALECTS, tls=ssl.create_default_context(cafile=str(certificate)))
    async with wallet(in_turn(*[[TAKEN]] * 5), tls=server_tls) as served:
        for _ in range(5):
            assert (await wallets.call(config(served.url), BET)).verdict is WalletVerdict.ACCEPTED
        assert served.connections == 1
    await wallets.aclose()


def _with_each(answered: bytes) -> list[bytes]:
    return [answered + b"\r\n"]


def _before_each(answered: bytes) -> list[bytes]:
    """As if the empty line of the answer before were late."""
    return [b"\r\n" + answered]


@pytest.mark.parametrize("parts", [_with_each, _before_each])
async def test_a_wallet_that_sends_an_empty_line_beyond_each_answer_plays_every_round(
    wallets: OperatorWallets, parts: Callable[[bytes], list[bytes]]
) -> None:
    win = replace(
        BET,
        call=WalletCall.WIN,
        transaction_id=OTHERS_BET.transaction_id,
        bet_transaction_id=BET.transaction_id,
    )
    async with wallet(in_turn(*[parts(TAKEN)] * 60)) as served:
        found = [await wallets.call(config(served.url), call) for _ in range(30) for call in (BET, win)]
    assert [answer.verdict for answer in found] == [WalletVerdict.ACCEPTED] * 60


async def test_nothing_but_empty_lines_is_no_answer_and_ends_with_the_connection(
    wallets: OperatorWallets,
) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        for _ in range(10):
            writer.write(b"\r\n" * 10_000)
            await writer.drain()
        raise ConnectionResetError

    async with wallet(say) as served:
        found = await wallets.call(config(served.url), BET)
    assert (found.verdict, found.code) == (WalletVerdict.UNKNOWN, "connection-lost")
