from typing import Any

import pytest

from games.checks import check_wager
from games.protocol import Wager
from games.registry import Registry
from verification.check.api_client import NoAnswer, PlayedRound, Refused
from verification.check.playing import CHOICES, PlayLog, Seat, outcome_digest, play_seat

REGISTRY = Registry.load()


@pytest.mark.parametrize("game_id", sorted(CHOICES))
def test_the_bets_of_a_seat_are_taken_by_its_game_and_climb_the_whole_ladder(game_id: str) -> None:
    game = REGISTRY.get(game_id)
    player: Any = None
    seat = Seat(
        name="seat",
        player_id="p",
        player=player,
        game=REGISTRY.describe(game_id),
        currency="EUR",
        rounds=100,
    )
    bets = [seat.bet(number) for number in range(100)]
    for bet in bets:
        check_wager(game, Wager(stake=bet["stake"], choice=bet.get("choice")))
    assert {bet["stake"] for bet in bets} == set(game.stakes)
    assert len({bet["round_id"] for bet in bets}) == 100


def test_digests_of_outcomes_do_not_depend_on_the_order_of_keys() -> None:
    assert outcome_digest({"a": 1, "b": [2]}) == outcome_digest({"b": [2], "a": 1})
    assert outcome_digest({"a": 1}) != outcome_digest({"a": 2})


def test_percentiles_are_in_milliseconds_and_none_without_rounds() -> None:
    played = PlayLog()
    assert played.percentile_ms(50) is None
    played.latencies_s.extend(number / 1000 for number in range(1, 101))
    assert played.percentile_ms(50) == 50.0
    assert played.percentile_ms(99) == 99.0


class FakeCasino:
    """A player's connection that answers as a test wants it; by default as it should be."""

    def __init__(self, **flaws: bool) -> None:
        self._flaws = flaws
        self._answers: dict[str, Any] = {}

    async def bet(self, round_id: str, stake: int, choice: Any = None) -> PlayedRound:
        known = round_id in self._answers
        if self._flaws.get("silent"):
            raise NoAnswer("nothing came")
        if not known or self._flaws.get("plays_repeats"):
            self._answers[round_id] = round_body(round_id, stake, win=len(self._answers))
        return PlayedRound(self._answers[round_id], known and not self._flaws.get("hides_repeats"), 1)

    async def try_bet(self, body: Any) -> PlayedRound:
        if self._flaws.get("takes_all"):
            return PlayedRound(round_body(body["round_id"], 100, win=0), False, 1)
        code = "invalid" if self._flaws.get("knows_one_code") else "id-reused"
        raise Refused(422, {"code": code})


def round_body(round_id: str, stake: int, *, win: int) -> dict[str, Any]:
    return {
        "round_id": round_id,
        "state": "settled",
        "game": {"id": "dice", "version": "1.0.0"},
        "mode": "base",
        "stake": {"amount": stake, "currency": "EUR"},
        "win": {"amount": win, "currency": "EUR"},
        "balance": {"amount": 1, "currency": "EUR"},
        "sequence": 1,
        "outcome": {"roll": win},
        "fairness": {"server_seed_hash": "h", "client_seed": "c", "nonce": 0},
    }


async def played_at(casino: FakeCasino) -> PlayLog:
    player: Any = casino
    game = REGISTRY.describe("dice")
    played, calls = PlayLog(), []
    seat = Seat(name="seat", player_id="p", player=player, game=game, currency="EUR", rounds=7)
    await play_seat(seat, played, lambda: calls.append(1))
    assert len(calls) == 7
    return played


async def test_an_honest_casino_gives_nothing_to_report() -> None:
    played = await played_at(FakeCasino())
    assert [tally.name for tally in played.tallies() if tally.count] == []
    assert len(played.answers) == len(played.latencies_s) == 7
    assert (played.repeated, played.refused) == (2, 1)


@pytest.mark.parametrize(
    ("flaw", "name"),
    [
        ("silent", "bets-answered"),
        ("plays_repeats", "repeats-equal-first"),
        ("hides_repeats", "repeats-equal-first"),
        ("takes_all", "bad-bets-refused"),
        ("knows_one_code", "bad-bets-refused"),
    ],
)
async def test_what_a_casino_does_wrong_is_named(flaw: str, name: str) -> None:
    played = await played_at(FakeCasino(**{flaw: True}))
    assert [tally.name for tally in played.tallies() if tally.count] == [name]
