"""Who of a process's sockets hears of what: pushes come in by their ids, and what they say is read from the
ledger."""

import asyncio
import logging
from collections import defaultdict
from typing import Final, Protocol

from api.gateway.problems import DATABASE_AWAY
from api.result.service import ResultService
from contracts.rounds import RoundKey
from contracts.sessions import SessionClaims
from contracts.views import RoundView
from events.pushes import PlayerName, Push, PushLink, RoundChanged, SessionEnded

# More than these wait only when the database does not answer; then sockets are told that they missed some.
WAITING_LIMIT: Final = 2_000

log = logging.getLogger(__name__)


class Follower(Protocol):
    """A socket. Its methods return at once and raise nothing."""

    @property
    def claims(self) -> SessionClaims: ...
    def knows_the_end_of(self, round_id: str) -> bool:
        """Whether it was told how the round ended."""

    def tell_round(self, view: RoundView) -> None: ...
    def tell_session_ended(self) -> None: ...
    def tell_missed(self) -> None:
        """Pushes may have been missed."""


class Pushes:
    """The followers of one process, by player and by session."""

    def __init__(self, amqp_url: str, results: ResultService) -> None:
        self._results = results
        self._followers: defaultdict[PlayerName, set[Follower]] = defaultdict(set)
        self._waiting: asyncio.Queue[Push] = asyncio.Queue(WAITING_LIMIT)
        self._link = PushLink(amqp_url, self._take, self._tell_missed)
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._link.start()
        self._reader = asyncio.create_task(self._read_on(), name="pushes to sockets")

    async def close(self) -> None:
        await self._link.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def join(self, follower: Follower) -> None:
        """Whatever happens to the player's rounds after this has returned, the follower is told, as long as
        the broker is there. So join first, and then read how things stand."""
        player = _player(follower.claims)
        self._followers[player].add(follower)
        await self._link.follow(player)

    def leave(self, follower: Follower) -> None:
        player = _player(follower.claims)
        followers = self._followers.get(player, set())
        followers.discard(follower)
        if not followers and self._followers.pop(player, None) is not None:
            self._link.unfollow(player)

    def round_changed(self, view: RoundView) -> None:
        """Tells all processes of a change that no event tells of."""
        player = PlayerName(operator_id=view.key.operator_id, player_id=view.player_id)
        self._link.tell_round(player, view.key.round_id)

    def session_ended(self, session_id: str) -> None:
        """Tells all processes."""
        self._link.tell_session_ended(session_id)

    def _take(self, push: Push) -> None:
        try:
            self._waiting.put_nowait(push)
        except asyncio.QueueFull:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            log.warning("pushes: more waited than can be kept")
            self._tell_missed()

    def _tell_missed(self) -> None:
        for followers in tuple(self._followers.values()):
            for follower in tuple(followers):
                follower.tell_missed()

    async def _read_on(self) -> None:
        """One after the other: they are few, for what a socket got as its own answer is not read again."""
        while True:
            push = await self._waiting.get()
            try:
                await self._tell(push)
            except Exception:
                log.exception("a push was not delivered")

    async def _tell(self, push: Push) -> None:
        match push:
            case SessionEnded(session_id=session_id):
                for followers in tuple(self._followers.values()):
                    for follower in tuple(followers):
                        if follower.claims.session_id == session_id:
                            follower.tell_session_ended()
            case RoundChanged():
                await self._tell_round(push)

    async def _tell_round(self, push: RoundChanged) -> None:
        """A player's name is also that of the one who plays for play money, whose rounds are others."""
        told: defaultdict[RoundKey, list[Follower]] = defaultdict(list)
        for follower in self._followers.get(push.player, ()):
            if not (push.final and follower.knows_the_end_of(push.round_id)):
                told[_key(follower.claims, push.round_id)].append(follower)
        for key, followers in told.items():
            await self._tell_round_of(key, followers)

    async def _tell_round_of(self, key: RoundKey, followers: list[Follower]) -> None:
        try:
            view = await self._results.find(key)
        except DATABASE_AWAY as error:
            log.warning("a push could not be read: %s", type(error).__name__)
            for follower in followers:
                follower.tell_missed()
            return
        if view is not None:  # else it is the other one's, or was made up by somebody
            for follower in followers:
                follower.tell_round(view)


def _player(claims: SessionClaims) -> PlayerName:
    return PlayerName(operator_id=claims.operator_id, player_id=claims.player_id)


def _key(claims: SessionClaims, round_id: str) -> RoundKey:
    return RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=round_id)
