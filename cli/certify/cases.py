"""The certification cases that concern a wallet seen from outside, with the numbers they have everywhere.

A case asks, expects, and compares the balance before and after; what it finds stays in its trial. Where
docs/platform/wallet.md leaves a wallet free, every safe answer passes.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from cli.certify.caller import Ask, Reply
from cli.certify.trial import STAKE, WIN, Trial
from contracts.wallet import WalletRefusal
from security.standard_webhooks import SIGNATURE_HEADER, TOLERANCE_S, SharedSecret

BAD_SIGNATURE: Final = WalletRefusal.BAD_SIGNATURE.value
ID_REUSED: Final = WalletRefusal.ID_REUSED.value
INVALID: Final = WalletRefusal.INVALID.value
NO_FUNDS: Final = WalletRefusal.INSUFFICIENT_FUNDS.value
ROLLED_BACK: Final = WalletRefusal.ROLLED_BACK.value
ALREADY_WON: Final = WalletRefusal.ALREADY_WON.value

PARALLEL_BETS: Final = 10
REPEATS: Final = 100
RACES: Final = 5
# Some of these hang up before the wallet can have read the call, some after.
HANG_UP_AFTER_S: Final = (0.0005, 0.002, 0.005, 0.02)
# For a call that was abandoned to arrive late.
LATE_S: Final = 0.1
INTEGER_LIMIT: Final = 2**63
# All stakes of all cases together, and as much again.
MONEY_NEEDED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Case:
    """`asks` is what is asked of the wallet, `mend` what to do when it does not hold. `two_players` cases
    need the other player."""

    number: int
    title: str
    asks: str
    mend: str
    ask: Callable[[Trial], Awaitable[None]]
    two_players: bool = False


# Who may speak


async def credentials(trial: Trial) -> None:
    stranger = SharedSecret(os.urandom(32))
    bet = trial.bet()
    content, message_id = bet.content, bet.message_id
    signed = trial.caller.signed
    attempts: tuple[Mapping[str, str], ...] = (
        {},
        {**signed(content, message_id), SIGNATURE_HEADER: "v1,"},
        signed(content, message_id, secret=stranger),
        signed(content, message_id, age_s=2 * TOLERANCE_S),
        signed(content, message_id, age_s=-2 * TOLERANCE_S),
        {**signed(content, message_id), "webhook-id": str(uuid4())},
    )
    async with trial.moving(0):
        for headers in attempts:
            trial.expect_refused(await trial.caller.send(bet, content, headers), BAD_SIGNATURE)


async def raw_bytes(trial: Trial) -> None:
    bet = trial.bet()
    headers = trial.caller.signed(bet.content, bet.message_id)
    tampered = bet.but(amount=STAKE + 1).content
    async with trial.moving(0):
        for content in (tampered, bet.content + b" "):
            trial.expect_refused(await trial.caller.send(bet, content, headers), BAD_SIGNATURE)
    spaced = b"  " + bet.content.replace(b'": ', b'" :\n')
    async with trial.moving(-STAKE):
        headers = trial.caller.signed(spaced, bet.message_id)
        other = trial.caller.signed(spaced, bet.message_id, secret=SharedSecret(os.urandom(32)))
        headers[SIGNATURE_HEADER] = f"{other[SIGNATURE_HEADER]} {headers[SIGNATURE_HEADER]}"
        trial.expect_taken(await trial.caller.send(bet, spaced, headers))


async def another_path(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    await trial.taken(bet)
    async with trial.moving(0):
        # To the byte what was signed for a win, at an address where it was not meant to arrive.
        for elsewhere in (trial.rollback(bet), trial.bet()):
            headers = trial.caller.signed(win.content, win.message_id)
            trial.expect_refused(await trial.caller.send(elsewhere, win.content, headers), INVALID)
        silent = trial.bet()
        content = json.dumps(silent.body).encode()
        headers = trial.caller.signed(content, silent.message_id)
        trial.expect_refused(await trial.caller.send(silent, content, headers), INVALID)
    async with trial.moving(WIN):
        await trial.taken(win)


async def looking(trial: Trial) -> None:
    async with trial.moving(0) as before:
        for ask in (trial.balance_ask(), trial.authenticate_ask(), trial.balance_ask()):
            await trial.taken(ask, balance=before)


# Bets and wins


async def bet_once(trial: Trial) -> None:
    async with trial.moving(-STAKE) as before:
        await trial.taken(trial.bet(), balance=before - STAKE)


async def bet_and_win(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(WIN - STAKE) as before:
        await trial.taken(bet, balance=before - STAKE)
        await trial.taken(trial.win(bet), balance=before - STAKE + WIN)


async def insufficient_funds(trial: Trial) -> None:
    async with trial.moving(0) as before:
        await trial.refused(trial.bet(before + 1), NO_FUNDS, balance=before)
    async with trial.moving(-STAKE) as before:
        await trial.taken(trial.bet(), balance=before - STAKE)


async def odd_amounts(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        # Whether a round may be free is the operator's policy.
        trial.expect_certain(await trial.caller.call(trial.bet(0)))
        for amount in (-STAKE, STAKE + 0.5, f"{STAKE}", None, True):
            await trial.refused(trial.bet().but(amount=amount), INVALID)
    async with trial.moving(-STAKE):
        await trial.taken(bet)
        await trial.refused(trial.win(bet, -WIN), INVALID)


async def zero_win(trial: Trial) -> None:
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(0) as before:
        await trial.taken(trial.win(bet, 0), balance=before)
        await trial.refused(trial.rollback(bet), ALREADY_WON)


# Repeats


async def repeated_bet(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(-2 * STAKE) as before:
        first = await trial.taken(bet, balance=before - STAKE)
        # Another bet between them tells today's balance from that of the first answer.
        await trial.taken(trial.bet(), balance=before - 2 * STAKE)
        for _ in range(2):
            again = await trial.taken(bet, balance=before - 2 * STAKE, duplicate=True)
            _expect_same_id(trial, first, again)


async def repeated_win(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    await trial.taken(bet)
    async with trial.moving(WIN) as before:
        first = await trial.taken(win, balance=before + WIN)
        for _ in range(2):
            again = await trial.taken(win, balance=before + WIN, duplicate=True)
            _expect_same_id(trial, first, again)


def _expect_same_id(trial: Trial, first: Reply, again: Reply) -> None:
    if again.taken and first.wallet_transaction_id != again.wallet_transaction_id:
        trial.find(f"the transaction_id of the first answer, {first.wallet_transaction_id!r}", again)


async def id_reused(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    async with trial.moving(-STAKE):
        await trial.taken(bet)
        await trial.refused(bet.but(amount=STAKE + 1), ID_REUSED)
        await trial.refused(bet.but(round_id=f"certify-{uuid4().hex}"), ID_REUSED)
        # The bet's id for its own win.
        await trial.refused(win.but(transaction_id=bet.body["transaction_id"]), ID_REUSED)
    async with trial.moving(WIN):
        await trial.taken(win)
        await trial.refused(win.but(amount=WIN + 1), ID_REUSED)


async def parallel_bets(trial: Trial) -> None:
    async with trial.moving(-PARALLEL_BETS * STAKE):
        for reply in await trial.together(trial.bet() for _ in range(PARALLEL_BETS)):
            trial.expect_taken(reply)


async def parallel_repeats(trial: Trial) -> None:
    bet, undone = trial.bet(), trial.bet()
    win = trial.win(bet)
    await _one_effect(trial, bet, -STAKE)
    await _one_effect(trial, win, WIN)
    await trial.taken(undone)
    await _one_effect(trial, trial.rollback(undone), STAKE)


async def _one_effect(trial: Trial, ask: Ask, moved: int) -> None:
    async with trial.moving(moved):
        replies = await trial.together([ask] * REPEATS)
    firsts = [reply for reply in replies if reply.taken and not reply.duplicate]
    for reply in replies:
        if not reply.taken:
            trial.expect_taken(reply, duplicate=True)
    if len(firsts) != 1:
        trial.find(
            f"duplicate false once, and true {REPEATS - 1} times; false came {len(firsts)}x", replies[0]
        )


async def two_players(trial: Trial) -> None:
    bet, other = trial.bet(), trial.seat.other_player_id
    async with trial.moving(-STAKE), trial.moving(-STAKE, other):
        await trial.taken(bet)
        await trial.taken(trial.as_other(bet))


# Rollbacks


async def bet_undone(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0) as before:
        await trial.taken(bet, balance=before - STAKE)
        await trial.taken(trial.rollback(bet), balance=before)
        # Yes to it now would let a round go on that has no stake.
        await trial.refused(bet, ROLLED_BACK)


async def rollback_without_amount(trial: Trial) -> None:
    small, large = trial.bet(STAKE - 3), trial.bet(STAKE + 3)
    await trial.taken(small)
    await trial.taken(large)
    async with trial.moving(STAKE - 3):
        await trial.taken(trial.rollback(small))


async def rollback_with_wrong_amount(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        await trial.taken(bet)
        wrong = await trial.caller.call(trial.rollback(bet, amount=5 * STAKE))
        # The page has no such field: a wallet may take the rollback without it, or refuse the body.
        if wrong.taken:
            trial.expect_taken(wrong)
        elif trial.expect_refused(wrong, INVALID):
            await trial.taken(trial.rollback(bet))


async def second_rollback(trial: Trial) -> None:
    bet = trial.bet()
    rollback = trial.rollback(bet)
    await trial.taken(bet)
    async with trial.moving(STAKE) as before:
        await trial.taken(rollback, balance=before + STAKE)
        await trial.taken(rollback, balance=before + STAKE, duplicate=True)
        # With an id of its own it may be taken or refused, as long as it pays nothing.
        trial.expect_certain(await trial.caller.call(trial.rollback(bet)))
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(STAKE):
        for reply in await trial.together(trial.rollback(bet) for _ in range(PARALLEL_BETS)):
            trial.expect_certain(reply)


async def rollback_before_bet(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        rollback = trial.rollback(bet)
        await trial.taken(rollback)
        await trial.refused(bet, ROLLED_BACK)
        await trial.taken(rollback, duplicate=True)
        await trial.refused(bet, ROLLED_BACK)


async def rollback_after_win(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(WIN - STAKE):
        await trial.taken(bet)
        await trial.taken(trial.win(bet))
        await trial.refused(trial.rollback(bet), ALREADY_WON)


async def win_after_rollback(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        await trial.taken(bet)
        await trial.taken(trial.rollback(bet))
        await trial.refused(trial.win(bet), ROLLED_BACK)
    for _ in range(RACES):
        await _one_end(trial)


async def _one_end(trial: Trial) -> None:
    """A win and a rollback at once: whichever is taken, the other is refused."""
    bet = trial.bet()
    await trial.taken(bet)
    before = await trial.balance()
    win, rollback = await trial.together((trial.win(bet), trial.rollback(bet)))
    if win.taken:
        trial.expect_refused(rollback, ALREADY_WON)
    else:
        trial.expect_taken(rollback)
        trial.expect_refused(win, ROLLED_BACK)
    await trial.taken(trial.balance_ask(), balance=before + (WIN if win.taken else STAKE))


async def win_without_bet(trial: Trial) -> None:
    async with trial.moving(0):
        await trial.refused(trial.win(trial.bet()), WalletRefusal.UNKNOWN_TRANSACTION.value)
    async with trial.moving(WIN) as before:
        await trial.taken(trial.win(None), balance=before + WIN)


async def ended_session(trial: Trial) -> None:
    ended = trial.seat.ended_session_id
    # One that the wallet never saw is as good as one that it has forgotten.
    gone = ended or f"certify-{uuid4().hex}"
    won, undone = trial.bet(), trial.bet()
    await trial.taken(won)
    await trial.taken(undone)
    async with trial.moving(WIN + STAKE):
        await trial.taken(trial.win(won).but(session_id=gone))
        await trial.taken(trial.rollback(undone).but(session_id=gone))
    if ended is None:
        trial.notes.append("a bet on an ended session was not asked: --ended-session names one")
        return
    async with trial.moving(0):
        await trial.refused(trial.bet(session_id=ended), WalletRefusal.SESSION_EXPIRED.value)


# Lost answers


async def bet_lost(trial: Trial) -> None:
    async with trial.moving(0):
        for after_s in HANG_UP_AFTER_S:
            bet = trial.bet()
            await trial.caller.abandon(bet, after_s=after_s)
            await trial.taken(trial.rollback(bet))
            await asyncio.sleep(LATE_S)
            await trial.refused(bet, ROLLED_BACK)


async def win_lost(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    await trial.taken(bet)
    async with trial.moving(WIN):
        for after_s in HANG_UP_AFTER_S:
            await trial.caller.abandon(win, after_s=after_s)
        await asyncio.sleep(LATE_S)
        # Whether this is the repeat of one that came through is what nobody knows.
        reply = await trial.caller.call(win)
        trial.expect_taken(reply, duplicate=reply.duplicate)
        await trial.taken(win, duplicate=True)


# Limits and strangers


async def currency_mismatch(trial: Trial) -> None:
    other = "USD" if trial.seat.currency != "USD" else "EUR"
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(0):
        for ask in (trial.bet(), trial.win(bet)):
            await trial.refused(ask.but(currency=other), WalletRefusal.CURRENCY_MISMATCH.value)


async def strangers_rollback(trial: Trial) -> None:
    bet, other = trial.bet(), trial.seat.other_player_id
    await trial.taken(bet)
    async with trial.moving(0), trial.moving(0, other):
        # A wallet whose ids are each player's own may take it for the rollback of a bet that never came.
        trial.expect_certain(await trial.caller.call(trial.as_other(trial.rollback(bet))))
    async with trial.moving(WIN):
        await trial.taken(trial.win(bet))


async def integer_limits(trial: Trial) -> None:
    async with trial.moving(0):
        for amount in (INTEGER_LIMIT - 1, INTEGER_LIMIT, 10**30):
            await trial.refused(trial.bet(amount), INVALID, NO_FUNDS)
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(0):
        for amount in (INTEGER_LIMIT - 1, INTEGER_LIMIT, 10**30):
            await trial.refused(trial.win(bet, amount), INVALID)


ONE_EFFECT: Final = (
    "Let a unique key on the transaction id decide inside the transaction that moves the money, so that"
    " nothing is checked first and written later; answer a repeat from what was stored."
)
ONE_END: Final = (
    "Keep one row that ends a bet, under a unique key of the bet's id; whichever of win and rollback finds it"
    " there is refused."
)
CHECK_FIRST: Final = (
    "Check time and signature over the bytes of the body as they came, before anything of it is read."
)
READ_STRICTLY: Final = "Read amounts as integers from 0 up, and refuse everything else with 422 invalid."
KEEP_TOMBSTONES: Final = (
    "Remember the rollback of a bet that never came, and look for it when the bet comes, in the same"
    " transaction."
)

CASES: Final = (
    Case(
        1,
        "Credentials",
        "A bet with no signature, a wrong one, or one of another time or id is refused and moves nothing.",
        CHECK_FIRST,
        credentials,
    ),
    Case(
        2,
        "Raw bytes",
        "A body that differs from what was signed in one byte is refused; an odd one that was signed so is"
        " taken, also with another key's signature beside the right one.",
        CHECK_FIRST,
        raw_bytes,
    ),
    Case(
        3,
        "Looking",
        "The calls balance and authenticate change nothing.",
        "Let balance and authenticate only read; bonuses and fees are movements of their own.",
        looking,
    ),
    Case(4, "Bet", "A bet debits its stake, and the answer has the balance after it.", ONE_EFFECT, bet_once),
    Case(5, "Bet and win", "The two net correctly.", ONE_EFFECT, bet_and_win),
    Case(
        7,
        "Insufficient funds",
        "A bet over the balance is refused with the true balance; one that is covered is then taken.",
        "Compare and debit in one transaction, and answer 402 with the balance that was found there.",
        insufficient_funds,
    ),
    Case(
        8,
        "Odd amounts",
        "A zero stake moves nothing, taken or not; an amount that is negative or no integer is refused.",
        READ_STRICTLY,
        odd_amounts,
    ),
    Case(
        9,
        "Zero win",
        "A win of 0 is taken and closes the round: a rollback after it is refused.",
        ONE_END,
        zero_win,
    ),
    Case(
        10,
        "Repeated bet",
        "One debit; the repeat says duplicate, has the same transaction_id and today's balance.",
        ONE_EFFECT,
        repeated_bet,
    ),
    Case(
        11,
        "Repeated win",
        "One credit; the repeat says duplicate and has the same transaction_id.",
        ONE_EFFECT,
        repeated_win,
    ),
    Case(
        12,
        "Same id, other payload",
        "An id that comes again with another amount, round or call is refused.",
        "Store the payload beside the id, and refuse with 409 id-reused where it differs.",
        id_reused,
    ),
    Case(
        13,
        "Parallel bets",
        f"{PARALLEL_BETS} bets at once leave the right balance.",
        "Lock the player's row before its balance is read, or debit in one statement.",
        parallel_bets,
    ),
    Case(
        14,
        "Parallel repeats",
        f"{REPEATS} repeats of one bet, one win and one rollback, as many at once as a wallet must take: one"
        " effect each.",
        ONE_EFFECT,
        parallel_repeats,
    ),
    Case(
        15,
        "Same id, two players",
        "Two players' bets with the same transaction id are both taken.",
        "Make the player part of the unique key on transaction ids.",
        two_players,
        two_players=True,
    ),
    Case(
        16,
        "Rollback",
        "It gives the stake back; the same bet again is refused.",
        ONE_END,
        bet_undone,
    ),
    Case(
        17,
        "Rollback without an amount",
        "It gives back what its own bet had, and not what another had.",
        "Take the amount from the bet that the rollback names.",
        rollback_without_amount,
    ),
    Case(
        18,
        "Rollback with a wrong amount",
        "It gives back what the bet had, or is refused as invalid.",
        "Take the amount from the bet that the rollback names, never from the rollback.",
        rollback_with_wrong_amount,
    ),
    Case(
        19,
        "Second rollback",
        "It pays nothing: with the same id, with another, and ten at once.",
        ONE_END,
        second_rollback,
    ),
    Case(
        20,
        "Rollback before its bet",
        "It is taken and moves nothing; the late bet is refused.",
        KEEP_TOMBSTONES,
        rollback_before_bet,
    ),
    Case(21, "Rollback after a win", "It is refused and moves nothing.", ONE_END, rollback_after_win),
    Case(
        22,
        "Win after a rollback",
        "It is refused and moves nothing; of a win and a rollback at once, one is taken.",
        ONE_END,
        win_after_rollback,
    ),
    Case(
        23,
        "Win without a bet",
        "A win whose bet never came is refused; a win by promotion, which names none, is taken.",
        "Look the bet up where bet_transaction_id names one; where it is null, credit the win.",
        win_without_bet,
    ),
    Case(
        24,
        "Ended session",
        "A win and a rollback are taken all the same; a bet is refused.",
        "Ask for a live session in authenticate and bet only: what was won is owed.",
        ended_session,
    ),
    Case(
        25,
        "Bet without an answer",
        "After a bet whose answer was lost, a rollback restores the balance, whether the bet came or not.",
        KEEP_TOMBSTONES,
        bet_lost,
    ),
    Case(
        26,
        "Win without an answer",
        "A win that is repeated until it is answered is credited once.",
        ONE_EFFECT,
        win_lost,
    ),
    Case(
        31,
        "Another currency",
        "A bet and a win in another currency than the player's are refused.",
        "Compare the currency with the account's before anything moves; answer 422 currency-mismatch.",
        currency_mismatch,
    ),
    Case(
        34,
        "Another player's rollback",
        "It moves nothing for either, and the bet stays open.",
        "Look a bet up by its player as well as by its id.",
        strangers_rollback,
        two_players=True,
    ),
    Case(
        41,
        "Limits of integers",
        "Amounts at and beyond 64 bits are refused in words of the protocol.",
        READ_STRICTLY,
        integer_limits,
    ),
    Case(
        42,
        "Another call's body",
        "A win that was signed for its own path is refused at those of rollback and bet, and so is a body"
        " that does not say its call.",
        "The path is not signed: compare the body's call with that of the path, and answer 422 invalid where"
        " it is missing or another.",
        another_path,
    ),
)

NOT_IN_THE_PROTOCOL: Final = "not part of the protocol"
OUR_SIDE: Final = "Croupier's own side"
ELSEWHERE: Final[Mapping[int, str]] = {
    6: f"{NOT_IN_THE_PROTOCOL}: every call moves one amount, there are no batches",
    27: f"{OUR_SIDE}: whether a session goes on after a refusal; what the wallet does then is part of 7",
    28: f"{OUR_SIDE}: crashes between the steps of a round; what they ask of a wallet is in 10 to 20",
    29: f"{OUR_SIDE}: game clients that lose their connection and return",
    30: f"{OUR_SIDE}: one open round for a player",
    32: f"{OUR_SIDE}: the steps, limits and pace of stakes are checked before a wallet is asked",
    33: f"{OUR_SIDE}: games that are disabled in mid-round",
    35: f"{NOT_IN_THE_PROTOCOL}: there are no free bets; a win by promotion is part of 23",
    36: f"{NOT_IN_THE_PROTOCOL}: there are no jackpots",
    37: f"{OUR_SIDE}: the books of Croupier; with a statement they can be compared with the wallet's",
    38: f"{OUR_SIDE}: replay and seeds",
    39: f"{OUR_SIDE}: what the counters count",
    40: f"{NOT_IN_THE_PROTOCOL}: bet and win are two calls",
}
