"""Amounts as wallets write them, to and from minor units; exact, by digits alone."""

import re
from typing import Any, Final

from contracts.currencies import UnknownCurrency, exponent
from wallet.dialect import AmountForm

LIMIT: Final = 2**63 - 1
# The largest integer that every JSON client reads exactly.
SHOWN_LIMIT: Final = 2**53 - 1
MICRO_EXPONENT: Final = 6
_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]{0,99})(?:\.([0-9]{1,99}))?", re.ASCII)


class TooFine(ValueError):
    """The amount has digits beyond the currency's exponent that are not zero."""


class NotExpressible(ValueError):
    """A wallet of this form cannot express this amount, or any in this currency."""


def check_currency(currency: str, form: AmountForm) -> None:
    """Raises NotExpressible for a currency that is unknown or finer than the form, whatever the amount: a bet
    must not be taken when its win might not be payable."""
    if _exponent(currency) > MICRO_EXPONENT and form is AmountForm.MICRO:
        raise NotExpressible(f"millionths are too coarse for {currency}")


def write(amount: int, currency: str, form: AmountForm) -> int | str:
    """`amount` in minor units, not below 0. Raises NotExpressible when it, or the integer that is written for
    it, passes LIMIT."""
    written = amount if form is AmountForm.DECIMAL else amount * _minor_unit(currency, form)
    if written > LIMIT:
        raise NotExpressible("the amount is beyond 64 bits")
    return _decimal(amount, _exponent(currency)) if form is AmountForm.DECIMAL else written


def read(value: Any, currency: str, form: AmountForm) -> int:
    """The minor units of a JSON value. Raises ValueError for another type, a negative value, digits beyond
    the currency's exponent that are not zero, and what exceeds LIMIT."""
    amount = _minor_units(value, currency, form)
    if not 0 <= amount <= LIMIT:
        raise ValueError("out of range")
    return amount


def read_balance(value: Any, currency: str, form: AmountForm) -> int | None:
    """The minor units that a player has, below 0 for one who owes. None for what no client can be shown:
    finer than the currency, or beyond SHOWN_LIMIT. Raises ValueError for what is no amount of this form."""
    try:
        amount = _minor_units(value, currency, form)
    except TooFine:
        return None
    return amount if abs(amount) <= SHOWN_LIMIT else None


def _minor_units(value: Any, currency: str, form: AmountForm) -> int:
    """Of either sign and any size. Raises ValueError."""
    if form is AmountForm.DECIMAL:
        return _from_decimal(value, currency)
    return _from_integer(value, currency, form)


def _minor_unit(currency: str, form: AmountForm) -> int:
    """One minor unit, in the form's own units."""
    if form is AmountForm.MINOR:
        return 1
    return int(10 ** (MICRO_EXPONENT - _exponent(currency)))


def _exponent(currency: str) -> int:
    try:
        return exponent(currency)
    except UnknownCurrency as unknown:
        raise NotExpressible(str(unknown)) from None


def _decimal(amount: int, decimals: int) -> str:
    digits = str(amount).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def _from_integer(value: Any, currency: str, form: AmountForm) -> int:
    if type(value) is not int:
        raise ValueError("not an integer")
    amount, rest = divmod(value, _minor_unit(currency, form))
    if rest:
        raise TooFine("finer than the currency")
    return amount


def _from_decimal(value: Any, currency: str) -> int:
    found = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a decimal string")
    sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
    decimals = _exponent(currency)
    if len(fraction) > decimals:
        raise TooFine("finer than the currency")
    return int(sign + whole + fraction.ljust(decimals, "0"))
