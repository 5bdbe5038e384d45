"""`croupier platform`: the keys of whoever runs the casino."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer(no_args_is_help=True, help="Keys of the Platform API, for whoever runs the casino.")
key_app = typer.Typer(
    no_args_is_help=True, help="Keys of the scope platform: they make and switch operators."
)
app.add_typer(key_app, name="key")

PlatformKeyId = Annotated[str, typer.Argument(help="As `platform key list` shows it.", show_default=False)]


@key_app.command("add")
def add_platform_key(
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3_650, help="It ends by itself after that many.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once, on standard output."""
    from cli.operator import keys
    from security.api_keys import PLATFORM

    sys.exit(keys.add(settings_or_exit(), None, PLATFORM, days=days, as_json=as_json))


@key_app.command("list")
def list_platform_keys(as_json: Json = False) -> None:
    """Show the platform's keys, without their secrets."""
    from cli.operator import keys

    sys.exit(keys.show(settings_or_exit(), None, as_json=as_json))


@key_app.command("rotate")
def rotate_platform_key(
    key_id: PlatformKeyId,
    overlap_s: Annotated[
        int,
        typer.Option("--overlap", min=0, max=30 * 86_400, help="Seconds for which the old one still opens."),
    ] = 86_400,
    as_json: Json = False,
) -> None:
    """Make another key and print it, this once; the old one ends after the overlap."""
    from cli.operator import keys

    sys.exit(keys.rotate(settings_or_exit(), None, key_id, overlap_s=overlap_s, as_json=as_json))


@key_app.command("revoke")
def revoke_platform_key(key_id: PlatformKeyId, as_json: Json = False) -> None:
    """End a key for good."""
    from cli.operator import keys

    sys.exit(keys.revoke(settings_or_exit(), None, key_id, as_json=as_json))
