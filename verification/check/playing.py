"""The players of a check: they play real rounds at once, repeat some bets, and misbehave a little."""

import asyncio
import hashlib
import json
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from verification.check.api_client import CasinoError, Json, OperatorClient, PlayedRound, Player, Refused
from verification.findings import Tally

SEATS: Final = 8  # play at once
CURRENCIES: Final = ("EUR", "USD")
# How the games that we know can be bet on; other games of the listing are left alone.
CHOICES: Final[dict[str, tuple[Json | None, ...]]] = {
    "dice": (
        {"direction": "over", "target": 4999},
        {"direction": "under", "target": 2500},
        {"direction": "over", "target": 8999},
        {"direction": "under", "target": 9500},
    ),
    "fruit-lines": (None,),
    "lucky-fruits": (None,),
}


class Answer(NamedTuple):
    """A settled round in the few words that client, ledger and event have in common, and a few that only
    client and ledger share. Amounts in minor units of `currency`."""

    state: str
    game_id: str
    game_version: str
    mode: str
    currency: str
    stake: int
    win: int
    balance: int | None
    sequence: int | None
    outcome: bytes  # a digest: ten thousand outcomes need not be kept
    server_seed_hash: str | None
    client_seed: str | None
    nonce: int | None


@dataclass(slots=True)
class PlayLog:
    """What the players saw. `answers` are by (player id, round id)."""

    player_ids: list[str] = field(default_factory=list)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    declined: set[tuple[str, str]] = field(default_factory=set)
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    repeated: int = 0
    refused: int = 0
    unanswered: Tally = field(
        default_factory=lambda: Tally("I7", "bets-answered", "each bet that may be played got a final answer")
    )
    changed: Tally = field(
        default_factory=lambda: Tally(
            "I6", "repeats-equal-first", "each repeated bet, also two at once, got the first answer"
        )
    )
    accepted: Tally = field(
        default_factory=lambda: Tally(
            "input", "bad-bets-refused", "each bad bet was refused with its own code and changed no balance"
        )
    )

    def tallies(self) -> tuple[Tally, ...]:
        return self.unanswered, self.changed, self.accepted

    def percentile_ms(self, percent: int) -> float | None:
        """By nearest rank, in milliseconds."""
        if not self.latencies_s:
            return None
        rank = -(-len(self.latencies_s) * percent // 100)  # rounded up
        return round(sorted(self.latencies_s)[rank - 1] * 1000, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A player at a game, with the rounds to be played there."""

    name: str
    player_id: str
    player: Player
    game: Json
    currency: str
    rounds: int

    def bet(self, number: int) -> Json:
        """The seat's bet of this number: the whole ladder and every choice in turn."""
        stakes, choices = self.game["stakes"], CHOICES[self.game["id"]]
        bet = {"round_id": f"{self.name}-{number}", "stake": stakes[number % len(stakes)]}
        choice = choices[number % len(choices)]
        return bet if choice is None else bet | {"choice": choice}


async def play(operator: OperatorClient, run: str, rounds: int, advance: Callable[[], None]) -> PlayLog:
    """Plays `rounds` rounds with players of this run alone; `advance` is called after each.

    Raises CasinoError when not even the tables can be laid; what goes wrong later is in the result.
    """
    played = PlayLog()
    seats = await _take_seats(operator, run, rounds, played)
    await asyncio.gather(*(play_seat(seat, played, advance) for seat in seats))
    await _misbehave(operator, run, seats, played)
    return played


async def _take_seats(operator: OperatorClient, run: str, rounds: int, played: PlayLog) -> list[Seat]:
    """The last player sits at two games at once, with one balance; all others have a seat each."""
    games = [game for game in await operator.games() if game["id"] in CHOICES]
    if not games:
        raise CasinoError("none of the games this check knows is offered")
    seats = min(SEATS, rounds)
    shares = [rounds // seats + (number < rounds % seats) for number in range(seats)]
    return list(
        await asyncio.gather(
            *(_take_seat(operator, run, n, games[n % len(games)], shares[n], played) for n in range(seats))
        )
    )


async def _take_seat(
    operator: OperatorClient, run: str, number: int, game: Json, rounds: int, played: PlayLog
) -> Seat:
    player_number = min(number, SEATS - 2)
    currency = CURRENCIES[player_number // 2 % len(CURRENCIES)]
    player_id = f"check-{run}-{player_number}"
    if player_id not in played.player_ids:
        played.player_ids.append(player_id)
    session = await operator.open_session(player_id, game["id"], currency)
    # Enough for every stake of the ladder, so that no bet is declined by chance.
    await operator.deposit(player_id, f"{run}-{number}", rounds * max(game["stakes"]), currency)
    return Seat(
        name=f"r{run}-{number}",
        player_id=player_id,
        player=operator.player(session),
        game=game,
        currency=currency,
        rounds=rounds,
    )


async def play_seat(seat: Seat, played: PlayLog, advance: Callable[[], None]) -> None:
    """The seat's rounds one after the other; three of seven are repeated, or their id is used again."""
    for number in range(seat.rounds):
        bet = seat.bet(number)
        try:
            match number % 7:
                case 2:
                    await _bet_twice_at_once(seat, bet, played)
                case 0:
                    await _bet_and_repeat(seat, bet, played)
                case 4:
                    await _bet_and_reuse_id(seat, bet, played)
                case _:
                    await _bet(seat, bet, played)
        except CasinoError as error:
            played.unanswered.add(f"round {bet['round_id']}: {error}")
        advance()


async def _bet(seat: Seat, bet: Json, played: PlayLog) -> PlayedRound:
    """Bets, and keeps the answer and how long it took."""
    began = time.perf_counter()
    answer = await seat.player.bet(**bet)
    played.latencies_s.append(time.perf_counter() - began)
    answer = await _decide(seat, answer, played)
    _keep(seat, answer, played)
    return answer


async def _decide(seat: Seat, answer: PlayedRound, played: PlayLog) -> PlayedRound:
    """Takes choices of a round that waits, each of them twice, to the round's end. What it says then stands
    for the bet's first answer."""
    number, round_ = 0, answer.body
    while round_["state"] == "awaiting_choice":
        # First the last one offered that costs no more than the stake did, then the first: to collect.
        dearest, place = (answer.body["stake"]["amount"], -1) if number == 0 else (0, 0)
        choice = [one for one in round_["choices"] if one["debit"]["amount"] <= dearest][place]
        first = await seat.player.act(round_["round_id"], f"a{number}", choice)
        _compare(first, await seat.player.act(round_["round_id"], f"a{number}", choice), played)
        number, round_ = number + 1, first.body
    return answer if number == 0 else PlayedRound(round_, answer.replayed, answer.sent)


def _keep(seat: Seat, answer: PlayedRound, played: PlayLog) -> None:
    if answer.state != "settled":
        played.unanswered.add(f"round {answer.body['round_id']}: {answer.state}, which nobody asked for")
    played.answers[seat.player_id, answer.body["round_id"]] = answer_of(answer.body)


async def _bet_and_repeat(seat: Seat, bet: Json, played: PlayLog) -> None:
    first = await _bet(seat, bet, played)
    _compare(first, await seat.player.bet(**bet), played)


async def _bet_twice_at_once(seat: Seat, bet: Json, played: PlayLog) -> None:
    """One of them makes the round and the other finds it; which is which does not matter."""
    one, other = await asyncio.gather(_bet(seat, bet, played), seat.player.bet(**bet))
    if other.state == "awaiting_choice":  # and the one has ended it meanwhile
        other = await seat.player.bet(**bet)
    elif one.sent == other.sent == 1 and one.replayed == other.replayed:
        played.changed.add(f"round {bet['round_id']}: of two bets at once, both or none were the first")
    _compare(one, other, played, either_first=True)


def _compare(first: PlayedRound, second: PlayedRound, played: PlayLog, *, either_first: bool = False) -> None:
    played.repeated += 1
    if second.body != first.body:
        played.changed.add(f"round {first.body['round_id']}: the repeat has another answer")
    elif not either_first and not second.replayed:
        played.changed.add(f"round {first.body['round_id']}: the repeat passes for a first answer")


async def _bet_and_reuse_id(seat: Seat, bet: Json, played: PlayLog) -> None:
    await _bet(seat, bet, played)
    stakes = seat.game["stakes"]
    other = bet | {"stake": stakes[0] if bet["stake"] != stakes[0] else stakes[1]}
    await _expect(seat.player, other, "id-reused", played)


async def _expect(player: Player, body: Json, code: str, played: PlayLog) -> None:
    """Sends a bet that must be refused with `code`."""
    played.refused += 1
    try:
        answer = await player.try_bet(body)
    except Refused as refused:
        if refused.code != code:
            played.accepted.add(f"bet {body['round_id']}: {refused.code or refused.status}, not {code}")
    except CasinoError as error:
        played.accepted.add(f"bet {body['round_id']}: {error}, not {code}")
    else:
        played.accepted.add(f"bet {body['round_id']}: {answer.state}, not {code}")


async def _misbehave(operator: OperatorClient, run: str, seats: Sequence[Seat], played: PlayLog) -> None:
    """Bad bets at both games, and a player who cannot pay."""
    try:
        for seat in seats[:2]:
            await _send_bad_bets(seat, played)
        await _bet_without_funds(operator, run, seats[0].game, played)
    except CasinoError as error:
        played.accepted.add(f"the bad bets could not be sent: {error}")


async def _send_bad_bets(seat: Seat, played: PlayLog) -> None:
    before = await seat.player.balance()
    good = seat.bet(0)
    bad: tuple[tuple[Json, str], ...] = (
        ({"stake": max(seat.game["stakes"]) + 1}, "stake-not-allowed"),
        ({"stake": -good["stake"]}, "invalid"),
        ({"stake": good["stake"] + 0.5}, "invalid"),
        ({"stake": 10**40}, "invalid"),
        ({"win": 1_000_000}, "invalid"),
        ({"mode": "no-such-mode"}, "invalid"),
        ({"choice": {"direction": "sideways"}}, "unknown-choice"),
    )
    for number, (change, code) in enumerate(bad):
        await _expect(seat.player, good | {"round_id": f"{seat.name}-bad-{number}"} | change, code, played)
    after = await seat.player.balance()
    if after != before:
        played.accepted.add(f"player {seat.player_id}: the balance went from {before} to {after}")


async def _bet_without_funds(operator: OperatorClient, run: str, game: Json, played: PlayLog) -> None:
    """A clear refusal by the ledger: a round that is declined, also when it is asked for again."""
    player_id, currency = f"check-{run}-poor", CURRENCIES[0]
    played.player_ids.append(player_id)
    session = await operator.open_session(player_id, game["id"], currency)
    await operator.deposit(player_id, f"{run}-poor", 1, currency)
    seat = Seat(
        name=f"r{run}-poor",
        player_id=player_id,
        player=operator.player(session),
        game=game,
        currency=currency,
        rounds=1,
    )
    bet = seat.bet(0)
    played.declined.add((player_id, bet["round_id"]))
    await _expect(seat.player, bet, "insufficient-funds", played)
    await _expect(seat.player, bet, "insufficient-funds", played)
    if (left := await seat.player.balance()) != {"amount": 1, "currency": currency}:
        played.accepted.add(f"player {player_id}: a declined bet left {left}")


def answer_of(body: Json) -> Answer:
    """An answer of the API in short."""
    fairness, balance = body["fairness"], body["balance"]
    return Answer(
        state=body["state"],
        game_id=body["game"]["id"],
        game_version=body["game"]["version"],
        mode=body["mode"],
        currency=body["stake"]["currency"],
        stake=body["stake"]["amount"],
        win=body["win"]["amount"],
        balance=None if balance is None else balance["amount"],
        sequence=body["sequence"],
        outcome=outcome_digest(body["outcome"]),
        server_seed_hash=fairness["server_seed_hash"],
        client_seed=fairness["client_seed"],
        nonce=fairness["nonce"],
    )


def outcome_digest(outcome: Any) -> bytes:
    """Equal for equal JSON, whoever printed it."""
    text = json.dumps(outcome, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()
