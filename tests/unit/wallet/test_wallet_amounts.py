"""Amounts go out and come back as they were, in every currency and form, and nothing else is read as one."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.currencies import exponent, known
from wallet.amounts import LIMIT, NotExpressible, check_currency, read, write
from wallet.dialect import AmountForm

CURRENCIES = sorted(known())
BY_EXPONENT = sorted({exponent(code): code for code in CURRENCIES}.values())
MINOR, DECIMAL, MICRO = AmountForm.MINOR, AmountForm.DECIMAL, AmountForm.MICRO


@given(
    amount=st.integers(0, LIMIT) | st.integers(0, 10**9),
    currency=st.sampled_from(BY_EXPONENT),
    form=st.sampled_from(AmountForm),
)
def test_an_amount_comes_back_as_it_was(amount: int, currency: str, form: AmountForm) -> None:
    try:
        check_currency(currency, form)
        written = write(amount, currency, form)
    except NotExpressible:
        assert form is MICRO
        assert exponent(currency) > 6 or amount * 10 ** (6 - exponent(currency)) > LIMIT
    else:
        assert read(written, currency, form) == amount


@given(amount=st.integers(0, LIMIT), currency=st.sampled_from(BY_EXPONENT))
def test_a_decimal_is_the_amount(amount: int, currency: str) -> None:
    assert Decimal(str(write(amount, currency, DECIMAL))) == Decimal(amount).scaleb(-exponent(currency))


@pytest.mark.parametrize(
    ("amount", "currency", "form", "written"),
    [
        (0, "EUR", MINOR, 0),
        (123, "EUR", MINOR, 123),
        (0, "EUR", DECIMAL, "0.00"),
        (5, "EUR", DECIMAL, "0.05"),
        (12345, "EUR", DECIMAL, "123.45"),
        (12345, "JPY", DECIMAL, "12345"),
        (12345, "KWD", DECIMAL, "12.345"),
        (1, "BTC", DECIMAL, "0.00000001"),
        (100, "EUR", MICRO, 1_000_000),
        (100, "JPY", MICRO, 100_000_000),
        (100, "KWD", MICRO, 100_000),
        (100, "USDT", MICRO, 100),
    ],
)
def test_how_it_is_written(amount: int, currency: str, form: AmountForm, written: int | str) -> None:
    assert write(amount, currency, form) == written


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [("1", "EUR", 100), ("1.5", "EUR", 150), ("1.50000", "EUR", 150), ("7.000", "JPY", 7), ("0", "KWD", 0)],
)
def test_decimals_may_be_fewer_or_end_in_zeros(value: str, currency: str, amount: int) -> None:
    assert read(value, currency, DECIMAL) == amount


OTHER_TYPES: list[Any] = [1.0, 1.5, float("nan"), Decimal("1.00"), True, None, [], {}]
OTHER_STRINGS = ["", " 1", "1 ", "1.00\n", "\u0661", "1.\u0660\u0660"]
OTHER_STRINGS += ["+1", "-1", "-0.01", "01", "1.", ".5", "1,00", "1_000", "1e2", "0x10", "NaN", "Infinity"]
TOO_FINE_OR_LARGE = ["1.001", "9" * 19, "1" + "0" * 19, "9" * 5000, -1, LIMIT * 10**6 + 1, 10**400]


@pytest.mark.parametrize("form", AmountForm)
@pytest.mark.parametrize(
    "value", OTHER_TYPES + OTHER_STRINGS + TOO_FINE_OR_LARGE, ids=lambda value: repr(value)[:20]
)
def test_what_is_no_amount(value: Any, form: AmountForm) -> None:
    with pytest.raises(ValueError, match=r"^(not an integer|not a decimal|finer than|out of range)"):
        read(value, "EUR", form)


def test_millionths_that_are_no_whole_cents_are_not_rounded() -> None:
    with pytest.raises(ValueError, match="finer than the currency"):
        read(1_234_567, "EUR", MICRO)


@pytest.mark.parametrize(("currency", "form"), [("BTC", MICRO), ("XXX", MINOR), ("XXX", DECIMAL)])
def test_a_currency_that_cannot_be_written_is_refused_whatever_the_amount(
    currency: str, form: AmountForm
) -> None:
    with pytest.raises(NotExpressible):
        check_currency(currency, form)


@pytest.mark.parametrize("form", AmountForm)
def test_an_amount_beyond_the_integer_type_is_refused(form: AmountForm) -> None:
    with pytest.raises(NotExpressible):
        write(LIMIT + 1, "EUR", form)


def test_millionths_beyond_the_integer_type_are_refused() -> None:
    with pytest.raises(NotExpressible):
        write(LIMIT // 10**4 + 1, "EUR", MICRO)


def test_the_largest_amount_is_what_64_bits_with_a_sign_hold() -> None:
    """The number itself: a limit that moved would be compared with itself elsewhere."""
    largest = 9_223_372_036_854_775_807
    assert write(largest, "EUR", MINOR) == largest
    assert read(largest, "EUR", MINOR) == largest
    with pytest.raises(NotExpressible):
        write(largest + 1, "EUR", MINOR)
    with pytest.raises(ValueError, match="out of range"):
        read(largest + 1, "EUR", MINOR)
