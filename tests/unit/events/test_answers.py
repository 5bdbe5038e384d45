"""An address that no broker can have made is not tried: RabbitMQ 3.10 closes the connection over such."""

import base64

import pytest

from events.answers import is_direct_reply

# As RabbitMQ 3.10 to 4.1 make them: a process identifier in Erlang's external format, and a key.
PROCESS = b"\x83Xw\x0creply@512828" + bytes(12)
KEY = base64.b64encode(bytes(range(16))).decode()


@pytest.mark.parametrize(
    "process", [PROCESS, PROCESS + b"\x00", PROCESS + b"\x00\x01", b"\x83gd" + bytes(20)]
)
@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["", "="])
def test_what_a_broker_makes_is_tried(process: bytes, alphabet: object, padding: str) -> None:
    encoded = alphabet(process).decode().rstrip("=")  # type: ignore[operator]
    assert is_direct_reply(f"amq.rabbitmq.reply-to.{encoded}{padding * (-len(encoded) % 4)}.{KEY}")


@pytest.mark.parametrize("rest", ["AAAA.x", "garbage.key", "", ".", "..", "a", "ü.x", "g1h3 .x", "croupier"])
def test_what_nobody_made_is_not(rest: str) -> None:
    assert not is_direct_reply(f"amq.rabbitmq.reply-to.{rest}")
