"""How a wallet did in certification, as a table on a terminal."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from certification.report import Outcome, Report, labelled
from certification.trial import Finding

MARKS: Final[Mapping[Outcome, str]] = {
    Outcome.PASSED: "[green]✓[/green]",
    Outcome.FAILED: "[red]✗[/red]",
    Outcome.NOT_ASKED: "[yellow]-[/yellow]",
}


def render(report: Report, console: Console) -> None:
    """Prints the table."""
    table = Table(title=f"croupier certify {escape(report.url)}", title_justify="left", show_header=False)
    for part in (_cases(report), _elsewhere(report)):
        table.add_row(part)
        table.add_section()
    colour = "green" if report.ok else "red"
    table.add_row(f"[bold {colour}]{report.verdict()}[/bold {colour}]")
    console.print(table)


def _cases(report: Report) -> Table:
    grid = _grid()
    for result in report.results:
        case = result.case
        grid.add_row(MARKS[result.outcome], str(case.number), f"[bold]{escape(case.title)}[/bold]")
        grid.add_row("", "", f"[dim]{escape(case.asks)}[/dim]")
        for note in result.notes:
            grid.add_row("", "", f"[yellow]{escape(note)}[/yellow]")
        for finding in result.findings:
            grid.add_row("", "", _finding(finding))
    return grid


def _elsewhere(report: Report) -> Table:
    grid = _grid()
    for number, why in report.elsewhere.items():
        grid.add_row(" ", str(number), f"[dim]{escape(why)}[/dim]")
    return grid


def _finding(finding: Finding) -> Table:
    grid = _grid()
    for label, text in labelled(finding):
        colour = {"expected": "green", "came": "red"}.get(label, "dim")
        grid.add_row(f"[{colour}]{label}[/{colour}]", escape(text))
    return grid


def _grid() -> Table:
    """A borderless table whose last column takes what room there is."""
    return Table(box=None, padding=(0, 1, 0, 0), show_header=False)
