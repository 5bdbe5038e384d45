"""One line that people wrote: what is taken, by Python and by the description alike."""

import re
import sys
import unicodedata
from typing import Final

import pytest

from contracts.texts import ONE_LINE, is_one_line

# Categories of Unicode: line and paragraph separators, and controls.
NEVER: Final = {"Zl", "Zp", "Cc"}


@pytest.mark.parametrize("text", ["Acme", " a ", "50 € für João", "理由　です", "пояснение", "o\xa0o", "🎲"])
def test_what_can_be_read_in_one_line_is_taken(text: str) -> None:
    assert is_one_line(text)
    assert re.search(ONE_LINE, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\xa0\u3000",
        "a\n",
        "a\nb",
        "\u008a\u0006",
        "a\x1b[2J",
        "a\x7f",
        "a\u202eb",
        "a\u200bb",
        "\udcff",
        "\ufeffa",
    ],
)
def test_what_is_blank_or_holds_something_unseen_is_not(text: str) -> None:
    assert not is_one_line(text)


def test_no_control_and_no_separator_of_lines_is_taken() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in NEVER:
            assert not is_one_line(f"a{chr(code)}b"), hex(code)


def test_everything_that_python_prints_is_taken() -> None:
    assert all(is_one_line(f"a{chr(code)}") for code in range(sys.maxunicode + 1) if chr(code).isprintable())
