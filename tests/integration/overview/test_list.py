"""The list of rounds: every filter and every two of them, for one operator and for all, page by page."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from contracts.rounds import RoundState
from contracts.sessions import DEMO
from contracts.views import EVERY_OPERATOR, RoundFilter, RoundView
from overview.rounds import NO_KEY, Rounds
from storage import history
from storage.database import Database
from storage.rounds import round_view
from tests.integration.overview.pages import listed
from tests.support.ledger import Seat, take_seat

BRANDED: Final = "UPDATE sessions SET brand = $2 WHERE id = $1"
ALL: Final = "SELECT * FROM round_view ORDER BY id DESC"
# What passes each filter, beside the filter itself.
PASSES: Final[Mapping[str, Callable[[RoundView, Any], bool]]] = {
    "operator_id": lambda view, value: value is EVERY_OPERATOR or view.key.operator_id == value,
    "player_key": lambda view, value: view.key.player_key == value,
    "game_id": lambda view, value: view.game_id == value,
    "state": lambda view, value: view.state is value,
    "since": lambda view, value: view.created_at >= value,
    "until": lambda view, value: view.created_at < value,
    "demo": lambda view, value: view.demo is value,
    "brand": lambda view, value: view.brand == value,
    "failure_code": lambda view, value: view.failure_code == value,
    "currency": lambda view, value: view.currency == value,
    "staked_at_least": lambda view, value: view.staked >= value,
    "win_at_least": lambda view, value: view.win >= value,
}


@dataclass(frozen=True, slots=True)
class Casino:
    """Rounds of every kind of two operators, newest first."""

    rounds: list[RoundView]
    first: Seat
    second: Seat

    def passing(self, wanted: RoundFilter) -> list[str]:
        """The ids of those that pass, by looking at each."""
        given = {name: getattr(wanted, name) for name in PASSES}
        asked = {name: value for name, value in given.items() if value is not None}
        return [
            view.key.round_id
            for view in self.rounds
            if all(PASSES[name](view, value) for name, value in asked.items())
        ]

    def values(self) -> Iterator[tuple[str, Any]]:
        """Filters, each with values that some rounds have and others have not."""
        third, two_thirds = (self.rounds[len(self.rounds) * part // 3].created_at for part in (2, 1))
        yield from (("state", state) for state in RoundState)
        yield from (
            ("failure_code", code) for code in ("resolve-failed", "insufficient-funds", "rolled-back")
        )
        yield from (("game_id", game) for game in ("dice", "none"))
        yield from (("brand", "north"), ("demo", True), ("currency", "USD"), ("currency", "XTS"))
        yield from (("staked_at_least", 200), ("win_at_least", 50), ("since", third), ("until", two_thirds))


@pytest.fixture(scope="module")
async def casino(own: Database) -> Casino:
    first, second = [await _operator(own, name) for name in ("list-a", "list-b")]
    rows = await own.pool.fetch(ALL)
    return Casino([round_view(row) for row in rows], first, second)


async def _operator(own: Database, operator_id: str) -> Seat:
    """A player with three rounds of each end, with one that is open, and others with other money."""
    seat = await take_seat(own, operator_id=operator_id, player_id="alice", balance=10_000)
    branded = await take_seat(own, operator_id=operator_id, player_id="bob", balance=10_000)
    await own.pool.execute(BRANDED, branded.session.session_id, "north")
    for each in (seat, branded):
        for stake, win in ((100, 0), (300, 50)):
            await _ends(each, stake, win)
    for other in (
        await take_seat(own, operator_id=operator_id, player_id="alice", mode=DEMO),
        await take_seat(own, operator_id=operator_id, player_id="carol", currency="USD", balance=1_000),
    ):
        settled = other.bet()
        await other.reserve(settled)
        await other.settle(settled, 70)
    await seat.reserve(seat.bet())
    return seat


async def _ends(seat: Seat, stake: int, win: int) -> None:
    """A settled round, one that is void, and a bet that is declined."""
    settled, void, declined = seat.bet(stake=stake), seat.bet(stake=stake), seat.bet(stake=1_000_000)
    await seat.reserve(settled)
    await seat.settle(settled, win)
    await seat.reserve(void)
    await seat.release(void)
    await seat.reserve(declined)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rounds are more than a window, and a moment is found to the round."""
    monkeypatch.setattr(history, "WINDOW", 4)
    monkeypatch.setattr(history, "APART", timedelta(0))


@pytest.mark.usefixtures("small_windows")
class TestFilters:
    async def test_each_and_every_two_of_them_show_what_passes_and_nothing_else(
        self, casino: Casino, rounds: Rounds
    ) -> None:
        """For one operator, for all, and for one player: with pages of three."""
        alice = casino.first.session
        whose: list[dict[str, Any]] = [
            {"operator_id": alice.operator_id},
            {"operator_id": EVERY_OPERATOR},
            {"operator_id": alice.operator_id, "player_key": alice.player_key},
        ]
        values = list(casino.values())
        pairs = [dict(pair) for pair in itertools.combinations(values, 2) if pair[0][0] != pair[1][0]]
        tried = 0
        for tenant, asked in itertools.product(
            whose, [{}, *({name: value} for name, value in values), *pairs]
        ):
            wanted = RoundFilter(**tenant, **asked)
            expected = casino.passing(wanted)
            assert await listed(rounds, wanted, limit=3) == expected, wanted
            tried += bool(expected)
        assert tried > 100, "the filters pass next to nothing, and say next to nothing"

    async def test_no_operator_sees_anothers_rounds(self, casino: Casino, rounds: Rounds) -> None:
        theirs = casino.second.session
        wanted = RoundFilter(operator_id=casino.first.session.operator_id, player_key=theirs.player_key)
        assert await listed(rounds, wanted, limit=10) == []

    async def test_a_search_for_little_says_where_it_goes_on(self, casino: Casino, rounds: Rounds) -> None:
        wanted = RoundFilter(operator_id=EVERY_OPERATOR, game_id="none")
        part = await rounds.page(wanted, limit=10)
        assert part.rounds == []
        assert part.following is not None
        assert part.reached in {view.created_at for view in casino.rounds}

    async def test_an_operators_page_over_http_is_full_all_the_same(
        self, casino: Casino, own: Database
    ) -> None:
        """As GET /v1/operator/rounds asks: a short page is the last one."""
        wanted = RoundFilter(operator_id=casino.first.session.operator_id, state=RoundState.SETTLED)
        wanted = replace(wanted, win_at_least=50)
        expected = casino.passing(replace(wanted, demo=False))
        found, following = await history.page(own.pool, wanted, before=None, limit=len(expected))
        assert ([view.key.round_id for view in found], following) == (expected, None)
        found, following = await history.page(own.pool, wanted, before=None, limit=1)
        assert ([view.key.round_id for view in found], following is None) == (expected[:1], False)


class TestMoments:
    async def test_a_span_is_found_by_halves_as_by_looking_at_each(
        self, casino: Casino, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From every moment to every later one, of one operator and of all."""
        monkeypatch.setattr(history, "APART", timedelta(0))
        moments = sorted({view.created_at for view in casino.rounds})[::3]
        far = timedelta(days=1)
        moments = [moments[0] - far, *moments, moments[-1] + far]
        for tenant in (casino.first.session.operator_id, EVERY_OPERATOR):
            for since, until in itertools.combinations(moments, 2):
                wanted = RoundFilter(operator_id=tenant, since=since, until=until)
                assert await listed(rounds, wanted, limit=100) == casino.passing(wanted)

    async def test_the_clock_may_have_been_set_by_less_than_a_minute(
        self, casino: Casino, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the search reads is wider than what was asked for: it is asked of each round again."""
        asked: list[datetime] = []
        by_halves = history._last_before

        async def noted(pool: Any, path: Any, moment: datetime) -> int | None:
            asked.append(moment)
            return await by_halves(pool, path, moment)

        monkeypatch.setattr(history, "_last_before", noted)
        newest, oldest = casino.rounds[0].created_at, casino.rounds[-1].created_at
        wanted = RoundFilter(operator_id=EVERY_OPERATOR, since=oldest, until=newest)
        await rounds.page(wanted, limit=1)
        assert asked == [oldest - timedelta(minutes=1), newest + timedelta(minutes=1)]


async def test_a_player_is_found_by_the_operators_name_of_them(casino: Casino, rounds: Rounds) -> None:
    own = casino.first.session
    assert await rounds.player_key(own.operator_id, "alice", demo=False) == own.player_key
    assert await rounds.player_key(own.operator_id, "nobody", demo=False) == NO_KEY
    assert await rounds.has_operator(own.operator_id)
    assert not await rounds.has_operator("nobody")
