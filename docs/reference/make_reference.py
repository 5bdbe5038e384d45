"""Writes the pages beside it from the code: settings, commands, metrics, error codes, limits of steps.

    python docs/reference/make_reference.py

A test compares the pages with what this would write."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

import typer
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr

from api.gateway import problems
from api.transports.websocket import messages as socket_messages
from cli import main as command_line
from contracts import failures, steps
from runtime import sdk_metrics
from runtime.people_settings import PeopleSettings
from runtime.settings import OF_A_FILE, PREFIX, SECRETS, Settings
from workflows import policies

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
MADE: Final = (
    "<!-- Made by make_reference.py, beside this page. Do not edit: change the code, and run it. -->"
)

OF_ALL: Final = "every program"
SDK: Final = "the Temporal SDK"
# The modules in which each program defines what it counts.
METRICS: Final = {
    OF_ALL: ("runtime.program_metrics", "events.connection", "events.dead_letters"),
    "ingress": ("runtime.metrics", "runtime.unavailable", "activities.games"),
    "relay": ("workers.relay", "workers.figures", "workers.long_transactions", "workers.disk"),
    "statistics": ("workers.statistics",),
    "reconciler": (
        *("activities.incidents", "activities.reconciliation", "activities.statements"),
        *("workers.reconciler", "workers.findings"),
    ),
    "webhooks": ("activities.webhooks", "workers.webhooks"),
    "audit": ("cli.audit.metrics",),
    "codec": ("api.codec.app",),
}

# The programs of a page, the other page, and what that has.
METRICS_PAGES: Final = {
    "metrics.md": ((OF_ALL, "ingress", SDK), "metrics-others.md", "the other programs"),
    "metrics-others.md": (
        ("relay", "statistics", "reconciler", "webhooks", "audit", "codec"),
        *("metrics.md", "the ingress, and what every program has"),
    ),
}

# What the code's own words leave out.
MORE_ON_METRICS: Final = {
    "croupier_rounds_closed_total": "`state`: `settled`, `void`, `declined`. A round that is delivered twice"
    " counts twice: a figure for watching, not for books.",
    "croupier_bet_duration_seconds": "`status`: 201 first, 200 a repeat, 202 pending. Refusals and 5xx are"
    " left out.",
    "croupier_step_duration_seconds": "`path`: `fast`, one local activity for all of them, or `durable`, each"
    " an activity of its own, whose tries that fail are left out.",
    "croupier_http_requests_total": "`code`: `2xx`, `3xx`, `4xx`, `5xx`. Probes are among them.",
    "croupier_bets_refused_total": "By the rules, by the ledger, or (`overloaded`) by admission.",
    "croupier_unavailable_total": "503 over HTTP and sockets; a queued command waits, counting each try."
    " `temporal`, `ledger`: Temporal, or PostgreSQL, does not answer; `key`: something is sealed with a key"
    " that this process does not have; `unanswered`: nobody answered in time; `lost`: a round's workflow has"
    " ended, and reconciliation will restart it.",
    "croupier_wallet_calls_total": "`unknown` includes calls whose answer nobody waited for to the end.",
    "croupier_operator_calls_overdue": "Whose wallet hangs, for instance.",
    "croupier_rounds_settling": "`call`: `win` or `rollback`. As of the last look, every 5 s.",
    "croupier_rounds_open": "`state`: `pending`, `awaiting_choice`, `settling`. As of the last look.",
    "croupier_outbox_events_waiting": "As of the last look, every 5 s.",
    "croupier_relay_last_sweep_timestamp_seconds": "The relay's other figures are as old.",
    "croupier_transaction_age_seconds": "Of those that were seen for longer than 10 s, the ten longest.",
    "croupier_broker_connected": "A program has those that it uses: `publisher`, `commands`, `answers`,"
    " `answers in doubt`, `pushes`, `consumer of croupier.statistics`.",
    "croupier_dead_letters_total": "`queue`: `croupier.commands` or `croupier.statistics`. What the broker"
    " itself moves there is not among them.",
    "croupier_database_pool_connections": "Of the programs that have a database: all of them.",
    "croupier_events_relayed_total": "All events but the ends of rounds.",
    "croupier_events_swept_total": "Ends of rounds, older than 10 s, that the relay had to publish.",
    "croupier_statistics_events_total": "`repeated` ones change nothing.",
    "croupier_incidents_open": "As of the last run.",
    "croupier_webhook_events_pending": "As of the last quarter of a minute.",
    "croupier_webhook_events_dead": "As of the last quarter of a minute.",
    "croupier_webhook_lag_seconds": "As of the last quarter of a minute.",
    "croupier_codec_payloads_total": "Of `decode`: `opened`, `plain` (it was not sealed), `unreadable` (the"
    " reason stands in its place); of `encode`: `sealed`.",
    "croupier_codec_requests_refused_total": "`origin`, `unauthenticated`, `forbidden`,"
    " `not-found`, `method`, `too-many`, `too-large`, `slow`, `malformed`, `unavailable` (issuer or"
    " database).",
}
MORE_ON_SETTINGS: Final = {
    "temporal_namespace": "The namespace in Temporal. It must exist.",
    "task_queue": "The task queue of the rounds in Temporal.",
    "metrics_port": "Each program of your own takes one; without it a program serves no metrics.",
    "log_level": "`debug`, `info`, `warning` or `error`.",
    "log_files_kept": "`NAME.log.1` is the youngest of them.",
    "traces_endpoint": "Off unless it is set.",
    "log_format": "`text` for people, `json` for machines: one object a line.",
    "limit_key_burst": "And at once, after a pause.",
    "limit_address_burst": "And at once, after a pause.",
    "limit_failures_burst": "And at once, after a pause.",
    "game_client_url": "At `/play` the ingress serves the player's page.",
    "session_lifetime_s": "A refreshed token has the same time again.",
}
# What is for whoever runs the stack on one machine, or works on it.
OF_THE_STACK: Final = frozenset(
    {"up", "down", "status", "reset", "migrate", "replay", "test", "bench", "bench growth"}
)

# What a client does about each problem.
ADVICE: Final = {
    "unauthenticated": "Ask the operator for a session, or check the API key.",
    failures.SESSION_EXPIRED: "Ask for a new session. Reading, and finishing an open round, still work.",
    failures.INSUFFICIENT_FUNDS: "`balance` has what is available. Bet less, with a new id.",
    "forbidden": "Use a key of another scope; for an action, a session of the round's own game and currency.",
    "limit-exceeded": "`limit` names the limit; `retry_after` says when, where waiting helps.",
    failures.GAME_DISABLED: "Tell the player. Rounds under way finish.",
    failures.PLAYER_BLOCKED: "Tell the player. Rounds under way finish.",
    "not-found": "Check the id: the caller has no such thing.",
    "method-not-allowed": "`Allow` has the methods of this address.",
    failures.ROUND_OPEN: "Finish the round that `open_round` names, then bet with a new id.",
    "round-closed": "Ask for the round.",
    failures.ROUND_LOST: "Bet with a new id. The round is void, or will be as the operator's wallet has it.",
    "wrong-state": "Ask for the round, or read `state`.",
    "too-large": "Send less: 4 KiB for a bet, 6 for a command, 64 for events, 8 for anything else.",
    "unsupported-media-type": "Send plain JSON as `application/json`, not compressed.",
    "upgrade-required": "Open a WebSocket at this address.",
    "head-too-large": "Fix the client: it sends too many headers, or too long ones.",
    "invalid": "Fix the client: `detail` says where.",
    failures.ID_REUSED: "Take a new id: this one belongs to another request.",
    "currency-mismatch": "Use the currency of the session, the account or the jurisdiction.",
    "stake-not-allowed": "Take a stake of the session's `game`, within its `limits`.",
    "unknown-choice": "Take a choice that the game or the round offers.",
    "too-many-requests": "Wait as `Retry-After` says, then send the same again.",
    "internal": "Send the same again: it takes effect once.",
    "wallet-failed": "With `round_id` the bet is declined: bet with a new id. Without: send the same again.",
    "overloaded": "Wait as `Retry-After` says, then send the same again.",
}

# Why a round is void.
VOID: Final = {
    failures.RESERVE_UNCERTAIN: "Nobody knew in time whether the stake was held, so it was released.",
    failures.RESOLVE_FAILED: "The outcome could not be computed.",
    failures.ROUND_CANCELLED: "The round's workflow was cancelled before it was settled.",
    failures.ROLLED_BACK: "The operator's wallet refused the win, because it had rolled the bet back.",
    failures.ABANDONED: "The player did not decide in time, and the round's rules refund the stakes then.",
    failures.VOIDED_BY_OPERATOR: "A manual intervention voided the round.",
    failures.ROUND_LOST: "The ledger was restored to a moment before the round, or before it went on.",
}

# Why a socket is closed, and what its client does.
CLOSED: Final = {
    socket_messages.NOT_TEXT: ("a frame is not text", "Fix the client."),
    1007: ("a frame is not UTF-8", "Fix the client."),
    1009: ("a message is longer than 64 KiB", "Fix the client."),
    socket_messages.RESTARTING: ("the process stops; every request was answered", "Reconnect at once."),
    socket_messages.TRY_LATER: ("at the hello: too busy, or a service is away", "Reconnect later."),
    socket_messages.BAD_HELLO: ("the first message is not a hello", "Fix the client."),
    socket_messages.UNAUTHENTICATED: (
        "the token is not valid, or its session is unknown",
        "Ask the operator for a session.",
    ),
    socket_messages.HELLO_TIMEOUT: ("no hello within 5 s", "Reconnect."),
    socket_messages.SESSION_ENDED: ("the operator has ended the session", "Ask the operator for a session."),
    socket_messages.TOO_MANY: (
        "the session has its sockets already or has sent too many requests, or this address failed to"
        " authenticate too often",
        "Close another socket, or wait.",
    ),
}


# The settings of a page of their own.
OF_PEOPLE: Final = tuple(name for name in PeopleSettings.model_fields if name != "home")

COMMAND_PAGES: Final = {
    "commands.md": ("", "books and keys"),
    "commands-rounds.md": (": rounds", "rounds, what is stuck, and a look into the services"),
    "commands-operators.md": (": operators", "operators, the platform and webhooks"),
    "commands-stack.md": (
        ": the stack and its tests",
        "starting, stopping, upgrading, testing and measuring the stack",
    ),
}
OF_OPERATORS: Final = frozenset({"operator", "platform", "webhooks"})
OF_ROUNDS: Final = frozenset({"round", "stuck", "psql", "temporal", "rabbitmqctl"})


def pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    made = {
        "settings.md": settings(),
        "settings-people.md": settings_of_people(),
        **{page: commands(page) for page in COMMAND_PAGES},
        **{page: metrics(page) for page in METRICS_PAGES},
        "errors.md": errors(),
        "steps.md": limits_of_steps(),
    }
    return {name: f"{MADE}\n\n{text.rstrip()}\n" for name, text in made.items()}


def settings() -> str:
    """Every setting with its variable and its default, but those of another page."""
    head = f"""# Settings

Every setting has a name in `croupier.toml` and a variable in the environment: `http_port` and
`{PREFIX}HTTP_PORT`. The variable wins. `{PREFIX}SETTINGS` names another file. An empty variable counts as
not set. An unknown name in the file, a mistyped variable, or a value that does not fit, stops a program with
exit code 2 and one line. `croupier.example.toml` has the same list to copy.
[Another page](settings-people.md) has those of what people sign in to: console, codec server, issuer.

What is secret may also lie in a file that a variable names: {_listed_files()}.
Whatever ends the file's text, such as a newline, is left out.
"""
    return f"{head}\n{_settings_of(name for name in Settings.model_fields if name not in OF_PEOPLE)}"


def settings_of_people() -> str:
    """Those of what people sign in to."""
    head = """# Settings of what people sign in to

The issuer of people's tokens, the codec server and the console. [Settings](settings.md) says how they are
set, and has all others.
"""
    return f"{head}\n{_settings_of(OF_PEOPLE)}"


def _settings_of(names: Iterable[str]) -> str:
    rows = []
    for name in names:
        field = Settings.model_fields[name]
        meaning = _both(field.description, MORE_ON_SETTINGS.get(name))
        rows.append((f"`{name}`", _default(field.default), meaning))
    return _table(("setting", "default", "meaning"), rows)


def _listed_files() -> str:
    return ", ".join(f"`{PREFIX}{name.upper()}{OF_A_FILE}`" for name in SECRETS)


def commands(page: str) -> str:
    """Every command of one of the pages, with its options."""
    title, about = COMMAND_PAGES[page]
    others = " · ".join(f"[{words}]({other})" for other, (_, words) in COMMAND_PAGES.items() if other != page)
    parts = [
        f"""# Commands{title}

The commands for {about}. The others: {others}. `./croupier COMMAND --help` prints the same.
With `--json` a command prints JSON alone on standard output. `./croupier operator-wallet --help` lists the
options of the reference wallet.
"""
    ]
    for name, command in _commands(typer.main.get_command(command_line.app), ()):
        if _page_of(name) == page:
            parts.append(f"## {name}\n\n{_usage(command)}\n")
            options = [(f"`{_names(option)}`", option.help or "") for option in _options(command)]
            if options:
                parts.append(_table(("option", "meaning"), options))
    return "\n".join(parts)


def _page_of(name: str) -> str:
    if name in OF_THE_STACK:
        return "commands-stack.md"
    if (group := name.split()[0]) in OF_ROUNDS:
        return "commands-rounds.md"
    return "commands-operators.md" if group in OF_OPERATORS else "commands.md"


def metrics(page: str) -> str:
    """Every metric of some of the programs."""
    programs, other, words = METRICS_PAGES[page]
    head = f"""# Metrics of {", ".join(programs)}

Each program serves Prometheus text on a port of its own; `metrics_urls` in `stack.json` has the addresses. A
histogram `NAME` has the series `NAME_bucket`, `NAME_sum` and `NAME_count`. `operator` is an operator's id, or
`other` beyond the setting `metrics_operators`; `game` is an installed one, or `other`. No label has the id of
a player, a session or a round. Counters begin at 0 for all their labels.
[What to watch](../sre/watch.md) has the alerts; [another page]({other}) has the metrics of {words}.
"""
    return "\n".join((head, *map(_metrics_of_program, programs)))


def _metrics_of_program(program: str) -> str:
    if program == SDK:
        families = "".join(f"- `{family}`\n" for family in sorted(sdk_metrics.FAMILIES))
        return (
            f"## {program}\n\nOn the pages of ingress, reconciler and webhooks, as the SDK's documentation"
            f" has them:\n\n{families}"
        )
    found = [metric for module in METRICS[program] for metric in metrics_of(import_module(module))]
    rows = [
        (f"`{_series(metric)}`", str(metric._type), _both(metric._documentation, MORE_ON_METRICS.get(name)))
        for name, metric in found
    ]
    return f"## {program}\n\n{_table(('metric', 'type', 'meaning'), rows)}"


def errors() -> str:
    """Every code that the API, a round or a socket ends with."""
    head = """# Error codes

Every error of the API is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`,
`code` and `request_id`, over HTTP, sockets and the queue alike. Switch on `code`, show a text of your own,
and log `request_id`: the server's log has it too where the fault is its own.

## Problems
"""
    problem_rows = [
        (f"`{code}`", str(status), title, ADVICE[code]) for code, (status, title) in problems.PROBLEMS.items()
    ]
    closed_rows = [(str(code), *row) for code, row in sorted(CLOSED.items())]
    void = """
## Void rounds

A void round has one of these in `failure.code`. A declined round has the code of the problem with which its
bet was answered.
"""
    closed = """
## Close codes of sockets

Before 1013, 4400, 4401, 4408 and 4429, and before 1003 in place of a hello, the server sends a `problem`.
"""
    return "\n".join(
        (
            head,
            _table(("code", "status", "title", "what to do"), problem_rows),
            void,
            _table(("code", "meaning"), [(f"`{code}`", why) for code, why in VOID.items()]),
            closed,
            _table(("code", "why", "what to do"), closed_rows),
        )
    )


def limits_of_steps() -> str:
    """How long each step of a round may take, and how it is repeated."""
    fast = _span(policies.FAST_PATH_LIMIT)
    head = f"""# Limits of a round's steps

The fast path takes all steps in one local activity, `{steps.PLAY_NAMED.name}`, within {fast} and in one
attempt (`{steps.PLAY.name}`, as long as a program of the release before may come back); an action of the
player takes `{steps.ACT.name}` likewise. A workflow task that is not completed within
{_span(steps.ROUND_TASK_TIMEOUT)} goes to another worker. On the durable path each step is an activity with
limits of its own. Pauses double from the first to the longest. Where all attempts have a limit, the round is
void after it; `intervene` answers the caller with an error instead.
"""
    rows = [
        (
            f"`{step.name}`{what}",
            _span(policy.attempt_limit),
            "no limit" if policy.patience is None else _span(policy.patience),
            f"{_span(policy.retry.initial_interval)} to {_span(policy.retry.maximum_interval)}",
        )
        for step, what, policy in (
            (steps.RESERVE, "", policies.RESERVE),
            (steps.RESOLVE, "", policies.RESOLVE),
            (steps.RESOLVE, " with actions on record", policies.RESOLVE_ACTIONS),
            (steps.OPEN, "", policies.OPEN),
            (steps.ACT, "", policies.ACT),
            (steps.SETTLE, "", policies.SETTLE),
            (steps.RELEASE, "", policies.RELEASE),
            (steps.EMIT, "", policies.EMIT),
            (steps.INTERVENE, "", policies.INTERVENE),
        )
    ]
    return f"{head}\n{_table(('step', 'one attempt', 'all attempts', 'pauses'), rows)}"


def _default(value: Any) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return f"`{str(value).lower()}`"
        case SecretStr():
            return "a secret"
        case Path():
            shown = value.relative_to(ROOT) if value.is_absolute() else value
            return f"`{shown}`"
        case tuple():
            return "`" + ",".join(value) + "`" if value else "none"
        case _:
            return f"`{value}`"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every command that can be run, by its words, in the order of the help."""
    children = getattr(command, "commands", {})
    if path and (not children or command.invoke_without_command):
        yield " ".join(path), command
    for name, child in children.items():
        yield from _commands(child, (*path, name))


def _usage(command: Any) -> str:
    given = [_argument(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    text = " ".join((command.help or "").replace("\f", " ").split())
    return f"Arguments: {', '.join(given)}. {text}" if given else text


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    return f"`{name}`{'' if parameter.required else ' (optional)'}"


def _options(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]


def _names(option: Any) -> str:
    names = ", ".join([*sorted(option.opts, key=len, reverse=True), *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar or 'VALUE'}"


def metrics_of(module: ModuleType) -> list[tuple[str, MetricWrapperBase]]:
    """The metrics that a module defines, by the names that Prometheus shows."""
    found = [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]
    return [(_name(metric), metric) for metric in found]


def _name(metric: MetricWrapperBase) -> str:
    return str(metric._name) + ("_total" if metric._type == "counter" else "")


def _both(text: str | None, more: str | None) -> str:
    """Two sentences, of which each may be missing."""
    ended = f"{text.rstrip('.')}." if text and more else text
    return " ".join(filter(None, (ended, more)))


def _series(metric: MetricWrapperBase) -> str:
    name = _name(metric)
    return f"{name}{{{','.join(metric._labelnames)}}}" if metric._labelnames else name


def _span(span: timedelta | None) -> str:
    assert span is not None, "every pause has a limit"
    seconds = span.total_seconds()
    return f"{seconds:g} s"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    for page, text in pages().items():
        (HERE / page).write_text(text, encoding="utf-8")
