"""strict_json.loads: exactly RFC 8259, and nothing that cannot be stored."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gateway.strict_json import DEPTH_LIMIT, DIGITS_LIMIT, loads

# Text that UTF-8 and PostgreSQL can carry.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NUMBERS = st.integers(-(10 ** (DIGITS_LIMIT - 2)), 10 ** (DIGITS_LIMIT - 2)) | st.floats(
    allow_nan=False, allow_infinity=False
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_every_storable_value_is_read_back_as_it_was(value: Any, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_either_a_json_value_or_refused_as_such(body: bytes) -> None:
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return
    json.dumps(value, allow_nan=False).encode()


@given(VALUES)
def test_types_are_kept(value: Any) -> None:
    read = loads(json.dumps(value).encode())
    assert type(read) is type(value), "1 and 1.0 and true are three different things"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"NaN", "NaN and Infinity are not JSON"),
        (b"[-Infinity]", "NaN and Infinity are not JSON"),
        (b"1e999", "a number is too large"),
        (b"[-1e400]", "a number is too large"),
        (b"1" * (DIGITS_LIMIT + 1), "a number is too long"),
        (b"9" * 60_000, "a number is too long"),
        (b'{"a": 1, "a": 1}', "a name occurs twice in one object"),
        (b'{"a": 1, "\\u0061": 2}', "a name occurs twice in one object"),
        (b'[{"b": {"a": 1, "a": 1}}]', "a name occurs twice in one object"),
        (b'"\\u0000"', "a text holds a character that cannot be stored"),
        (b'{"\\ud83d": 1}', "a text holds a character that cannot be stored"),
        (b'["\\udc00\\ud800"]', "a text holds a character that cannot be stored"),
        (b'"\xff"', "it is not UTF-8"),
        (b'"\xed\xa0\x80"', "it is not UTF-8"),
        (b"[" * 30_000, "it is nested too deeply"),
        (b'{"a":' * 10_000, "it is nested too deeply"),
    ],
)
def test_what_is_not_exact_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(json.JSONDecodeError) as refusal:
        loads(body)
    assert refusal.value.msg == why


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_is_allowed_up_to_the_limit(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"

    def nested(depth: int) -> bytes:
        return opening * depth + b"1" + closing * depth

    loads(nested(DEPTH_LIMIT - 1))
    with pytest.raises(json.JSONDecodeError, match="nested too deeply"):
        loads(nested(DEPTH_LIMIT))


def full_of(element: str, size: int = 60_000) -> bytes:
    """A list of nothing but this."""
    return f"[{','.join([element] * (size // (len(element) + 1)))}]".encode()


@pytest.mark.parametrize(
    ("body", "times"),
    [
        (full_of("1"), 3), (full_of("1.5"), 3), (full_of('"a"'), 6), (full_of("[]"), 6),
        # Who looks for a name that occurs twice looks at each object.
        (full_of("{}"), 15),
        # One odd text makes no text of the others.
        (full_of("1")[:-1] + b', "' + b"1" * (DIGITS_LIMIT + 1) + b'", "\\ud83c\\udfb2"]', 8),
    ],
    ids=["integers", "fractions", "texts", "lists", "objects", "integers beside something odd"],
)  # fmt: skip
def test_checking_costs_about_as_much_as_parsing(body: bytes, times: int) -> None:
    """In processor time, and far from what a check of each element in turn takes."""
    ratios = [_cost_s(loads, body) / _cost_s(json.loads, body) for _ in range(3)]
    assert min(ratios) < times


def _cost_s(parse: Callable[[bytes], Any], body: bytes) -> float:
    costs = []
    for _ in range(5):
        began = time.thread_time()
        parse(body)
        costs.append(time.thread_time() - began)
    return min(costs)


def test_a_backslash_before_an_escape_makes_it_none() -> None:
    for text in ("\\u0000", "\\ud800", "\\\\uD800", "a\\\\\\udc00"):
        assert loads(json.dumps(text).encode()) == text
    with pytest.raises(json.JSONDecodeError):
        loads(b'"\\\\\\ud800"')


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert loads(b'"\\ud83c\\udfb2"') == "🎲"


def test_the_longest_number_is_read_exactly() -> None:
    digits = "9" * DIGITS_LIMIT
    assert loads(digits.encode()) == int(digits)


def test_a_small_exponent_is_a_float_and_finite() -> None:
    value = loads(b"1e2")
    assert isinstance(value, float)
    assert math.isfinite(value)


@given(st.integers(10**12, 10**13))
def test_a_refusal_never_quotes_the_body(number: int) -> None:
    marker = str(number)
    for body in (
        f"<{marker}>",
        f'{{"{marker}": NaN}}',
        f'["{marker}" 1]',
        f'{{"{marker}": 1, "{marker}": 2}}',
    ):
        with pytest.raises(json.JSONDecodeError) as refusal:
            loads(body.encode())
        assert marker not in str(refusal.value)
        assert refusal.value.doc == ""
