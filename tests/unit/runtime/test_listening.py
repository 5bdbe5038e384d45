"""What a program listens on, and how it is called: addresses of either family, and names."""

import socket

import pytest

from runtime.listening import open_listener, url_host


@pytest.mark.parametrize(
    ("host", "callable_hosts"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),  # noqa: S104
        ("::1", ["::1"]),
        ("::", ["127.0.0.1", "::1"]),
    ],
)
def test_a_listener_answers_at_its_address(host: str, callable_hosts: list[str]) -> None:
    with open_listener(host, 0) as listener:
        port = listener.getsockname()[1]
        for callable_host in callable_hosts:
            socket.create_connection((callable_host, port), timeout=60).close()


def test_an_address_that_this_machine_has_not_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r"."):
        open_listener("203.0.113.7", 0)


@pytest.mark.parametrize(
    ("host", "in_a_url"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("casino.example", "casino.example"),
    ],
)
def test_a_url_has_the_address_at_which_it_is_called(host: str, in_a_url: str) -> None:
    assert url_host(host) == in_a_url
