"""`croupier round resolve`: a person decides about a round that does not come to its end."""

import asyncio
import getpass
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from api.result.interventions import Interventions
from cli.options import fail
from cli.round.show import LISTED, Wanted
from cli.services import CannotShow, database_of, where
from contracts import actors
from contracts.failures import one_line
from contracts.interventions import Action, InterventionResult, InterventionVerdict, Subject
from runtime.round_start import RoundStart
from runtime.round_workflows import OutcomeUncertain, RoundWorkflows
from runtime.services import Unreachable, load_keyring
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`by` is who decides: the name goes on record."""

    action: Action
    reason: str
    by: str | None


class CannotResolve(Exception):
    """Why nothing was decided, in one line."""


def resolve(settings: Settings, wanted: Wanted, decision: Decision, *, as_json: bool = False) -> int:
    """Prints what came of it. Returns 0 when the ledger has accepted it, 1 when it has refused, 2
    when it cannot be asked."""
    try:
        subject, intervened = asyncio.run(decide(settings, wanted, decision))
    except (CannotResolve, CannotShow, Unreachable, KeyringInvalid) as problem:
        return fail(str(problem))
    refused = intervened.verdict is InterventionVerdict.REFUSED
    if as_json:
        sys.stdout.write(json.dumps(_as_dict(subject, decision, intervened), indent=2) + "\n")
        return int(refused)
    round_id = one_line(subject.bet.key.round_id)
    if refused:
        typer.echo(f"croupier: {decision.action} is refused: round {round_id} {_state(intervened)}", err=True)
        return 1
    typer.echo(f"{decision.action} is accepted: round {round_id} {_state(intervened)}")
    typer.echo(f"./croupier round show {round_id} shows what follows")
    return 0


def _as_dict(subject: Subject, decision: Decision, intervened: InterventionResult) -> dict[str, Any]:
    return {
        "operator_id": subject.bet.key.operator_id,
        "player_id": subject.bet.player_id,
        "round_id": subject.bet.key.round_id,
        "action": decision.action.value,
        "verdict": intervened.verdict.value,
        "state": None if intervened.state is None else intervened.state.value,
        "releasing": intervened.releasing,
    }


async def decide(
    settings: Settings, wanted: Wanted, decision: Decision
) -> tuple[Subject, InterventionResult]:
    """Raises CannotResolve, CannotShow (no stack), Unreachable or KeyringInvalid."""
    reached, _ = where(settings)
    keyring = load_keyring(reached)
    async with database_of(reached, CannotResolve) as database:
        client = await connect_temporal(reached, keyring)
        begins = RoundStart(client, keyring, database.pool)
        workflows = RoundWorkflows(client, task_queue=reached.task_queue, begins=begins)
        interventions = Interventions(workflows, database)
        try:
            return await _decide(interventions, wanted, decision)
        except ValueError as problem:
            raise CannotResolve(str(problem)) from None
        except OutcomeUncertain as uncertain:
            raise CannotResolve(
                one_line(
                    f"nobody answered in time ({uncertain}), and it may still happen: see"
                    f" ./croupier round show {wanted.round_id}"
                )
            ) from None


async def _decide(
    interventions: Interventions, wanted: Wanted, decision: Decision
) -> tuple[Subject, InterventionResult]:
    found = await interventions.find(
        wanted.round_id, operator_id=wanted.operator_id, player_id=wanted.player_id, limit=LISTED
    )
    subject = _only(wanted, found)
    actor = actors.by_command_line(decision.by or getpass.getuser())
    return subject, await interventions.decide(
        subject, action=decision.action, reason=decision.reason, actor=actor
    )


def _only(wanted: Wanted, found: Sequence[Subject]) -> Subject:
    if not found:
        raise CannotResolve(one_line(f"there is no round {wanted.round_id} of whom you name"))
    if len(found) > 1:
        bets = [subject.bet for subject in found]
        choices = [f"  --operator {bet.key.operator_id} --player {bet.player_id}" for bet in bets]
        several = one_line(f"several players used the round id {wanted.round_id}; say which one is meant:")
        raise CannotResolve("\n".join([several, *choices]))
    return found[0]


def _state(intervened: InterventionResult) -> str:
    on_its_way = ", and on its way to void" if intervened.releasing else ""
    if intervened.state is None:
        return f"waits for the wallet to answer for its stake{on_its_way}"
    return f"is {intervened.state}{on_its_way}"
