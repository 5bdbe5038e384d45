"""Rows as CSV that a spreadsheet shows and does not compute."""

import csv
import io
from collections.abc import Iterable
from typing import Final

# What spreadsheets take for the begin of a formula, and what they skip before one.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(value: object) -> str:
    """Text that is text: an apostrophe stands before what would be a formula. Numbers stay as they are."""
    text = "" if value is None else str(value)
    if isinstance(value, int):
        return text
    return f"'{text}" if text.lstrip(" ").startswith(FORMULAS) else text


def line(values: Iterable[object]) -> str:
    """As RFC 4180 has it."""
    written = io.StringIO()
    csv.writer(written).writerow([cell(value) for value in values])
    return written.getvalue()
