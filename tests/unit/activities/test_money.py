"""MoneyActivities over scripted MoneySteps: what the workflow hears, and whoever waits for the round."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_type_hints

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.events import EventActivities
from activities.games import GameActivities
from activities.interventions import InterventionActivities
from activities.money import FAST_PATH_WALLETS_S, MoneyActivities
from activities.play import PlayActivities
from contracts import steps
from contracts.actions import ActionVerdict, ActRequest, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.failures import DETAIL_LIMIT, ID_REUSED, NON_RETRYABLE, SESSION_EXPIRED, WALLET_PENDING
from contracts.rounds import (
    Bet,
    OpenRequest,
    OpenResult,
    ReleaseRequest,
    Resolution,
    RoundKey,
    RoundState,
    SettleRequest,
    Terminal,
)
from contracts.steps import Step
from contracts.views import RoundView, Settlement
from tests.workflow.world import LedgerRound
from wallet.router import MoneyRouter
from wallet.steps import (
    MoneyFailure,
    MoneySteps,
    WalletConflict,
    WalletPending,
    WalletReleasing,
    WalletUncertain,
)

BET: Final = Bet(
    key=RoundKey(operator_id="operator-1", player_key=1, round_id="round-1"),
    player_id="player-1",
    account_id=1,
    session_id="session-1",
    game_id="reels",
    game_version="1.0.0",
    currency="EUR",
    stake=100,
    mode="base",
    choice=None,
    request_id="request-1",
)
WON: Final = Resolution(outcome={}, win=250)
COLLECT: Final = Chosen(action="collect")
OFFER: Final = Offer(choices=[Choice(action="collect")], default=COLLECT, decide_within_s=30)
ACT: Final = ActRequest(bet=BET, action=PlayerAction(action_id="a1", chosen=COLLECT, request_id="r1"))
# By the names of MoneySteps.
CALLS: Final[dict[str, tuple[Callable[[MoneyActivities, Any], Awaitable[Any]], object]]] = {
    "reserve": (MoneyActivities.reserve, BET),
    "open": (MoneyActivities.open, OpenRequest(bet=BET, resolution=replace(WON, offer=OFFER))),
    "act": (MoneyActivities.take_action, ACT),
    "settle": (MoneyActivities.settle, SettleRequest(bet=BET, resolution=WON)),
    "release": (MoneyActivities.release, ReleaseRequest(bet=BET, failure_code="x", failure_detail="")),
}
FAILURES: Final = (
    WalletConflict("why"),
    WalletUncertain("why"),
    WalletReleasing("why"),
    WalletPending("why", None),
)


def view(state: RoundState, bet: Bet = BET) -> RoundView:
    offer = OFFER if state is RoundState.AWAITING_CHOICE else None
    return LedgerRound(bet=bet, state=state, offer=offer).view


class Scripted(MoneySteps):
    """Finds the round as the test says, or fails as it says; remembers how long a wallet may take."""

    def __init__(self, found: RoundView | MoneyFailure) -> None:
        self._found = found
        self.within_s: float | None = None

    def _answer(self) -> RoundView:
        if isinstance(self._found, MoneyFailure):
            raise self._found
        return self._found

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        self.within_s = within_s
        return self._answer()

    async def open(self, request: OpenRequest) -> RoundView:
        return self._answer()

    async def act(
        self, request: ActRequest, *, within_s: float | None = None
    ) -> tuple[ActionVerdict, RoundView | None]:
        self.within_s = within_s
        return ActionVerdict.TAKEN, self._answer()

    async def settle(self, request: SettleRequest, *, within_s: float | None = None) -> Settlement:
        self.within_s = within_s
        return Settlement(view=self._answer(), event=None)

    async def release(self, request: ReleaseRequest) -> RoundView:
        return self._answer()


class Setup:
    """Runs one step within an activity."""

    def __init__(self) -> None:
        self.environment = ActivityEnvironment()
        self.delivered: list[RoundView] = []
        self.steps = Scripted(view(RoundState.PENDING))

    async def run(self, step: str, found: RoundView | MoneyFailure) -> Any:
        self.steps = Scripted(found)
        money = MoneyActivities(MoneyRouter(self.steps, {}), self.delivered.append)
        method, request = CALLS[step]
        return await self.environment.run(method, money, request)

    async def fail(self, step: str, failure: MoneyFailure) -> ApplicationError:
        with pytest.raises(ApplicationError) as raised:
            await self.run(step, failure)
        return raised.value

    def on_attempt(self, attempt: int) -> "Setup":
        self.environment.info = replace(self.environment.info, attempt=attempt)
        return self

    def on_the_fast_path(self, *, since_s: float) -> "Setup":
        started = datetime.now(UTC) - timedelta(seconds=since_s)
        self.environment.info = replace(self.environment.info, is_local=True, started_time=started)
        return self


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        pytest.param(step, failure, id=f"{step}-{type(failure).__name__}")
        for step in CALLS
        for failure in FAILURES
        if (step, type(failure)) != ("reserve", WalletConflict)  # it is declined, see below
    ],
)
async def test_a_failure_is_named_as_the_contract_names_it(
    setup: Setup, step: str, failure: MoneyFailure
) -> None:
    raised = await setup.fail(step, failure)
    assert (raised.message, raised.type) == ("why", failure.error_type)
    assert raised.non_retryable is (failure.error_type in NON_RETRYABLE)
    assert raised.__cause__ is None


async def test_the_text_of_a_failure_is_bounded(setup: Setup) -> None:
    raised = await setup.fail("settle", WalletConflict("x" * 1_000))
    assert len(raised.message) == DETAIL_LIMIT


async def test_a_bet_of_nobody_is_declined(setup: Setup) -> None:
    reservation = await setup.run("reserve", WalletConflict("no such session"))
    assert (reservation.state, reservation.failure_code) == (RoundState.DECLINED, SESSION_EXPIRED)
    assert (reservation.request_id, reservation.draw) == (BET.request_id, None)
    assert setup.delivered == []


async def test_a_bet_under_the_id_of_another_is_declined_and_shown_that_one(setup: Setup) -> None:
    other = view(RoundState.PENDING, replace(BET, stake=7, request_id="earlier"))
    reservation = await setup.run("reserve", other)
    assert (reservation.state, reservation.failure_code) == (RoundState.DECLINED, ID_REUSED)
    assert reservation.request_id == "earlier"
    assert setup.delivered == [other]


@pytest.mark.parametrize("state", RoundState)
async def test_reserve_delivers_a_round_that_is_closed_or_waits_for_its_player(
    setup: Setup, state: RoundState
) -> None:
    found = view(state)
    reservation = await setup.run("reserve", found)
    assert reservation.state is state
    assert (reservation.draw is None) is state.final
    heard = state.final or state is RoundState.AWAITING_CHOICE
    assert setup.delivered == ([found] if heard else [])


@pytest.mark.parametrize("step", ["open", "settle", "release"])
async def test_a_step_that_came_off_delivers_the_round(setup: Setup, step: str) -> None:
    found = view(RoundState.SETTLED)
    await setup.run(step, found)
    assert setup.delivered == [found]


@pytest.mark.parametrize("step", ["settle", "release"])
@pytest.mark.parametrize("state", [RoundState.SETTLED, RoundState.VOID, RoundState.DECLINED])
async def test_a_terminal_names_the_event_that_the_rounds_own_workflow_publishes(
    setup: Setup, step: str, state: RoundState
) -> None:
    """That of a declined bet is the relay's."""
    found = replace(view(state), event_id="event-1", failure_code="why")
    event_id = None if state is RoundState.DECLINED else "event-1"
    assert await setup.run(step, found) == Terminal(state=state, event_id=event_id, failure_code="why")


async def test_open_says_what_the_round_waits_for(setup: Setup) -> None:
    waiting = view(RoundState.AWAITING_CHOICE)
    assert await setup.run("open", waiting) == OpenResult(open=waiting.open)
    assert await setup.run("open", view(RoundState.VOID)) == OpenResult(open=None)


async def test_an_action_delivers_nothing_before_it_is_played_on(setup: Setup) -> None:
    verdict, reservation = await setup.run("act", view(RoundState.PENDING))
    assert (verdict, reservation.state) == (ActionVerdict.TAKEN, RoundState.PENDING)
    assert setup.delivered == []


@pytest.mark.parametrize(("attempt", "times"), [(1, 1), (2, 0)])
async def test_a_round_that_is_pending_is_delivered_once(setup: Setup, attempt: int, times: int) -> None:
    standing = view(RoundState.SETTLING)
    raised = await setup.on_attempt(attempt).fail("settle", WalletPending("why", standing))
    assert raised.type == WALLET_PENDING
    assert setup.delivered == [standing] * times


async def test_a_rollback_that_is_pending_has_no_round_to_deliver(setup: Setup) -> None:
    await setup.fail("release", WalletPending("why", None))
    assert setup.delivered == []


@pytest.mark.parametrize("step", ["reserve", "settle"])
async def test_a_wallet_has_what_is_left_of_the_fast_path(setup: Setup, step: str) -> None:
    await setup.on_the_fast_path(since_s=0.5).run(step, view(RoundState.SETTLED))
    assert setup.steps.within_s is not None
    assert 0 <= setup.steps.within_s <= FAST_PATH_WALLETS_S - 0.5
    await setup.on_the_fast_path(since_s=60).run(step, view(RoundState.SETTLED))
    assert setup.steps.within_s == 0


@pytest.mark.parametrize("step", ["reserve", "settle"])
async def test_a_wallet_has_its_own_limits_on_the_durable_path(setup: Setup, step: str) -> None:
    await setup.run(step, view(RoundState.SETTLED))
    assert setup.steps.within_s is None


def test_every_step_is_an_activity_that_takes_and_returns_what_the_contract_says() -> None:
    money = MoneyActivities(MoneyRouter(Scripted(view(RoundState.PENDING)), {}), lambda view: None)
    play = PlayActivities(money, _never, _never, lambda step, took_us: None)
    others = (GameActivities.resolve, EventActivities.emit, InterventionActivities.intervene)
    defined: tuple[Any, ...] = (*play.activities, *money.activities, *others)
    activities = {activity.__temporal_activity_definition.name: activity for activity in defined}
    contract = {step.name: step for step in vars(steps).values() if isinstance(step, Step)}
    assert activities.keys() == contract.keys()
    for name, step in contract.items():
        hints = get_type_hints(activities[name])
        assert hints.pop("return") == step.result_type
        assert [*hints.values()] == [step.request_type]


async def _never(_: object) -> Any:
    raise AssertionError
