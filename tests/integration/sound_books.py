"""A ledger with every kind of round in it and nothing wrong."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.rounds import Bet, Resolution, RoundKey
from contracts.views import ApiKeyView, RoundView, SessionView
from security.keyring import Keyring
from security.seeds import SeedVault, commitment, new_server_seed
from storage import operator_wallets, operators, outbox, players, rounds, sessions, statistics
from storage.statistics import RoundFact
from tests.support.acting import BY
from tests.support.ledger import record_rollbacks

OPERATOR: Final = "casino"
CURRENCY: Final = "EUR"
DICE_CHOICE: Final = {"direction": "over", "target": 4999}


async def populate(pool: asyncpg.Pool) -> None:
    """Alice has a round of each kind, in our ledger and at a wallet, the void one of ours last among those
    with an event; Bob has a lost one, one that he decided in, one that waits for him, and a declined one
    last. Carol plays with play money: her rounds have no event."""
    await operators.ensure_operator(pool, operator_id=OPERATOR, name="Casino")
    await operators.ensure_operator(pool, operator_id="other", name="Other")
    digest = hashlib.sha256(b"a key").hexdigest()
    await operators.add_key(
        pool,
        ApiKeyView(key_id="key", operator_id=OPERATOR, secret_hash=digest, scope="operator"),
        by=BY,
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
        await sessions.grant_demo_money(pool, session, amount=100_000)
    else:
        await players.deposit(
            pool,
            operator_id=OPERATOR,
            player_id="a-player",
            player_key=key,
            account_id=account,
            transaction_id="d-1",
            amount=100_000,
            currency=CURRENCY,
            by=BY,
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
    """A settled round and a void one, in the order of the player's events; and one that was refused. The void
    one has an action that cost something, and one that the wallet declined."""
    taken, returned, refused = (_named(seat, name) for name in ("taken", "returned", "refused"))
    for bet in (taken, returned):
        await operator_wallets.begin_bet(pool, bet, f"bet-{bet.key.round_id}")
        await operator_wallets.accept_bet(pool, bet, balance=900)
        if bet is taken:
            await operator_wallets.record_result(pool, bet.key, Resolution(outcome={"roll": 7777}, win=198))
            settled = await operator_wallets.close(pool, bet.key, balance=1_098)
        else:
            await _raised_at_a_wallet(pool, bet)
            why = {"failure_code": "resolve-failed", "failure_detail": "a test"}
            await operator_wallets.begin_release(pool, bet, **why)
            await record_rollbacks(pool, bet)
            void = await operator_wallets.release(pool, bet, **why, balance=1_000)
    await operator_wallets.begin_bet(pool, refused, "bet-refused")
    await operator_wallets.decline_bet(
        pool, refused, failure_code="wallet-failed", failure_detail=None, balance=1_000
    )
    return [settled.view, void]


async def _raised_at_a_wallet(pool: asyncpg.Pool, bet: Bet) -> None:
    await _open(pool, bet)
    for action_id in ("declined", "taken"):
        action = PlayerAction(action_id=action_id, chosen=Chosen(action="double"), request_id="request")
        await operator_wallets.begin_action(pool, bet.key, action, f"bet-{action_id}", several_bets=True)
        if action_id == "declined":
            await operator_wallets.refuse_action(pool, bet.key, action, ActionVerdict.WALLET_FAILED)
        else:
            await operator_wallets.accept_action(pool, bet.key, action, balance=800)


async def _waiting(pool: asyncpg.Pool, bet: Bet) -> None:
    await rounds.reserve(pool, bet)
    await _open(pool, bet)


async def _open(pool: asyncpg.Pool, bet: Bet) -> None:
    offer = Offer(
        choices=[Choice(action="collect"), Choice(action="double", debit=100)],
        default=Chosen(action="collect"),
        decide_within_s=60,
    )
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
