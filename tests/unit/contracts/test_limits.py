"""A session's limits are the stricter ones of two sides, and the jurisdictions' are data that say so."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.choices import Abandonment, Choice, Chosen, Offer
from contracts.currencies import exponent
from contracts.jurisdictions import (
    JURISDICTIONS,
    Jurisdiction,
    UnknownCurrency,
    UnknownJurisdiction,
    jurisdiction,
)
from contracts.limits import SessionLimits

amounts = st.none() | st.integers(1, 9)
limits = st.builds(
    SessionLimits,
    max_stake=amounts,
    stakes=st.none() | st.sets(st.integers(1, 9), min_size=1).map(lambda found: tuple(sorted(found))),
    loss_limit=amounts,
    max_session_s=amounts,
    min_cycle_ms=amounts,
)


@given(limits, limits)
def test_of_two_sides_neither_is_exceeded(one: SessionLimits, other: SessionLimits) -> None:
    both = one.stricter(other)
    assert both == other.stricter(one)
    assert both.stricter(one) == both
    for stake in range(1, 11):
        assert both.allows(stake) == (one.allows(stake) and other.allows(stake))
    for name in ("loss_limit", "max_session_s"):
        sides = [side for side in (getattr(one, name), getattr(other, name)) if side is not None]
        assert getattr(both, name) == (min(sides) if sides else None)
    assert (both.min_cycle_ms or 0) == max(one.min_cycle_ms or 0, other.min_cycle_ms or 0)


def test_what_is_not_limited_is_left_out() -> None:
    assert SessionLimits().as_json() == {}
    assert SessionLimits(max_stake=5, stakes=(1, 2)).as_json() == {"max_stake": 5, "stakes": [1, 2]}


@pytest.mark.parametrize("profile", JURISDICTIONS.values(), ids=lambda profile: profile.code)
def test_a_profile_is_sound(profile: Jurisdiction) -> None:
    assert profile is jurisdiction(profile.code)
    assert profile.title
    for amounts_of in (profile.max_stake or {}, profile.loss_limit or {}):
        assert all(exponent(currency) >= 0 and amount > 0 for currency, amount in amounts_of.items())
    assert (profile.abandonment is None) == (profile.abandonment_after_s is None)


def test_a_jurisdiction_may_say_what_becomes_of_a_round_that_is_left() -> None:
    offer = Offer(choices=[Choice(action="stop")], default=Chosen(action="stop"), decide_within_s=60)
    assert Jurisdiction(code="XX", title="No rule").applied_to(offer) == offer
    held = Jurisdiction(code="XX", title="A rule", abandonment=Abandonment.HOLD, abandonment_after_s=90)
    assert held.applied_to(offer) == replace(offer, abandonment=Abandonment.HOLD, decide_within_s=90)


def test_a_jurisdiction_limits_in_its_own_currency_alone() -> None:
    assert jurisdiction("DE").limits("EUR") == SessionLimits(max_stake=100, min_cycle_ms=5_000)
    with pytest.raises(UnknownCurrency, match="EUR"):
        jurisdiction("DE").limits("USD")
    assert jurisdiction(None).limits("JPY") == SessionLimits()
    with pytest.raises(UnknownJurisdiction):
        jurisdiction("XX")
