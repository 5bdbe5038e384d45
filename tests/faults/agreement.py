"""What must hold when faults have stopped: nothing is open, every invariant holds, and clients, ledger,
workflows and the wallet's own book agree."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from temporalio.client import WorkflowExecutionStatus

from contracts.rounds import RoundKey, RoundState
from contracts.wallet import WalletCall
from tests.faults.casino import LEDGER_OPERATOR, OPENING, Casino, WalletPlayer
from tests.support.clients import Player
from tests.support.conditions import until
from tests.support.operator_wallet import OPERATOR
from verification import books
from verification.check.histories import FAST_EVENTS
from verification.ledger import audit
from wallet.operator import transaction_id

OPERATORS: Final = (OPERATOR, LEDGER_OPERATOR)
# How long after the faults the last round may still be open. Pauses between two calls grow to 30 s: only what
# nobody takes up again is open for so long.
AT_REST_WITHIN_S: Final = 240
ROUNDS_AT_WALLET: Final = """
    SELECT r.round_id, r.player_id, r.player_key, r.state, r.stake, r.win, r.currency, r.outcome,
           r.failure_code, b.transaction_id AS bet_id
    FROM rounds r
    LEFT JOIN wallet_bets b ON b.player_key = r.player_key AND b.round_id = r.round_id
    WHERE r.operator_id = $1
"""
MIRRORED: Final = """
    SELECT t.player_key, t.reference AS round_id, t.kind, sum(t.amount)::bigint AS amount
    FROM transfers t JOIN players p ON p.id = t.player_key
    WHERE p.operator_id = $1 AND t.kind IN ('collected', 'paid', 'returned')
    GROUP BY t.player_key, t.reference, t.kind
"""
STILL_OPEN: Final = """
    SELECT r.operator_id, r.round_id, r.state, r.created_at, NULL::boolean AS releasing FROM rounds r
    WHERE r.state IN ('pending', 'awaiting_choice', 'settling')
    UNION ALL
    SELECT p.operator_id, b.round_id, 'asked', b.asked_at, b.releasing
    FROM wallet_bets b JOIN players p ON p.id = b.player_key WHERE b.resolved_at IS NULL
"""
# Which call moves what our ledger writes down as this kind of transfer, and in which direction.
MOVED_BY: Final = {
    "collected": (WalletCall.BET, -1),
    "paid": (WalletCall.WIN, 1),
    "returned": (WalletCall.ROLLBACK, 1),
}

# What the calls of one round moved at the wallet, in minor units.
Movements = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Round:
    """A round of the operator with the wallet. `mirrored` is what our ledger says that the wallet moved."""

    key: RoundKey
    player_id: str
    state: RoundState
    stake: int
    currency: str
    asked: bool
    mirrored: Movements

    def movements(self) -> Sequence[Movements]:
        """What the wallet's book may say of it."""
        if self.state is RoundState.SETTLED:
            return [{WalletCall.WIN: 0, **self.mirrored}]  # a win of nothing is told too
        if self.state is RoundState.VOID and self.asked and not self.mirrored:
            # Nobody knew whether the wallet had taken the bet: the rollback undid it, or came first.
            return [{WalletCall.BET: -self.stake, WalletCall.ROLLBACK: self.stake}, {WalletCall.ROLLBACK: 0}]
        return [self.mirrored]


async def until_at_rest(casino: Casino) -> None:
    """Nothing is open: no round, no bet at the wallet, no event, no workflow, no call that the wallet holds
    back."""
    pool = casino.database.pool
    keys = [row["id"] for row in await pool.fetch("SELECT id FROM players")]

    async def at_rest() -> bool:
        if await books.under_way(pool, player_keys=keys, began_before=datetime.now(UTC)):
            return False
        if (await casino.wallet.faults())["under_way"]:
            return False
        return all([await _all_completed(casino, operator_id) for operator_id in OPERATORS])

    try:
        await until(at_rest, within_s=AT_REST_WITHIN_S)
    except TimeoutError:
        rows = [dict(row) for row in await pool.fetch(STILL_OPEN)]
        workflows = [await _not_completed(casino, operator_id) for operator_id in OPERATORS]
        raise AssertionError(f"still open: {rows}; workflows: {workflows}") from None


async def _all_completed(casino: Casino, operator_id: str) -> bool:
    query = f'WorkflowId STARTS_WITH "{operator_id}:" AND ExecutionStatus = "Completed"'
    return (await casino.temporal.count_workflows(query)).count >= await casino.rounds(operator_id)


async def _not_completed(casino: Casino, operator_id: str) -> list[str]:
    query = f'WorkflowId STARTS_WITH "{operator_id}:" AND ExecutionStatus != "Completed"'
    return [execution.id async for execution in casino.temporal.list_workflows(query)]


async def assert_all_agree(casino: Casino, players: Sequence[WalletPlayer]) -> None:
    """Of the whole casino: every invariant, every workflow, the wallet's book, and no incident. Of `players`:
    every answer."""
    state = await audit(casino.database, overdue_after_s=0)
    assert [finding for finding in state.findings if not finding.holds] == []
    assert state.open_holds == 0
    # Reconciliation runs meanwhile: what is only late or repeated is no difference to it.
    assert await casino.database.pool.fetch("SELECT kind, subject, detail FROM incidents") == []
    assert set(state.sums.values()) <= {0}
    for operator_id in OPERATORS:
        await _assert_one_completed_workflow_each(casino, operator_id)
    rows = await casino.database.pool.fetch(ROUNDS_AT_WALLET, OPERATOR)
    _assert_answers_stand({row["round_id"]: row for row in rows}, players)
    await _assert_wallet_agrees(casino, rows)


async def _assert_one_completed_workflow_each(casino: Casino, operator_id: str) -> None:
    workflows = {
        execution.id: execution.status
        async for execution in casino.temporal.list_workflows(
            f'WorkflowId STARTS_WITH "{operator_id}:"', page_size=500
        )
    }
    rows = await casino.database.pool.fetch(
        "SELECT player_key, round_id FROM rounds WHERE operator_id = $1", operator_id
    )
    ids = {f"{operator_id}:{row['player_key']}:{row['round_id']}" for row in rows}
    assert workflows == dict.fromkeys(ids, WorkflowExecutionStatus.COMPLETED)


def _assert_answers_stand(rows: Mapping[str, Any], players: Sequence[WalletPlayer]) -> None:
    """What a player was told at last is what the ledger has, and there is no round besides."""
    told_ids = {round_id for player in players for round_id in (*player.answers, *player.declined)}
    player_keys = {rows[round_id]["player_key"] for round_id in told_ids}
    assert {round_id for round_id, row in rows.items() if row["player_key"] in player_keys} == told_ids
    for player in players:
        for round_id, answer in player.answers.items():
            row = rows[round_id]
            told = (answer["state"], answer["win"]["amount"], answer["outcome"])
            assert told == (row["state"], row["win"], row["outcome"])
        for round_id, code in player.declined.items():
            assert (rows[round_id]["state"], rows[round_id]["failure_code"]) == (RoundState.DECLINED, code)


async def _assert_wallet_agrees(casino: Casino, rows: Sequence[Any]) -> None:
    """Transaction by transaction, and player by player."""
    rounds, book = await _rounds(casino, rows), await _statement(casino)
    assert book.keys() <= rounds.keys()
    for key, round_ in rounds.items():
        entries = book.get(key, {})
        assert {call: entry["moved"] for call, entry in entries.items()} in round_.movements(), (key, round_)
        for call, entry in entries.items():
            assert entry["transaction_id"] == transaction_id(round_.key, WalletCall(call))
            assert entry["currency"] == round_.currency
    moved: Counter[str] = Counter()
    for round_ in rounds.values():
        moved[round_.player_id] += sum(round_.mirrored.values())
    balances = {player_id: _balance(casino, player_id) for player_id in moved}
    assert balances == {player_id: OPENING + change for player_id, change in moved.items()}


def _balance(casino: Casino, player_id: str) -> int:
    """Whom the wallet has not met yet it will open an account for."""
    player = casino.wallet.book.player(OPERATOR, player_id)
    return OPENING if player is None else player.balance


async def _rounds(casino: Casino, rows: Sequence[Any]) -> dict[tuple[str, str], Round]:
    """By player and round id."""
    mirrored: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    for row in await casino.database.pool.fetch(MIRRORED, OPERATOR):
        call, sign = MOVED_BY[row["kind"]]
        mirrored[row["player_key"], row["round_id"]][call] = sign * row["amount"]
    return {
        (row["player_id"], row["round_id"]): Round(
            key=RoundKey(operator_id=OPERATOR, player_key=row["player_key"], round_id=row["round_id"]),
            player_id=row["player_id"],
            state=RoundState(row["state"]),
            stake=row["stake"],
            currency=row["currency"],
            asked=row["bet_id"] is not None,
            mirrored=mirrored[row["player_key"], row["round_id"]],
        )
        for row in rows
    }


async def _statement(casino: Casino) -> dict[tuple[str, str], dict[str, Any]]:
    """The wallet's entries of each round by their calls, by player and round id."""
    book: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    cursor = ""
    while True:
        page = (await casino.wallet.statement(f"operator_id={OPERATOR}{cursor}")).json()
        for entry in page["items"]:
            if entry["call"] != "opening":
                of_round = book[entry["player_id"], entry["round_id"]]
                assert entry["call"] not in of_round, f"{entry} is the second of its kind"
                of_round[entry["call"]] = entry
        if page["next_cursor"] is None:
            return book
        cursor = f"&cursor={page['next_cursor']}"


async def patient_rounds(casino: Casino, players: Sequence[Player]) -> int:
    """How many of these players' rounds could not be played in one go."""
    workflow_ids = await _workflow_ids(casino, players)
    return sum(await asyncio.gather(*(_is_patient(casino, workflow_id) for workflow_id in workflow_ids)))


async def _workflow_ids(casino: Casino, players: Sequence[Player]) -> list[str]:
    round_ids = [round_id for player in players for round_id in player.answers]
    rows = await casino.database.pool.fetch(
        "SELECT operator_id, player_key, round_id FROM rounds WHERE round_id = ANY($1::text[])", round_ids
    )
    return [f"{row['operator_id']}:{row['player_key']}:{row['round_id']}" for row in rows]


async def _is_patient(casino: Casino, workflow_id: str) -> bool:
    description = await casino.temporal.get_workflow_handle(workflow_id).describe()
    return description.raw_description.workflow_execution_info.history_length > FAST_EVENTS
