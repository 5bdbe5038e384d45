"""A player's id where nothing is encrypted: opaque, the same for the same player, and made with a key."""

import hashlib
import hmac
from typing import Final

from security.keyring import Keyring

_MADE_FOR: Final = b"croupier:player-id:1"
ID_BYTES: Final = 16


class PlayerIds:
    """Ids made with keys that are derived from the keyring's payload keys. Without the keyring nobody can
    tell from an id whose it is, nor try the players that they know."""

    def __init__(self, keyring: Keyring) -> None:
        section = keyring.payload
        older = [key_id for key_id in sorted(section.keys) if key_id != section.active]
        self._keys = [
            hmac.digest(section.keys[key_id], _MADE_FOR, "sha256") for key_id in (section.active, *older)
        ]

    def id_of(self, operator_id: str, player_id: str) -> str:
        """Under the active key, 32 characters of hex."""
        return _made(self._keys[0], operator_id, player_id)

    def ids_of(self, operator_id: str, player_id: str) -> list[str]:
        """Under every key, the active one first: rounds keep the id that they started with, so a search that
        asks for all of these finds a player's rounds from before a rotation too."""
        return [_made(key, operator_id, player_id) for key in self._keys]


def _made(key: bytes, operator_id: str, player_id: str) -> str:
    # An operator's id has no zero byte, so no two pairs are written alike.
    about = f"{operator_id}\0{player_id}".encode()
    return hmac.digest(key, about, hashlib.sha256).hex()[: 2 * ID_BYTES]
