"""Which account is at the other end of a loopback connection: the kernel says it, so nobody can lie."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.peers import Address, account_of

NOBODY = 65_534
# bash is there for every account; this environment's Python may not be.
CONNECT = 'exec 3<>"/dev/tcp/127.0.0.1/$0"; read -r'


@contextmanager
def served() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def pair(accepted: socket.socket) -> tuple[Address, Address]:
    """The client's end and the server's, as a server sees them."""
    return accepted.getpeername(), accepted.getsockname()


def test_a_connection_of_this_process_is_of_its_account() -> None:
    with served() as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert account_of(*pair(accepted)) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs of another account")
def test_a_connection_of_another_account_is_of_that_one() -> None:
    with served() as listener:
        port = listener.getsockname()[1]
        client = subprocess.Popen(
            ["/bin/bash", "-c", CONNECT, str(port)], user=NOBODY, cwd="/", stdin=subprocess.PIPE, env={}
        )
        try:
            accepted, _ = listener.accept()
            with accepted:
                assert account_of(*pair(accepted)) == NOBODY
        finally:
            client.communicate()


def test_a_connection_that_is_closed_is_nobodys() -> None:
    """The kernel has what is left of it as root's."""
    with served() as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        addresses = pair(accepted)
        client.close()
        with accepted:
            assert account_of(*addresses) is None
        assert account_of(*addresses) is None


@pytest.mark.parametrize(
    "client", [("127.0.0.1", 1), ("203.0.113.7", 443), ("::1", 1), ("", 0), ("no address", 1)]
)
def test_what_is_no_connection_of_this_machine_is_nobodys(client: Address) -> None:
    assert account_of(client, ("127.0.0.1", 2)) is None
