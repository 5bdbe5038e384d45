"""Cursors, moments and money as clients see them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gateway.paging import cursor, position
from api.gateway.problems import Problem
from api.gateway.schemas import moment

POSITIONS = st.integers(0, 2**63 - 1)


@given(POSITIONS)
def test_a_cursor_leads_back_to_its_position(where: int) -> None:
    text = cursor(where)
    assert text is not None
    assert position(text) == where
    assert len(text) <= 64, "the routes take no longer one"
    assert text.replace("-", "").replace("_", "").isalnum(), "it needs no quoting in an address"


def test_no_cursor_is_no_position() -> None:
    assert cursor(None) is None
    assert position(None) is None


@given(st.text(max_size=80))
def test_any_text_is_a_position_or_the_problem_invalid(text: str) -> None:
    found = _read(text)
    assert (found.code == "invalid") if isinstance(found, Problem) else 0 <= found < 2**63


@pytest.mark.parametrize(
    "text", ["", "cg", "ci0x", "cisx", "cjEu", "czE", "cjlfMQ", "2aE", "cjk5OTk5OTk5OTk5OTk5OTk5OTk5OQ", "r1"]
)
def test_what_cursor_never_made_is_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        position(text)
    assert refused.value.code == "invalid"


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14, 14))
def test_a_moment_is_utc_whatever_zone_it_was_in(at: datetime, hours: int) -> None:
    try:
        elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    except OverflowError:
        return
    text = moment(elsewhere)
    assert text is not None
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_no_moment_is_none() -> None:
    assert moment(None) is None


def _read(text: str) -> int | Problem:
    try:
        found = position(text)
    except Problem as problem:
        return problem
    assert found is not None
    return found
