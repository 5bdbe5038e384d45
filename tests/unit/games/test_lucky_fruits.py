"""Lucky Fruits returns what it states, offers what its rules say, and a released version never changes."""

import hashlib
import json
from fractions import Fraction

import pytest

from games.checks import ActionRefused, play_round
from games.draws import HmacDraws
from games.fruit_lines import GAME as FRUIT_LINES
from games.lucky_fruits import FREE_SPINS, GAME
from games.maths import solve
from games.protocol import Chosen, Step, Wager

SEED = bytes(range(32))
WAGER = Wager(stake=100)
COLLECT = Chosen(action="collect")


def play(nonce: int, *actions: Chosen) -> Step:
    draws = HmacDraws(server_seed=SEED, client_seed="croupier", nonce=nonce)
    return play_round(GAME, WAGER, draws, actions)


def pick(spins: int) -> Chosen:
    return Chosen(action="pick", params={"spins": spins})


def bet_on(color: str, action: str) -> Chosen:
    return Chosen(action=action, params={"color": color})


def first(wanted: str) -> int:
    """The first nonce whose paid spin ends as is wanted: "nothing", "win" or "stars"."""
    for nonce in range(10_000):
        step = play(nonce)
        names = [] if step.offer is None else [choice.action for choice in step.offer.choices]
        found = "stars" if "pick" in names else "win" if names else "nothing"
        if found == wanted:
            return nonce
    raise AssertionError(f"no round ends in {wanted}")


class TestLuckyFruitsMaths:
    def test_returns_what_the_docstring_states(self) -> None:
        exact = solve(FRUIT_LINES)
        assert {spins * by for spins, by in FREE_SPINS.items()} == {18}
        rtp = exact.paid_spin_rtp * (1 + 18 * exact.feature_rate)
        assert rtp == Fraction(1_220_057_311, 1_265_625_000)

    def test_never_comes_near_its_largest_win_by_spins_alone(self) -> None:
        # Fruit Lines reaches its largest win with 24 free spins that pay double: 49 times its best spin.
        best_spin = solve(FRUIT_LINES).reachable / 49
        assert 19 * best_spin < GAME.max_win / 2

    @pytest.mark.parametrize("action", ["gamble", "raise"])
    def test_gambles_are_fair(self, action: str) -> None:
        nonce = first("win")
        before = play(nonce)
        assert before.offer is not None
        cost = next(choice.debit for choice in before.offer.choices if choice.action == action)
        after = [play(nonce, bet_on(color, action)).win for color in ("red", "black")]
        assert sum(after) == 2 * (before.win + cost)


class TestLuckyFruits:
    def test_a_spin_that_wins_nothing_is_final(self) -> None:
        step = play(first("nothing"))
        assert (step.offer, step.win) == (None, 0)

    def test_stars_wait_for_the_pick_of_the_free_spins(self) -> None:
        nonce = first("stars")
        offered = play(nonce).offer
        assert offered is not None
        assert [choice.params for choice in offered.choices] == [{"spins": [18, 9, 6]}]
        assert offered.default == pick(18)
        for spins, multiplier in FREE_SPINS.items():
            played = play(nonce, pick(spins)).outcome
            assert (played["picked"], len(played["spins"])) == (spins, 1 + spins)
            assert {spin["multiplier"] for spin in played["spins"][1:]} == {multiplier}
            assert played["total"] == sum(spin["win"] for spin in played["spins"])

    def test_a_win_is_collected_or_gambled_three_times_at_most(self) -> None:
        nonce = first("win")
        actions: list[Chosen] = []
        while (step := play(nonce, *actions)).offer is not None and len(actions) < 9:
            won = next(
                chosen
                for chosen in (bet_on("red", "gamble"), bet_on("black", "gamble"))
                if play(nonce, *actions, chosen).win > 0
            )
            actions.append(won)
        assert (len(actions), step.win) == (3, 8 * play(nonce).win)
        assert play(nonce, COLLECT) == Step(outcome=play(nonce).outcome, win=play(nonce).win)

    def test_the_wrong_color_ends_a_gamble_and_only_costs_a_raise(self) -> None:
        nonce = first("win")
        lost = [play(nonce, bet_on(color, "gamble")) for color in ("red", "black")]
        assert sorted(step.win for step in lost)[0] == 0
        assert all(step.offer is None for step in lost if step.win == 0)
        kept = min((play(nonce, bet_on(color, "raise")) for color in ("red", "black")), key=lambda s: s.win)
        assert kept.win == play(nonce).win

    @pytest.mark.parametrize(
        "actions",
        [[pick(18)], [bet_on("green", "gamble")], [COLLECT, COLLECT], [Chosen(action="gamble")]],
    )
    def test_what_is_not_offered_is_refused(self, actions: list[Chosen]) -> None:
        with pytest.raises(ActionRefused):
            play(first("win"), *actions)

    def test_never_changes_once_released(self) -> None:
        # When this fails, rounds that were already played could no longer be verified: see test_fruit_lines.
        digest = hashlib.sha256()
        for nonce in range(500):
            actions: list[Chosen] = []
            while (step := play(nonce, *actions)).offer is not None:
                gamble = bet_on("red", "gamble")
                actions.append(step.offer.default if step.offer.find(gamble) is None else gamble)
            digest.update(json.dumps([step.outcome, step.win], sort_keys=True).encode())
        assert (GAME.version, digest.hexdigest()) == (
            "1.0.0",
            "47bd70dbc616063a17607ac2b1dd5c948d8087a2a97ebfa530c198817646ff61",
        )
