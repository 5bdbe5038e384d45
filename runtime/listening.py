"""Addresses that a program listens on: how one is opened, and how it is called from this machine."""

import ipaddress
import socket
from typing import Final

BACKLOG: Final = 1024
EVERY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def open_listener(host: str, port: int) -> socket.socket:
    """Listens on a name or an address of either family; `::` is every address of both. 0 is a free port.
    Raises OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name that has both, such as localhost, listens where it always did.
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return socket.create_server(
        address,
        family=family,
        backlog=BACKLOG,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )


def url_host(host: str) -> str:
    """The host of a URL at which this machine reaches what listens on `host`: every address is no address to
    call, and one of IPv6 stands in brackets."""
    callable_host = EVERY_ADDRESS.get(host, host)
    try:
        is_ipv6 = ipaddress.ip_address(callable_host).version == 6
    except ValueError:  # a name
        is_ipv6 = False
    return f"[{callable_host}]" if is_ipv6 else callable_host


def is_every_address(host: str) -> bool:
    """Returns whether `host` is one that only a listener can have."""
    return host in EVERY_ADDRESS


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
