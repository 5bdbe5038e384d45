"""Provably fair draws: one seed, one nonce, one reproducible stream of unbiased integers.

The stream, in full, so that anyone can write a verifier from this text alone:

1. Block `i` (0, 1, 2, ...) is HMAC-SHA256 with the 32 bytes of the server seed as its key and, as its
   message, the UTF-8 text `{client_seed}:{nonce}:{i}`: the client seed exactly as given, nonce and block
   number in decimal without leading zeros. (Both numbers stand behind the last two colons, so a client seed
   that itself contains colons cannot be mistaken for another message.)
2. Each block of 32 bytes is cut into eight words of four bytes, each an unsigned big-endian integer. The
   words of block 0, then those of block 1, and so on, are the stream.
3. An integer in 0..bound-1 takes the next word `w`. With `limit = 2**32 - 2**32 % bound`: when `w < limit`,
   the integer is `w % bound`; otherwise `w` is rejected and the next word is tried. A bound of 1 takes a
   word like any other.

Nothing but rejected words is skipped: the game's integers are the stream's, in order. A word is rejected with
a probability below one half, so each draw ends after fewer than two words on average.

The server seed's hash is published before play; the seed itself is shown when it is rotated out.
"""

import hmac
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final

SEED_BYTES: Final = 32
WORDS: Final = 1 << 32  # how many values a word has, and so the largest bound
_unpack_words = struct.Struct(">8I").unpack


class _WordDraws:
    """Integers from a stream of blocks, as steps 2 and 3 have it."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words: Iterator[int] = iter(())

    def integer(self, bound: int) -> int:
        """The next unbiased integer in 0..bound-1. Raises ValueError unless `bound` is in 1..2**32."""
        _check_bound(bound)
        limit = WORDS - WORDS % bound
        while True:
            for word in self._words:
                if word < limit:
                    return word % bound
            self._words = iter(_unpack_words(self.next_block()))

    def next_block(self) -> bytes:
        """The stream's next 32 bytes, as step 1 has them."""
        raise NotImplementedError


class HmacDraws(_WordDraws):
    """The draws of one round.

    `server_seed` is 32 bytes, `client_seed` any non-empty text that UTF-8 can carry, `nonce` at least 0.
    Raises TypeError or ValueError when they are not.
    """

    __slots__ = ("_block", "_prefix", "_seed")

    def __init__(self, *, server_seed: bytes, client_seed: str, nonce: int) -> None:
        if not isinstance(server_seed, bytes) or not isinstance(client_seed, str) or type(nonce) is not int:
            raise TypeError("draws are made from bytes, a text and an integer")
        if len(server_seed) != SEED_BYTES:
            raise ValueError(f"a server seed has {SEED_BYTES} bytes, not {len(server_seed)}")
        if not client_seed:
            raise ValueError("a client seed is never empty")
        if nonce < 0:
            raise ValueError("a nonce is never negative")
        super().__init__()
        self._seed = server_seed
        self._prefix = f"{client_seed}:{nonce}:".encode()
        self._block = 0

    def next_block(self) -> bytes:
        digest = hmac.digest(self._seed, b"%s%d" % (self._prefix, self._block), "sha256")
        self._block += 1
        return digest


class RelayedDraws(_WordDraws):
    """The same draws where the seed must not be known: `next_block` hands over block after block."""

    __slots__ = ("_next_block",)

    def __init__(self, next_block: Callable[[], bytes]) -> None:
        super().__init__()
        self._next_block = next_block

    def next_block(self) -> bytes:
        return self._next_block()


class ScriptedDraws:
    """Draws that were decided beforehand: for a game's tests, and for showing a client a rare outcome.

    Each call answers the next value. Raises ValueError when that value does not fit the bound asked for,
    or when none is left.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[int]) -> None:
        self._values = iter(values)

    def integer(self, bound: int) -> int:
        _check_bound(bound)
        value = next(self._values, None)
        if value is None:
            raise ValueError("the script has no draw left")
        if not 0 <= value < bound:
            raise ValueError(f"the script's next draw is {value}, and the game asked for 0..{bound - 1}")
        return value


def _check_bound(bound: int) -> None:
    if type(bound) is not int or not 1 <= bound <= WORDS:
        raise ValueError("a bound is an integer in 1..2**32")
