"""Games that do not come with Croupier, over HTTP: whatever they do, their own rounds end, and no other."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client

from hosting import games
from hosting.process import Limits
from runtime.settings import PROJECT_ROOT
from security.seeds import SeedVault
from storage.database import Database
from tests.conftest import Services
from tests.e2e.choices import act
from tests.e2e.conftest import START_S
from tests.e2e.parties import Gateway, Operator, Player, checked_problem, checked_round
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import is_ready
from verification import outcomes

BALANCE: Final = 10_000
OURS: Final = "games.dice:GAME"
PUPPET: Final = "tests.support.bad_games:PUPPET"
CHOOSER: Final = "tests.support.bad_games:CHOOSER"
NONSENSE: Final = ("nul", "nul-key", "surrogate", "fraction", "huge", "deep", "leave", "tell", "allocate")
# Rounds of an ingress of these tests are no other's, which does not know their games.
QUEUE: Final = f"games-of-others-{uuid4().hex[:8]}"


@dataclasses.dataclass(frozen=True, slots=True)
class Ingress:
    """One that offers games of others."""

    operator: Operator
    log: Path
    metrics_url: str

    @property
    def gateway(self) -> Gateway:
        return self.operator.gateway

    async def metric(self, name: str, **labels: str) -> float | None:
        """The value of a series, None when there is none."""
        async with http_client() as http:
            text = (await http.get(self.metrics_url)).text
        series = name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "} "
        return next(
            (float(line[len(series) :]) for line in text.splitlines() if line.startswith(series)), None
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the ingresses of these tests run: on the services alone, for no other program matters here."""

    services: Services
    database: Database
    temporal: Client
    folder: Path

    @asynccontextmanager
    async def ingress(self, *plugins: str) -> AsyncIterator[Ingress]:
        stack, name = self.services.stack, uuid4().hex[:8]
        port, metrics = stack.port(f"others-{len(plugins)}"), stack.port(f"others-{len(plugins)}-metrics")
        settings = {
            "CROUPIER_HTTP_PORT": str(port),
            "CROUPIER_METRICS_PORT": str(metrics),
            "CROUPIER_TASK_QUEUE": QUEUE,
            "CROUPIER_GAMES": ",".join(plugins),
            "CROUPIER_CLIENT_PATIENCE_MS": str(int(HANG_S * 1_000)),
            "CROUPIER_GAME_ANSWER_S": "4",  # the most that there is: a slow machine is no game that hangs
            "CROUPIER_COMMANDS_ENABLED": "false",
        }
        log = self.folder / f"ingress-{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "workers.serve"),
                env={**os.environ, **stack.environment(), **settings},
                cwd=PROJECT_ROOT,
                stdout=output,
                stderr=output,
            )
        try:
            async with http_client(base_url=f"http://127.0.0.1:{port}", timeout=2 * HANG_S) as http:
                await until(lambda: is_ready(http), within_s=START_S)
                gateway = Gateway(http, self.database, self.temporal, self.services.keyring, [])
                yield Ingress(await gateway.new_operator(), log, f"http://127.0.0.1:{metrics}/metrics")
        finally:
            process.terminate()
            assert await process.wait() == 0


@pytest.fixture(scope="module")
def place(
    services: Services, database: Database, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    return Place(services, database, temporal, tmp_path_factory.mktemp("others"))


@pytest.fixture(scope="module")
async def others(place: Place) -> AsyncIterator[Ingress]:
    async with place.ingress(OURS, PUPPET, CHOOSER) as started:
        yield started


@pytest.fixture
async def player(others: Ingress) -> Player:
    return await others.operator.open_session(balance=BALANCE, game_id="puppet")


async def bet(player: Player, deed: str, **more: str) -> httpx.Response:
    return await player.bet(choice={"do": deed, **more})


async def play(player: Player, deed: str) -> dict[str, Any]:
    """A round, after the pauses that earlier tests have brought the game."""

    async def offered() -> httpx.Response | None:
        response = await bet(player, deed)
        return None if response.status_code == 403 else response

    response = await until(offered)
    assert response is not None
    assert response.status_code == 201, response.text
    return checked_round(response)


async def open_round(player: Player) -> dict[str, Any]:
    response = await player.bet()
    assert response.status_code == 201, response.text
    return checked_round(response)


async def test_a_sound_game_is_played_and_recomputed_as_ours_are(others: Ingress, player: Player) -> None:
    settled = await play(player, "draw")
    assert settled["state"] == "settled"
    rotated = await player.call("POST", "/seed", json={"client_seed": "next"})
    body = {
        **{"game": "puppet", "version": "1.0.0", "stake": 100, "choices": {"do": "draw"}},
        **{name: settled["fairness"][name] for name in ("client_seed", "nonce")},
        "server_seed": rotated.json()["revealed"]["server_seed"],
    }
    verified = (await others.gateway.http.post("/v1/fairness/verify", json=body)).json()
    assert (verified["outcome"], verified["win"]) == (settled["outcome"], settled["win"]["amount"])
    gateway = others.gateway
    async with (
        games.opened([OURS, PUPPET], Limits(answer_s=HANG_S)) as registry,
        gateway.database.pool.acquire() as connection,
        connection.transaction(),
    ):
        vault = SeedVault(gateway.keyring)
        audited = await outcomes.examine(connection, player.player_id, registry, vault, lambda: None)
    assert (audited.rounds, audited.skipped, audited.finding.holds) == (1, 0, True)


@pytest.mark.parametrize("deed", NONSENSE)
async def test_nonsense_makes_the_round_void_at_once(others: Ingress, player: Player, deed: str) -> None:
    void = await play(player, deed)
    assert (void["state"], void["failure"]["code"]) == ("void", "resolve-failed")
    assert await player.balance() == BALANCE, "the stake is back with the answer"
    detail = await others.gateway.database.pool.fetchval(
        "SELECT failure_detail FROM rounds WHERE round_id = $1", void["round_id"]
    )
    assert detail.startswith("GameError: puppet 1.0.0 ")
    assert await others.metric("croupier_game_healthy", game="puppet", version="1.0.0") == 0
    assert (await play(player, "win"))["state"] == "settled"
    assert await others.metric("croupier_game_healthy", game="puppet", version="1.0.0") == 1


@pytest.mark.parametrize("deed", ["sleep", "loop", "vanish"])
async def test_a_game_that_gives_no_answer_makes_its_round_void_and_no_other(
    others: Ingress, player: Player, deed: str
) -> None:
    at_dice = await others.operator.open_session(balance=BALANCE)
    hanging = asyncio.create_task(play(player, deed))
    for _ in range(5):
        assert (await at_dice.played())["state"] == "settled"
    void = await hanging
    assert (void["state"], void["failure"]["code"]) == ("void", "resolve-failed")
    assert await player.balance() == BALANCE
    assert (await play(player, "win"))["state"] == "settled"


async def test_a_game_that_keeps_failing_is_refused_before_anything_is_staked_until_it_recovers(
    others: Ingress, player: Player
) -> None:
    before: dict[str, Any] = {"round_id": uuid4().hex, "choice": {"do": "win"}}
    settled = await player.bet(**before)

    async def refused() -> httpx.Response | None:
        response = await bet(player, "vanish")
        return response if response.status_code != 201 else None

    response = await until(refused)
    assert response is not None
    checked_problem(response, 403, "game-disabled")
    again = await player.bet(**before)
    assert (again.status_code, again.headers.get("idempotent-replayed")) == (200, "true"), "a repeat, always"
    assert again.json() == settled.json()
    assert await player.balance() == settled.json()["balance"]["amount"]
    await until(lambda: is_ready(others.gateway.http))  # one game is not the ingress
    assert (await play(player, "win"))["state"] == "settled"


@pytest.mark.parametrize("check", ["tell", "leave"])
async def test_a_game_that_fails_when_it_is_asked_stakes_nothing(player: Player, check: str) -> None:
    checked_problem(await bet(player, "win", check=check), 403, "game-disabled")
    checked_problem(await bet(player, "win", check="refuse"), 422, "unknown-choice")
    assert await player.balance() == BALANCE


@pytest.mark.parametrize("deed", ["surrogate", "loop"])
async def test_an_action_that_the_game_fails_at_is_answered_with_the_void_round(
    others: Ingress, deed: str
) -> None:
    player = await others.operator.open_session(balance=BALANCE, game_id="chooser")
    opened = await open_round(player)
    ended = await act(player, opened["round_id"], "go", do=deed)
    assert ended.status_code == 200, ended.text
    void = checked_round(ended)
    assert (void["state"], void["failure"]["code"]) == ("void", "resolve-failed")
    assert await player.balance() == BALANCE


async def test_an_outcome_that_cannot_be_computed_again_is_a_problem_of_the_request(others: Ingress) -> None:
    body = {
        "game": "puppet",
        "version": "1.0.0",
        "server_seed": "5f" * 32,
        "client_seed": "c",
        "nonce": 0,
        "stake": 100,
    }

    async def verify(deed: str) -> httpx.Response:
        return await others.gateway.http.post("/v1/fairness/verify", json={**body, "choices": {"do": deed}})

    assert (await verify("win")).json()["win"] == 200
    for deed in ("surrogate", "tell", "vanish"):
        checked_problem(await verify(deed), 422, "invalid")
    assert (await verify("draw")).status_code == 200


async def test_an_open_round_whose_version_is_gone_is_named_and_waits_for_it(
    place: Place, others: Ingress
) -> None:
    player = await others.operator.open_session(balance=BALANCE, game_id="chooser")
    opened = await open_round(player)

    async with place.ingress(OURS) as without:
        gateway = dataclasses.replace(others.gateway, http=without.gateway.http)
        there = dataclasses.replace(player, operator=dataclasses.replace(others.operator, gateway=gateway))
        problem = checked_problem(await act(there, opened["round_id"], "stop"), 403, "game-disabled")
        assert "chooser 1.0.0" in problem["detail"]
        stands = (await there.call("GET", f"/rounds/{opened['round_id']}")).json()
        assert (stands["state"], stands["choices"]) == ("awaiting_choice", opened["choices"])
        log = without.log.read_text()
        assert "open rounds began on chooser 1.0.0" in log
        assert f"{others.operator.operator_id}/{opened['round_id']}" in log

    settled = checked_round(await act(player, opened["round_id"], "stop"))
    assert (settled["state"], settled["win"]["amount"]) == ("settled", 100)
