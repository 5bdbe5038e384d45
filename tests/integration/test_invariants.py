"""Each invariant notices what it is for, and nothing else does: a sound ledger is corrupted in one way at a
time, past every trigger, in a transaction that is rolled back."""

# ruff: noqa: S608 - the statements are put together from the constants of this file

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import pytest

from contracts.actions import PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.rounds import Bet, Resolution, RoundKey
from contracts.views import ApiKeyView, RoundView, SessionView
from security.keyring import Keyring
from security.seeds import SeedVault, commitment, new_server_seed
from storage import (
    operator_wallets,
    operators,
    outbox,
    players,
    rounds,
    sessions,
    statistics,
)
from storage.database import Database
from storage.statistics import RoundFact
from tests.conftest import Services
from tests.support.databases import own_database
from verification.findings import EXAMPLES
from verification.invariants.events import NO_INVENTED_EVENT
from verification.invariants.invariant import violations
from verification.invariants.table import INVARIANTS
from verification.ledger import audit, examine

OPERATOR: Final = "casino"
CURRENCY: Final = "EUR"
DICE_CHOICE: Final = {"direction": "over", "target": 4999}
OVERDUE_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Corruption:
    """`broken` is the name of the invariant that must notice `sql`."""

    broken: str
    what: str
    sql: str


# The rows that corruptions aim at, by what they are.
ALICE = "(SELECT id FROM players WHERE player_id = 'alice')"
BOB = "(SELECT id FROM players WHERE player_id = 'bob')"
ACCOUNT = f"(SELECT id FROM accounts WHERE player_key = {ALICE})"
HOUSE = "(SELECT id FROM accounts WHERE kind = 'house')"
WALLET = "(SELECT id FROM accounts WHERE kind = 'wallet')"
WIN_EVENT = "(SELECT event_id FROM rounds WHERE round_id = 'won')"
VOID_EVENT = "(SELECT event_id FROM rounds WHERE round_id = 'void')"
WON_STAKE = "(SELECT id FROM transfers WHERE kind = 'stake' AND reference = 'won')"
ADD_TO_BALANCE = f"UPDATE accounts SET balance = balance + (%d) WHERE id = {ACCOUNT}"


def transfer(kind: str, reference: str, debit: str, credit: str, amount: int) -> str:
    """A transfer that is sound in itself: its postings, its link of the chain, the balance."""
    gained = amount if credit == ACCOUNT else -amount
    return (
        f"SELECT post_transfer({ALICE}, '{kind}', '{reference}', {debit}, {credit}, {amount}, 'EUR', 0);"
        + ADD_TO_BALANCE % gained
    )


CORRUPTIONS: Final = (
    Corruption(
        "transfers-balance",
        "a posting of another amount",
        f"UPDATE postings SET amount = amount + 1 WHERE transfer_id = {WON_STAKE} AND account_id = {HOUSE}",
    ),
    Corruption(
        "transfers-balance",
        "a posting is missing",
        f"DELETE FROM postings WHERE transfer_id = {WON_STAKE} AND account_id = {HOUSE}",
    ),
    Corruption(
        "transfers-balance",
        "postings of no transfer",
        f"INSERT INTO postings VALUES (0, {HOUSE}, 5, 'EUR'), (0, 0, -5, 'EUR')",
    ),
    Corruption(
        "transfers-balance",
        "postings in another currency",
        f"UPDATE postings SET currency = 'USD' WHERE transfer_id = {WON_STAKE}",
    ),
    Corruption("balances-are-postings", "a balance was raised", ADD_TO_BALANCE % 1),
    Corruption(
        "never-overdrawn",
        "more is held than there is",
        f"""ALTER TABLE accounts DROP CONSTRAINT never_overdrawn;
            UPDATE rounds SET stake = 1000000000 WHERE round_id = 'open';
            UPDATE accounts SET held = 1000000000 WHERE id = {ACCOUNT}""",
    ),
    Corruption(
        "holds-are-open-stakes",
        "a hold of no round",
        f"UPDATE accounts SET held = held + 1 WHERE id = {ACCOUNT}",
    ),
    Corruption(
        "no-hold-overdue",
        "a round that stays open",
        "UPDATE rounds SET created_at = now() - interval '1 hour' WHERE round_id = 'open'",
    ),
    Corruption(
        "one-terminal", "a declined round took money", transfer("stake", "declined", ACCOUNT, HOUSE, 5)
    ),
    Corruption(
        "no-hold-overdue",
        "a stake that was asked for and never answered",
        f"""INSERT INTO wallet_bets (player_key, round_id, game_id, stake, currency, transaction_id, asked_at)
            VALUES ({ALICE}, 'asked', 'fruit-lines', 100, 'EUR', 't', now() - interval '1 hour')""",
    ),
    Corruption(
        "wallets-are-square",
        "a wallet paid in for no bet",
        transfer("collected", "ghost", WALLET, ACCOUNT, 5),
    ),
    Corruption(
        "wallets-are-square", "a wallet got a stake back", transfer("returned", "taken", ACCOUNT, WALLET, 100)
    ),
    Corruption("wallets-are-square", "a wallet got a win", transfer("paid", "returned", ACCOUNT, WALLET, 5)),
    Corruption(
        "wallets-are-square",
        "a bet of another amount",
        "UPDATE wallet_bets SET stake = stake + 1 WHERE round_id = 'refused'",
    ),
    Corruption(
        "wallet-bets-are-resolved",
        "a bet whose round has ended",
        "UPDATE wallet_bets SET resolved_at = NULL WHERE round_id = 'taken'",
    ),
    Corruption(
        "wallet-bets-are-resolved",
        "a settled round that was released",
        "UPDATE wallet_bets SET releasing = true WHERE round_id = 'taken'",
    ),
    Corruption("one-terminal", "a void round paid", transfer("win", "void", HOUSE, ACCOUNT, 5)),
    Corruption("one-terminal", "a lost round paid", transfer("win", "lost", HOUSE, ACCOUNT, 5)),
    Corruption("one-terminal", "a stake of no round", transfer("stake", "ghost", ACCOUNT, HOUSE, 5)),
    Corruption(
        "rounds-are-complete",
        "a settled round without its outcome",
        "UPDATE rounds SET outcome = NULL WHERE round_id = 'won'",
    ),
    Corruption(
        "rounds-are-complete",
        "a state that nobody knows",
        f"""UPDATE rounds SET state = 'lost', sequence = NULL, event_id = NULL WHERE round_id = 'poor';
            DELETE FROM outbox WHERE player_key = {BOB} AND type = 'round.declined';
            UPDATE players SET sequence = sequence - 1 WHERE id = {BOB}""",
    ),
    Corruption(
        "actions-are-counted",
        "an action of no round",
        f"INSERT INTO round_actions VALUES ({ALICE}, 'ghost', 1, 'a', 'go', '{{}}', 0, 'player', 'r', now())",
    ),
    Corruption(
        "actions-are-counted",
        "an action that is gone",
        "DELETE FROM round_actions WHERE round_id = 'chosen'",
    ),
    Corruption(
        "rounds-are-complete",
        "a round that waits and offers nothing",
        "UPDATE rounds SET offer = NULL WHERE round_id = 'waiting'",
    ),
    Corruption(
        "no-hold-overdue",
        "a round that waits for longer than its player may",
        "UPDATE rounds SET decide_by = now() - interval '1 hour' WHERE round_id = 'waiting'",
    ),
    Corruption(
        "one-event",
        "an event of a declined round",
        f"""UPDATE players SET sequence = sequence + 1 WHERE id = {ALICE};
            INSERT INTO outbox (event_id, type, operator_id, player_key, game_id, subject, sequence, data,
                                occurred_at, published_at)
            SELECT gen_random_uuid(), 'round.settled', operator_id, id, 'dice', 'declined', sequence, '{{}}',
                   now(), now() FROM players WHERE id = {ALICE}""",
    ),
    Corruption(
        "one-event",
        "a void round without its event",
        f"""DELETE FROM inbox WHERE event_id = {VOID_EVENT};
            UPDATE game_statistics SET voids = voids - 1;
            DELETE FROM outbox WHERE event_id = {VOID_EVENT};
            UPDATE players SET sequence = sequence - 1 WHERE id = {ALICE}""",
    ),
    Corruption(
        "one-event",
        "a choice in a round that is not there",
        f"UPDATE outbox SET type = 'round.opened' WHERE player_key = {ALICE} AND type = 'session.opened'",
    ),
    Corruption(
        "movements-agree",
        "an event of another amount",
        f"""UPDATE outbox SET data = jsonb_set(data, '{{amount,amount}}', '1')
            WHERE player_key = {ALICE} AND type = 'wallet.deposited'""",
    ),
    Corruption(
        "movements-agree",
        "an event of a withdrawal that nobody made",
        f"UPDATE outbox SET type = 'wallet.withdrawn' WHERE player_key = {BOB} AND type = 'wallet.deposited'",
    ),
    Corruption(
        "sessions-agree",
        "an end of a session that goes on",
        f"UPDATE outbox SET type = 'session.ended' WHERE player_key = {ALICE} AND type = 'session.opened'",
    ),
    Corruption(
        "sessions-agree",
        "a session of another player's",
        f"""UPDATE outbox SET data = jsonb_set(data, '{{session_id}}', '"session-bob"')
            WHERE player_key = {ALICE} AND type = 'session.opened'""",
    ),
    Corruption(
        "events-published",
        "an event that never left",
        f"""UPDATE outbox SET published_at = NULL, occurred_at = now() - interval '1 hour'
            WHERE event_id = {WIN_EVENT}""",
    ),
    Corruption(
        "events-applied",
        "an event that the consumer lost",
        f"""DELETE FROM inbox WHERE event_id = {WIN_EVENT};
            UPDATE game_statistics SET rounds = rounds - 1, stake = stake - 100, win = win - 198;
            UPDATE outbox SET published_at = now() - interval '1 hour' WHERE event_id = {WIN_EVENT}""",
    ),
    Corruption(
        "no-invented-event",
        "an event from nowhere",
        "INSERT INTO inbox (consumer, event_id) VALUES ('statistics', gen_random_uuid())",
    ),
    Corruption(
        "statistics-are-rounds", "an event counted twice", "UPDATE game_statistics SET win = win + 198"
    ),
    Corruption(
        "statistics-are-rounds", "statistics that are gone", "DELETE FROM game_statistics WHERE rounds > 0"
    ),
    Corruption(
        "sequences-gapless", "a gap", f"UPDATE players SET sequence = sequence + 1 WHERE id = {ALICE}"
    ),
    Corruption(
        "sequences-gapless",
        "a sequence that goes back",
        f"""UPDATE outbox SET sequence = -sequence WHERE player_key = {ALICE} AND sequence <= 2;
            UPDATE outbox SET sequence = 3 + sequence WHERE player_key = {ALICE} AND sequence < 0;
            UPDATE rounds SET sequence = 3 - sequence WHERE player_key = {ALICE} AND sequence <= 2""",
    ),
    Corruption(
        "nonces-used-once",
        "a draw that was thrown away",
        f"UPDATE seeds SET next_nonce = next_nonce + 1 WHERE player_key = {ALICE}",
    ),
    Corruption(
        "nonces-used-once",
        "a draw out of order",
        "UPDATE rounds SET nonce = 99 WHERE round_id = 'won'",
    ),
    Corruption("guards-in-place", "a trigger is off", "ALTER TABLE rounds DISABLE TRIGGER final_is_final"),
    Corruption("guards-in-place", "a trigger is gone", "DROP TRIGGER append_only ON postings"),
    Corruption("guards-in-place", "an account may begin with money", "DROP TRIGGER begins_empty ON accounts"),
    Corruption(
        "chains-hold",
        "a transfer was edited",
        f"UPDATE transfers SET created_at = created_at + interval '1 second' WHERE id = {WON_STAKE}",
    ),
    Corruption(
        "chains-hold",
        "a head that is not the last transfer's",
        f"UPDATE players SET chain_head = sha256('x') WHERE id = {ALICE}",
    ),
    Corruption(
        "events-agree",
        "an event with another win",
        f"""UPDATE outbox SET data = jsonb_set(data, '{{win,amount}}', '1') WHERE event_id = {WIN_EVENT}""",
    ),
    Corruption(
        "events-agree",
        "an event of another game",
        f"UPDATE outbox SET game_id = 'fruit-lines' WHERE event_id = {WIN_EVENT}",
    ),
    Corruption(
        "rows-belong-together",
        "a round of another player's session",
        f"""UPDATE rounds SET session_id = (SELECT id FROM sessions WHERE player_key = {BOB})
            WHERE round_id = 'open'""",
    ),
    Corruption(
        "rows-belong-together",
        "a seed of another player",
        f"UPDATE seeds SET player_key = {BOB} WHERE player_key = {ALICE}",
    ),
    Corruption(
        "transfers-stay-home",
        "a house of another operator",
        f"UPDATE accounts SET operator_id = 'other' WHERE id = {HOUSE}",
    ),
    Corruption(
        "play-money-apart",
        "play money was staked against the house",
        """DROP INDEX one_shared_account_per_kind;
           UPDATE accounts SET kind = 'house' WHERE kind = 'play'""",
    ),
    Corruption(
        "play-money-apart",
        "a round of real money is said to be of play money",
        "UPDATE rounds SET demo = true WHERE round_id = 'declined'",
    ),
    Corruption(
        "play-money-apart",
        "a session lets a player of real money play with play money",
        "UPDATE sessions SET mode = 'demo' WHERE id = 'session-alice'",
    ),
    Corruption(
        "secrets-sealed",
        "a seed in the clear",
        f"UPDATE seeds SET sealed_server_seed = '{'ab' * 32}' WHERE player_key = {ALICE}",
    ),
    Corruption(
        "secrets-sealed",
        "a wallet's secret in the clear",
        "INSERT INTO operator_wallets VALUES ('other', 'https://w.example', 'croupier', 'whsec_c2VjcmV0')",
    ),
    Corruption("secrets-sealed", "an API key in the clear", "UPDATE api_keys SET secret_hash = 'crk_secret'"),
)


@pytest.fixture(scope="module")
async def ledger(services: Services) -> AsyncIterator[Database]:
    """A database of its own, with every kind of round in it and nothing wrong."""
    async with own_database(services, connections=2) as database:
        await _populate(database.pool)
        yield database


async def test_a_sound_ledger_passes(ledger: Database) -> None:
    state = await audit(ledger, overdue_after_s=OVERDUE_AFTER_S)
    assert [finding for finding in state.findings if not finding.holds] == []
    assert state.sums == {CURRENCY: 0}
    assert state.open_holds == 2


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: f"{c.broken}: {c.what}")
async def test_a_corruption_is_named(ledger: Database, corruption: Corruption) -> None:
    async with ledger.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(corruption.sql)
            state = await examine(connection, overdue_after_s=OVERDUE_AFTER_S)
        finally:
            await transaction.rollback()
    broken = {finding.name: finding.examples for finding in state.findings if not finding.holds}
    assert list(broken) == [corruption.broken], broken
    assert broken[corruption.broken], "it gives an example"


def test_every_invariant_has_a_corruption() -> None:
    names = {invariant.name for invariant in INVARIANTS} | {"chains-hold"}
    assert {corruption.broken for corruption in CORRUPTIONS} == names


async def test_counts_all_and_shows_a_few(ledger: Database) -> None:
    async with ledger.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO inbox (consumer, event_id) "
            "SELECT 'statistics', gen_random_uuid() FROM generate_series(1, 50)"
        )
        found = await violations(connection, NO_INVENTED_EVENT, overdue_after_s=0)
        await connection.execute("DELETE FROM inbox WHERE event_id NOT IN (SELECT event_id FROM outbox)")
    assert found.count == 50
    assert len(found.examples) == EXAMPLES


async def _populate(pool: asyncpg.Pool) -> None:
    """Alice has a round of each kind, in our ledger and at a wallet, the void one of ours last among those
    with an event; Bob has a lost one, one that he decided in, one that waits for him, and a declined one
    last. Carol plays with play money: her rounds have no event."""
    await operators.ensure_operator(pool, operator_id=OPERATOR, name="Casino")
    await operators.ensure_operator(pool, operator_id="other", name="Other")
    digest = hashlib.sha256(b"a key").hexdigest()
    await operators.add_key(
        pool, ApiKeyView(key_id="key", operator_id=OPERATOR, secret_hash=digest, scope="operator")
    )
    alice, bob = await _seat(pool, "alice"), await _seat(pool, "bob")
    closed = [
        await _settled(pool, _named(alice, "won"), win=198),
        await _settled(pool, _named(alice, "lost"), win=0),
        await _settled(pool, _named(bob, "lost"), win=0),
    ]
    closed.append(await _chosen(pool, _named(bob, "chosen")))
    await _waiting(pool, _named(bob, "waiting"))
    closed += await _at_a_wallet(pool, alice)
    await rounds.reserve(pool, replace(_named(bob, "poor"), stake=10**9))
    await rounds.reserve(pool, replace(_named(alice, "declined"), stake=10**9))
    await rounds.reserve(pool, _named(alice, "void"))
    closed.append(await rounds.release(pool, _named(alice, "void"), "resolve-failed", "a test"))
    await rounds.reserve(pool, _named(alice, "open"))
    carol = await _seat(pool, "carol", demo=True)
    of_play = [await _settled(pool, _named(carol, "won-in-play"), win=198)]
    await rounds.reserve(pool, _named(carol, "void-in-play"))
    of_play.append(await rounds.release(pool, _named(carol, "void-in-play"), "resolve-failed", "a test"))
    assert [(view.state, view.event_id, view.sequence) for view in of_play] == [
        ("settled", None, None),
        ("void", None, None),
    ]
    await outbox.mark_published(pool, [view.event_id for view in closed if view.event_id])
    await statistics.apply(pool, [_fact(view) for view in closed])


async def _seat(pool: asyncpg.Pool, player_id: str, *, demo: bool = False) -> Bet:
    """A player with money and a session, as a bet without a round id."""
    key, account = await sessions.ensure_account(
        pool, operator_id=OPERATOR, player_id=player_id, currency=CURRENCY, demo=demo
    )
    seed, seed_id = new_server_seed(), f"seed-{player_id}"
    session = SessionView(
        session_id=f"session-{player_id}",
        operator_id=OPERATOR,
        player_id=player_id,
        player_key=key,
        account_id=account,
        game_id="dice",
        currency=CURRENCY,
        mode="demo" if demo else "real",
        server_seed_hash=commitment(seed),
        client_seed="client",
        next_nonce=0,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        ended_at=None,
    )
    sealed = SeedVault(Keyring.generate()).seal(seed_id, seed)
    await sessions.open_session(pool, session, seed_id=seed_id, sealed_server_seed=sealed)
    if demo:
        await sessions.give_play_money(pool, session, amount=100_000)
    else:
        await players.deposit(
            pool,
            operator_id=OPERATOR,
            player_key=key,
            account_id=account,
            transaction_id="d-1",
            amount=100_000,
            currency=CURRENCY,
        )
    return Bet(
        key=RoundKey(operator_id=OPERATOR, player_key=key, round_id=""),
        player_id=player_id,
        account_id=account,
        session_id=session.session_id,
        game_id="dice",
        game_version="1.0.0",
        currency=CURRENCY,
        stake=100,
        mode="base",
        choice=DICE_CHOICE,
        request_id="request",
        demo=demo,
    )


async def _at_a_wallet(pool: asyncpg.Pool, seat: Bet) -> list[RoundView]:
    """A settled round and a void one, in the order of the player's events; and one that was refused."""
    taken, returned, refused = (_named(seat, name) for name in ("taken", "returned", "refused"))
    for bet in (taken, returned):
        await operator_wallets.begin_bet(pool, bet, f"bet-{bet.key.round_id}")
        await operator_wallets.accept_bet(pool, bet, balance=900)
        if bet is taken:
            await operator_wallets.record_result(pool, bet.key, Resolution(outcome={"roll": 7777}, win=198))
            settled = await operator_wallets.close(pool, bet.key, balance=1_098)
        else:
            why = {"failure_code": "resolve-failed", "failure_detail": "a test"}
            await operator_wallets.begin_release(pool, bet, **why)
            void = await operator_wallets.release(pool, bet, **why, balance=1_000)
    await operator_wallets.begin_bet(pool, refused, "bet-refused")
    await operator_wallets.decline_bet(
        pool, refused, failure_code="wallet-failed", failure_detail=None, balance=1_000
    )
    return [settled.view, void]


async def _waiting(pool: asyncpg.Pool, bet: Bet) -> None:
    offer = Offer(
        choices=[Choice(action="collect"), Choice(action="double", debit=100)],
        default=Chosen(action="collect"),
        decide_within_s=60,
    )
    await rounds.reserve(pool, bet)
    await rounds.open_round(pool, bet.key, Resolution(outcome={"roll": 1}, win=0, offer=offer))


async def _chosen(pool: asyncpg.Pool, bet: Bet) -> RoundView:
    """A settled round whose player paid for an action."""
    await _waiting(pool, bet)
    action = PlayerAction(action_id="a1", chosen=Chosen(action="double"), request_id="request")
    await rounds.take_action(pool, bet.key, action)
    return (await rounds.settle(pool, bet.key, {"roll": 1}, 300, actions=1)).view


def _named(seat: Bet, round_id: str) -> Bet:
    return replace(seat, key=replace(seat.key, round_id=round_id))


async def _settled(pool: asyncpg.Pool, bet: Bet, *, win: int) -> RoundView:
    await rounds.reserve(pool, bet)
    return (await rounds.settle(pool, bet.key, {"roll": 7777 if win else 1}, win)).view


def _fact(view: RoundView) -> RoundFact:
    assert view.event_id is not None
    return RoundFact(
        event_id=view.event_id,
        operator_id=view.key.operator_id,
        game_id=view.game_id,
        currency=view.currency,
        settled=view.state == "settled",
        stake=view.stake + view.extra,
        win=view.win,
    )
