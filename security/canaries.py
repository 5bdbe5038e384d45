"""What a backup has of its keyring: what only that one opens, and no key of it."""

import base64
import json
from dataclasses import replace
from typing import Any, Final

from security.keyring import Keyring, KeySection, UnknownKey
from security.sealing import SealBroken, TextSealer

_PLAIN: Final = b"croupier"
_BOUND_TO: Final = b"croupier:backup-canary:1"
_PASSWORDS: Final = b"croupier:backup-passwords:1"
# Their public halves are no secret; the keys of the other sections have sealed a word each.
_SIGNING: Final = ("tokens", "events")
_SEALING: Final = ("payload", "seeds")


def canaries(keyring: Keyring) -> dict[str, dict[str, str]]:
    """By section and key id, what only that key opens, or its public half in base64."""
    sealed = {name: _sealed(getattr(keyring, name)) for name in _SEALING}
    return sealed | {name: _public(getattr(keyring, name)) for name in _SIGNING}


def seal_passwords(keyring: Keyring, known: dict[str, str]) -> str:
    """Passwords, sealed with the active payload key."""
    return TextSealer(keyring.payload).seal(json.dumps(known).encode(), bound_to=_PASSWORDS)


def open_passwords(keyring: Keyring, sealed: str) -> dict[str, str]:
    """Raises UnknownKey or SealBroken."""
    known: dict[str, str] = json.loads(TextSealer(keyring.payload).open(sealed, bound_to=_PASSWORDS))
    return known


def missing(keyring: Keyring, known: dict[str, Any]) -> list[str]:
    """The keys, as `section key_id`, that the keyring lacks or has otherwise."""
    return [
        f"{name} {key_id}"
        for name, keys in known.items()
        for key_id, canary in keys.items()
        if not _is_there(getattr(keyring, name), key_id, canary)
    ]


def _is_there(section: KeySection, key_id: str, canary: str) -> bool:
    if section.name in _SIGNING:
        return _public(section).get(key_id) == canary
    try:
        return TextSealer(section).open(canary, bound_to=_BOUND_TO) == _PLAIN
    except (UnknownKey, SealBroken):
        return False


def _sealed(section: KeySection) -> dict[str, str]:
    return {
        key_id: TextSealer(replace(section, active=key_id)).seal(_PLAIN, bound_to=_BOUND_TO)
        for key_id in section.keys
    }


def _public(section: KeySection) -> dict[str, str]:
    return {
        key_id: base64.b64encode(key.public_bytes_raw()).decode()
        for key_id, key in section.public_keys().items()
    }
