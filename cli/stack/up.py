"""`croupier up`: start the stack's supervisor, show what it reports, play or check, and end together with
it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from compose import control
from compose.control import SupervisorHandle
from compose.layout import Layout
from compose.problems import StackProblem
from runtime.settings import Settings

TITLES = {
    "postgres": "PostgreSQL",
    "rabbitmq": "RabbitMQ",
    "rabbitmq-mapper": "RabbitMQ's port mapper",
    "temporal": "Temporal",
    "codec": "the codec server of Temporal's pages",
    "console": "the operators' console",
    "ingress": "the ingress with its round worker",
    "relay": "the event relay",
    "statistics": "the statistics consumer",
    "reconciler": "the reconciler",
    "webhooks": "the webhooks",
}


@dataclass(frozen=True)
class Choices:
    """What the command line asked for."""

    detach: bool
    check: bool
    rounds: int
    as_json: bool
    services_only: bool
    strict: bool = False
    ingresses: int = 1


@dataclass
class Outcome:
    """The exit code as it is known so far; the worst that happened wins."""

    code: int = 0

    def fail(self, code: int) -> None:
        self.code = self.code or code


def run(settings: Settings, choices: Choices) -> int:
    """Returns the exit code: 0 after an orderly end, 1 when something failed, 2 for unusable settings."""
    progress = Console(stderr=True, highlight=False)
    layout = Layout(settings.home)
    if control.running_supervisor(layout) is not None:
        return _already_running(layout, progress, choices)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        supervisor = SupervisorHandle.start(
            settings,
            attached=not choices.detach,
            services_only=choices.services_only,
            strict=choices.strict,
            ingresses=choices.ingresses,
        )
    except StackProblem as problem:
        progress.print(f"croupier: {problem}", style="red", markup=False, soft_wrap=True)
        return problem.exit_code
    events = supervisor.events()
    outcome = Outcome()
    progress.print("starting the stack; RabbitMQ takes longest")
    try:
        info = _wait_until_up(events, progress, outcome)
        if info is not None:
            if choices.detach:
                _show(info, choices, progress)
                return 0
            _use(info, choices, events, progress, outcome)
    except KeyboardInterrupt:
        progress.print("\nstopping (data stays for the next time)")
        outcome.fail(0 if control.stack_info(layout) else 130)
    except Exception:
        # A mistake of ours in the demonstration or the check must not cost the orderly stop.
        _end(supervisor, events, progress, outcome, choices)
        raise
    return _end(supervisor, events, progress, outcome, choices)


def _use(
    info: dict[str, Any],
    choices: Choices,
    events: Iterator[dict[str, Any]],
    progress: Console,
    outcome: Outcome,
) -> None:
    """What happens while the stack is up: the check, or the demonstration and then waiting."""
    if choices.check:
        if not _check(info, choices, progress):
            outcome.fail(1)
        return
    _show(info, choices, progress)
    if not choices.services_only:
        from cli.stack import demonstration

        demonstration.play(info)
    progress.print("[bold]Ctrl-C stops everything.[/bold]")
    _follow(events, progress, outcome)


def _wait_until_up(
    events: Iterator[dict[str, Any]], progress: Console, outcome: Outcome
) -> dict[str, Any] | None:
    """Show progress until the stack is up; None when it failed."""
    for event in events:
        if event["event"] == "up":
            found: dict[str, Any] = event["stack"]
            return found
        _print_event(event, progress, outcome)
    outcome.fail(1)
    return None


def _follow(events: Iterator[dict[str, Any]], progress: Console, outcome: Outcome) -> None:
    """Show what the supervisor reports until it ends."""
    for event in events:
        _print_event(event, progress, outcome)


def _print_event(event: dict[str, Any], progress: Console, outcome: Outcome) -> None:
    title = TITLES.get(event.get("name", ""), event.get("name", ""))
    match event["event"]:
        case "note":
            progress.print(f"  {title}: {event['text']}", markup=False, soft_wrap=True)
        case "ready" if event["name"] != "rabbitmq-mapper":
            progress.print(f"  [green]ready[/green]  {title} ({event['seconds']} s)")
        case "died":
            then = "everything stops" if event["restart_in_s"] is None else "it starts again"
            progress.print(
                f"  [red]died[/red]   {title} {event['how']}; {then}", highlight=False, soft_wrap=True
            )
        case "problem":
            progress.print(f"croupier: {event['text']}", style="red", markup=False, soft_wrap=True)
            outcome.fail(int(event["exit_code"]))
        case _:
            pass


def _check(info: dict[str, Any], choices: Choices, progress: Console) -> bool:
    from cli.stack import check

    progress.print(f"playing {choices.rounds} rounds and checking every invariant")
    report = check.run(info, choices.rounds)
    if choices.as_json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
    else:
        check.render(report, Console())
    return report.ok


def _show(info: dict[str, Any], choices: Choices, progress: Console) -> None:
    """Addresses, keys and a first call; or all of it as JSON."""
    if choices.as_json:
        sys.stdout.write(json.dumps(info, indent=2) + "\n")
        sys.stdout.flush()
        return
    console = Console(highlight=False)
    console.print("croupier is up", style="bold")
    # A line each, which the terminal wraps: a key or an address of two lines could not be copied.
    for label, value in _rows(info):
        console.print(f"  {label:<26} {value}", markup=False, soft_wrap=True)
    if "operator_key" in info:
        console.print("A first call, as the operator who opens a session for a player:")
        console.print(first_call(info), markup=False, soft_wrap=True)
    if choices.detach:
        console.print("It runs on without this terminal: ./croupier status, ./croupier down")


def _rows(info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "base_url" in info:
        yield "ingress", info["base_url"]
        yield "API description", f"{info['base_url']}/openapi.json"
        yield "API, in a browser", f"{info['base_url']}/docs"
    if "operator_key" in info:
        yield "operator", info["operator_id"]
        yield "operator key", info["operator_key"]
    if "lobby_url" in info:
        yield "lobby, in a browser", info["lobby_url"]
    if "console_url" in info:
        yield "console, in a browser", f"{info['console_url']} (sign in with the operator key)"
    if info.get("temporal_ui"):
        yield "Temporal, in a browser", info["temporal_ui"]
    yield "Temporal", f"{info['temporal_address']} (namespace {info['temporal_namespace']})"
    yield "all of it, with passwords", f"{info['home']}/stack.json"


def first_call(info: dict[str, Any]) -> str:
    """A command that can be pasted into a shell."""
    body = '{"player_id": "alice", "game_id": "dice", "currency": "EUR"}'
    return (
        f"  curl -s {info['base_url']}/v1/operator/sessions -H 'Authorization: Bearer {info['operator_key']}'"
        f" -H 'Content-Type: application/json' -d '{body}'"
    )


def _end(
    supervisor: SupervisorHandle,
    events: Iterator[dict[str, Any]],
    progress: Console,
    outcome: Outcome,
    choices: Choices,
) -> int:
    """Let the supervisor stop everything and wait for it. Impatience changes nothing: data would be at
    risk."""
    for wish in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wish, signal.SIG_IGN)
    if choices.detach:
        # Only reached when it did not come up: the supervisor ends by itself, or on this.
        supervisor.process.terminate()
    supervisor.ask_to_stop()
    _follow(events, progress, outcome)
    how = supervisor.wait()
    if how and not outcome.code:
        progress.print(f"croupier: the keeper {how}; its log is keeper.log in the logs folder", style="red")
    outcome.fail(1 if how else 0)
    return outcome.code


def _already_running(layout: Layout, progress: Console, choices: Choices) -> int:
    info = control.stack_info(layout) or {}
    where = info.get("base_url") or f"in {layout.home}"
    progress.print(
        f"croupier: already running: {where}; ./croupier status shows it, ./croupier down stops it",
        soft_wrap=True,
    )
    return 0 if choices.detach and info else 1


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
