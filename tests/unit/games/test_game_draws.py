"""The draws are what their docstring says, recomputed here from the docstring alone."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.draws import HmacDraws, ScriptedDraws

SEED = bytes(range(32))

seeds = st.binary(min_size=32, max_size=32)
client_seeds = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
nonces = st.integers(0, 2**63)
bounds = st.integers(1, 2**32)


def reference_words(server_seed: bytes, client_seed: str, nonce: int) -> Iterator[int]:
    block = 0
    while True:
        message = f"{client_seed}:{nonce}:{block}".encode()
        digest = hmac.new(server_seed, message, hashlib.sha256).digest()
        for start in range(0, 32, 4):
            yield int.from_bytes(digest[start : start + 4], "big")
        block += 1


def reference_integer(words: Iterator[int], bound: int) -> int:
    limit = 2**32 - 2**32 % bound
    return next(word for word in words if word < limit) % bound


def draws(client_seed: str = "croupier", nonce: int = 0) -> HmacDraws:
    return HmacDraws(server_seed=SEED, client_seed=client_seed, nonce=nonce)


class TestHmacDraws:
    # Blocks computed with another program: printf 'croupier:0:0' | openssl dgst -sha256 -mac HMAC ...
    FIRST = "6723222b205cf6c933aba93baab01ab442b63d464f317414a77fde0e2eb6c2a7"
    SECOND = "67e3822f3a93f26e8af1a85f6dff70f7740415bb253e10aff741c5f380140f16"
    ANOTHER = "1fcb65eed04ba53848fbd8d74f6ee3d9bd91a658a7cab3d08cad0a5f53645f10"

    def test_gives_the_published_words(self) -> None:
        stream = draws()
        words = b"".join(stream.integer(2**32).to_bytes(4, "big") for _ in range(16))
        assert words.hex() == self.FIRST + self.SECOND

    def test_gives_the_published_words_for_a_seed_with_colons_and_umlauts(self) -> None:
        stream = draws("a:b:ü", 42)
        words = b"".join(stream.integer(2**32).to_bytes(4, "big") for _ in range(8))
        assert words.hex() == self.ANOTHER

    def test_gives_the_published_integers(self) -> None:
        stream = draws()
        assert [stream.integer(10_000) for _ in range(8)] == [5755, 3401, 7995, 7892, 9494, 1044, 4990, 9319]

    def test_skips_rejected_words_and_nothing_else(self) -> None:
        stream = draws()
        # With this bound only words up to 0x80000000 are taken: the 4th and the 7th of block 0 are not.
        expected = [0x6723222B, 0x205CF6C9, 0x33ABA93B, 0x42B63D46, 0x4F317414, 0x2EB6C2A7, 0x67E3822F]
        assert [stream.integer(2**31 + 1) for _ in range(7)] == expected

    def test_rejects_the_first_word_that_is_too_large(self) -> None:
        stream = draws()
        fourth, fifth = 0xAAB01AB4, 0x42B63D46  # a bound above half of 2**32 is its own limit
        assert [stream.integer(2**32) for _ in range(3)][-1] == 0x33ABA93B
        assert stream.integer(fourth) == fifth

    def test_takes_a_word_for_a_bound_of_one(self) -> None:
        stream = draws()
        assert stream.integer(1) == 0
        assert stream.integer(2**32) == 0x205CF6C9

    @given(seed=seeds, client_seed=client_seeds, nonce=nonces, asked=st.lists(bounds, max_size=40))
    def test_agrees_with_a_verifier_written_from_the_docstring(
        self, seed: bytes, client_seed: str, nonce: int, asked: list[int]
    ) -> None:
        stream = HmacDraws(server_seed=seed, client_seed=client_seed, nonce=nonce)
        words = reference_words(seed, client_seed, nonce)
        assert [stream.integer(b) for b in asked] == [reference_integer(words, b) for b in asked]

    def test_is_even_over_a_bound_that_does_not_divide_the_words(self) -> None:
        # Were words reduced without rejection, 0..2**30-1 would come twice as often as the rest of 3 * 2**30.
        bound, stream = 3 * 2**30, draws()
        thirds = Counter(stream.integer(bound) >> 30 for _ in range(3_000))
        assert all(abs(thirds[third] - 1_000) < 130 for third in range(3))  # five standard deviations

    @pytest.mark.parametrize("bound", [0, -1, 2**32 + 1, True, "6", None])
    def test_refuses_a_bound_outside_1_to_2_to_the_32(self, bound: int) -> None:
        with pytest.raises(ValueError, match="bound"):
            draws().integer(bound)

    @pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
    def test_refuses_a_server_seed_that_is_not_32_bytes(self, size: int) -> None:
        with pytest.raises(ValueError, match=f"32 bytes, not {size}"):
            HmacDraws(server_seed=bytes(size), client_seed="c", nonce=0)

    def test_refuses_an_empty_or_unencodable_client_seed_and_a_negative_nonce(self) -> None:
        for client_seed, nonce in (("", 0), ("\ud800", 0), ("c", -1)):
            with pytest.raises(ValueError, match=r"never|surrogates"):
                HmacDraws(server_seed=SEED, client_seed=client_seed, nonce=nonce)

    def test_refuses_other_types(self) -> None:
        for server_seed, client_seed, nonce in (("x" * 32, "c", 0), (SEED, b"c", 0), (SEED, "c", True)):
            with pytest.raises(TypeError, match="bytes, a text and an integer"):
                HmacDraws(server_seed=server_seed, client_seed=client_seed, nonce=nonce)  # type: ignore[arg-type]


class TestScriptedDraws:
    def test_answers_what_was_decided_in_order(self) -> None:
        script = ScriptedDraws([3, 0, 5])
        assert [script.integer(6) for _ in range(3)] == [3, 0, 5]

    def test_refuses_a_value_that_does_not_fit(self) -> None:
        with pytest.raises(ValueError, match=r"next draw is 6, and the game asked for 0\.\.5"):
            ScriptedDraws([6]).integer(6)

    def test_says_when_it_has_run_out(self) -> None:
        with pytest.raises(ValueError, match="no draw left"):
            ScriptedDraws([]).integer(6)

    def test_checks_bounds_as_the_real_draws_do(self) -> None:
        with pytest.raises(ValueError, match="bound"):
            ScriptedDraws([0]).integer(0)
