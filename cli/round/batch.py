"""`croupier round resolve` with filters: one decision about many rounds, each on record by itself.

Nothing is decided before the reader has seen what, and has said how many that are.
"""

import asyncio
import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import typer

from api.result.interventions import Interventions
from cli.options import fail
from cli.round.listing import line_of, opened, with_player
from cli.round.resolve import CannotResolve, Decision
from cli.services import CannotShow, database_of, where
from contracts import actors
from contracts.failures import one_line
from contracts.interventions import Intervention, InterventionResult, InterventionVerdict, Subject
from contracts.rounds import RoundState
from contracts.views import RoundFilter, RoundView
from overview.rounds import Rounds
from runtime.round_start import RoundStart
from runtime.round_workflows import OutcomeUncertain, RoundWorkflows
from runtime.services import Unreachable, load_keyring
from runtime.settings import Settings, SettingsError
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid

INTERRUPTED: Final = 130
# A round that has just begun is nobody's matter yet.
YOUNG: Final = timedelta(minutes=1)
# A round that waits for its player waits for nothing else: it is decided about only where that is asked for.
STATES: Final = (RoundState.PENDING, RoundState.SETTLING)
UNCERTAIN: Final = "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rounds, and what about them. `confirmed` is how many the reader has said they are; None for a dry
    run. `limit` is how many one batch may have."""

    rounds: RoundFilter
    player_id: str | None
    decision: Decision
    confirmed: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class Selected:
    """Rounds of which the ledger would accept the decision, and those that pass the filter too, and are in
    another state."""

    rounds: list[RoundView] = field(default_factory=list)
    others: list[RoundView] = field(default_factory=list)


@dataclass(slots=True)
class Done:
    """What came of each decision so far."""

    decisions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return sum(each["verdict"] == InterventionVerdict.ACCEPTED for each in self.decisions)


def resolve(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Prints what would be done, or what was. Returns 0 when every decision was accepted, or none was to be
    made yet; 1 when one was not, 2 when it could not go on, 130 when it was interrupted."""
    selected, done = Selected(), Done()
    try:
        _check_reason(wanted.decision)
        selected = asyncio.run(_select(settings, wanted))
        _check(selected, wanted)
        if wanted.confirmed is not None:
            asyncio.run(_decide(settings, wanted, selected.rounds, done, as_json=as_json))
    except (CannotResolve, CannotShow, Unreachable, SettingsError, KeyringInvalid) as problem:
        if done.decisions:
            _tell(selected, wanted, done, as_json=as_json)
        return fail(str(problem))
    except KeyboardInterrupt:
        _tell(selected, wanted, done, as_json=as_json)
        typer.echo("croupier: interrupted: what was decided stays decided, and the rest was not", err=True)
        return INTERRUPTED
    _tell(selected, wanted, done, as_json=as_json)
    return 0 if wanted.confirmed is None or done.accepted == len(selected.rounds) else 1


async def _select(settings: Settings, wanted: Wanted) -> Selected:
    """Raises CannotResolve when there are more than the limit."""
    until = min(wanted.rounds.until or datetime.max.replace(tzinfo=UTC), datetime.now(UTC) - YOUNG)
    async with opened(settings) as rounds:
        filter_ = await with_player(rounds, replace(wanted.rounds, until=until), wanted.player_id)
        states = STATES if filter_.state is None else (filter_.state,)
        found: list[RoundView] = []
        for state in states:
            found += await _open(rounds, replace(filter_, state=state), wanted.limit + 1 - len(found))
        if len(found) > wanted.limit:
            raise CannotResolve(
                f"more than {wanted.limit:,} rounds pass: narrow the filters, or raise --limit"
            )
        actions = await rounds.actions(found)
    action = wanted.decision.action
    possible = [view for view, allowed in zip(found, actions, strict=True) if action in allowed]
    return Selected(possible, [view for view in found if view not in possible])


async def _open(rounds: Rounds, filter_: RoundFilter, limit: int) -> list[RoundView]:
    """Open ones are read whole, whatever page they are on."""
    found: list[RoundView] = []
    before: int | None = None
    while len(found) < limit:
        page = await rounds.page(filter_, before=before, limit=limit - len(found))
        found += page.rounds
        if (before := page.following) is None:
            break
    return found


def _check_reason(decision: Decision) -> None:
    """Before anything is read: a dry run that passes is one that can be done."""
    tried = Intervention(
        intervention_id="", action=decision.action, reason=decision.reason, actor=_actor(decision)
    )
    if problem := tried.problem():
        raise CannotResolve(problem)


def _actor(decision: Decision) -> str:
    return actors.by_command_line(decision.by or getpass.getuser())


def _check(selected: Selected, wanted: Wanted) -> None:
    count = len(selected.rounds)
    if wanted.confirmed is not None and wanted.confirmed != count:
        raise CannotResolve(
            f"{count:,} rounds would be decided about, and --confirm says {wanted.confirmed:,}: nothing was"
            " done. Look again with --dry-run"
        )


async def _decide(
    settings: Settings, wanted: Wanted, rounds: Sequence[RoundView], done: Done, *, as_json: bool
) -> None:
    """One after the other: each is its own record, and whoever interrupts knows how far it came."""
    reached, _ = where(settings)
    keyring = load_keyring(reached)
    actor = _actor(wanted.decision)
    async with database_of(reached, CannotResolve) as database:
        client = await connect_temporal(reached, keyring)
        begins = RoundStart(client, keyring, database.pool)
        workflows = RoundWorkflows(client, task_queue=reached.task_queue, begins=begins)
        interventions = Interventions(workflows, database)
        for view in rounds:
            result = await _decide_one(interventions, view, wanted.decision, actor)
            done.decisions.append(_decided(view, result))
            if not as_json:
                typer.echo(_line(done.decisions[-1]))


async def _decide_one(
    interventions: Interventions, view: RoundView, decision: Decision, actor: str
) -> InterventionResult | str:
    """The result, or why it is not known."""
    subject = Subject(bet=view.bet, view=None if view.begun_only else view)
    try:
        return await interventions.decide(
            subject, action=decision.action, reason=decision.reason, actor=actor
        )
    except ValueError as problem:
        raise CannotResolve(str(problem)) from None
    except OutcomeUncertain as uncertain:
        return one_line(f"nobody answered in time ({uncertain}), and it may still happen")


def _decided(view: RoundView, result: InterventionResult | str) -> dict[str, Any]:
    if isinstance(result, str):
        what: dict[str, Any] = {"verdict": UNCERTAIN, "state": None, "releasing": None, "detail": result}
    else:
        state = None if result.state is None else result.state.value
        what = {
            "verdict": result.verdict.value,
            "state": state,
            "releasing": result.releasing,
            "detail": None,
        }
    return {**_named(view), **what}


def _line(decided: dict[str, Any]) -> str:
    whose = f"{decided['operator_id']}  {decided['player_id']}  {decided['round_id']}"
    how = decided["detail"] or (decided["state"] or "waits for its wallet to answer for the stake")
    on_its_way = ", on its way to void" if decided["releasing"] else ""
    return one_line(f"{decided['verdict']:<9}  {whose}  {how}{on_its_way}")


def _tell(selected: Selected, wanted: Wanted, done: Done, *, as_json: bool) -> None:
    """The whole as JSON; for people what is not printed yet."""
    if not as_json:
        typer.echo("\n".join(_summary(selected, wanted, done)))
        return
    document = {
        "action": wanted.decision.action.value,
        "dry_run": wanted.confirmed is None,
        "rounds": [_named(view) for view in selected.rounds],
        "in_another_state": [_named(view) for view in selected.others],
        "decisions": done.decisions,
    }
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _named(view: RoundView) -> dict[str, str]:
    key = view.key
    return {"operator_id": key.operator_id, "player_id": view.player_id, "round_id": key.round_id}


def _summary(selected: Selected, wanted: Wanted, done: Done) -> Iterator[str]:
    action, count = wanted.decision.action, len(selected.rounds)
    if wanted.confirmed is not None:
        yield f"{action}: {done.accepted:,} of {count:,} decisions were accepted"
        return
    yield from map(line_of, selected.rounds)
    for view in selected.others:
        yield f"not this one, whose state does not allow {action}: {line_of(view)}"
    yield f"{action} would be decided about {count:,} rounds; nothing was done yet"
    if count:
        yield f"to do it: the same with --confirm {count}"
