"""An operator decides about rounds that its own wallet keeps from their end: over HTTP, on the command line,
and with everything real: the ingress, Temporal, the ledger, and the reference wallet in its own process.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from temporalio.client import WorkflowExecutionStatus

from api.result.schemas import OperatorRoundRecord
from contracts.steps import ROUND_WORKFLOW
from contracts.wallet import WalletCall
from operator_wallet.faults import Kind
from storage import rounds
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player, broken, checked_problem
from tests.support.commands import run
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet, running_wallet
from tests.support.wallet_settings import program_settings, set_wallet
from verification.invariants.events import ONE_EVENT
from verification.invariants.money import BALANCES_ARE_POSTINGS, HOLDS_ARE_OPEN_STAKES
from verification.invariants.rounds import (
    ONE_TERMINAL,
    ROUNDS_ARE_COMPLETE,
    WALLET_BETS_ARE_RESOLVED,
    WALLETS_ARE_SQUARE,
)
from wallet.operator import transaction_id

OPENING: Final = 10_000
STAKE: Final = 100
REASON: Final = "ticket 4711"
# Every win fails; bets and rollbacks do not.
NO_WIN: Final = {"rates": {Kind.ERROR_BEFORE: 1.0}, "only": ["win"]}
WON_UNHEARD: Final = {"rates": {Kind.ERROR_AFTER: 1.0}, "only": ["win"]}
MONEY: Final = (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
    ROUNDS_ARE_COMPLETE,
    ONE_EVENT,
)


@dataclass(frozen=True, slots=True)
class HangingRound:
    """An operator with a wallet of its own, and one of its rounds that the wallet lets hang. What broke the
    rules of money before it was begun is another test's."""

    operator: Operator
    wallet: RunningWallet
    player: Player
    round_id: str
    broken_before: set[str]

    @property
    def workflow(self) -> Any:
        return self.operator.gateway.temporal.get_workflow_handle(
            self.player.round_key(self.round_id).workflow_id
        )

    @property
    def at_wallet(self) -> int:
        found = self.wallet.book.player(self.operator.operator_id, self.player.player_id)
        assert found is not None
        return found.balance

    async def round(self) -> dict[str, Any]:
        response = await self.operator.call("GET", f"/rounds/{self.round_id}")
        assert response.status_code == 200, response.text
        OperatorRoundRecord.model_validate_json(response.content)
        body: dict[str, Any] = response.json()
        return body

    async def resolve(self, action: str, reason: str = REASON) -> httpx.Response:
        body = {"action": action, "reason": reason}
        return await self.operator.call("POST", f"/rounds/{self.round_id}/resolve", json=body)

    async def until_final(self) -> dict[str, Any]:
        """The round once it is closed, its workflow is done and its event is out."""

        async def final() -> dict[str, Any] | None:
            found = await self.round()
            done = (await self.workflow.describe()).status is WorkflowExecutionStatus.COMPLETED
            return found if done and found["event"] and found["event"]["published_at"] else None

        found = await until(final)
        assert found is not None
        assert await _broken(self.operator.gateway) <= self.broken_before
        return found

    async def until_waiting(self, attempt: int) -> None:
        """Until that many attempts of the settle have failed, and it pauses before the next one."""

        async def waits() -> bool:
            pending = (await self.workflow.describe()).raw_description.pending_activities
            return any(
                one.attempt > attempt and one.HasField("next_attempt_schedule_time") for one in pending
            )

        await until(waits)

    async def given_up(self) -> int:
        """How many activities the workflow cancelled."""
        history = await self.workflow.fetch_history()
        cancelled = "activity_task_cancel_requested_event_attributes"
        return sum(event.HasField(cancelled) for event in history.events)


@pytest.fixture(scope="module")
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet() as running:
        yield running


@pytest.fixture(scope="module")
async def host(gateway: Gateway, services: Services, wallet: RunningWallet) -> Operator:
    """The operator, once the ingress knows its wallet: until then its players have no money to bet."""
    operator = await gateway.new_operator()
    settings = program_settings(services.stack)
    await set_wallet(settings, operator.operator_id, wallet.url, wallet.secret)
    player = await operator.open_session()
    wallet.book.open_player(operator.operator_id, player.player_id, "EUR", OPENING)

    async def known() -> bool:
        return bool((await player.bet()).status_code == 201)

    await until(known)
    return operator


@pytest.fixture
async def hanging(host: Operator, wallet: RunningWallet) -> AsyncIterator[HangingRound]:
    """Leaves no round that would ask for its win for ever, once the wallet is gone."""
    yield await stuck(host, wallet, NO_WIN)
    await wallet.clear_faults()

    async def all_ended() -> bool:
        open_ = [await host.rounds(state=state) for state in ("pending", "settling")]
        return open_ == [[], []]

    await until(all_ended)


async def _broken(gateway: Gateway) -> set[str]:
    return await broken(gateway.database, *MONEY, overdue_after_s=3_600)


async def stuck(host: Operator, wallet: RunningWallet, faults: dict[str, Any]) -> HangingRound:
    """A round whose result is on record, and whose win the wallet does not answer for."""
    await wallet.clear_faults()
    player = await host.open_session()
    wallet.book.open_player(host.operator_id, player.player_id, "EUR", OPENING)

    async def asked() -> bool:
        """The round before may have ended while the wallet's breaker was open."""
        return (await player.call("GET", "/balance")).status_code == 200

    await until(asked)
    await wallet.set_faults(**faults)
    hanging = HangingRound(host, wallet, player, uuid4().hex, await _broken(host.gateway))
    await player.bet(hanging.round_id)

    async def settling() -> bool:
        return bool((await hanging.round())["state"] == "settling")

    await until(settling)
    assert await wallet.fired(next(iter(faults["rates"]))) > 0
    return hanging


async def test_a_retry_asks_the_wallet_at_once_and_not_after_the_pause(hanging: HangingRound) -> None:
    await hanging.until_waiting(1)
    response = await hanging.resolve("retry-now")
    assert response.status_code == 200, response.text
    await hanging.wallet.clear_faults()
    settled = await hanging.until_final()
    assert settled["state"] == "settled"
    assert hanging.at_wallet == OPENING - STAKE + settled["win"]["amount"]
    assert await hanging.given_up() == 1, "the pause, with the activity that was in it"


async def test_a_win_that_was_paid_outside_settles_the_round_at_once(hanging: HangingRound) -> None:
    before = await hanging.round()
    response = await hanging.resolve("paid-outside")
    assert response.status_code == 200, response.text
    assert response.json()["state"] == "settled"
    settled = await hanging.until_final()
    assert (settled["win"], settled["outcome"]) == (before["win"], before["outcome"])
    assert hanging.at_wallet == OPENING - STAKE, "the wallet never took the win"

    key_id = hanging.operator.key.split("_")[1]
    assert [(i["action"], i["reason"], i["actor"], i["verdict"]) for i in settled["interventions"]] == [
        ("paid-outside", REASON, f"key:{key_id}", "accepted")
    ]
    calls = [(a["call"], a["verdict"], a["code"]) for a in settled["wallet_attempts"]]
    assert calls[0] == ("bet", "accepted", None)
    assert set(calls[1:]) >= {("win", "unknown", "status-503")}
    assert settled["wallet_attempts"][0]["transaction_id"] == transaction_id(
        hanging.player.round_key(hanging.round_id), WalletCall.BET
    )
    assert settled["event"]["type"] == "round.settled"
    history = await hanging.workflow.fetch_history()
    assert any(e.HasField("workflow_execution_update_completed_event_attributes") for e in history.events)

    late = checked_problem(await hanging.resolve("void"), 409, "wrong-state")
    assert late["state"] == "settled"
    assert [i["verdict"] for i in (await hanging.round())["interventions"]] == ["accepted", "refused"]


async def test_a_voided_round_gives_the_stake_back_at_the_wallet(hanging: HangingRound) -> None:
    path = f"/rounds/{hanging.round_id}/void?player_id={hanging.player.player_id}"
    response = await hanging.operator.call("POST", path, json={"reason": REASON})
    assert response.status_code == 200, response.text
    refused = await hanging.resolve("paid-outside")
    assert refused.status_code == 409, refused.text
    void = await hanging.until_final()
    assert (void["state"], void["failure"]) == ("void", {"code": "voided-by-operator"})
    assert void["win"]["amount"] == 0
    assert hanging.at_wallet == OPENING
    assert (await hanging.player.bet()).status_code in (201, 202), "the player can bet again"


async def test_a_stake_that_was_refunded_outside_is_void_without_the_wallet(hanging: HangingRound) -> None:
    response = await hanging.resolve("refunded-outside")
    assert response.status_code == 200, response.text
    void = await hanging.until_final()
    assert (void["state"], void["failure"]) == ("void", {"code": "voided-by-operator"})
    assert "rollback" not in [a["call"] for a in void["wallet_attempts"]]
    assert hanging.at_wallet == OPENING - STAKE


async def test_a_void_of_a_win_that_the_wallet_has_taken_settles_the_round(
    host: Operator, wallet: RunningWallet
) -> None:
    """The first terminal stands: the wallet took the win, and only its answer was lost."""
    hanging = await stuck(host, wallet, WON_UNHEARD)
    assert (await hanging.resolve("void")).status_code == 200
    settled = await hanging.until_final()
    await wallet.clear_faults()
    assert settled["state"] == "settled"
    assert ("rollback", "already-won") in [(a["call"], a["code"]) for a in settled["wallet_attempts"]]
    assert hanging.at_wallet == OPENING - STAKE + settled["win"]["amount"]


async def test_a_decision_drives_on_a_round_whose_workflow_was_terminated(hanging: HangingRound) -> None:
    await hanging.workflow.terminate("by mistake")
    assert (await hanging.resolve("void")).status_code == 200
    assert (await hanging.until_final())["state"] == "void"
    assert hanging.at_wallet == OPENING


async def test_a_decision_that_nobody_answers_is_503_and_may_be_made_again(operator: Operator) -> None:
    """A round of our own ledger whose workflow no worker takes; then that workflow is terminated."""
    gateway, player = operator.gateway, await operator.open_session(balance=OPENING)
    bet = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, bet)
    handle = await gateway.temporal.start_workflow(
        ROUND_WORKFLOW, bet, id=bet.key.workflow_id, task_queue=f"nobody-{uuid4().hex}"
    )
    path, body = f"/rounds/{bet.key.round_id}/void", {"reason": REASON}
    checked_problem(await operator.call("POST", path, json=body), 503, "overloaded")
    assert (await operator.call("GET", f"/rounds/{bet.key.round_id}")).json()["state"] == "pending"

    await handle.terminate("nobody takes it")
    again = await operator.call("POST", path, json=body)
    assert again.status_code == 200, again.text
    assert (again.json()["state"], again.json()["failure"]) == ("void", {"code": "voided-by-operator"})
    assert await player.balance() == OPENING
    checked_problem(await operator.call("POST", path, json=body), 409, "wrong-state")


async def test_what_is_no_decision_is_refused(hanging: HangingRound, rival: Operator) -> None:
    checked_problem(await hanging.resolve("burn"), 422, "invalid")
    for reason in ("", "  ", "x" * 301, "a\x1b[2Jb"):
        checked_problem(await hanging.resolve("void", reason), 422, "invalid")
    no_reason = await hanging.operator.call("POST", f"/rounds/{hanging.round_id}/void", json={})
    checked_problem(no_reason, 422, "invalid")
    body = {"reason": REASON}
    elsewhere = await hanging.operator.call("POST", f"/rounds/{uuid4().hex}/void", json=body)
    checked_problem(elsewhere, 404, "not-found")
    checked_problem(await rival.call("POST", f"/rounds/{hanging.round_id}/void", json=body), 404, "not-found")
    assert (await hanging.round())["interventions"] == []
    assert (await hanging.resolve("refunded-outside")).status_code == 200
    await hanging.until_final()


async def test_the_command_decides_and_the_time_line_tells(
    hanging: HangingRound, services: Services, platform: dict[str, Any]
) -> None:
    arguments = (hanging.round_id, "--action", "paid-outside", "--reason", REASON, "--by", "ann")
    code, output, errors = await run(services, platform, "round", "resolve", *arguments)
    assert (code, errors) == (0, "")
    assert f"paid-outside is accepted: round {hanging.round_id} is settled" in output
    await hanging.until_final()
    code, _, errors = await run(services, platform, "round", "resolve", *arguments)
    assert code == 1
    assert f"paid-outside is refused: round {hanging.round_id} is settled" in errors
    code, output, _ = await run(services, platform, "round", "show", hanging.round_id)
    assert code == 0
    assert f'person      cli:ann decided paid-outside, because "{REASON}"; the ledger accepted it' in output
    assert "wallet      bet of 100 EUR: accepted, in" in output
    assert "wallet      win of" in output
    code, _, errors = await run(services, platform, "round", "resolve", uuid4().hex, *arguments[1:])
    assert code == 2
    assert "there is no round" in errors
    code, _, errors = await run(services, platform, "round", "resolve", hanging.round_id, *arguments[1:4], "")
    assert code == 2
    assert "reason" in errors
