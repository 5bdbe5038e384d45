"""Server seeds: made from the system's randomness, promised by a hash, sealed until they are revealed."""

import base64
import binascii
import hashlib
import secrets
from typing import Final

from security.keyring import Keyring
from security.sealing import SealBroken, Sealer

SEED_BYTES: Final = 32
_FORMAT: Final = "v1"


def new_server_seed() -> bytes:
    """32 bytes from the operating system's generator."""
    return secrets.token_bytes(SEED_BYTES)


def commitment(seed: bytes) -> str:
    """What a player is shown before play: SHA-256 over the seed's 32 raw bytes, as 64 hex digits.

    Anyone can check the seed once it is revealed; nobody can find it from the hash. A seed is shown to
    people as hex, so a verifier decodes the hex first.
    """
    return hashlib.sha256(seed).hexdigest()


class SeedVault:
    """Seals server seeds for the database and for workflow histories.

    A sealed seed is the text `v1.<key id>.<base64url>` and is bound to its seed's id: copied to another
    row it does not open.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = Sealer(keyring.seeds)

    def seal(self, seed_id: str, seed: bytes) -> str:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a server seed has {SEED_BYTES} bytes")
        sealed = self._sealer.seal(seed, bound_to=_bound_to(seed_id))
        return (
            f"{_FORMAT}.{self._sealer.active_key_id}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"
        )

    def open(self, seed_id: str, sealed_seed: str) -> bytes:
        """The 32 bytes of the seed. Raises SealBroken or UnknownKey."""
        key_id, sealed = _parse(sealed_seed)
        seed = self._sealer.open(sealed, key_id=key_id, bound_to=_bound_to(seed_id))
        if len(seed) != SEED_BYTES:
            raise SealBroken("a sealed seed has the wrong length")
        return seed


def _bound_to(seed_id: str) -> bytes:
    return b"croupier:server-seed:1:" + seed_id.encode()


def _parse(sealed_seed: str) -> tuple[str, bytes]:
    parts = sealed_seed.split(".")
    if len(parts) != 3 or parts[0] != _FORMAT:
        raise SealBroken("a sealed seed is not v1.<key id>.<data>")
    text = parts[2]
    try:
        return parts[1], base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise SealBroken("a sealed seed is not base64url") from None
