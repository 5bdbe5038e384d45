"""What rounds are found by: bounded words, the same everywhere they are named, and nobody's name."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.sdk.v1 import UserMetadata

from contracts import search
from contracts.rounds import Bet, RoundKey
from runtime.settings import PROJECT_ROOT
from security.keyring import KEY_ID_LIMIT, Keyring
from security.payload_codec import data_converter

# What a Temporal server takes of a summary, as it is sent.
TEMPORALS_LIMIT = 400
BET = Bet(
    key=RoundKey(operator_id="acme", player_key=7, round_id="r-1"),
    player_id="alice",
    account_id=12,
    session_id="a-session",
    game_id="dice",
    game_version="1.0.0",
    currency="EUR",
    stake=125,
    mode="base",
    choice=None,
    request_id="a-request",
)


@pytest.mark.parametrize(
    ("stake", "band"),
    [
        (0, "EUR 0"),
        (1, "EUR 1"),
        (2, "EUR 2-4"),
        (4, "EUR 2-4"),
        (5, "EUR 5-9"),
        (10, "EUR 10-19"),
        (99, "EUR 50-99"),
        (100, "EUR 100-199"),
        (199, "EUR 100-199"),
        (200, "EUR 200-499"),
        (123_456_789, "EUR 100000000-199999999"),
    ],
)
def test_a_stake_is_in_a_band_of_the_ladder(stake: int, band: str) -> None:
    assert search.stake_band(stake, "EUR") == band


@given(stake=st.integers(min_value=2, max_value=10**15))
def test_a_band_holds_its_stake_and_there_are_three_for_each_power_of_ten(stake: int) -> None:
    low, high = map(int, search.stake_band(stake, "EUR").removeprefix("EUR ").split("-"))
    assert low <= stake <= high
    assert str(low).rstrip("0") in ("1", "2", "5")
    assert search.stake_band(low, "EUR") == search.stake_band(high, "EUR")
    assert search.stake_band(high + 1, "EUR") != search.stake_band(high, "EUR")


def test_demo_is_a_kind_of_its_own() -> None:
    assert search.kind(BET) == "real"
    assert search.kind(dataclasses.replace(BET, demo=True)) == "demo"


def test_a_summary_says_the_bet() -> None:
    assert search.summary(BET) == "125 EUR at dice 1.0.0, base"
    assert search.summary(dataclasses.replace(BET, demo=True)) == "125 EUR at dice 1.0.0, base, demo"


async def test_the_longest_summary_is_sealed_within_what_temporal_takes() -> None:
    generated = Keyring.generate()
    key_id = "k" * KEY_ID_LIMIT
    section = dataclasses.replace(
        generated.payload, active=key_id, keys={key_id: generated.payload.active_key}
    )
    converter = data_converter(dataclasses.replace(generated, payload=section))
    for game_id in ("g" * 1_000, "é" * 1_000, "\n\x1b" * 500, '"' * 1_000):
        text = search.summary(dataclasses.replace(BET, game_id=game_id))
        assert len(text.encode()) <= search.SUMMARY_BYTES
        assert text.isprintable()
        (sealed,) = await converter.encode([text])
        assert UserMetadata(summary=sealed).ByteSize() < TEMPORALS_LIMIT


def test_the_job_that_makes_the_namespace_makes_them_all() -> None:
    script = (PROJECT_ROOT / "compose/services/temporal/namespace.sh").read_text(encoding="utf-8")
    (names,) = re.findall(r"^for name in (.*); do$", script, re.MULTILINE)
    assert tuple(names.split()) == search.ATTRIBUTES
