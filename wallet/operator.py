"""MoneySteps over an operator's own wallet: decided in our ledger, then sent over HTTP until certain.

Between a win and a rollback of one round the ledger decides, before either is sent: `settle` records the
result first, `release` marks the bet first, and neither goes on when the other came before it. Only a manual
intervention may release a round whose result is recorded, and a wallet that refuses its win as rolled back. A
win that was under way then meets the rollback at the wallet, and whichever the wallet took closes the round.
What a refusal says of another call is not taken on trust: that call is sent, and closes the round. The id of
a transaction derives from the round and the step: a repeat, from whichever process, is the same call.

An action that costs something is a bet of its own in its round, with an id that derives from the action too.
The round's one win names the first bet. A release rolls that one back first: a wallet that has taken the win
says so then, and keeps every bet of the round.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid5

import asyncpg

from contracts import failures
from contracts.actions import ActionVerdict, ActRequest
from contracts.rounds import Bet, OpenRequest, ReleaseRequest, RoundKey, RoundState, SettleRequest
from contracts.views import RoundView, Settlement
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from storage import operator_wallets as stored
from storage import rounds
from storage.operator_wallets import ActionDecision, Decision, Verdict
from wallet.retired_seeds import RetiredSeeds
from wallet.steps import MoneySteps, WalletConflict, WalletPending, WalletReleasing, WalletUncertain

# The name space of our transaction ids. It never changes: a repeat must have the id of the first call.
TRANSACTIONS: Final = UUID("6f6a3c2e-90d4-5b6b-8f0a-3f1c1d9f7a52")

# The client's code for each refusal of a stake. Any other refusal is the wallet's fault, not the player's.
DECLINES: Final = {
    WalletRefusal.SESSION_EXPIRED: failures.SESSION_EXPIRED,
    WalletRefusal.INSUFFICIENT_FUNDS: failures.INSUFFICIENT_FUNDS,
    WalletRefusal.PLAYER_BLOCKED: failures.PLAYER_BLOCKED,
    WalletRefusal.CURRENCY_MISMATCH: failures.CURRENCY_MISMATCH,
}

# Why a round is released whose win the wallet refused as rolled back.
ROLLED_BACK_THERE: Final = (
    failures.ROLLED_BACK,
    "the wallet had rolled the bet back before it was told the win",
)

log = logging.getLogger(__name__)

# A longer call, with what comes before it, would outlast its step, which the workflow then repeats while the
# first call still runs.
LONGEST_CALL_S: Final = 8.0

# Asks one operator's wallet once. Raises ValueError when it is set up so that it cannot be asked.
Ask = Callable[[WalletRequest], Awaitable[WalletAnswer]]
# What has to come before a call of a wallet: the answer of a call that must not be sent, or None.
Admit = Callable[[WalletRequest], Awaitable[WalletAnswer | None]]


async def _admit_all(request: WalletRequest) -> None:
    return None


class OperatorSteps(MoneySteps):
    """The steps of one operator's rounds. `ask` calls its wallet, after `admit`, and `several_bets` says that
    it takes several bets of one round: without that, a round offers nothing that costs."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        ask: Ask,
        *,
        admit: Admit = _admit_all,
        several_bets: bool = True,
        seeds: RetiredSeeds | None = None,
    ) -> None:
        self._pool = pool
        self._seeds = seeds or RetiredSeeds(pool)
        self._ask_wallet = ask
        self._admit = admit
        self._several_bets = several_bets

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        bet_id = transaction_id(bet.key, WalletCall.BET)
        try:
            begun = await stored.begin_bet(self._pool, bet, bet_id)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None
        if begun.verdict is not Verdict.ASK:
            return _standing(begun, "the round is being released")
        request = _request(bet, WalletCall.BET, amount=bet.stake)
        answer = (await self._ask(bet.key, request, within_s)).answer
        if answer.verdict is WalletVerdict.ACCEPTED:
            return _standing(await self._accept(bet, answer), "the round is being released")
        if _never_taken(answer):
            return _standing(await self._decline(bet, answer), f"asked again, the wallet says {answer.code}")
        raise WalletUncertain(f"the bet: {answer.code}")

    async def open(self, request: OpenRequest) -> RoundView:
        """Calls no wallet: the bet that it took stands until the round ends."""
        resolution = request.resolution
        if resolution.offer is not None and not self._several_bets:
            resolution = replace(resolution, offer=resolution.offer.without_debits())
        try:
            return await rounds.open_round(self._pool, request.bet.key, resolution)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def act(
        self, request: ActRequest, *, within_s: float | None = None
    ) -> tuple[ActionVerdict, RoundView | None]:
        """Asks the wallet for what the action costs. A bet that stays unknown is rolled back until that is
        certain; the round then waits as before."""
        bet, action = request.bet, request.action
        bet_id = transaction_id(bet.key, WalletCall.BET, action.action_id)
        begun = await stored.begin_action(
            self._pool, bet.key, action, bet_id, several_bets=self._several_bets
        )
        if begun.step is Verdict.ASK:
            begun = await self._bet_on_action(request, begun.amount, within_s)
        elif begun.step is Verdict.ROLLBACK:
            begun = await self._give_up_action(request, within_s)
        assert begun.verdict is not None
        return begun.verdict, begun.view

    async def settle(self, request: SettleRequest, *, within_s: float | None = None) -> Settlement:
        bet = request.bet
        try:
            recorded, releasing = await stored.record_result(self._pool, bet.key, request.resolution)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None
        view = recorded.view
        if view.state.final:
            return recorded
        if releasing:
            raise WalletReleasing("the round is being released")
        if view.state is not RoundState.SETTLING:
            raise WalletConflict("the round has no result on record")
        asked = await self._ask(bet.key, _request(bet, WalletCall.WIN, amount=view.win), within_s)
        answer = asked.answer
        if answer.verdict is WalletVerdict.ACCEPTED:
            return await stored.close(self._pool, bet.key, balance=answer.balance)
        if _is_refusal(answer, WalletRefusal.ROLLED_BACK):
            # Perhaps nobody rolled it back: a rollback of ours makes sure that the stake is returned.
            return Settlement(view=await self._release(bet, ROLLED_BACK_THERE, within_s), event=None)
        if answer.verdict is WalletVerdict.REFUSED and asked.first:
            _incident(bet.key, f"refuses a win with {answer.code}: it is sent again until it takes it")
        raise WalletPending(f"the win: {answer.code}", view)

    async def release(self, request: ReleaseRequest) -> RoundView:
        return await self._release(request.bet, (request.failure_code, request.failure_detail), None)

    async def _release(self, bet: Bet, reason: tuple[str, str], within_s: float | None) -> RoundView:
        """Decides to release, unless the round has ended or its result stands, and rolls the bet back.
        `reason` is the failure's code and detail."""
        why = {"failure_code": reason[0], "failure_detail": reason[1]}
        try:
            begun = await stored.begin_release(self._pool, bet, **why)
        except (asyncpg.NoDataFoundError, asyncpg.ForeignKeyViolationError) as missing:
            raise WalletConflict(str(missing)) from None
        if begun.view is not None:
            return begun.view
        for action_id in await self._to_roll_back(bet):
            rollback = _request(bet, WalletCall.ROLLBACK, action_id=action_id)
            asked = await self._ask(bet.key, rollback, within_s)
            if action_id is None and _is_refusal(asked.answer, WalletRefusal.ALREADY_WON):
                settled = await self._settle_what_was_taken(bet, within_s)
                if settled is not None:
                    return settled
            answer = _rolled_back(bet.key, asked)
        void = await stored.release(self._pool, bet, balance=answer.balance, **why)
        if void.failure_code == failures.ROLLED_BACK:
            _incident(bet.key, "refused the win as rolled back: the round is void")
        return void

    async def _bet_on_action(
        self, request: ActRequest, amount: int, within_s: float | None
    ) -> ActionDecision:
        bet, action = request.bet, request.action
        asking = _request(bet, WalletCall.BET, amount=amount, action_id=action.action_id)
        answer = (await self._ask(bet.key, asking, within_s)).answer
        if answer.verdict is WalletVerdict.ACCEPTED:
            decided = await stored.accept_action(self._pool, bet.key, action, balance=answer.balance)
        else:
            refusal = ActionVerdict(_decline_code(answer)) if _never_taken(answer) else None
            decided = await stored.refuse_action(self._pool, bet.key, action, refusal)
        if decided.step is not None:  # the next attempt asks again, or rolls back
            raise WalletPending(f"the bet of action {action.action_id}: {answer.code}", None)
        return decided

    async def _give_up_action(self, request: ActRequest, within_s: float | None) -> ActionDecision:
        bet, action = request.bet, request.action
        asking = _request(bet, WalletCall.ROLLBACK, action_id=action.action_id)
        _rolled_back(bet.key, await self._ask(bet.key, asking, within_s))
        return await stored.end_action(self._pool, bet.key, action)

    async def _to_roll_back(self, bet: Bet) -> list[str | None]:
        """The bets that a release has to roll back, by their actions, and first of all the one that the round
        began with (None). What an earlier attempt has rolled back is left out, so that each attempt comes
        further; when nothing is left, the last is asked again, for the balance."""
        actions = await stored.action_bets(self._pool, bet.key)
        bets: list[str | None] = [None, *actions]
        if not actions:
            return bets
        done = await stored.rolled_back(self._pool, bet.key)
        left = [one for one in bets if transaction_id(bet.key, WalletCall.ROLLBACK, one) not in done]
        return left or bets[-1:]

    async def _accept(self, bet: Bet, answer: WalletAnswer) -> Decision:
        try:
            return await stored.accept_bet(self._pool, bet, balance=answer.balance)
        except asyncpg.RestrictViolationError as refused:
            await self._seeds.replace(bet, refused)
        return await stored.accept_bet(self._pool, bet, balance=answer.balance)

    async def _decline(self, bet: Bet, answer: WalletAnswer) -> Decision:
        code = _decline_code(answer)
        return await stored.decline_bet(
            self._pool,
            bet,
            failure_code=code,
            failure_detail=None if answer.code == code else answer.code,
            balance=answer.balance,
        )

    async def _settle_what_was_taken(self, bet: Bet, within_s: float | None) -> RoundView | None:
        """Settles a round whose win the wallet took before the rollback reached it: the first terminal
        stands. The win is sent once more, so that a wallet without it takes it now. Returns None when the
        wallet refuses it, and when no win is on record here, so that it cannot have been ours."""
        try:
            view = (await stored.record_result(self._pool, bet.key, None))[0].view
        except asyncpg.NoDataFoundError:
            return None
        if view.state is RoundState.SETTLING:
            win = _request(bet, WalletCall.WIN, amount=view.win)
            answer = (await self._ask(bet.key, win, within_s)).answer
            if answer.verdict is WalletVerdict.REFUSED:
                return None
            view = (await stored.close(self._pool, bet.key, balance=answer.balance)).view
        return view if view.state.final else None

    async def _ask(self, key: RoundKey, request: WalletRequest, within_s: float | None) -> "_Asked":
        """Makes one attempt, which is on record when this returns. A call that was not admitted in time was
        never sent."""
        since = time.perf_counter_ns()
        admitted = False
        try:
            async with asyncio.timeout(LONGEST_CALL_S if within_s is None else within_s):
                answer = await self._admit(request)
                if answer is None:
                    admitted = True
                    answer = await self._ask_wallet(request)
        except TimeoutError:
            answer = _unknown("timeout", "no answer within the time that this step may take", admitted)
        except ValueError:
            answer = _unknown(
                "not-set-up", "the operator's wallet is set up so that it cannot be asked", False
            )
        took_us = (time.perf_counter_ns() - since) // 1_000
        first = await stored.record_attempt(self._pool, key, request, answer, took_us=took_us)
        return _Asked(answer, first)


@dataclass(frozen=True, slots=True)
class _Asked:
    """`first` says that no earlier attempt of this transaction had the same verdict."""

    answer: WalletAnswer
    first: bool


def transaction_id(key: RoundKey, call: WalletCall, action_id: str | None = None) -> str:
    """The id of the round's bet, win or rollback, or of an action's bet and its rollback, which never
    changes."""
    of_action = "" if action_id is None else f":action:{action_id}"
    return str(uuid5(TRANSACTIONS, f"{key.operator_id}:{key.player_key}:{key.round_id}:{call}{of_action}"))


def _request(
    bet: Bet, call: WalletCall, *, amount: int | None = None, action_id: str | None = None
) -> WalletRequest:
    bet_id = transaction_id(bet.key, WalletCall.BET, action_id)
    return WalletRequest(
        call=call,
        operator_id=bet.key.operator_id,
        player_id=bet.player_id,
        session_id=bet.session_id,
        currency=bet.currency,
        round_id=bet.key.round_id,
        game_id=bet.game_id,
        transaction_id=transaction_id(bet.key, call, action_id),
        bet_transaction_id=None if call is WalletCall.BET else bet_id,
        amount=amount,
    )


def _standing(decision: Decision, otherwise: str) -> RoundView:
    if decision.view is None:
        raise WalletUncertain(otherwise)
    return decision.view


def _never_taken(answer: WalletAnswer) -> bool:
    """Returns whether this attempt moved nothing and never will. A bet that the wallet knows as rolled back
    is being released already."""
    if answer.verdict is WalletVerdict.REFUSED:
        return answer.code != WalletRefusal.ROLLED_BACK
    return not answer.sent


def _rolled_back(key: RoundKey, asked: _Asked) -> WalletAnswer:
    """The answer by which the wallet has taken a rollback. Raises WalletPending for any other."""
    answer = asked.answer
    if answer.verdict is WalletVerdict.ACCEPTED or _is_refusal(answer, WalletRefusal.ROLLED_BACK):
        return answer
    if answer.verdict is WalletVerdict.REFUSED and asked.first:
        _incident(key, f"refuses a rollback with {answer.code}: it is sent again until it takes it")
    raise WalletPending(f"the rollback: {answer.code}", None)


def _is_refusal(answer: WalletAnswer, code: WalletRefusal) -> bool:
    return answer.verdict is WalletVerdict.REFUSED and answer.code == code


def _decline_code(answer: WalletAnswer) -> str:
    if answer.verdict is not WalletVerdict.REFUSED:
        return failures.WALLET_FAILED
    return next((ours for theirs, ours in DECLINES.items() if theirs == answer.code), failures.WALLET_FAILED)


def _unknown(code: str, detail: str, sent: bool = True) -> WalletAnswer:
    return WalletAnswer(verdict=WalletVerdict.UNKNOWN, code=code, detail=detail, sent=sent)


def _incident(key: RoundKey, what: str) -> None:
    log.error("incident: the wallet of %s %s (round %s)", key.operator_id, what, key.workflow_id)
