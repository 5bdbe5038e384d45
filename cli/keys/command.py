"""`croupier keys`: the keyring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Json, settings_or_exit

if TYPE_CHECKING:
    from security.keyring import SectionName

app = typer.Typer(no_args_is_help=True, help="Look at the keyring, and rotate its keys.")

Section = Annotated[
    str, typer.Argument(help="payload, seeds, tokens or events.", show_default=False, metavar="SECTION")
]
KeyId = Annotated[str, typer.Argument(help="As `keys list` shows it.", show_default=False)]


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Show the ids of all keys, which are active, and the public halves that verifiers need; no secret."""
    from cli.keys import run as command

    sys.exit(command.show(settings_or_exit(), as_json=as_json))


@app.command("rotate")
def rotate_key(
    section: Section,
    stage: Annotated[
        bool, typer.Option("--stage", help="Only add a key: what runs learns it before it is used.")
    ] = False,
    activate: Annotated[
        str | None,
        typer.Option("--activate", metavar="KEY_ID", help="Use a key that was added with --stage before."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a key and use it from the next start on; what the older ones made stays readable.

    On one machine, rotate and restart. Where several processes run, --stage a key, restart them all, and only
    then --activate it and restart them again: otherwise one seals or signs what another cannot open yet.
    """
    from cli.keys import run as command

    if stage and activate is not None:
        raise typer.BadParameter("--stage adds a key, and --activate uses one that was added before")
    done = command.rotate(
        settings_or_exit(), _section(section), stage=stage, activate=activate, as_json=as_json
    )
    sys.exit(done)


@app.command("remove")
def remove_key(
    section: Section,
    key_id: KeyId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it, whatever no longer opens.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a key for good, and with it everything that only it opens; says what before it does."""
    from cli.keys import run as command

    sys.exit(command.remove(settings_or_exit(), _section(section), key_id, yes=yes, as_json=as_json))


@app.command("merge")
def merge_keys(
    file: Annotated[Path, typer.Argument(help="Another keyring of this installation.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Add the keys of another keyring, as a backup of it has them; the active ones stay active.

    After a restore, what was sealed before a rotation opens with the keyring of then, and what was sealed
    since with the present one: programs need both.
    """
    from cli.keys import run as command

    sys.exit(command.merge(settings_or_exit(), file, as_json=as_json))


def _section(name: str) -> SectionName:
    from security.keyring import SECTIONS

    for section in SECTIONS:
        if name == section:
            return section
    raise typer.BadParameter(f"the sections are {', '.join(SECTIONS)}")
