"""Whether what a game paid lies where its mathematics would have it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from math import isclose, sqrt
from typing import Any, Final

import pytest

from games.checks import play_round
from games.draws import HmacDraws
from games.protocol import Game, Wager
from games.registry import Registry
from overview.games import Band, expected
from overview.returns import return_of
from storage.game_figures import Played

GAMES: Final = Registry.load()
ROUNDS: Final = 2_000
WAGERS: Final = {
    "dice": [
        Wager(stake=100, choice={"direction": "over", "target": 4_999}),
        Wager(stake=1_000, choice={"direction": "under", "target": 9_000}),
    ],
    "fruit-lines": [Wager(stake=100), Wager(stake=500)],
}


def played(game: Game, stake: int, choice: dict[str, Any] | None, wins: list[int], **changes: Any) -> Played:
    """Rounds that were bet alike, and won that much."""
    found = Played(
        game_id=game.id,
        game_version=game.version,
        mode="base",
        currency="EUR",
        stake=stake,
        choice=choice,
        rounds=len(wins),
        extra=0,
        won=sum(wins),
        staked_squared=stake**2 * len(wins),
        won_squared=sum(win**2 for win in wins),
        staked_by_won=sum(stake * win for win in wins),
        since=datetime(2026, 11, 27, tzinfo=UTC),
    )
    return replace(found, **changes)


def really_played(game: Game) -> Iterator[Played]:
    wagers = WAGERS[game.id]
    results = [(n % len(wagers), _win(game, wagers[n % len(wagers)], n)) for n in range(ROUNDS)]
    for index, found in groupby(sorted(results), key=lambda result: result[0]):
        wager = wagers[index]
        yield played(game, wager.stake, wager.choice, [win for _, win in found])


def _win(game: Game, wager: Wager, nonce: int) -> int:
    draws = HmacDraws(server_seed=bytes(range(32)), client_seed="croupier", nonce=nonce)
    return play_round(game, wager, draws).win


class TestExpected:
    def test_weighs_each_bet_by_its_stake(self) -> None:
        dice = GAMES.get("dice")
        even, sure = ({"direction": "under", "target": count} for count in (5_000, 9_800))
        bets = [(100, even, 3), (2_000, sure, 1)]
        found = expected([played(dice, stake, choice, [0] * n) for stake, choice, n in bets])
        assert found is not None
        staked, won, squares = 0, Fraction(0), Fraction(0)
        for stake, choice, n in bets:
            one = return_of(dice, stake, choice)
            assert one is not None
            assert one.variance is not None
            staked, won = staked + stake * n, won + one.mean * stake * n
            squares += one.variance * stake**2 * n
        assert (found.mean, found.by_maths) == (won / staked, True)
        # The deviation of a mean of four rounds, in mean stakes, is half that of one round.
        assert isclose(found.deviation / 2, sqrt(squares) / staked)

    @pytest.mark.parametrize("game_id", WAGERS)
    def test_has_what_was_really_played_in_its_band(self, game_id: str) -> None:
        rounds = list(really_played(GAMES.get(game_id)))
        found = expected(rounds)
        assert found is not None
        staked, won = sum(one.staked for one in rounds), sum(one.won for one in rounds)
        assert found.band(ROUNDS).verdict(staked, won) == "within its band"
        assert found.band(1_000_000).high - found.band(1_000_000).low < 0.1

    def test_measures_where_players_decide_how_far_a_round_strays(self) -> None:
        game = GAMES.get("lucky-fruits")
        wins = [0, 0, 0, 500]
        found = expected([played(game, 100, None, wins)])
        assert found is not None
        mean = float(found.mean)
        assert not found.by_maths
        assert isclose(found.deviation, sqrt(sum((win / 100 - mean) ** 2 for win in wins) / 4))

    def test_counts_what_actions_cost_as_fair(self) -> None:
        game = GAMES.get("lucky-fruits")
        found = expected([played(game, 100, None, [0, 300], extra=200)])
        one = return_of(game, 100, None)
        assert found is not None
        assert one is not None
        assert found.mean == (200 * one.mean + 200) / 400

    @pytest.mark.parametrize("changes", [{"game_version": "9.9.9"}, {"game_id": "theirs"}])
    def test_is_not_known_where_the_mathematics_of_one_bet_are_not(self, changes: dict[str, Any]) -> None:
        known = played(GAMES.get("fruit-lines"), 100, None, [0])
        assert expected([known]) is not None
        assert expected([known, replace(known, **changes)]) is None
        assert expected([]) is None


class TestBand:
    @pytest.mark.parametrize(
        ("won", "verdict"), [(949, "below its band"), (950, "within its band"), (991, "above its band")]
    )
    def test_says_where_an_actual_return_lies(self, won: int, verdict: str) -> None:
        assert Band(0.95, 0.99).verdict(1_000, won) == verdict
