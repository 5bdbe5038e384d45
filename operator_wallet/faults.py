"""Faults on demand: which call meets which one, from a seed, a schedule or a script, and how many came about.

With rates, what a call meets depends on the seed, the call, its transaction and how often it was asked, not
on which call came first: the same seed and the same ids meet the same faults, however the calls overtake each
other. What comes about in the end is chance. A schedule leaves nothing to chance: the seed says which kind
the nth bet meets, and faults go on until every kind has come about at every call that it is for.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from contracts.wallet import WalletCall, WalletRequest

DRAWS: Final = 2**64
LATEST_LIMIT: Final = 1000


class Kind(StrEnum):
    """The kinds of fault. Each docstring says whether the call is processed nevertheless."""

    PROCESSED_THEN_TIMEOUT = "processed-then-timeout"
    """Processed; the answer never comes, until the client gives up."""
    TIMEOUT_THEN_PROCESSED = "timeout-then-processed"
    """No answer ever; processed `delay_s` later, whether or not the client is still there."""
    ERROR_BEFORE = "error-before"
    """503, not processed."""
    ERROR_AFTER = "error-after"
    """Processed, then 503."""
    RESET_MID_BODY = "reset-mid-body"
    """Processed; half of the answer's body, then the connection is reset."""
    WRONG_AMOUNT = "wrong-amount"
    """Processed; the balance is a fraction or a text, or the currency is another one. Only what was taken."""
    ODD_BALANCE = "odd-balance"
    """Processed; the balance is below 0, beyond 2^53, or beyond 2^63. Only where there is one."""
    DUPLICATE_ANSWER = "duplicate-answer"
    """Processed; says that it was a duplicate, though it was the first. Only what was taken now."""
    SLOW = "slow"
    """Processed and answered, `slow_s` late."""
    OUT_OF_ORDER = "out-of-order"
    """Held back until a later call of its round was processed, then processed and answered. It came about
    only if there was one within `hold_s`."""
    NO_FUNDS = "no-funds"
    """A bet is refused with `insufficient-funds` despite the funds, not processed."""
    HTML = "html"
    """Processed; the answer is a page of HTML with status 200."""
    EMPTY = "empty"
    """Processed; 200 without a body."""
    REDIRECT = "redirect"
    """307 to elsewhere, not processed."""
    HUGE = "huge"
    """Processed; the right answer with a megabyte of padding in it."""
    ANSWERED_TWICE = "answered-twice"
    """Processed; the right answer, written twice to a connection that is kept alive."""
    EMPTY_LINE = "empty-line"
    """Processed; the right answer, and an empty line beyond its length."""


# Calls that a kind is for; the others are for all.
ONLY_FOR: Final[Mapping[Kind, frozenset[WalletCall]]] = {
    Kind.NO_FUNDS: frozenset({WalletCall.BET}),
    Kind.DUPLICATE_ANSWER: frozenset({WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK}),
    Kind.OUT_OF_ORDER: frozenset({WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One line of a script: the first request that fits it meets `kind`, or nothing when that is None."""

    kind: Kind | None
    call: WalletCall | None = None
    transaction_id: str | None = None

    def fits(self, request: WalletRequest) -> bool:
        return (
            self.call in (None, request.call)
            and self.transaction_id in (None, request.transaction_id)
            and (self.kind is None or _is_for(self.kind, request.call))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Every kind comes about `times` times at each call of `one_in` that it is for. Of so many of these calls
    one meets a fault. It is over when nothing is left at any of them."""

    one_in: Mapping[WalletCall, int]
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The planned faults: `rates` are shares of 1 by kind, their sum at most 1; `schedule` stands in
    their place; `script` comes before either. Calls outside `only` (None: all) meet nothing. After
    `until_count` faults it is over."""

    seed: int = 0
    rates: Mapping[Kind, Decimal] = field(default_factory=dict)
    schedule: Schedule | None = None
    script: Sequence[Cue] = ()
    only: frozenset[WalletCall] | None = None
    until_count: int | None = None
    slow_s: float = 2.0
    delay_s: float = 2.0
    hold_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What one request meets. `draw` decides where the kind has variants."""

    kind: Kind
    call: WalletCall
    transaction_id: str | None
    draw: int


class _Decks:
    """What is left of a schedule. Each call has a deck of its kinds, shuffled by the seed, and begins it
    again when it is through: while another call waits for its faults, this one does not run out of them."""

    def __init__(self, schedule: Schedule, seed: int) -> None:
        self._one_in = schedule.one_in
        self._seed = seed
        self._left = Counter(
            {(kind, call): schedule.times for call in schedule.one_in for kind in _kinds_for(call)}
        )
        self._cards: dict[WalletCall, list[Kind]] = {call: [] for call in schedule.one_in}
        self._begun: Counter[WalletCall] = Counter()
        self._calls: Counter[WalletCall] = Counter()

    @property
    def left(self) -> Counter[tuple[Kind, WalletCall]]:
        """How often each still has to come about."""
        return +self._left

    def deal(self, call: WalletCall) -> Kind | None:
        """One call of each `one_in` in a row meets a fault; the seed says which of them."""
        if call not in self._one_in or not self.left:
            return None
        row, place = divmod(self._calls[call], self._one_in[call])
        self._calls[call] += 1
        if place != _number(self._seed, call, row) % self._one_in[call]:
            return None
        cards = self._cards[call]
        if not cards:
            self._begun[call] += 1
            cards += sorted(
                _kinds_for(call), key=lambda kind: _number(self._seed, call, self._begun[call], kind)
            )
        return cards.pop(0)

    def came_about(self, fault: "Fault") -> None:
        self._left[fault.kind, fault.call] -= 1

    def came_to_nothing(self, fault: "Fault") -> None:
        """Puts a fault that had no effect back, next but one, so that it holds up no other."""
        if fault.call in self._cards:
            self._cards[fault.call].insert(1, fault.kind)


class Faults:
    """Decides by the plan of the hour, and counts what came about: `came_about` or `came_to_nothing` follows
    on every fault that `meet` gave."""

    def __init__(self) -> None:
        self.begin(Plan())

    @property
    def plan(self) -> Plan:
        return self._plan

    def begin(self, plan: Plan) -> None:
        """Counts start again."""
        self._plan = plan
        self._script = list(plan.script)
        self._decks = _Decks(plan.schedule or Schedule(one_in={}), plan.seed)
        self._asked: Counter[tuple[str, ...]] = Counter()
        self._fired: Counter[tuple[Kind, WalletCall]] = Counter()
        self._latest: deque[Fault] = deque(maxlen=LATEST_LIMIT)
        self._under_way: list[Fault] = []

    def end(self) -> None:
        """No more faults; those under way take their course. The counts stay, to be read."""
        self._plan = Plan()
        self._script = []

    def meet(self, request: WalletRequest) -> Fault | None:
        if not self._concerns(request):
            return None
        draw = self._draw(request)
        if self._is_over():
            return None
        cue = next((cue for cue in self._script if cue.fits(request)), None)
        if cue is not None:
            self._script.remove(cue)
        kind = cue.kind if cue is not None else self._kind(request.call, draw)
        if kind is None or not _is_for(kind, request.call):
            return None
        fault = Fault(kind, request.call, request.transaction_id, draw)
        self._under_way.append(fault)
        return fault

    def came_about(self, fault: Fault) -> None:
        if self._leaves(fault):
            self._fired[fault.kind, fault.call] += 1
            self._decks.came_about(fault)
            self._latest.append(fault)

    def came_to_nothing(self, fault: Fault) -> None:
        if self._leaves(fault):
            self._decks.came_to_nothing(fault)

    def report(self) -> dict[str, Any]:
        """{"total": n, "under_way": n, "fired": {kind: {call: n}}, "left": {kind: {call: n}}, "latest":
        [{kind, call, ...}]}. `left` is what the schedule still has to bring about."""
        latest = [
            {"kind": fault.kind.value, "call": fault.call.value, "transaction_id": fault.transaction_id}
            for fault in self._latest
        ]
        return {
            "total": self._fired.total(),
            "under_way": len(self._under_way),
            "fired": _by_kind(self._fired),
            "left": _by_kind(self._decks.left),
            "latest": latest,
        }

    def _concerns(self, request: WalletRequest) -> bool:
        only = self._plan.only
        wanted = self._plan.rates or self._plan.schedule or self._script
        return bool(wanted) and (only is None or request.call in only)

    def _kind(self, call: WalletCall, draw: int) -> Kind | None:
        return self._decks.deal(call) if self._plan.schedule else _kind_at(draw, self._plan.rates)

    def _is_over(self) -> bool:
        limit = self._plan.until_count
        return limit is not None and self._fired.total() + len(self._under_way) >= limit

    def _leaves(self, fault: Fault) -> bool:
        """Was it of this plan? One that an earlier plan gave counts no more."""
        for place, other in enumerate(self._under_way):
            if other is fault:
                del self._under_way[place]
                return True
        return False

    def _draw(self, request: WalletRequest) -> int:
        """A number below DRAWS that this request, asked for the nth time, always gets with this seed."""
        subject = (
            request.call.value,
            request.operator_id,
            request.player_id,
            request.transaction_id or request.session_id,
        )
        self._asked[subject] += 1
        return _number(self._plan.seed, subject, self._asked[subject])


def _number(*of: object) -> int:
    """Below DRAWS, and always the same of the same."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:8], "big")


def _is_for(kind: Kind, call: WalletCall) -> bool:
    return call in ONLY_FOR.get(kind, WalletCall)


def _kinds_for(call: WalletCall) -> list[Kind]:
    return [kind for kind in Kind if _is_for(kind, call)]


def _by_kind(counts: Mapping[tuple[Kind, WalletCall], int]) -> dict[str, dict[str, int]]:
    """As JSON: {kind: {call: n}}."""
    by_kind: dict[str, dict[str, int]] = {}
    for (kind, call), count in sorted(counts.items()):
        by_kind.setdefault(kind.value, {})[call.value] = count
    return by_kind


def _kind_at(draw: int, rates: Mapping[Kind, Decimal]) -> Kind | None:
    """The kinds lie side by side on the line from 0 to DRAWS, each as wide as its share."""
    start = Decimal(0)
    for kind in sorted(rates):
        start += rates[kind]
        if draw < start * DRAWS:
            return kind
    return None
