"""What a round costs, where it can be counted: history events, state transitions, statements, memory."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus

from storage import operator_wallets, operators, outbox, rounds
from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Operator, Player
from tests.support.clients import answered, playing, seat_players
from tests.support.conditions import until
from tests.support.statements import StatementLog, statements_logged

T = TypeVar("T")

# At most, for each round.
HISTORY_EVENTS: Final = 6
STATE_TRANSITIONS: Final = 2
# Exactly, for each round: every statement that the ingress executes, its worker's included.
SETTLED_ROUND: Final = (rounds.RESERVE, rounds.SETTLE, outbox.MARK)
DECLINED_ROUND: Final = (rounds.RESERVE,)
REPEATED_BET: Final = (rounds.FIND,)

ROUNDS: Final = 20
# Of a measurement of so many rounds. What a pause of the machine disturbs is measured once more.
TRIES: Final = 5
DURABLE_PATH: Final = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
}
STAKE: Final = 100
MEMORY_LIMIT_BYTES = 250 * 1024 * 1024
# The allocator's own unsteadiness; a round that left 1 KiB behind would show as 10 MiB after 10,000.
GROWTH_LIMIT_BYTES = 15 * 1024 * 1024


async def test_a_settled_round_costs_two_transitions_and_nine_events(
    operator: Operator, temporal: Client
) -> None:
    player = await operator.open_session(balance=TRIES * ROUNDS * STAKE)
    on_fast_path = 0
    for _ in range(TRIES * ROUNDS):
        settled = await player.played()
        closed = await _closed(temporal, player, settled["round_id"])
        if await _left_the_fast_path(temporal, player, settled["round_id"]):
            continue
        assert closed.history_length <= HISTORY_EVENTS
        assert _transitions(closed) <= STATE_TRANSITIONS
        on_fast_path += 1
        if on_fast_path == ROUNDS:
            break
    assert on_fast_path == ROUNDS


async def test_a_declined_round_and_a_repeat_cost_no_more(operator: Operator, temporal: Client) -> None:
    player = await operator.open_session(balance=0)
    for _ in range(TRIES):
        declined = player.wager()
        assert (await player.bet(**declined)).status_code == 402
        first = await _closed(temporal, player, declined["round_id"])
        if not await _left_the_fast_path(temporal, player, declined["round_id"]):
            break
    assert first.history_length <= HISTORY_EVENTS
    assert _transitions(first) <= STATE_TRANSITIONS
    assert (await player.bet(**declined)).status_code == 402
    again = await _closed(temporal, player, declined["round_id"])
    assert (again.run_id, again.history_length, _transitions(again)) == (
        first.run_id,
        first.history_length,
        _transitions(first),
    )


async def test_rounds_cost_these_statements_and_no_other(
    operator: Operator, services: Services, database: Database
) -> None:
    """What the background programs execute, batch by batch, is not a round's and is left out."""
    rich = await operator.open_session(balance=(TRIES * ROUNDS + 1) * STAKE)
    poor = await operator.open_session(balance=0)
    # One bet at a time takes the same connection each time, and the first one has the driver look up types.
    await _settle_all(rich, [rich.wager()], database)
    async with statements_logged(services.stack, database) as log:

        async def settle() -> list[dict[str, Any]]:
            wagers = [rich.wager() for _ in range(ROUNDS)]
            await _settle_all(rich, wagers, database)
            return wagers

        async def decline() -> list[dict[str, Any]]:
            wagers = [poor.wager() for _ in range(ROUNDS)]
            assert await _statuses(poor, wagers) == {402}
            return wagers

        settled = await _executes(log, SETTLED_ROUND, settle)
        assert await _executes(log, REPEATED_BET, lambda: _statuses(rich, settled)) == {200}
        declined = await _executes(log, DECLINED_ROUND, decline)
        assert await _executes(log, REPEATED_BET, lambda: _statuses(poor, declined)) == {402}


async def _executes(log: StatementLog, each: Sequence[str], play: Callable[[], Awaitable[T]]) -> T:
    """Plays ROUNDS rounds whose statements are `each` and no other. They are played again when they were more
    or less: a round that the machine delays takes the durable path, and the ingress may end one that another
    test left. What every round executes is found in every try."""
    expected = Counter({statement: ROUNDS * times for statement, times in Counter(each).items()})
    for _ in range(TRIES):
        log.forget()
        played = await play()
        executed = _executed(log)
        if executed == expected:
            return played
    assert executed == expected
    return played


def _executed(log: StatementLog) -> Counter[str]:
    """By the ingress, but for its looks at operators and wallets every few seconds, which no round waits for,
    and for what the driver asks once on each connection."""
    executed = log.executed_by("ingress")
    del executed[operator_wallets.ALL], executed[operators.OLDEST_OPERATORS]
    of_driver = [text for text in executed if "typeinfo_tree" in text or "'jit'" in text]
    for text in of_driver:
        del executed[text]
    return executed


async def _closed(temporal: Client, player: Player, round_id: str) -> WorkflowExecutionDescription:
    handle = temporal.get_workflow_handle(player.round_key(round_id).workflow_id)

    async def completed() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

    await until(completed)
    return await handle.describe()


async def _left_the_fast_path(temporal: Client, player: Player, round_id: str) -> bool:
    """Whether the machine was so slow that the round took the durable path, which costs more."""
    history = await temporal.get_workflow_handle(player.round_key(round_id).workflow_id).fetch_history()
    return bool({event.event_type for event in history.events} & DURABLE_PATH)


def _transitions(closed: WorkflowExecutionDescription) -> int:
    count: int = closed.raw_description.workflow_execution_info.state_transition_count
    return count


async def _settle_all(player: Player, wagers: list[dict[str, Any]], database: Database) -> None:
    """One after the other, each to the last of what it does in the database: the mark of its event."""

    async def nothing_waits() -> bool:
        return not await database.pool.fetchval(
            "SELECT EXISTS (SELECT FROM outbox WHERE player_key = $1 AND published_at IS NULL)",
            player.claims.player_key,
        )

    for wager in wagers:
        assert await _statuses(player, [wager]) == {201}
        await until(nothing_waits)


async def _statuses(player: Player, wagers: list[dict[str, Any]]) -> set[int]:
    """What the bets, placed one after the other, were answered with."""
    return {(await player.bet(**wager)).status_code for wager in wagers}


async def test_the_ingress_stays_within_its_memory(
    platform: dict[str, Any], services: Services, full: bool
) -> None:
    """10,000 rounds in the full run; the short one looks for the same growth at a smaller size."""
    warm_up, measured = (2_000, 8_000) if full else (300, 900)
    ingress = psutil.Process(services.stack.pid("ingress"))
    players = await seat_players(platform, 8)
    async with playing(players):
        await until(lambda: answered(players, warm_up), within_s=600)
        before = ingress.memory_info().rss
        await until(lambda: answered(players, warm_up + measured), within_s=1_200)
        after = ingress.memory_info().rss
    assert after < MEMORY_LIMIT_BYTES
    assert after - before < GROWTH_LIMIT_BYTES
