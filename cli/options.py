"""What several commands share: the option `--json`, printing either way, and the settings they need."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from runtime.settings import Settings

Json = Annotated[
    bool, typer.Option("--json", help="Print only JSON on standard output; progress goes to standard error.")
]

CANNOT: Final = 2


def fail(why: str) -> int:
    """Says why a command cannot do what it was asked. Returns its exit code."""
    typer.echo(f"croupier: {why}", err=True)
    return CANNOT


def told(document: object, *lines: str, as_json: bool) -> None:
    """Prints the document as JSON, or the lines for people."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        typer.echo("\n".join(lines))


def settings_or_exit() -> Settings:
    """The settings, or exit 2 with one line."""
    from runtime.settings import SettingsError, load

    try:
        return load()
    except SettingsError as problem:
        typer.echo(f"croupier: {problem}", err=True)
        sys.exit(2)
