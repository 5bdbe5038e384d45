"""One case under way: it makes the calls of one seat, compares balances, and keeps what it finds."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from certification.caller import Ask, Caller, Reply

# Minor units. Small, so that a test player needs little; different, so that a sum tells what moved.
STAKE: Final = 10
WIN: Final = 25
FINDINGS_LIMIT: Final = 10
FIT_THE_PAGE: Final = "Answer with a status, a code and a body that docs/platform/wallet.md has."


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Who plays. What is None was not given, and what needs it is not asked."""

    operator_id: str
    player_id: str
    session_id: str
    currency: str
    game_id: str
    other_player_id: str | None = None
    other_session_id: str | None = None
    ended_session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it has to be. All are bounded lines without secrets."""

    expected: str
    came: str
    next: str
    request: str
    answer: str


class Ended(Exception):
    """The case cannot go on; the finding that says why is kept."""


@dataclass(slots=True)
class Trial:
    """`remedy` is what to do about a finding of this case."""

    caller: Caller
    seat: Seat
    remedy: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    # What can be asked

    def balance_ask(self, player_id: str | None = None) -> Ask:
        return Ask("balance", self._subject(player_id))

    def authenticate_ask(self) -> Ask:
        return Ask("authenticate", self._subject(None))

    def bet(self, amount: int = STAKE, **fields: Any) -> Ask:
        """With ids of its own unless they are given."""
        return Ask("bet", {**self._movement(), "amount": amount, **fields})

    def win(self, of: Ask | None, amount: int = WIN, **fields: Any) -> Ask:
        """The win of a bet, or one by promotion."""
        bet_id = of.body["transaction_id"] if of else None
        round_ = {"round_id": of.body["round_id"]} if of else {}
        body = {**self._movement(), **round_, "amount": amount, "bet_transaction_id": bet_id, **fields}
        return Ask("win", body)

    def rollback(self, of: Ask, **fields: Any) -> Ask:
        ids = {"round_id": of.body["round_id"], "bet_transaction_id": of.body["transaction_id"]}
        return Ask("rollback", {**self._movement(), **ids, **fields})

    def as_other(self, ask: Ask) -> Ask:
        """The same of the other player."""
        return ask.but(player_id=self.seat.other_player_id, session_id=self.seat.other_session_id)

    def _subject(self, player_id: str | None) -> dict[str, Any]:
        other = player_id is not None and player_id == self.seat.other_player_id
        return {
            "operator_id": self.seat.operator_id,
            "player_id": player_id or self.seat.player_id,
            "session_id": self.seat.other_session_id if other else self.seat.session_id,
            "currency": self.seat.currency,
        }

    def _movement(self) -> dict[str, Any]:
        return {
            **self._subject(None),
            "transaction_id": str(uuid4()),
            "round_id": f"certify-{uuid4().hex}",
            "game_id": self.seat.game_id,
        }

    # Asking

    async def taken(self, ask: Ask, *, balance: int | None = None, duplicate: bool = False) -> Reply:
        """Expects 200, with that balance where one is given."""
        reply = await self.caller.call(ask)
        self.expect_taken(reply, balance=balance, duplicate=duplicate)
        return reply

    async def refused(self, ask: Ask, *codes: str, balance: int | None = None) -> Reply:
        """Expects a refusal with one of the codes, and with that balance where one is given."""
        reply = await self.caller.call(ask)
        self.expect_refused(reply, *codes, balance=balance)
        return reply

    async def together(self, asks: Iterable[Ask]) -> list[Reply]:
        """All at once, as far as a wallet has to take them at once."""
        return await asyncio.gather(*(self.caller.call(ask) for ask in asks))

    async def balance(self, player_id: str | None = None) -> int:
        """Raises Ended when the wallet does not say it."""
        reply = await self.caller.call(self.balance_ask(player_id))
        if reply.balance is None or not self.expect_taken(reply):
            raise Ended
        return reply.balance

    @asynccontextmanager
    async def moving(self, amount: int, player_id: str | None = None) -> AsyncIterator[int]:
        """What the block does must change the balance by exactly `amount`; the block gets the one before."""
        before = await self.balance(player_id)
        yield before
        reply = await self.caller.call(self.balance_ask(player_id))
        if self.expect_taken(reply) and reply.balance != before + amount:
            whose = " of the other player" if player_id == self.seat.other_player_id else ""
            moves = f"it moves {amount:+}" if amount else "nothing moves"
            self.find(f"a balance{whose} of {before + amount} after {before}: {moves}", reply)

    # Judging

    def expect_taken(self, reply: Reply, *, balance: int | None = None, duplicate: bool = False) -> bool:
        """Returns whether it was."""
        fits = (
            reply.taken
            and reply.duplicate == duplicate
            and reply.currency == self.seat.currency
            and balance in (None, reply.balance)
        )
        if not fits:
            known = "" if balance is None else f", balance {balance}"
            repeat = ", duplicate true" if duplicate else ""
            self.find(f"200{known}, currency {self.seat.currency}{repeat}", reply)
        return fits

    def expect_refused(self, reply: Reply, *codes: str, balance: int | None = None) -> bool:
        """Returns whether it was."""
        fits = reply.problem is None and reply.code in codes and balance in (None, reply.balance)
        if not fits:
            known = "" if balance is None else f", balance {balance}"
            self.find(f"refused: {' or '.join(codes)}{known}", reply)
        return fits

    def expect_certain(self, reply: Reply) -> None:
        """Taken or refused, but in words of the protocol."""
        if reply.problem is not None:
            self.find("an answer that the protocol has", reply)

    def find(self, expected: str, reply: Reply, came: str | None = None) -> None:
        """Keeps the first few. `came` is what the reply says, where its own words are not it."""
        if len(self.findings) == FINDINGS_LIMIT:
            return
        self.findings.append(
            Finding(
                # Both may quote what the wallet said.
                expected=self.caller.shown(expected),
                came=self.caller.shown(came or reply.problem or outcome(reply)),
                next=FIT_THE_PAGE if reply.problem else self.remedy,
                request=reply.request,
                answer=reply.answer,
            )
        )


def outcome(reply: Reply) -> str:
    """What an answer said, in a few words."""
    if reply.beyond:
        return f"{reply.beyond} bytes more, after {reply.status} and its body"
    known = "" if reply.balance is None else f", balance {reply.balance}"
    if not reply.taken:
        return f"refused: {reply.code}{known}"
    return f"200{known}, currency {reply.currency}, duplicate {str(reply.duplicate).lower()}"
