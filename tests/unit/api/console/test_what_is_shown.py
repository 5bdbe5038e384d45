"""Amounts, cells, drawings and addresses: what data becomes before a person sees it."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.datastructures import QueryParams

from api.console.cells import cell, line
from api.console.drawing import drawing, duration
from api.console.filters import filters
from api.console.pages import message, money, recorded, round_path
from api.console.sign_in import HOME, ours
from contracts.rounds import RoundState
from timeline.model import Entry, Source

NOW = datetime(2026, 11, 27, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (100, "EUR", "1.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-1234, "EUR", "-12.34 EUR"),
        (100, "JPY", "100 JPY"),
        (1, "BTC", "0.00000001 BTC"),
        (7, "XXX", "7 minor units of XXX"),
        (None, "EUR", "-"),
    ],
)
def test_an_amount_has_its_currencys_exponent(amount: int | None, currency: str, shown: str) -> None:
    assert money(amount, currency) == shown


def test_recorded_amounts_are_shown_like_all_others() -> None:
    text = "(hold 100 EUR): 10 s, moved 5 EUR, 1.00 EUR, 7 USD"
    assert recorded(text, "EUR") == "(hold 1.00 EUR): 10 s, moved 0.05 EUR, 1.00 EUR, 7 USD"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r", " =", "\uff1d"])
def test_no_cell_is_a_formula(begin: str) -> None:
    assert cell(f"{begin}HYPERLINK(1)").startswith("'")


def test_other_cells_are_as_they_are() -> None:
    assert [cell(value) for value in ("p-1", -5, 100, None, "")] == ["p-1", "-5", "100", "", ""]
    assert line(['a"b', "c,d", "=1"]) == '"a""b","c,d",\'=1\r\n'


def test_a_time_line_is_drawn_by_its_times() -> None:
    entries = [
        Entry(NOW, Source.ROUND, "created"),
        Entry(NOW + timedelta(seconds=1), Source.WALLET, "bet"),
        Entry(NOW + timedelta(seconds=4), Source.ROUND, "settled"),
    ]
    drawn = drawing(entries)
    assert drawn is not None
    assert [(lane.source, lane.marks) for lane in drawn.lanes] == [("round", [0, 1000]), ("wallet", [250])]
    assert drawn.took == "4.0 s"
    assert drawing([]) is None
    only = drawing(entries[:1])
    assert only is not None
    assert only.lanes[0].marks == [0]


@pytest.mark.parametrize(
    ("took", "said"),
    [
        (timedelta(milliseconds=12), "12.0 ms"),
        (timedelta(minutes=5), "5.0 minutes"),
        (timedelta(hours=3), "3.0 hours"),
        (timedelta(days=9), "9 days"),
    ],
)
def test_a_duration_has_its_unit(took: timedelta, said: str) -> None:
    assert duration(took) == said


def test_a_filter_is_read_and_written_again() -> None:
    found = filters(QueryParams("player_id=p-1&state=void&mode=demo&from=2026-11-27T19:30&cursor="))
    assert found.problems == ["cursor: go on from a page of the list"]
    found = filters(QueryParams("player_id=p-1&state=void&mode=demo&from=2026-11-27T19:30"))
    assert (found.problems, found.state, found.since, found.demo) == ([], RoundState.VOID, NOW, True)
    assert found.query == "player_id=p-1&state=void&mode=demo&from=2026-11-27T19%3A30"
    wanted = found.wanted("op", 7)
    assert (wanted.operator_id, wanted.player_key, wanted.game_id, wanted.demo) == ("op", 7, None, True)


@pytest.mark.parametrize(
    "query",
    [
        *(
            "state=nothing",
            "mode=other",
            "from=yesterday",
            "cursor=x",
            f"player_id={'p' * 65}",
            "game_id=a%00b",
        ),
        "to=0001-01-01T00:00%2B23:59",
    ],
)
def test_what_is_no_filter_is_said_and_not_searched(query: str) -> None:
    assert len(filters(QueryParams(query)).problems) == 1


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/console/rounds/r-1?player_id=p-1&mode=real", "/console/rounds/r-1?player_id=p-1&mode=real"),
        ("/console/rounds", "/console/rounds"),
        ("", HOME),
        ("//evil.example", HOME),
        ("https://evil.example/console", HOME),
        ("/console//evil.example", HOME),
        ("/console/%2Fevil.example", HOME),
        ("/console/\\evil.example", HOME),
        ("/console/rounds\r\nset-cookie: a=b", HOME),
        ("javascript:alert(1)", HOME),
    ],
)
def test_whoever_has_signed_in_is_led_to_our_own_pages_alone(asked: str, led: str) -> None:
    assert ours(asked) == led


def test_text_never_becomes_markup() -> None:
    shown = bytes(message("<b>", '"><script>alert(1)</script>', status=400).body).decode()
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown
    assert round_path('"><x>', "a&b", "real") == "/console/rounds/%22%3E%3Cx%3E?player_id=a%26b&mode=real"
