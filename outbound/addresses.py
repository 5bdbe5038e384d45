"""The guard of addresses: no request reaches an address inside, whatever a URL or a name server says.

A name is resolved when a connection is made, every address it has is checked, and the connection goes to an
address that was checked: the name is not resolved again in between.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpcore
import httpx

# The addresses of a name, as text, for a host and a port. May raise OSError.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
# httpcore names the parameter `timeout`; here at least its type says that it is a time.
Timeout_s = float | None

# Of IPv6 only what is given out as global unicast, less what stands for an IPv4 address or for nobody: NAT64,
# IPv4-mapped, site-local and all the rest lie outside.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NOT_OUTSIDE: Final = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("3fff::/20"),  # documentation
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
)
ADDRESSES_TRIED: Final = 4
RESOLVER_THREADS: Final = 2


class AddressRefused(httpcore.ConnectError):
    """The address is not outside, so nothing was sent to it."""


def is_outside(address: IPv4Address | IPv6Address) -> bool:
    """Whether it belongs to the public internet: not loopback, link-local, private, shared (100.64.0.0/10),
    multicast, reserved, unspecified, or an IPv6 form of an IPv4 address."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    special = any(address in network for network in _NOT_OUTSIDE if network.version == address.version)
    return address.is_global and not address.is_multicast and not special


def check_url(url: str, *, local: bool, name: str = "the URL") -> httpx.URL:
    """What can be said of a receiver's URL without asking anybody. `local` lets it be on this machine or
    network, and without TLS. Raises ValueError, which begins with `name` and never quotes the URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise ValueError(f"{name} cannot be read") from None
    if parsed.scheme != "https" and not (local and parsed.scheme == "http"):
        raise ValueError(f"{name} does not begin with https://")
    if not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError(f"{name} is a scheme, a host, a port and a path, and nothing else")
    if not local:
        _check_literal(parsed.host, name)
    return parsed


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connections to one receiver. Names are resolved in threads of its own, so that a slow name server holds
    up no other."""

    def __init__(self, *, local: bool, resolve: Resolve | None = None) -> None:
        self._local = local
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="outbound-names")
        self._resolve = resolve or self._ask_the_system
        self._network = httpcore.AnyIOBackend()
        self._connecting: set[asyncio.Future[Any]] = set()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Timeout_s = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, and httpcore.ConnectError or ConnectTimeout as any backend."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._checked(host, port)
                return await self._connect(addresses, port, share_s=timeout and timeout / len(addresses))
        except TimeoutError:
            raise httpcore.ConnectTimeout("no connection in time") from None

    async def connect_unix_socket(
        self,
        path: str,
        timeout: Timeout_s = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("a receiver is never a file of this machine")

    async def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = [ip_address(text) for text in await self._resolve(host, port)]
        except (OSError, ValueError):
            raise httpcore.ConnectError("the name does not resolve") from None
        if not found:
            raise httpcore.ConnectError("the name has no address")
        if not self._local and not all(is_outside(address) for address in found):
            raise AddressRefused("the name leads to an address that is not public")
        return [str(address) for address in found[:ADDRESSES_TRIED]]

    async def _connect(
        self, addresses: list[str], port: int, *, share_s: float | None
    ) -> httpcore.AsyncNetworkStream:
        """To the first that answers. Each has its share of the time, so that a dead one leaves some."""
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._connect_to(address, port, share_s)
        return await self._connect_to(addresses[-1], port, share_s)

    async def _connect_to(
        self, address: str, port: int, share_s: float | None
    ) -> httpcore.AsyncNetworkStream:
        """Whoever is cancelled leaves the attempt to itself: cancelled at the moment in which the connection
        comes, anyio would lose it, and nobody would close it."""
        connecting = asyncio.ensure_future(self._network.connect_tcp(address, port, share_s))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(self._close_late)
            raise

    def _close_late(self, connected: asyncio.Future[httpcore.AsyncNetworkStream]) -> None:
        if connected.cancelled() or connected.exception() is not None:
            return
        closing = asyncio.ensure_future(connected.result().aclose())
        self._connecting.add(closing)
        closing.add_done_callback(self._connecting.discard)

    async def _ask_the_system(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]


def _check_literal(host: str, name: str) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        return  # a name, or a number in another form: the resolver will say what it stands for
    if not is_outside(address):
        raise ValueError(f"{name} leads to an address that is not outside")
