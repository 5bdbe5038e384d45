"""Exponents are ISO 4217's, and a currency that is not known has none."""

import pytest

from contracts.currencies import UnknownCurrency, exponent, known


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("EUR", 2),
        ("USD", 2),
        ("HUF", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("CLP", 0),
        ("ISK", 0),
        ("BHD", 3),
        ("KWD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("UYW", 4),
        ("USDT", 6),
        ("USDC", 6),
        ("BTC", 8),
        ("ETH", 8),
    ],
)
def test_the_exponent_of(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "XAU", "DEM", " EUR"])
def test_what_is_unknown_has_none(currency: str) -> None:
    with pytest.raises(UnknownCurrency):
        exponent(currency)


def test_those_known_have_codes_of_three_or_four_capitals() -> None:
    assert len(known()) > 150
    assert all(code.isascii() and code.isalpha() and code.isupper() for code in known())
    assert {len(code) for code in known()} == {3, 4}
