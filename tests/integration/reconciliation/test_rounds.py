"""Reconciliation of rounds: what was lost is brought to its end, once, and what is healthy is left alone."""

import asyncio
import dataclasses
from datetime import timedelta
from typing import Final

from contracts.actions import PlayerAction
from contracts.choices import Abandonment, Choice, Chosen, Offer
from contracts.reconciliation import IncidentKind, Page, WorkflowState
from contracts.rounds import Resolution, RoundState
from contracts.wallet import WalletCall
from storage import operator_wallets, rounds
from tests.integration.reconciliation.floor import (
    AT_ONCE,
    NO_WORKER,
    Floor,
    Meanwhile,
    Refusing,
    Stubborn,
    give_up,
    wager,
)
from tests.integration.wallet.casino import OPENING, SERVER_ERRORS, STAKE, Player
from wallet.operator import transaction_id


async def test_a_settling_round_whose_workflow_was_terminated_is_driven_on(
    floor: Floor, player: Player
) -> None:
    bet = player.bet()
    fault = {"kind": "error-before", "call": "win"}
    await floor.casino.wallet.set_faults(script=[fault] * SERVER_ERRORS)
    told = await player.play(bet)
    assert told is not None
    assert told.state is RoundState.SETTLING
    await floor.casino.wallet.until_fired("error-before")
    await floor.terminate(bet)
    # Not before it was looked at: an attempt that was under way may be late, and would bring the win.
    looked = await floor.rounds().open_rounds(Page())
    assert (looked.opened, looked.driven_on) == (1, 1)
    await floor.casino.wallet.clear_faults()
    view = await player.end_of(bet)
    assert (view.state, view.win) == (RoundState.SETTLED, told.win)
    await player.assert_square(view)

    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_LOST
    assert incident.finding.detail == {"state": "settling", "workflow": "terminated"}
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.resolved_at is not None


async def test_a_round_of_our_own_ledger_whose_workflow_was_terminated_is_driven_on(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    await floor.terminate(bet)
    assert (await floor.rounds().open_rounds(Page())).driven_on == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    balance, held = await seat.money()
    view = await rounds.find(floor.pool, bet.key)
    assert view is not None
    assert (balance, held) == (1_000 - STAKE + view.win, 0)
    await floor.resolve_all()


async def test_a_round_that_temporal_forgot_is_driven_on(floor: Floor) -> None:
    """As after Temporal was restored from an older copy: the round is there, and no workflow of its id."""
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    assert await floor.workflows.state(bet.key.workflow_id) is WorkflowState.FORGOTTEN
    assert (await floor.rounds().open_rounds(Page())).driven_on == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    assert len(await seat.events()) == 1
    await floor.resolve_all()


async def test_a_bet_whose_answer_nobody_knows_and_whose_workflow_is_lost_is_driven_on(
    floor: Floor, player: Player
) -> None:
    """There is no round yet, only the bet that the wallet was asked for."""
    bet = player.bet()
    await operator_wallets.begin_bet(floor.pool, bet, transaction_id(bet.key, WalletCall.BET))
    assert (await floor.rounds().open_rounds(Page())).looked_at == 0
    looked = await floor.rounds().unanswered_bets(Page())
    assert (looked.opened, looked.driven_on) == (1, 1)
    view = await player.end_of(bet)
    assert view.state is RoundState.SETTLED
    await player.assert_square(view)
    assert (await floor.rounds().unanswered_bets(Page())).looked_at == 0
    await floor.resolve_all()


HELD: Final = Offer(
    choices=[Choice(action="collect"), Choice(action="raise", debit=60)],
    default=Chosen(action="collect"),
    decide_within_s=60,
    abandonment=Abandonment.HOLD,
)


async def test_a_round_that_waits_and_whose_wallet_was_asked_for_an_action_is_driven_on(
    floor: Floor, player: Player
) -> None:
    """Without an open bet it would wait for its player without end. Dice offers no action, so the round is
    void once its workflow has brought that bet to its end."""
    bet = player.bet()
    action = PlayerAction(action_id="a1", chosen=Chosen(action="raise"), request_id="r1")
    bet_id = transaction_id(bet.key, WalletCall.BET, action.action_id)
    first_id = transaction_id(bet.key, WalletCall.BET)
    await operator_wallets.begin_bet(floor.pool, bet, first_id)
    taken = {
        "operator_id": bet.key.operator_id,
        "player_id": bet.player_id,
        "session_id": bet.session_id,
        "currency": bet.currency,
        "round_id": bet.key.round_id,
        "game_id": bet.game_id,
        "amount": bet.stake,
        "transaction_id": first_id,
    }
    assert (await floor.casino.wallet.call("bet", taken)).status_code == 200
    await operator_wallets.accept_bet(floor.pool, bet, balance=OPENING - STAKE)
    await rounds.open_round(floor.pool, bet.key, Resolution(outcome={"roll": 1}, win=0, offer=HELD))
    assert (await floor.rounds().open_rounds(Page())).looked_at == 0
    await operator_wallets.begin_action(floor.pool, bet.key, action, bet_id, several_bets=True)
    looked = await floor.rounds().open_rounds(Page())
    assert (looked.opened, looked.driven_on) == (1, 1)
    view = await player.end_of(bet)
    assert (view.state, view.extra) == (RoundState.VOID, 60)
    await player.assert_square(view)
    assert floor.casino.wallet.moved(bet_id) == -60
    await floor.resolve_all()


async def test_a_round_that_is_slow_and_healthy_is_left_alone(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    looked = await floor.rounds().open_rounds(Page())
    assert (looked.looked_at, looked.opened, looked.driven_on) == (1, 0, 0)
    assert await floor.incidents_of(bet.key.workflow_id) == []
    await give_up(floor, seat, bet)


async def test_a_round_whose_workflow_comes_to_run_while_we_look_is_not_started_twice(floor: Floor) -> None:
    """The interleaving: Temporal said that nothing runs, and then the player's repeat started the round."""
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)

    async def meanwhile() -> WorkflowState:
        await floor.start_without_worker(bet)
        return WorkflowState.FORGOTTEN

    looked = await floor.rounds(Meanwhile(floor.workflows, meanwhile)).open_rounds(Page())
    assert looked.driven_on == 0
    handle = floor.casino.temporal.get_workflow_handle(bet.key.workflow_id)
    assert (await handle.describe()).task_queue == NO_WORKER, "the run of the player's repeat stands"
    await give_up(floor, seat, bet)


async def test_a_round_that_closes_while_we_look_is_no_incident(floor: Floor) -> None:
    """The interleaving: it was open when we read it, and its workflow had ended when we asked for it."""
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)

    async def meanwhile() -> WorkflowState:
        await seat.settle(bet, 0)
        return WorkflowState.COMPLETED

    looked = await floor.rounds(Meanwhile(floor.workflows, meanwhile)).open_rounds(Page())
    assert (looked.looked_at, looked.opened, looked.driven_on) == (1, 0, 0)
    assert await floor.workflows.state(bet.key.workflow_id) is WorkflowState.FORGOTTEN


async def test_reconcilers_at_once_find_one_incident_and_settle_once(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    looked = await asyncio.gather(*(floor.rounds().open_rounds(Page()) for _ in range(4)))
    assert sum(one.opened for one in looked) == 1
    assert sum(one.driven_on for one in looked) == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    assert len(await floor.incidents_of(bet.key.workflow_id)) == 1
    assert len(await seat.events()) == 1
    await floor.resolve_all()


async def test_a_round_that_cannot_be_driven_on_is_not_started_each_time(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    stubborn = Stubborn()
    for _ in range(3):
        await floor.rounds(stubborn).open_rounds(Page())
    assert stubborn.started == [bet]
    assert len(await floor.incidents_of(bet.key.workflow_id)) == 1
    await give_up(floor, seat, bet)


async def test_a_round_that_is_open_for_too_long_is_stuck_until_it_closes(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    impatient = floor.rounds(patience=dataclasses.replace(AT_ONCE, stuck=timedelta(0)))
    looked = [await impatient.open_rounds(Page()) for _ in range(2)]
    assert [one.opened for one in looked] == [1, 0]
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert (incident.finding.kind, incident.resolved_at) == (IncidentKind.STUCK, None)
    await give_up(floor, seat, bet)
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.resolved_at is not None


async def test_a_terminated_workflow_is_found_before_its_round_is_late(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    await floor.terminate(bet)
    patient = floor.rounds(patience=dataclasses.replace(AT_ONCE, open=timedelta(hours=1)))
    assert (await patient.open_rounds(Page())).looked_at == 0
    await floor.listed_as_ended(bet)
    assert (await patient.closed_workflows(Page())).driven_on == 1
    assert await floor.incidents_of(bet.key.workflow_id)
    assert await floor.end_of(bet) is RoundState.SETTLED
    await floor.resolve_all()


async def test_a_round_that_was_terminated_before_it_was_recorded_is_driven_on(floor: Floor) -> None:
    """Its player was told that it is pending, and the ledger has nothing of it."""
    seat = await floor.seat()
    bet, foreign = wager(seat), dataclasses.replace(wager(seat), session_id="of-another-database")
    for each in (bet, foreign):
        await floor.start_without_worker(each)
        await floor.terminate(each)
    await floor.listed_as_ended(bet)
    await floor.rounds().closed_workflows(Page())
    assert await floor.incidents_of(bet.key.workflow_id)
    assert await floor.end_of(bet) is RoundState.SETTLED
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_LOST
    assert incident.finding.detail == {"state": None, "workflow": "terminated"}
    assert incident.resolved_at is not None

    left = await floor.rounds()._examine_listed(foreign.key.workflow_id)
    assert (left.looked_at, left.opened, left.driven_on) == (1, 0, 0)
    assert await floor.workflows.state(foreign.key.workflow_id) is WorkflowState.TERMINATED


async def test_a_failed_workflow_of_a_closed_round_is_an_incident_until_one_completes(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await seat.settle(bet, 0)

    async def failed() -> WorkflowState:
        return WorkflowState.FAILED

    looks = floor.rounds(Meanwhile(floor.workflows, failed))
    looked = await looks._examine_listed(bet.key.workflow_id)
    assert (looked.opened, looked.driven_on) == (1, 1)
    assert await floor.end_of(bet) is RoundState.SETTLED
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_FAILED
    assert incident.resolved_at is not None


async def test_a_round_that_temporal_refuses_does_not_hold_up_the_others(floor: Floor) -> None:
    seats = [await floor.seat() for _ in range(2)]
    bets = [wager(seat) for seat in seats]
    for seat, bet in zip(seats, bets, strict=True):
        await seat.reserve(bet)
    looked = await floor.rounds(Refusing(floor.workflows, bets[0])).open_rounds(Page())
    assert (looked.driven_on, len(looked.problems)) == (1, 1)
    assert bets[0].key.workflow_id in looked.problems[0]
    assert await floor.end_of(bets[1]) is RoundState.SETTLED
    await give_up(floor, seats[0], bets[0])
