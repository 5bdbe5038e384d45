"""Where a page of a list begins, as clients pass it on."""

import base64
import binascii

from api.gateway.problems import Problem


def cursor(position: int | None) -> str | None:
    """Opaque to clients, so that its meaning may change."""
    return None if position is None else base64.urlsafe_b64encode(b"r%d" % position).decode().rstrip("=")


def position(text: str | None) -> int | None:
    """What `cursor` made. Raises the problem `invalid` for anything else."""
    if text is None:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        if not decoded.startswith("r") or not decoded[1:].isascii() or not decoded[1:].isdigit():
            raise ValueError
        value = int(decoded[1:])
        if value >= 2**63:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Problem("invalid", "cursor: use the next_cursor of an earlier answer") from None
    return value
