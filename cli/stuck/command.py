"""`croupier stuck`: whatever is open beyond its limit."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit
from cli.round.filters import Operator, tenant

app = typer.Typer()


@app.command()
def stuck(
    operator: Operator = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="SPAN", help="Since when: 30s, 5m, 2h, 1d.")
    ] = "1m",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Of each kind.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what does not go on: rounds, bets, events, webhooks, queues, incidents, transactions, services;
    why, since when, what each waits for, and what may be decided. Exits 0 when nothing is stuck, 1 when
    something is, 2 when the database cannot be asked."""
    from cli.moments import span_ago
    from cli.stuck import run as command

    try:
        older = span_ago(older_than, datetime.now(UTC))
    except ValueError as problem:
        raise typer.BadParameter(f"--older-than is {problem}") from None
    choices = command.Choices(tenant=tenant(operator), older_than=older, limit=limit, as_json=as_json)
    sys.exit(command.run(settings_or_exit(), choices))
