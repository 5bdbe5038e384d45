"""The croupier command, put together from its groups. Each group lies in a folder: `command.py` declares its
arguments and hands over to the handlers beside it, which import what is heavy.
"""

from __future__ import annotations

import typer

from cli.audit import command as audit
from cli.backup import command as backup
from cli.bench import command as bench
from cli.keys import command as keys
from cli.migration import command as migration
from cli.operator import command as operator
from cli.platform import command as platform
from cli.reconciliation import command as reconciliation
from cli.replay import command as replay
from cli.round import command as round_
from cli.stack import command as stack
from cli.stuck import command as stuck
from cli.testing import command as testing
from cli.tools import command as tools
from cli.wallet import command as wallet
from cli.webhooks import command as webhooks

app = typer.Typer(
    name="croupier",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Casino rounds as durable workflows.\n\n"
    "Start here: [bold]./croupier up[/bold] brings up Temporal, PostgreSQL, RabbitMQ and the ingress on this"
    " machine, plays a few rounds and shows the addresses and a key to call it with. Ctrl-C stops everything;"
    " the data stays in .local for the next time.",
    epilog="Settings come from CROUPIER_* variables or croupier.toml; croupier.example.toml lists them all.",
)

# In the order in which the help lists them. A group without a name adds its commands to the first level.
app.add_typer(stack.app)
app.add_typer(testing.app)
app.add_typer(migration.app)
app.add_typer(replay.app)
app.add_typer(audit.app)
app.add_typer(backup.app)
app.add_typer(reconciliation.app)
app.add_typer(wallet.app)
app.add_typer(tools.app)
app.add_typer(stuck.app)
app.add_typer(round_.app, name="round")
app.add_typer(operator.app, name="operator")
app.add_typer(platform.app, name="platform")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """The console script."""
    app(prog_name="./croupier")
