"""What a check found: figures and findings, as data and as the one table that a person reads."""

from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One invariant: it holds when `count` is 0; otherwise the first few `examples` say what breaks it."""

    code: str  # I1..I9 as the design names them, or a word
    name: str
    title: str
    count: int
    examples: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.count == 0


@dataclass(slots=True)
class Tally:
    """Counts what breaks one invariant and keeps the first examples, so its size does not grow."""

    code: str
    name: str
    title: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def finding(self) -> Finding:
        return Finding(
            code=self.code,
            name=self.name,
            title=self.title,
            count=self.count,
            examples=tuple(self.examples),
        )


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
        """Whether everything was looked at and every invariant holds."""
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
            "invariants": [_finding(finding) for finding in self.findings],
        }

    def render(self, console: Console) -> None:
        """Prints the table."""
        table = Table(title="croupier check", title_justify="left", show_header=False)
        for part in (self._games(), self._figures(), self._invariants()):
            table.add_row(part)
            table.add_section()
        table.add_row(self._verdict())
        console.print(table)

    def _games(self) -> Table:
        grid = _grid("game", ">rounds", ">stake", ">win", ">RTP", "")
        for (game, currency), sums in sorted(self.sums.items()):
            grid.add_row(game, *_cells(sums), currency)
        for currency, sums in sorted(self.totals().items()):
            grid.add_row("[bold]all games[/bold]", *_cells(sums), currency)
        return grid

    def _figures(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        for label, value in self._figure_rows():
            grid.add_row(label, value)
        return grid

    def _figure_rows(self) -> list[tuple[str, str]]:
        failed = "unknown" if self.workflows_failed is None else f"{self.workflows_failed:,}"
        balanced = not any(self.ledger_sums.values())
        ledger = "0" if balanced else ", ".join(f"{v:,} {c}" for c, v in self.ledger_sums.items() if v)
        late = f", {self.events_out_of_order} overtaken on the way" if self.events_out_of_order else ""
        return [
            ("rounds", f"{self.rounds:,} settled for {self.players} players in {self.seconds:.1f} s"),
            ("beside them", f"{self.repeated:,} bets repeated, {self.refused:,} refused, all on purpose"),
            ("latency", f"p50 {_ms(self.p50_ms)}, p99 {_ms(self.p99_ms)}"),
            (
                "ledger sum",
                f"{ledger}, in {len(self.ledger_sums)} currencies" if self.ledger_sums else "unknown",
            ),
            (
                "events seen once",
                f"{self.events_seen_once:,} of {self.events_expected:,}"
                f" ({self.events_redelivered} repeated by the platform{late})",
            ),
            ("open holds", "unknown" if self.open_holds is None else f"{self.open_holds:,}"),
            (
                "workflows failed",
                f"{failed} of {self.workflows:,};"
                f" {self.fast_rounds:,} took the fast path of 6 events and 2 state transitions",
            ),
            ("outcomes replayed", f"{self.outcomes_replayed:,} from their seeds"),
        ]

    def _invariants(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        for finding in sorted(self.findings, key=lambda finding: finding.code):
            mark = "[green]✓[/green]" if finding.holds else "[red]✗[/red]"
            grid.add_row(mark, finding.code, escape(finding.title))
            if not finding.holds:
                shown = "\n".join(escape(example) for example in finding.examples)
                grid.add_row("", "", f"[red]{finding.count:,} broken ({finding.name})[/red]\n{shown}")
        return grid

    def _verdict(self) -> str:
        broken = sum(not finding.holds for finding in self.findings)
        if self.ok:
            return f"[bold green]all {len(self.findings)} hold[/bold green]"
        return f"[bold red]{broken} of {len(self.findings)} do not hold[/bold red]"


def _grid(*headings: str) -> Table:
    """A borderless table; `>` before a heading sets its column to the right."""
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        grid.add_column(heading.removeprefix(">"), justify="right" if heading.startswith(">") else "left")
    return grid


def _cells(sums: GameSums) -> tuple[str, ...]:
    rtp = sums.rtp_percent
    return f"{sums.rounds:,}", f"{sums.stake:,}", f"{sums.win:,}", "-" if rtp is None else f"{rtp:.1f}%"


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} ms"


def _sums(sums: GameSums) -> dict[str, Any]:
    rtp = sums.rtp_percent
    return {
        "rounds": sums.rounds,
        "stake": sums.stake,
        "win": sums.win,
        "rtp_percent": None if rtp is None else round(rtp, 3),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "title": finding.title,
        "holds": finding.holds,
        "count": finding.count,
        "examples": list(finding.examples),
    }
