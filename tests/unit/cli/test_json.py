"""Whatever prints something about the platform prints it as JSON too."""

from collections.abc import Iterator
from typing import Any, Final

import typer

from cli.main import app

# A program of somebody else's, or one that runs until it is ended; and what only asks and acts.
WITHOUT: Final = {"psql", "temporal", "rabbitmqctl", "operator-wallet", "test", "reset"}


def test_every_command_has_json() -> None:
    found = dict(_commands(typer.main.get_command(app), ()))
    assert {name for name, options in found.items() if "--json" not in options} == WITHOUT


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, set[str]]]:
    below = getattr(command, "commands", {})
    for name, inner in below.items():
        yield from _commands(inner, (*path, name))
    if not below:
        yield " ".join(path), {option for parameter in command.params for option in parameter.opts}
