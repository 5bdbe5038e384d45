"""Faults on demand: which call meets which one, from a seed or a script, and how many came about.

What a call meets depends on the seed, the call, its transaction and how often it was asked, not on which call
came first: the same seed and the same ids meet the same faults, however the calls overtake each other.
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
    """What goes wrong. Every one says whether the call is processed all the same."""

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
class Plan:
    """Which faults there shall be. `rates` are shares of 1 by kind, their sum at most 1; `script` comes
    before them. Calls outside `only` (None: all) meet nothing. After `until_count` faults it is over."""

    seed: int = 0
    rates: Mapping[Kind, Decimal] = field(default_factory=dict)
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


class Faults:
    """Decides by the plan of the hour, and counts what came about: `came_about` or `came_to_nothing` follows
    on every fault that `meet` gave."""

    def __init__(self) -> None:
        self.begin(Plan())

    @property
    def plan(self) -> Plan:
        return self._plan

    def begin(self, plan: Plan) -> None:
        """Counts start anew."""
        self._plan = plan
        self._script = list(plan.script)
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
        kind = cue.kind if cue is not None else _kind_at(draw, self._plan.rates)
        if kind is None or not _is_for(kind, request.call):
            return None
        fault = Fault(kind, request.call, request.transaction_id, draw)
        self._under_way.append(fault)
        return fault

    def came_about(self, fault: Fault) -> None:
        if self._leaves(fault):
            self._fired[fault.kind, fault.call] += 1
            self._latest.append(fault)

    def came_to_nothing(self, fault: Fault) -> None:
        self._leaves(fault)

    def report(self) -> dict[str, Any]:
        """{"total": n, "under_way": n, "fired": {kind: {call: n}}, "latest": [{kind, call, ...}]}."""
        fired: dict[str, dict[str, int]] = {}
        for (kind, call), count in sorted(self._fired.items()):
            fired.setdefault(kind.value, {})[call.value] = count
        latest = [
            {"kind": fault.kind.value, "call": fault.call.value, "transaction_id": fault.transaction_id}
            for fault in self._latest
        ]
        return {
            "total": self._fired.total(),
            "under_way": len(self._under_way),
            "fired": fired,
            "latest": latest,
        }

    def _concerns(self, request: WalletRequest) -> bool:
        only = self._plan.only
        return bool(self._plan.rates or self._script) and (only is None or request.call in only)

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
        drawn = repr((self._plan.seed, subject, self._asked[subject])).encode()
        return int.from_bytes(hashlib.sha256(drawn).digest()[:8], "big")


def _is_for(kind: Kind, call: WalletCall) -> bool:
    return call in ONLY_FOR.get(kind, WalletCall)


def _kind_at(draw: int, rates: Mapping[Kind, Decimal]) -> Kind | None:
    """The kinds lie side by side on the line from 0 to DRAWS, each as wide as its share."""
    start = Decimal(0)
    for kind in sorted(rates):
        start += rates[kind]
        if draw < start * DRAWS:
            return kind
    return None
