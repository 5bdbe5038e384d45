"""`croupier webhooks`: where operators' events are sent to."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer(no_args_is_help=True, help="Where operators' events are sent to.")

WebhookId = Annotated[str, typer.Argument(help="As `webhooks list` shows it.", show_default=False)]


@app.command("list")
def list_webhooks(
    operator: Annotated[
        str | None, typer.Option("--operator", help="Whose; everybody's when not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show all webhooks and how they fare. Exits 0 when no event is dead, 1 when some are."""
    from cli.webhooks import run as command

    sys.exit(command.show(settings_or_exit(), operator_id=operator, as_json=as_json))


@app.command("dead")
def dead_events(webhook: WebhookId, as_json: Json = False) -> None:
    """Show the events that were given up. Exits 0 when there is none, 1 when there are some."""
    from cli.webhooks import run as command

    sys.exit(command.dead(settings_or_exit(), webhook, as_json=as_json))


@app.command("replay")
def replay_events(
    webhook: WebhookId,
    events: Annotated[list[str] | None, typer.Argument(help="Ids of dead events.", metavar="EVENT")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead events again."""
    from uuid import UUID

    from cli.webhooks import run as command

    if every == bool(events):
        raise typer.BadParameter("name events, or say --all")
    try:
        ids = [str(UUID(event)) for event in events or ()]
    except ValueError:
        raise typer.BadParameter("an event's id is a UUID") from None
    sys.exit(command.replay(settings_or_exit(), webhook, ids, all_dead=every, as_json=as_json))
