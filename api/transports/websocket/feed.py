"""One socket's pushes: each state of a round once, and nothing that the socket got as its own answer."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from api.result.schemas import round_body
from contracts.rounds import RoundState
from contracts.sessions import SessionClaims
from contracts.views import RoundView

Message = dict[str, Any]

# How many rounds a socket remembers as sent. One that is forgotten may be sent again, which does no harm.
REMEMBERED: Final = 32
HELD_LIMIT: Final = 200
RESYNC: Final[Message] = {"type": "resync"}


class Feed:
    """A follower of pushes. Until `begin`, pushes are held back, while the socket gets the state at its
    hello.

    A push of a round that the socket has just asked for is held back too. The answer may say the same. When
    it says less, because the round was still pending then, the push follows it.
    """

    def __init__(
        self,
        claims: SessionClaims,
        *,
        push: Callable[[Message], None],
        on_closed: Callable[[RoundView], None],
        on_session_ended: Callable[[], None],
    ) -> None:
        self.claims = claims
        self._push, self._on_closed, self._on_session_ended = push, on_closed, on_session_ended
        self._begun = False
        self._missed = False
        self._floor = 0
        self._held: list[RoundView] = []
        self._expected: Counter[str] = Counter()
        self._deferred: dict[str, RoundView] = {}
        self._sent: dict[
            str, int | None
        ] = {}  # a fingerprint, or None for a final state, which never changes

    def knows_the_end_of(self, round_id: str) -> bool:
        return self._sent.get(round_id, 0) is None

    def push_round(self, view: RoundView) -> None:
        if self._begun:
            self._offer(view)
        elif len(self._held) < HELD_LIMIT:
            self._held.append(view)
        else:
            self._missed = True

    def push_session_ended(self) -> None:
        self._on_session_ended()

    def push_missed(self) -> None:
        if self._begun:
            self._push(RESYNC)
        else:
            self._missed = True

    def begin(self, floor: int) -> None:
        """Begins to push. The socket has every round that closed with a sequence up to `floor`."""
        self._begun, self._floor = True, floor
        for view in self._held:
            self._offer(view)
        self._held.clear()
        if self._missed:
            self._push(RESYNC)

    @contextmanager
    def expecting(self, round_id: str | None) -> Iterator[None]:
        """Holds pushes of the round back while the socket waits for an answer about it."""
        if round_id is None:
            yield
            return
        self._expected[round_id] += 1
        try:
            yield
        finally:
            self._expected[round_id] -= 1
            if not self._expected[round_id]:
                del self._expected[round_id]
                if (view := self._deferred.pop(round_id, None)) is not None:
                    self._offer(view)

    def remember(self, body: Message) -> None:
        """Remembers that the socket has this state of a round."""
        round_id = body["round_id"]
        self._sent.pop(round_id, None)
        self._sent[round_id] = _fingerprint(body)
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def _offer(self, view: RoundView) -> None:
        if view.sequence is not None and view.sequence <= self._floor:
            return
        round_id = view.key.round_id
        if round_id in self._expected:
            self._deferred[round_id] = view
            return
        body = round_body(view)
        if round_id in self._sent and self._sent[round_id] in (None, _fingerprint(body)):
            return
        self.remember(body)
        self._push({"type": "round", "round": body})
        if view.state.final:
            self._on_closed(view)


def _fingerprint(body: Message) -> int | None:
    return None if RoundState(body["state"]).final else hash(repr(body))
