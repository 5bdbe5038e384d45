"""Which account of this machine is at the other end of a loopback connection, as the kernel has it."""

import socket
import sys
from pathlib import Path
from typing import Final

CONNECTIONS: Final = Path("/proc/net/tcp")
ESTABLISHED: Final = "01"
# The columns of a connection's line.
LOCAL, REMOTE, STATE, ACCOUNT = 1, 2, 3, 7

Address = tuple[str, int]


def account_of(client: Address, server: Address) -> int | None:
    """The user id that owns the client's end of an established IPv4 connection to `server`; None when that
    cannot be told, as of a connection from elsewhere. Reads every connection of the machine: for calls that
    people make."""
    try:
        wanted = [_hex(client), _hex(server), ESTABLISHED]
        lines = CONNECTIONS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        columns = line.split()
        if columns[LOCAL : STATE + 1] == wanted:
            return int(columns[ACCOUNT])
    return None


def _hex(address: Address) -> str:
    """As the kernel writes it: the four bytes in this machine's order, and the port."""
    host, port = address
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
