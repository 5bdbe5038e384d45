"""A round's time line as lines for people, so that a pipe can search it."""

from collections.abc import Iterable, Iterator
from datetime import UTC

from contracts.failures import one_line
from contracts.views import RoundView
from timeline.model import WorkflowStory
from timeline.timeline import Timeline
from timeline.wording import compact, money


def lines(timeline: Timeline) -> Iterator[str]:
    """The whole time line; a row is a line."""
    yield from _head(timeline.record.view, timeline.workflow, timeline.story())
    yield ""
    yield "times in UTC, amounts in minor units of the currency"
    for entry in timeline.entries():
        yield f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}  {entry.source:<10}  {entry.what}"
    if waiting := timeline.now():
        yield ""
        yield from (f"now: {line}" for line in waiting)
    if timeline.workflow.missing:
        yield ""
        yield f"no history: {timeline.workflow.missing}"


def choices_of(rounds: Iterable[RoundView]) -> Iterator[str]:
    """One line for each of several rounds of one id."""
    for view in rounds:
        yield (
            f"  --operator {view.key.operator_id} --player {view.player_id}"
            f"   {view.state}, {view.game_id}, {view.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        )


def _head(view: RoundView, workflow: WorkflowStory, story: list[str]) -> Iterator[str]:
    whose = f"player {view.player_id}, operator {view.key.operator_id}"
    yield f"round {view.key.round_id} of {whose}: {view.state}"
    yield from (f"  {sentence}" for sentence in story)
    yield ""
    yield from (f"  {label:<9} {text}" for label, text in _head_rows(view) if text)
    how = f"{workflow.status}, {workflow.events} events, {workflow.transitions} state transitions"
    yield f"  workflow  {workflow.workflow_id}" + (f": {how}" if workflow.status else "")
    if workflow.link:
        yield f"            {workflow.link}"


def _head_rows(view: RoundView) -> Iterator[tuple[str, str]]:
    amounts = f"stake {money(view.staked, view.currency)}, win {money(view.win, view.currency)}"
    after = "" if view.balance is None else f", balance {money(view.balance, view.currency)} after it"
    failure = " ".join(filter(None, (view.failure_code, one_line(view.failure_detail or ""))))
    yield "game", f"{view.game_id} {view.game_version}, mode {view.mode}"
    yield "money", amounts + after
    yield "choice", compact(view.choice) if view.choice is not None else ""
    yield "outcome", compact(view.outcome) if view.outcome is not None else ""
    yield "failure", failure
    if view.seed_id is not None:
        draw = f"nonce {view.nonce}, client seed {one_line(view.client_seed or '')}"
        yield "fairness", f"{draw}, server seed sealed, its hash {view.server_seed_hash}"
    yield "session", f"{view.session_id}, request {view.request_id}"
    yield "event", "" if view.event_id is None else f"{view.event_id}, the player's number {view.sequence}"
