"""`croupier up --check` for a person: a bar while rounds are played, and one table of what was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from verification.check.report import GameSums, Report
from verification.check.run import Advance, check


def run(stack: dict[str, Any], rounds: int) -> Report:
    """Plays `rounds` rounds on the running `stack` (what stack.json holds) and checks everything. Never
    raises for what it finds, nor for a service that is away: the report says it."""
    with _progress(rounds) as advance:
        return uvloop.run(check(stack, rounds, advance))


def render(report: Report, console: Console) -> None:
    """Prints the table."""
    table = Table(title="croupier check", title_justify="left", show_header=False)
    for part in (_games(report), _figures(report), _invariants(report)):
        table.add_row(part)
        table.add_section()
    table.add_row(_verdict(report))
    console.print(table)


def _games(report: Report) -> Table:
    grid = _grid("game", ">rounds", ">stake", ">win", ">RTP", "")
    for (game, currency), sums in sorted(report.sums.items()):
        grid.add_row(game, *_cells(sums), currency)
    for currency, sums in sorted(report.totals().items()):
        grid.add_row("[bold]all games[/bold]", *_cells(sums), currency)
    return grid


def _figures(report: Report) -> Table:
    grid = Table.grid(padding=(0, 2))
    for label, value in _figure_rows(report):
        grid.add_row(label, value)
    return grid


def _figure_rows(report: Report) -> list[tuple[str, str]]:
    failed = "unknown" if report.workflows_failed is None else f"{report.workflows_failed:,}"
    balanced = not any(report.ledger_sums.values())
    ledger = "0" if balanced else ", ".join(f"{v:,} {c}" for c, v in report.ledger_sums.items() if v)
    late = f", {report.events_out_of_order} overtaken on the way" if report.events_out_of_order else ""
    return [
        ("rounds", f"{report.rounds:,} settled for {report.players} players in {report.seconds:.1f} s"),
        ("beside them", f"{report.repeated:,} bets repeated, {report.refused:,} refused, all on purpose"),
        ("latency", f"p50 {_ms(report.p50_ms)}, p99 {_ms(report.p99_ms)}"),
        (
            "ledger sum",
            f"{ledger}, in {len(report.ledger_sums)} currencies" if report.ledger_sums else "unknown",
        ),
        (
            "events seen once",
            f"{report.events_seen_once:,} of {report.events_expected:,}"
            f" ({report.events_redelivered} repeated by the platform{late})",
        ),
        ("open holds", "unknown" if report.open_holds is None else f"{report.open_holds:,}"),
        (
            "workflows failed",
            f"{failed} of {report.workflows:,};"
            f" {report.fast_rounds:,} took the fast path of 6 events and 2 state transitions",
        ),
        ("outcomes replayed", f"{report.outcomes_replayed:,} from their seeds"),
    ]


def _invariants(report: Report) -> Table:
    grid = Table.grid(padding=(0, 1))
    for finding in sorted(report.findings, key=lambda finding: finding.code):
        mark = "[green]✓[/green]" if finding.holds else "[red]✗[/red]"
        grid.add_row(mark, finding.code, escape(finding.title))
        if not finding.holds:
            shown = "\n".join(escape(example) for example in finding.examples)
            grid.add_row("", "", f"[red]{finding.count:,} broken ({finding.name})[/red]\n{shown}")
    return grid


def _verdict(report: Report) -> str:
    broken = sum(not finding.holds for finding in report.findings)
    if report.ok:
        return f"[bold green]all {len(report.findings)} hold[/bold green]"
    return f"[bold red]{broken} of {len(report.findings)} do not hold[/bold red]"


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


@contextmanager
def _progress(rounds: int) -> Iterator[Advance]:
    """A bar on standard error while rounds are played; nothing when that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("playing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("playing", total=rounds)
        yield lambda: progress.advance(task)
