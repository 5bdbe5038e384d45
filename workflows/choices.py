"""A round that waits for its player: one action at a time, by an update or, when nobody decides, by its
timer."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from contracts import steps
from contracts.actions import ACTION_BY_TIMER, ActionVerdict, ActRequest, ActResult, PlayerAction
from contracts.choices import Abandonment, OpenRound
from contracts.failures import ACTION_REFUSED
from contracts.rounds import Bet
from workflows import policies, words
from workflows.steps import take, take_locally


class Abandoned(Exception):
    """The player did not decide in time, and the stakes are released."""


class Ended(Exception):
    """A manual intervention or the round's end has ended the waiting."""


class Decisions:
    """The offer that the round waits on, and the actions that answer it. The ledger has the last word: this
    class only refuses early what the ledger would refuse."""

    def __init__(self, bet: Bet) -> None:
        self._bet = bet
        self._open: OpenRound | None = None
        self._closed: ActResult | None = None
        self._failure: FailureError | None = None
        self._ended = False
        self._turn = asyncio.Lock()

    def refuse_early(self, action: PlayerAction) -> None:
        """For the update's validator, so that a refusal leaves no trace in the history. Raises
        ApplicationError whose message is the verdict. Before the round has come to its first offer nothing
        is known here: its workflow may have been restarted, and the action waits."""
        if self._over:
            raise _refusal(ActionVerdict.ROUND_CLOSED)
        if self._open is not None and self._open.offer.find(action.chosen) is None:
            raise _refusal(ActionVerdict.UNKNOWN_CHOICE)

    async def act(self, action: PlayerAction) -> ActResult:
        """Takes the player's action. Raises FailureError when it is refused here, and when it cannot be
        played."""
        await workflow.wait_condition(lambda: self._open is not None or self._over)
        return await self._take(action)

    def end(self) -> None:
        """Ends the waiting. No action is taken any more."""
        self._ended = True

    async def until_closed(self, opened: OpenRound) -> ActResult:
        """Waits for actions until one ends the round, and decides for a player who stays away. Raises
        Abandoned, Ended, FailureError when an action cannot be played, and CancelledError. An action that an
        earlier workflow of the round left at the operator's wallet comes to its end first."""
        if opened.asked is not None:
            asked = opened.asked
            await self._take_for_player(
                PlayerAction(
                    action_id=asked.action_id, chosen=asked.chosen, request_id=asked.request_id, by=asked.by
                )
            )
        self._open = self._open or opened
        while not self._over:
            seen, within = self._open, _time_left(self._open)
            while not await self._moves_on(seen, within):
                await self._decide_for_player(seen)
                # The ledger may refuse it and stay as it is, while an action is asked of a wallet that does
                # not answer. Without a pause, refusals would fill the history until Temporal ends it.
                within = policies.DECIDE_AGAIN
        async with self._turn:  # an action under way ends first
            if self._closed is not None:
                return self._closed
            if self._failure is not None:
                raise self._failure
            raise Ended

    async def _moves_on(self, seen: OpenRound, within: timedelta | None) -> bool:
        """Waits until another offer or the end has come. False when the time is over first."""
        if self._over or self._open is not seen:
            return True
        try:
            with words.waiting(words.offered(seen)):
                await workflow.wait_condition(
                    lambda: self._over or self._open is not seen,
                    timeout=within,
                    timeout_summary=words.decides(seen),
                )
        except TimeoutError:
            return False
        return True

    @property
    def ended(self) -> bool:
        """Whether a manual intervention has ended the round, or the round has come to its end."""
        return self._ended

    @property
    def _over(self) -> bool:
        return self._closed is not None or self._failure is not None or self._ended

    async def _decide_for_player(self, seen: OpenRound) -> None:
        if seen.offer.abandonment is Abandonment.REFUND:
            async with self._turn:
                if self._open is seen and not self._over:
                    self.end()
                    raise Abandoned
            return
        name = f"timer-{seen.actions + 1}"
        await self._take_for_player(
            PlayerAction(
                action_id=name,
                chosen=seen.offer.default,
                request_id=name,
                by=ACTION_BY_TIMER,
                after=seen.actions,
            )
        )

    async def _take_for_player(self, action: PlayerAction) -> None:
        """Takes an action that no update waits for. What ended the round meanwhile is no failure of it."""
        try:
            await self._take(action)
        except FailureError as failure:
            if is_cancelled_exception(failure) or not self._over:
                raise

    async def _take(self, action: PlayerAction) -> ActResult:
        async with self._turn:
            if self._over:
                raise _refusal(ActionVerdict.ROUND_CLOSED)
            try:
                acted = await _act(ActRequest(bet=self._bet, action=action))
            except FailureError as failure:
                self._failure = failure
                raise
            if acted.state.final:
                self._closed = acted
            elif acted.open is not None and (self._open is None or acted.open.actions != self._open.actions):
                self._open = acted.open
            # The step's own record says what was taken; the update's answer need not say it again.
            return replace(acted, steps=[])


async def _act(request: ActRequest) -> ActResult:
    """Takes the fast path, and the durable path where that fails. The action may be on record then, so it is
    never given up."""
    try:
        return await take_locally(steps.ACT, request)
    except FailureError as failure:
        if is_cancelled_exception(failure):
            raise
        return await take(steps.ACT, request, policies.ACT)


def _refusal(verdict: ActionVerdict) -> ApplicationError:
    return ApplicationError(verdict.value, type=ACTION_REFUSED, non_retryable=True)


def _time_left(opened: OpenRound) -> timedelta | None:
    return None if opened.left_s is None else timedelta(seconds=max(opened.left_s, 0))
