"""What is said of an error, in a line for a person."""

from contracts.failures import DETAIL_LIMIT, error_line


def test_an_error_that_says_nothing_is_named_and_leaves_no_colon() -> None:
    assert error_line(TimeoutError()) == "TimeoutError"


def test_what_an_error_says_is_one_bounded_line_that_no_terminal_obeys() -> None:
    assert error_line(OSError("no\x1b[2J\nroute ")) == "OSError: no [2J route"
    assert len(error_line(OSError("x" * 1000))) == DETAIL_LIMIT
