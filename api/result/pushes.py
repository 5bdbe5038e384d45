"""Delivers pushes to the sockets of this process: a push brings ids, and its round is read from the
ledger."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from api.gateway.problems import DATABASE_AWAY
from api.result.service import ResultService
from contracts.rounds import RoundKey
from contracts.sessions import SessionClaims
from contracts.views import RoundView
from events.pushes import PlayerName, Push, PushLink, RoundChanged, SessionEnded

# More than these wait only when the database does not answer. Then sockets get a resync.
WAITING_LIMIT: Final = 2_000

log = logging.getLogger(__name__)


class Follower(Protocol):
    """A socket, or a request that waits for its round. Its methods return at once and raise nothing."""

    @property
    def claims(self) -> SessionClaims: ...
    def knows_the_end_of(self, round_id: str) -> bool:
        """Returns whether the socket has the round's end."""

    def push_round(self, view: RoundView) -> None: ...
    def push_session_ended(self) -> None: ...
    def push_missed(self) -> None:
        """Pushes may have been missed."""


class Pushes:
    """The followers of one process, by player and by session."""

    def __init__(self, amqp_url: str, results: ResultService) -> None:
        self._results = results
        self._followers: defaultdict[PlayerName, set[Follower]] = defaultdict(set)
        self._waiting: asyncio.Queue[Push] = asyncio.Queue(WAITING_LIMIT)
        self._link = PushLink(amqp_url, self._take, self._push_missed)
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
        """Follows the player. While the broker is there, every change of the player's rounds after the return
        is pushed: so join first, and read the present state after it."""
        player = _player(follower.claims)
        self._followers[player].add(follower)
        await self._link.follow(player)

    @contextmanager
    def following(self, follower: Follower) -> Iterator[None]:
        """Follows the player inside the block, without waiting until pushes arrive: the follower is told that
        some may have been missed when they do, and at once where there is no broker."""
        player = _player(follower.claims)
        self._followers[player].add(follower)
        self._link.follow_soon(player, follower.push_missed)
        try:
            yield
        finally:
            self.leave(follower)

    def leave(self, follower: Follower) -> None:
        player = _player(follower.claims)
        followers = self._followers.get(player, set())
        followers.discard(follower)
        if not followers and self._followers.pop(player, None) is not None:
            self._link.unfollow(player)

    def round_changed(self, view: RoundView) -> None:
        """Pushes a change without an event to all processes."""
        player = PlayerName(operator_id=view.key.operator_id, player_id=view.player_id)
        self._link.push_round(player, view.key.round_id)

    def session_ended(self, session_id: str) -> None:
        """Pushes the end of a session to all processes."""
        self._link.push_session_ended(session_id)

    def _take(self, push: Push) -> None:
        try:
            self._waiting.put_nowait(push)
        except asyncio.QueueFull:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            log.warning("pushes: more waited than can be kept")
            self._push_missed()

    def _push_missed(self) -> None:
        for followers in tuple(self._followers.values()):
            for follower in tuple(followers):
                follower.push_missed()

    async def _read_on(self) -> None:
        """Delivers pushes one after the other. They are few: a socket's own answers are not read again."""
        while True:
            push = await self._waiting.get()
            try:
                await self._deliver(push)
            except Exception:
                log.exception("a push was not delivered")

    async def _deliver(self, push: Push) -> None:
        match push:
            case SessionEnded(session_id=session_id):
                for followers in tuple(self._followers.values()):
                    for follower in tuple(followers):
                        if follower.claims.session_id == session_id:
                            follower.push_session_ended()
            case RoundChanged():
                await self._push_round(push)

    async def _push_round(self, push: RoundChanged) -> None:
        """Finds the round's followers. A player with demo money has the same name, and other rounds."""
        due: defaultdict[RoundKey, list[Follower]] = defaultdict(list)
        for follower in self._followers.get(push.player, ()):
            if not (push.final and follower.knows_the_end_of(push.round_id)):
                due[_key(follower.claims, push.round_id)].append(follower)
        for key, followers in due.items():
            await self._push_round_to(key, followers)

    async def _push_round_to(self, key: RoundKey, followers: list[Follower]) -> None:
        try:
            view = await self._results.find(key)
        except DATABASE_AWAY as error:
            log.warning("a push could not be read: %s", type(error).__name__)
            for follower in followers:
                follower.push_missed()
            return
        if view is not None:  # else it is the other player's, or the push is forged
            for follower in followers:
                follower.push_round(view)


def _player(claims: SessionClaims) -> PlayerName:
    return PlayerName(operator_id=claims.operator_id, player_id=claims.player_id)


def _key(claims: SessionClaims, round_id: str) -> RoundKey:
    return RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=round_id)
