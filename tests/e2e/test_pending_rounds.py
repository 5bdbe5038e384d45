"""A round whose bet is late: pending at the address that its player was given, named wherever it is in the
way, found by its operator and by `round show`, and never mixed up with another bet of its id."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import pytest
from pydantic import SecretStr

from api.gateway.paging import cursor
from api.result.schemas import OperatorRoundPage, OperatorRoundRecord
from cli.round import show
from cli.round.lines import lines
from games.lucky_fruits import GAME
from operator_wallet.faults import Kind
from runtime.round_workflows import RoundWorkflows
from runtime.settings import Settings
from runtime.unavailable import WORDS, Cause
from tests.conftest import Services
from tests.e2e.choices import act, open_round
from tests.e2e.parties import Gateway, Operator, Player, checked_problem, checked_round
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet, running_wallet
from tests.support.sockets import opened
from tests.support.wallet_settings import program_settings, set_wallet

OPENING: Final = 50_000
# The wallet says nothing certain of a stake: neither whether it took it, nor that it gave it back.
SILENT: Final = {"rates": {Kind.ERROR_BEFORE: 1.0}, "only": ["bet", "rollback"]}
NO_WIN: Final = {"rates": {Kind.ERROR_BEFORE: 1.0}, "only": ["win"]}
RETRY: Final = {"action": "retry-now", "reason": "ticket 4711"}


@pytest.fixture(scope="module")
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet("--new-players", str(OPENING)) as running:
        yield running


@pytest.fixture(scope="module")
async def host(gateway: Gateway, services: Services, wallet: RunningWallet) -> Operator:
    """An operator with a wallet of its own, once the ingress knows it."""
    operator = await gateway.new_operator()
    await set_wallet(program_settings(services.stack), operator.operator_id, wallet.url, wallet.secret)
    player = await operator.open_session()

    async def known() -> bool:
        return await player.balance() == OPENING

    await until(known)
    return operator


@pytest.fixture
async def silent(wallet: RunningWallet) -> AsyncIterator[RunningWallet]:
    yield wallet
    await wallet.clear_faults()


@pytest.fixture
def outside(services: Services) -> Settings:
    """The services as settings name them, for commands that need no stack."""
    addresses = services.stack.addresses
    return Settings(
        home=services.settings.home / "elsewhere",
        keyring=services.settings.keyring,
        database_url=SecretStr(addresses.database_url),
        temporal_address=addresses.temporal_address,
    )


@asynccontextmanager
async def held_up(player: Player) -> AsyncIterator[None]:
    """No step of the player's rounds gets to the books inside the block."""
    pool = player.operator.gateway.database.pool
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", player.claims.player_key)
        yield


async def state_of(player: Player, round_id: str) -> str | None:
    response = await player.call("GET", f"/rounds/{round_id}")
    return None if response.status_code == 404 else str(checked_round(response)["state"])


async def seen(player: Player, round_id: str) -> dict[str, Any]:
    """The round as its player sees it, once it is there."""
    await until(lambda: state_of(player, round_id))
    return checked_round(await player.call("GET", f"/rounds/{round_id}"))


async def final(player: Player, round_id: str) -> dict[str, Any]:
    async def ended() -> bool:
        return await state_of(player, round_id) in ("settled", "void")

    await until(ended)
    return await seen(player, round_id)


async def found_by(operator: Operator, round_id: str, **params: str) -> dict[str, Any]:
    """The operator's record of the round, once it is there: Temporal's list takes a moment."""

    async def record() -> dict[str, Any] | None:
        response = await operator.call("GET", f"/rounds/{round_id}", params=params)
        if response.status_code == 404:
            return None
        assert response.status_code == 200, response.text
        OperatorRoundRecord.model_validate_json(response.content)
        body: dict[str, Any] = response.json()
        return body

    found = await until(record)
    assert found is not None
    return found


async def shown(settings: Settings, round_id: str) -> str:
    wanted = show.Wanted(round_id=round_id, operator_id=None, player_id=None)
    timeline = await show.read(settings, wanted)
    assert timeline.as_dict()["round"]["round_id"] == round_id
    return "\n".join(lines(timeline))


async def test_a_bet_that_its_wallet_does_not_answer_is_pending_and_named_everywhere(
    host: Operator, silent: RunningWallet, outside: Settings, platform: dict[str, Any]
) -> None:
    player, round_id = await host.open_session(), uuid4().hex
    await silent.set_faults(**SILENT)
    betting = asyncio.create_task(player.bet(round_id))
    pending = await seen(player, round_id)
    assert (pending["state"], pending["stake"]["amount"], pending["created_at"]) == ("pending", 100, None)

    async def named() -> bool:
        """Once its bet is on record: until then the round is known by its workflow alone."""
        return bool((await player.call("GET", "/session")).json()["open_round"] == round_id)

    await until(named)
    refused = checked_problem(await player.bet("next"), 409, "round-open")
    assert refused["open_round"] == round_id, "what is refused for it names it"
    async with opened(platform["base_url"], player.token) as socket:
        assert (await socket.pushed.get())["round"] == pending
    assert [round_["round_id"] for round_ in await player.history(limit=1)] == [round_id, "next"]
    checked_problem(await act(player, round_id, "collect"), 409, "wrong-state")
    checked_problem(await player.bet(round_id, stake=200), 422, "id-reused")

    for params in ({}, {"player_id": player.player_id}):
        record = await found_by(host, round_id, **params)
        assert (record["state"], record["player_id"], record["event"]) == ("pending", player.player_id, None)
    page = await host.call("GET", "/rounds", params={"state": "pending", "player_id": player.player_id})
    OperatorRoundPage.model_validate_json(page.content)
    assert [round_["round_id"] for round_ in page.json()["items"]] == [round_id]

    async def attempted() -> list[dict[str, Any]]:
        return list((await found_by(host, round_id))["wallet_attempts"])

    assert (await until(attempted))[0]["call"] == "bet"
    assert "nothing is held for it yet" in await shown(outside, round_id)

    late = await betting
    assert (late.status_code, late.headers["location"]) == (202, f"/v1/game/rounds/{round_id}")
    assert late.json() == pending == await seen(player, round_id)

    await silent.clear_faults()
    assert (await host.call("POST", f"/rounds/{round_id}/resolve", json=RETRY)).status_code in (200, 202)
    assert (await final(player, round_id))["state"] == "void"
    assert (await player.call("GET", "/session")).json()["open_round"] is None
    assert [round_["round_id"] for round_ in await player.history()] == [round_id, "next"]


async def test_a_list_of_pending_rounds_goes_on_page_by_page(host: Operator, silent: RunningWallet) -> None:
    player = await host.open_session()
    assert (await player.bet("settled")).status_code == 201
    await silent.set_faults(**SILENT)
    others = [await host.open_session(player.player_id, game_id=game) for game in ("fruit-lines", GAME.id)]
    betting = [asyncio.create_task(each.bet(each.claims.game_id)) for each in others]

    async def named(each: Player) -> bool:
        """Until its stake is recorded, the round is known by its workflow alone, and no list has it."""
        return bool((await each.call("GET", "/session")).json()["open_round"] == each.claims.game_id)

    for each in others:
        await seen(each, each.claims.game_id)
        await until(lambda each=each: named(each))  # type: ignore[misc]
    for limit in (1, 2, 3, 10):
        listed = [round_["round_id"] for round_ in await player.history(limit)]
        assert (sorted(listed[:2]), listed[2:]) == ([GAME.id, "fruit-lines"][::-1], ["settled"])
    last = await player.call("GET", "/rounds", params={"cursor": cursor(2**63 - 1)})
    assert len(last.json()["items"]) == 3, "a place that no list has is before them all"
    by_game = await host.rounds(player_id=player.player_id, game_id=GAME.id)
    assert [round_["round_id"] for round_ in by_game] == [GAME.id]
    await silent.clear_faults()
    for each in others:
        await host.call("POST", f"/rounds/{each.claims.game_id}/resolve", json=RETRY)
        await final(each, each.claims.game_id)
    await asyncio.gather(*betting)


async def test_a_bet_that_has_not_come_to_the_books_is_pending_at_the_address_that_was_given(
    operator: Operator, player: Player, outside: Settings
) -> None:
    round_id = uuid4().hex
    async with held_up(player):
        betting = asyncio.create_task(player.bet(round_id))
        pending = await seen(player, round_id)
        assert (pending["state"], pending["stake"]["amount"], pending["created_at"]) == ("pending", 100, None)
        other = asyncio.create_task(player.bet(round_id, stake=200))
        for params in ({"player_id": player.player_id}, {}):
            record = await found_by(operator, round_id, **params)
            assert (record["state"], record["player_id"]) == ("pending", player.player_id)
        assert "nothing is held for it yet" in await shown(outside, round_id)
        void = await operator.call("POST", f"/rounds/{round_id}/void", json={"reason": "ticket 4711"})
        checked_problem(void, 409, "wrong-state")
        checked_problem(await act(player, round_id, "collect"), 409, "wrong-state")
        checked_problem(await other, 422, "id-reused")
        late = await betting
        assert (late.status_code, late.headers["location"]) == (202, f"/v1/game/rounds/{round_id}")
        assert late.json() == pending == await seen(player, round_id)
    ended = await final(player, round_id)
    assert (await found_by(operator, round_id))["state"] == ended["state"]
    checked_problem(await player.bet(round_id, stake=200), 422, "id-reused")


async def test_a_round_that_nobody_began_is_not_found(operator: Operator, player: Player) -> None:
    round_id = uuid4().hex
    checked_problem(await player.call("GET", f"/rounds/{round_id}"), 404, "not-found")
    for params in ({}, {"player_id": player.player_id}, {"player_id": "nobody"}, {"mode": "demo"}):
        checked_problem(await operator.call("GET", f"/rounds/{round_id}", params=params), 404, "not-found")
    void = await operator.call("POST", f"/rounds/{round_id}/void", json={"reason": "ticket 4711"})
    checked_problem(void, 404, "not-found")
    checked_problem(await act(player, round_id, "collect"), 404, "not-found")


async def test_a_collected_win_that_the_wallet_does_not_take_is_settling(
    host: Operator, silent: RunningWallet
) -> None:
    player = await host.open_session(game_id=GAME.id)
    round_id = (await open_round(player))["round_id"]
    await silent.set_faults(**NO_WIN)
    answer = await act(player, round_id, "collect", action_id="a-1")
    settling = checked_round(answer)
    assert (answer.status_code, settling["state"]) == (200, "settling")
    assert settling["win"]["amount"] > 0
    assert "idempotent-replayed" not in answer.headers
    assert await seen(player, round_id) == settling
    again = await act(player, round_id, "collect", action_id="a-1")
    assert (again.status_code, again.headers["idempotent-replayed"], again.json()) == (200, "true", settling)
    checked_problem(await act(player, round_id, "collect", action_id="a-2"), 409, "wrong-state")
    await silent.clear_faults()
    assert (await final(player, round_id))["win"] == settling["win"]


async def test_a_round_that_is_lost_before_it_is_recorded_is_pending_until_it_is_taken_up_again(
    operator: Operator, player: Player, services: Services, outside: Settings
) -> None:
    round_id, temporal = uuid4().hex, operator.gateway.temporal
    workflow_id = player.round_key(round_id).workflow_id
    async with held_up(player):
        betting = asyncio.create_task(player.bet(round_id))
        pending = await seen(player, round_id)
        await temporal.get_workflow_handle(workflow_id).terminate("by mistake")
        for answer in (await betting, await player.bet(round_id)):
            problem = checked_problem(answer, 503, "overloaded")
            assert problem["detail"].startswith(WORDS[Cause.LOST])
            assert int(answer.headers["retry-after"]) == problem["retry_after"] > 0
        assert await seen(player, round_id) == pending
        assert (await found_by(operator, round_id))["state"] == "pending"
        assert "nothing brings the round to its end: its workflow is terminated" in await shown(
            outside, round_id
        )
        checked_problem(await player.bet(round_id, stake=200), 422, "id-reused")
    # As reconciliation does; its own test has it.
    workflows = RoundWorkflows(temporal, task_queue=services.stack.settings.task_queue)
    began = await workflows.begun(workflow_id)
    assert began is not None
    await workflows.restart(began.bet)
    ended = await final(player, round_id)
    again = await player.bet(round_id)
    assert (again.status_code, again.json(), ended["state"]) == (200, ended, "settled")
