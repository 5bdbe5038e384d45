"""What a check found: figures and findings, as data."""

from dataclasses import dataclass
from typing import Any

from verification.findings import Finding


@dataclass(slots=True)
class GameSums:
    """Settled rounds of one game in one currency; amounts in its minor units."""

    rounds: int = 0
    stake: int = 0
    win: int = 0

    def add(self, *, rounds: int, stake: int, win: int) -> None:
        self.rounds += rounds
        self.stake += stake
        self.win += win

    @property
    def rtp_percent(self) -> float | None:
        """For people: money itself is never a float."""
        return 100 * self.win / self.stake if self.stake else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A check's result. `sums` is by game and currency, for this run; the ledger's sum and the open holds
    are of the whole database."""

    rounds: int
    players: int
    seconds: float
    repeated: int
    refused: int
    p50_ms: float | None
    p99_ms: float | None
    sums: dict[tuple[str, str], GameSums]
    ledger_sums: dict[str, int]
    open_holds: int | None
    events_expected: int
    events_seen_once: int
    events_redelivered: int
    events_out_of_order: int
    workflows: int
    workflows_failed: int | None
    fast_rounds: int  # rounds that took the 6 events and 2 state transitions of the fast path
    outcomes_replayed: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was checked and every invariant holds."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)

    def totals(self) -> dict[str, GameSums]:
        """By currency: amounts of different currencies are never added."""
        totals: dict[str, GameSums] = {}
        for (_, currency), sums in self.sums.items():
            total = totals.setdefault(currency, GameSums())
            total.add(rounds=sums.rounds, stake=sums.stake, win=sums.win)
        return totals

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it. Amounts in minor units, times in milliseconds."""
        games = [
            {"game": game, "currency": currency, **_sums(sums)}
            for (game, currency), sums in self.sums.items()
        ]
        return {
            "ok": self.ok,
            "rounds": self.rounds,
            "players": self.players,
            "seconds": round(self.seconds, 3),
            "repeated": self.repeated,
            "refused": self.refused,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "games": games,
            "totals": {currency: _sums(sums) for currency, sums in self.totals().items()},
            "ledger_sums": self.ledger_sums,
            "open_holds": self.open_holds,
            "events": {
                "expected": self.events_expected,
                "seen_once_in_effect": self.events_seen_once,
                "redelivered": self.events_redelivered,
                "out_of_order": self.events_out_of_order,
            },
            "workflows": {
                "seen": self.workflows,
                "failed": self.workflows_failed,
                "fast_path": self.fast_rounds,
            },
            "outcomes_replayed": self.outcomes_replayed,
            "invariants": [finding.as_dict() for finding in self.findings],
        }


def _sums(sums: GameSums) -> dict[str, Any]:
    rtp = sums.rtp_percent
    return {
        "rounds": sums.rounds,
        "stake": sums.stake,
        "win": sums.win,
        "rtp_percent": None if rtp is None else round(rtp, 3),
    }
