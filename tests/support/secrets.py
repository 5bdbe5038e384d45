"""What must be found nowhere, in every form in which somebody might write it down."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 16


def secret_half(text: str) -> str:
    """Of `crk_<id>_<secret>` or `<header>.<claims>.<signature>`: what nobody else may know."""
    half = text.split("_", 2)[2] if text.startswith("crk_") else text.rpartition(".")[2]
    assert len(half) > 40
    return half


def every_form(values: Iterable[bytes]) -> list[bytes]:
    """As bytes, in hexadecimal, and in both kinds of base64."""
    forms = []
    for value in values:
        forms += [value, value.hex().encode(), base64.b64encode(value), base64.urlsafe_b64encode(value)]
    return [form.rstrip(b"=") for form in forms]


def assert_absent(hidden: list[bytes], content: bytes, where: Path | str) -> None:
    """Fails without showing the secret itself. One pass over the content finds which secrets may begin in it,
    however many thousands the tests before have handed out."""
    windows = (content[at : at + HEAD_BYTES] for at in range(len(content) - HEAD_BYTES + 1))
    begun = {secret[:HEAD_BYTES] for secret in hidden}.intersection(windows)
    short = (secret for secret in hidden if len(secret) < HEAD_BYTES)
    long = (secret for secret in hidden if secret[:HEAD_BYTES] in begun)
    found = sum(secret in content for secret in (*short, *long))
    assert found == 0, f"{found} secrets are in {where}"
