"""No URL and no name server leads a request of ours inside."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, cast

import httpcore
import pytest

from outbound.addresses import AddressRefused, GuardedBackend, check_url, is_outside
from tests.support.conditions import HANG_S

INSIDE = """
    127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254
    100.64.0.1 100.127.255.254 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd12:3456::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
    ::ffff:8.8.8.8 ::127.0.0.1 ::ffff:0:7f00:1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::1 2001::1
    2001:0:7f00:1:: 2001:db8::1 3fff::1 100::1 4000::1
"""
OUTSIDE = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", INSIDE.split())
def test_inside(address: str) -> None:
    assert not is_outside(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    assert is_outside(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "wallet.example",
            "/path",
            "ftp://wallet.example",
            "file:///etc/passwd",
            "http://wallet.example",
        ),
        *(
            "https://",
            "https:///path",
            "https://user:word@wallet.example",
            "https://wallet.example/?key=word",
        ),
        *("https://wallet.example/#word", "https://wallet.example:port/", "https://[::1/"),
        *(
            "https://127.0.0.1",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest",
        ),
    ],
)
def test_urls_that_are_refused_without_asking_anybody(url: str) -> None:
    with pytest.raises(ValueError, match=r"^the wallet's URL") as refused:
        check_url(url, local=False, name="the wallet's URL")
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://wallet.example", "https://wallet.example:8443/api/v1", "https://8.8.8.8"]
)
def test_urls_that_are_taken(url: str) -> None:
    assert str(check_url(url, local=False)) == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost/wallet", "https://[::1]:1"])
def test_a_local_wallet_may_be_inside_and_without_tls(url: str) -> None:
    assert str(check_url(url, local=True)) == url


# Names, and numbers that are addresses in another form: all of them are what the resolver says they are.


HOSTS = """
    localhost 127.0.0.1 127.1 2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 0 0.0.0.0
    ::1 0:0:0:0:0:0:0:1 ::ffff:127.0.0.1 ::ffff:7f00:1 169.254.169.254 2852039166 0xa9fea9fe 10.1 192.168.257
"""


@pytest.mark.parametrize("host", HOSTS.split())
async def test_hosts_that_lead_inside(host: str) -> None:
    backend = GuardedBackend(local=False)
    with pytest.raises(httpcore.ConnectError) as refused:
        await backend.connect_tcp(host, 443, timeout=HANG_S)
    # Where the machine has no IPv6 its forms do not even resolve.
    assert isinstance(refused.value, AddressRefused) or ":" in host
    backend.close()


class Names:
    """A name server that says something else each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["::ffff:8.8.8.8"]]
)
async def test_one_address_inside_is_enough_to_refuse_a_name(addresses: list[str]) -> None:
    backend = GuardedBackend(local=False, resolve=Names(addresses))
    with pytest.raises(AddressRefused):
        await backend.connect_tcp("wallet.example", 443, timeout=HANG_S)


async def test_a_name_is_asked_for_once_and_the_checked_address_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []

    class Network(httpcore.AsyncMockBackend):
        async def connect_tcp(self, host: str, *args: object, **more: object) -> httpcore.AsyncNetworkStream:
            called.append(host)
            return httpcore.AsyncMockStream([])

    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: Network([]))
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    backend = GuardedBackend(local=False, resolve=names)
    await backend.connect_tcp("wallet.example", 443, timeout=HANG_S)
    assert (called, names.asked) == (["8.8.8.8"], 1)
    # A later connection asks again, and what it is told then is checked again.
    with pytest.raises(AddressRefused):
        await backend.connect_tcp("wallet.example", 443, timeout=HANG_S)
    assert called == ["8.8.8.8"]


@pytest.mark.parametrize("answer", [[], ["not an address"]])
async def test_a_name_without_an_address_is_not_reached(answer: list[str]) -> None:
    backend = GuardedBackend(local=False, resolve=Names(answer))
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("wallet.example", 443, timeout=HANG_S)


async def test_a_name_that_does_not_resolve_is_not_reached() -> None:
    async def fails(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    backend = GuardedBackend(local=False, resolve=fails)
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("wallet.example", 443, timeout=HANG_S)


async def test_a_name_server_that_hangs_is_bounded() -> None:
    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    backend = GuardedBackend(local=False, resolve=hangs)
    with pytest.raises(httpcore.ConnectTimeout):
        await backend.connect_tcp("wallet.example", 443, timeout=0.05)


async def test_a_socket_file_is_never_a_wallet() -> None:
    with pytest.raises(AddressRefused):
        await GuardedBackend(local=True).connect_unix_socket("/run/anything.sock")


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = GuardedBackend(local=True, resolve=Names(["127.0.0.2", "127.0.0.1"]))
    stream = await backend.connect_tcp("wallet.example", port, timeout=HANG_S)
    await stream.aclose()
    server.close()
    await server.wait_closed()


class Comes(httpcore.AsyncNetworkBackend):
    """A connection that comes when it is told to."""

    def __init__(self) -> None:
        self.asked, self.comes, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.asked.set()
        await self.comes.wait()
        return cast(httpcore.AsyncNetworkStream, self)

    async def aclose(self) -> None:
        self.closed.set()


async def test_a_connection_that_comes_when_its_caller_has_gone_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Comes()
    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: network)
    backend = GuardedBackend(local=True)
    caller = asyncio.create_task(backend.connect_tcp("127.0.0.1", 1))
    await network.asked.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    network.comes.set()
    await asyncio.wait_for(network.closed.wait(), HANG_S)
    backend.close()
