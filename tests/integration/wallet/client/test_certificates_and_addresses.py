"""Which wallets the client connects to: certificates, addresses, configurations."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.wallet import WalletVerdict
from security.standard_webhooks import SharedSecret
from tests.integration.wallet.client.scripted import (
    BET,
    DIALECTS,
    LIMITS,
    SECRET,
    SHORT,
    answer,
    check_unknown,
    config,
    says,
    wallet,
)
from tests.support.conditions import HANG_S
from wallet.operator_http import OperatorWalletClient, OperatorWallets, SystemClock

# Certificates


async def test_a_certificate_that_nobody_vouches_for(
    wallets: OperatorWallets, server_tls: ssl.SSLContext
) -> None:
    async with wallet(says(answer()), tls=server_tls) as served:
        found = await wallets.call(config(served.url), BET)
        check_unknown(found, "tls", sent=False)
        assert served.requests == []


async def test_a_certificate_is_checked_for_the_name_not_for_the_address(
    certificate: Path, server_tls: ssl.SSLContext
) -> None:
    async def anywhere(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    trusting = ssl.create_default_context(cafile=str(certificate))
    async with wallet(says(answer()), tls=server_tls) as served:
        for host, verdict in (
            ("localhost", WalletVerdict.ACCEPTED),
            ("other.example", WalletVerdict.UNKNOWN),
        ):
            client = OperatorWalletClient(
                config(f"https://{host}:{served.port}"),
                DIALECTS["croupier"],
                [SharedSecret.parse(SECRET)],
                SystemClock(),
                tls=trusting,
                resolve=anywhere,
            )
            found = await client.call(BET)
            assert found.verdict is verdict
            await client.aclose()
        assert [headers["host"] for _, headers, _ in served.requests] == [f"localhost:{served.port}"]


async def test_a_handshake_that_never_ends(wallets: OperatorWallets) -> None:
    """Ended by the limit of connecting: the others are longer than this test may take."""
    limits = replace(LIMITS, connect_s=SHORT.connect_s)
    async with wallet(says(b"", pause_s=600)) as served, asyncio.timeout(HANG_S / 2):
        url = f"https://localhost:{served.port}"
        check_unknown(await wallets.call(config(url, limits=limits), BET), "timeout", sent=False)


async def test_plain_http_where_tls_is_expected(wallets: OperatorWallets) -> None:
    async def say_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "400 Bad Request"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say_at_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    check_unknown(await wallets.call(config(f"https://localhost:{port}"), BET), "tls", sent=False)
    server.close()


# Addresses


async def test_a_name_that_leads_inside_is_refused_unless_the_operator_is_local(
    wallets: OperatorWallets,
) -> None:
    async with wallet(says(answer())) as served:
        url = f"https://localhost:{served.port}"
        check_unknown(await wallets.call(config(url, local=False), BET), "address-refused", sent=False)
        assert served.connections == 0


@pytest.mark.parametrize("url", ["http://wallet.example", "https://127.0.0.1", "https://u:p@wallet.example"])
def test_a_config_that_cannot_be_right_is_refused_when_it_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="the wallet's URL"):
        config(url, local=False)


def test_no_secret_is_shown() -> None:
    assert SECRET.removeprefix("whsec_") not in repr(config("https://wallet.example"))
    with pytest.raises(ValueError, match="secret") as refused:
        config("https://wallet.example", secrets=("whsec_dG9vIHNob3J0",))
    assert "dG9vIHNob3J0" not in str(refused.value)


async def test_proxies_of_the_environment_are_not_asked(
    wallets: OperatorWallets, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wallet(says(answer())) as proxy, wallet(says(answer())) as served:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert (await wallets.call(config(served.url), BET)).verdict is WalletVerdict.ACCEPTED
        assert (proxy.connections, served.connections) == (0, 1)
