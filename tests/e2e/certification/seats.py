"""Operators and players: money in our ledger or in an operator's wallet, and the same questions to both."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from contracts.rounds import RoundKey
from contracts.wallet import WalletCall, WalletRequest
from operator_wallet.faults import Kind
from storage import rounds
from tests.e2e.certification.terms import BET, NEARLY_ALWAYS, NEARLY_NEVER, OPENING, ROLLBACK, TAKES_NO_WIN
from tests.e2e.parties import Operator, Player, checked_round, every_page
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet
from wallet.operator import transaction_id

FINAL: Final = ("settled", "declined", "void")
TRIES: Final = 40
ATTEMPTS: Final = """
    SELECT verdict, code, amount FROM wallet_attempts WHERE player_key = $1 AND call = $2 ORDER BY id
"""

Move = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Operators:
    """Operators with one and the same wallet. `hasty` soon gives a call up, `stranger` signs with a secret
    that the wallet does not know, `tampered` has somebody on the line, `counted` is one test's own, `other`
    is one more like `usual`."""

    usual: Operator
    hasty: Operator
    stranger: Operator
    tampered: Operator
    counted: Operator
    other: Operator


@dataclass(frozen=True, slots=True)
class Seat:
    """A player at the dice with OPENING minor units, in our ledger when `wallet` is None."""

    player: Player
    wallet: RunningWallet | None

    @property
    def owner(self) -> tuple[str, str]:
        return self.player.operator.operator_id, self.player.player_id

    async def money(self) -> int:
        """What the player has where the money is kept, in minor units."""
        if self.wallet is None:
            return await self.player.balance()
        account = self.wallet.book.player(*self.owner)
        assert account is not None
        return account.balance

    async def moves(self, round_id: str) -> list[Move]:
        """What the round did to the player's money, in order, in the wallet's words for it."""
        if self.wallet is not None:
            operator_id, player_id = self.owner
            entries = self.wallet.book.statement(
                operator_id=operator_id, player_id=player_id, round_id=round_id
            )
            return [(entry.call, entry.moved) for entry in entries if entry.moved]
        words = {"stake": "bet", "win": "win"}
        return [
            (words[entry["kind"]], entry["amount"]["amount"])
            for entry in reversed(await self.statement())
            if entry["reference"] == round_id
        ]

    async def statement(self) -> list[dict[str, Any]]:
        """Every posting of the player in our ledger, newest first."""
        path = f"/players/{self.player.player_id}/statement"
        return await every_page(
            lambda cursor: self.player.operator.call("GET", path, params={"limit": 100, **cursor})
        )

    async def end_of(self, round_id: str) -> dict[str, Any]:
        """The round once it is final."""

        async def final() -> dict[str, Any] | None:
            response = await self.player.call("GET", f"/rounds/{round_id}")
            if response.status_code != 200 or response.json()["state"] not in FINAL:
                return None
            return checked_round(response)

        found = await until(final)
        assert found is not None
        return found

    async def round(self, round_id: str) -> dict[str, Any]:
        response = await self.player.call("GET", f"/rounds/{round_id}")
        assert response.status_code == 200, response.text
        return checked_round(response)

    async def open_round(self) -> str | None:
        """What the session says that there is to resume."""
        found: str | None = (await self.player.call("GET", "/session")).json()["open_round"]
        return found

    async def won(self) -> dict[str, Any]:
        """A round that paid."""
        return await self._played_until(NEARLY_ALWAYS, lambda win: win > 0)

    async def lost(self) -> dict[str, Any]:
        """A round that paid nothing."""
        return await self._played_until(NEARLY_NEVER, lambda win: win == 0)

    async def _played_until(self, choice: dict[str, Any], fits: Callable[[int], bool]) -> dict[str, Any]:
        for _ in range(TRIES):
            played = await self.player.played(choice=choice)
            if fits(played["win"]["amount"]):
                return played
        raise AssertionError(f"{TRIES} rounds at such odds are no chance")

    async def assert_square(self, *played: dict[str, Any]) -> None:
        """These are all rounds that moved money or tried to: each moved what its end says, once; the money is
        what is left; and nothing of it is held in our ledger, or kept there for the wallet."""
        for round_ in played:
            moves = await self.moves(round_["round_id"])
            assert moves in _right_moves(round_), (moves, round_)
        history = {r["round_id"]: r for r in await self.player.history() if r["state"] != "declined"}
        assert history == {r["round_id"]: r for r in played if r["state"] != "declined"}
        left = OPENING + sum(sum(moved for _, moved in _right_moves(round_)[0]) for round_ in played)
        assert await self.money() == left
        assert await self.in_custody() == ((left, 0) if self.wallet is None else (0, 0))

    async def in_custody(self) -> tuple[int, int]:
        """The balance of the player's account in our ledger, and what of it is held."""
        row = await self.player.operator.gateway.database.pool.fetchrow(
            "SELECT balance, held FROM accounts WHERE id = $1", self.player.claims.account_id
        )
        return row["balance"], row["held"]

    async def attempts(self, call: WalletCall) -> list[tuple[str, str | None, int | None]]:
        """What the wallet was told by this call, for all of the player's rounds: verdict, code, amount."""
        rows = await self.player.operator.gateway.database.pool.fetch(
            ATTEMPTS,
            self.player.claims.player_key,
            call.value,
        )
        return [(row["verdict"], row["code"], row["amount"]) for row in rows]

    def key(self, round_id: str) -> RoundKey:
        return self.player.round_key(round_id)

    def roll_back_at_wallet(self, round_id: str) -> None:
        """Somebody rolls the bet back at the wallet, behind our back."""
        assert self.wallet is not None
        operator_id, player_id = self.owner
        self.wallet.book.rollback(
            WalletRequest(
                call=ROLLBACK,
                operator_id=operator_id,
                player_id=player_id,
                session_id=self.player.session_id,
                currency="EUR",
                round_id=round_id,
                game_id="dice",
                transaction_id=str(uuid4()),
                bet_transaction_id=transaction_id(self.key(round_id), BET),
            )
        )


def _right_moves(round_: dict[str, Any]) -> list[list[Move]]:
    """A void round's bet came to nothing, or went and came back."""
    stake, win = round_["stake"]["amount"], round_["win"]["amount"]
    match round_["state"]:
        case "settled":
            return [[("bet", -stake), ("win", win)] if win else [("bet", -stake)]]
        case "void":
            return [[], [("bet", -stake), ("rollback", stake)]]
        case _:
            return [[]]


@asynccontextmanager
async def faults(
    wallet: RunningWallet, *script: tuple[Kind, WalletCall], round_of: RoundKey | None = None, **plan: Any
) -> AsyncIterator[None]:
    """The next calls meet these faults, each once, and in the end all of them have come about."""
    cues: list[dict[str, Any]] = [{"kind": kind, "call": call} for kind, call in script]
    if round_of is not None:
        for cue in cues:
            cue["transaction_id"] = transaction_id(round_of, cue["call"])
    await wallet.set_faults(script=cues, **plan)
    try:
        yield
        for kind, times in Counter(kind for kind, _ in script).items():
            await wallet.until_fired(kind, times)
    finally:
        await wallet.clear_faults()


@asynccontextmanager
async def held_open(seat: Seat, round_id: str) -> AsyncIterator[None]:
    """The round is open inside the block, its stake taken, and settled at its end: held in our ledger, or
    waiting for a wallet that does not take the win."""
    if seat.wallet is None:
        bet, pool = seat.player.stored_bet(round_id), seat.player.operator.gateway.database.pool
        await rounds.reserve(pool, bet)
        try:
            yield
        finally:
            await rounds.settle(pool, bet.key, {"roll": 1}, 250)
        return
    async with faults(seat.wallet, **TAKES_NO_WIN):
        told = await seat.player.bet(round_id)
        assert (told.status_code, told.json()["state"]) == (202, "settling")
        yield
    await seat.end_of(round_id)


async def new_seat(operator: Operator, wallet: RunningWallet | None, **terms: Any) -> Seat:
    """A player nobody has seen before. `terms` are further fields of the request for the session."""
    if wallet is None:
        return Seat(await operator.open_session(balance=OPENING, **terms), None)
    player_id = f"p-{uuid4().hex[:12]}"
    wallet.book.open_player(operator.operator_id, player_id, "EUR", OPENING)
    return Seat(await operator.open_session(player_id, **terms), wallet)
