"""What several commands share: the option `--json`, and the settings that all of them need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.settings import Settings

Json = Annotated[
    bool, typer.Option("--json", help="Print only JSON on standard output; progress goes to standard error.")
]


def settings_or_exit() -> Settings:
    """The settings, or exit 2 with one line."""
    from runtime.settings import SettingsError, load

    try:
        return load()
    except SettingsError as problem:
        typer.echo(f"croupier: {problem}", err=True)
        sys.exit(2)
