"""What lies among the dead letters holds no session token, in whatever form its sender wrote it."""

import hashlib

import pytest

from events.command_consumer import PARKED_BYTES, parked_body
from security.keyring import Keyring
from security.tokens import TokenIssuer
from tests.unit.api.transports.test_queue import CLAIMS

TOKEN = TokenIssuer(Keyring.generate()).issue(CLAIMS)
REMOVED = "removed-" + hashlib.sha256(TOKEN.encode()).hexdigest()[:12]


@pytest.mark.parametrize("text", ["{}", '{{"session_token": "{}", "stake": 1}}', '{{"token": "{}"', "{} {}"])
def test_a_token_is_removed_wherever_it_stands(text: str) -> None:
    parked = parked_body(text.format(TOKEN, TOKEN).encode(), None)
    assert parked == text.format(REMOVED, REMOVED).encode()


def test_a_token_in_utf_16_is_removed() -> None:
    parked = parked_body(f'{{"session_token": "{TOKEN}"}}'.encode("utf-16-le"), None)
    assert TOKEN not in parked.replace(b"\0", b"").decode()
    assert REMOVED in parked.decode("latin-1")


@pytest.mark.parametrize("left", [20, 100, 300])
def test_a_token_that_the_limit_cuts_is_removed(left: int) -> None:
    parked = parked_body(b" " * (PARKED_BYTES - left) + TOKEN.encode(), None)
    assert TOKEN[:19].encode() not in parked
    assert b"removed-" in parked


def test_nothing_is_left_of_what_is_compressed() -> None:
    assert parked_body(b"\x1f\x8b", "gzip") == b""


def test_other_text_stays_as_it_is() -> None:
    text = b'not JSON \xff {"session_token": "short", "eyJ": 1}'
    assert parked_body(text, "UTF-8") == text
