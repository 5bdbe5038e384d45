"""One round: everything that is on record of it, and what its operator may decide about it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import Console, acts, of, reads
from api.console.drawing import drawing
from api.console.forms import REASON_WANTED, Form, FormRefused, reason_of
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import message, money, page, recorded, redirect, round_path
from api.console.preview import TITLES, WHEN, preview
from api.console.sessions import Session
from contracts.interventions import REASON_LIMIT, Action, InterventionVerdict
from contracts.records import RoundRecord
from contracts.sessions import DEMO
from contracts.views import RoundFilter, RoundView
from storage import stuck, webhooks
from timeline.wording import amounts_as, compact

FOUND_LIMIT: Final = 20
NOT_FOUND: Final = "You have no round of this id. Ids are exact: copy it whole, or look for it in the list."


@reads
async def round_page(request: Request, session: Session) -> Response:
    """By its id alone; where several players used that, by `player_id` and `mode` too."""
    console, query = of(request), request.query_params
    if query.get("mode") not in (None, "real", DEMO):
        return message("No such page", "mode: real or demo", status=400, session=session)
    found = await _find(
        console, session, request.path_params["round_id"], query.get("player_id"), query.get("mode")
    )
    if not found:
        return message("No such round", NOT_FOUND, status=404, session=session)
    if len(found) > 1:
        return page("which_round.html", session=session, found=found)
    return await _shown(console, session, found[0], done=_action(query.get("done")))


@reads
async def replay_page(request: Request, session: Session) -> Response:
    """The round as it is recorded, and as the API computes it once more."""
    console, query = of(request), request.query_params
    found = await _find(
        console, session, request.path_params["round_id"], query.get("player_id"), query.get("mode")
    )
    if len(found) != 1:
        return message("No such round", NOT_FOUND, status=404, session=session)
    view = found[0]
    try:
        replayed = await console.api.replay(
            session.key, round_id=view.key.round_id, player_id=view.player_id, mode=_mode(view)
        )
    except ApiRefused as refused:
        return await _shown(console, session, view, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(console, session, view, problem=str(away), status=503)
    outcome, win = replayed["outcome"], replayed["win"]
    return page(
        "replay.html",
        session=session,
        view=view,
        mode=_mode(view),
        why=replayed["why"],
        recorded=_in_order(view.outcome),
        outcome=_in_order(outcome),
        win=None if win is None else win["amount"],
    )


@acts
async def decide(request: Request, session: Session, form: Form) -> Response:
    """First shows what the decision would do; `confirmed`, puts it to the API as the person who signed in."""
    console = of(request)
    found = await _find(
        console, session, request.path_params["round_id"], form.get("player_id", ""), form.get("mode")
    )
    action, reason = _action(form.get("action")), reason_of(form)
    if len(found) != 1:
        return message("No such round", NOT_FOUND, status=404, session=session)
    view = found[0]
    if not session.decides:
        raise FormRefused(403, "You only read here: the scope operator or admin decides.")
    if action is None or reason is None:
        problem = "Choose what is to be done." if action is None else REASON_WANTED
        return await _shown(console, session, view, problem=problem, status=422)
    if form.get("confirmed") != "yes":
        if action not in (await console.rounds.actions([view]))[0]:
            problem = f"The round takes no such decision now: it is {view.state.value}."
            return await _shown(console, session, view, problem=problem, status=409)
        asked = await stuck.at_wallet(console.pool, [view.key])
        return page(
            "decide.html",
            session=session,
            view=view,
            action=action,
            title=TITLES[action],
            reason=reason,
            preview=preview(view, action, at_wallet=view.key in asked),
        )
    try:
        await console.api.decide(
            session.key,
            round_id=view.key.round_id,
            player_id=view.player_id,
            mode=_mode(view),
            action=action,
            reason=reason,
        )
    except ApiRefused as refused:
        return await _shown(console, session, view, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(console, session, view, problem=str(away), status=503)
    return redirect(f"{round_path(view.key.round_id, view.player_id, _mode(view))}&done={action.value}")


async def _find(
    console: Console, session: Session, round_id: str, player_id: str | None, mode: str | None
) -> Sequence[RoundView]:
    """The operator's rounds of this id: of real money, then of demo money."""
    found: list[RoundView] = []
    if not round_id.isprintable() or not (player_id or "").isprintable():
        return found
    for demo in (False, True):
        if mode in ("real", DEMO) and demo != (mode == DEMO):
            continue
        key = None
        if player_id:
            key = await console.rounds.player_key(session.operator_id, player_id, demo=demo)
        wanted = RoundFilter(operator_id=session.operator_id, player_key=key, round_id=round_id, demo=demo)
        found += (await console.rounds.page(wanted, limit=FOUND_LIMIT)).rounds
    return found


async def _shown(
    console: Console,
    session: Session,
    view: RoundView,
    *,
    done: Action | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    with amounts_as(money):
        known = await console.rounds.timeline(view, ui=console.temporal_ui)
        record, entries = known.record, known.entries()
        story, now = known.story(), [recorded(line, view.currency) for line in known.now()]
    entries = [replace(entry, what=recorded(entry.what, view.currency)) for entry in entries]
    allowed = (await console.rounds.actions([record.view]))[0]
    deliveries = []
    if record.event is not None:
        deliveries = await webhooks.of_event(
            console.pool, operator_id=session.operator_id, event_id=record.event.event_id
        )
    return page(
        "round.html",
        status=status,
        session=session,
        view=record.view,
        mode=_mode(record.view),
        record=record,
        workflow=known.workflow,
        story=story,
        now=now,
        entries=entries,
        drawing=drawing(entries),
        outcome=None if record.view.outcome is None else compact(record.view.outcome),
        actions=[(action, TITLES[action], WHEN[action]) for action in allowed] if session.decides else [],
        open_for_others=bool(allowed) and not session.decides,
        reason_limit=REASON_LIMIT,
        deliveries=deliveries,
        done=TITLES[done] if done is not None and done in _taken(record) else None,
        problem=problem,
    )


def _in_order(outcome: dict[str, Any] | None) -> str | None:
    """In words, its parts by their names: so two that are the same read the same."""
    return None if outcome is None else compact(json.loads(json.dumps(outcome, sort_keys=True)))


def _taken(record: RoundRecord) -> set[Action]:
    """The decisions that the ledger has accepted, whatever an address says."""
    accepted = InterventionVerdict.ACCEPTED
    return {one.action for one in record.interventions if one.verdict is accepted}


def _action(text: str | None) -> Action | None:
    return Action(text) if text in {action.value for action in Action} else None


def _mode(view: RoundView) -> str:
    return DEMO if view.demo else "real"
