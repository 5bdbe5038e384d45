"""What the tests of the book share: a book in memory with one player."""

from collections.abc import Iterator

import pytest

from operator_wallet.book import Book
from tests.unit.operator_wallet.requests import FUNDS


@pytest.fixture
def book() -> Iterator[Book]:
    opened = Book(":memory:")
    opened.open_player("demo", "anna", "EUR", FUNDS)
    yield opened
    opened.close()
