"""What must never be written down: keys, tokens, seeds; and whose ids must not be in metrics."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest

from security.seeds import SeedVault
from tests.conftest import Services
from tests.e2e.parties import OVER_HALF, Gateway, Player
from tests.support.conditions import until
from tests.support.http import http_client
from tests.support.secrets import assert_absent, every_form, secret_half


@pytest.fixture(scope="module")
async def noisy(gateway: Gateway) -> Player:
    return await make_noise(gateway)


async def make_noise(gateway: Gateway) -> Player:
    """A player who did everything right once, and everything wrong that may be logged."""
    operator = await gateway.new_operator()
    player = await operator.open_session("a-player-with-a-name", balance=1_000, client_seed="a-clients-seed")
    await player.played(round_id="spoken")
    await player.bet(stake=50_000)
    await player.expired().bet()
    await player.call("POST", "/rounds", content=b"{" + player.token.encode())
    await player.call("GET", f"/rounds/{player.token}")
    await player.call("GET", "/rounds", params={"cursor": player.token, "token": player.token})
    await player.with_token(operator.key).call("POST", "/rounds", json=player.wager())
    await gateway.http.get(f"/{player.token}", headers={"x-token": player.token})
    await operator.call("GET", f"/rounds/{operator.key}")
    await operator.call("POST", "/sessions", json={operator.key: player.token})
    webhook = await operator.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/never-there"})
    gateway.secrets.append(webhook.json()["secret"])
    await player.played()
    return player


@pytest.fixture(scope="module")
async def seeds(gateway: Gateway, noisy: Player) -> dict[str, bytes]:
    """Every server seed of the run in the clear, by its id."""
    vault = SeedVault(gateway.keyring)
    rows = await gateway.database.pool.fetch(
        "SELECT d.id, d.sealed_server_seed FROM seeds d JOIN sessions s ON s.seed_id = d.id"
    )
    found = {}
    for row in rows:
        # Tests straight on the ledger seal with keys of their own.
        if row["sealed_server_seed"].split(".")[1] in gateway.keyring.seeds.keys:
            found[row["id"]] = vault.open(row["id"], row["sealed_server_seed"])
    assert found
    return found


async def test_no_log_holds_a_key_a_token_or_a_seed(
    gateway: Gateway, services: Services, noisy: Player, seeds: dict[str, bytes]
) -> None:
    logs = [path for path in services.stack.layout.logs.rglob("*") if path.is_file()]
    assert {"ingress.log", "postgres.log"} <= {path.name for path in logs}, logs
    hidden = [secret.encode() for secret in gateway.secrets]
    # A key is given away by its second half too, and a token by its signature.
    hidden += [secret_half(secret).encode() for secret in gateway.secrets]
    hidden += every_form(seeds.values())
    hidden += [b"a-player-with-a-name", b"a-clients-seed", noisy.session_id.encode()]
    for path in logs:
        assert_absent(hidden, path.read_bytes(), path)


async def test_not_even_a_debug_log_holds_them(
    talkative: tuple[Gateway, Path], noisy: Player, seeds: dict[str, bytes]
) -> None:
    """The stack of the tests logs warnings only; this ingress tells all it can."""
    gateway, log = talkative
    player = await make_noise(gateway)
    seed = await gateway.database.pool.fetchrow(
        "SELECT d.id, d.sealed_server_seed FROM seeds d JOIN sessions s ON s.seed_id = d.id WHERE s.id = $1",
        player.session_id,
    )
    opened = SeedVault(gateway.keyring).open(seed["id"], seed["sealed_server_seed"])
    said = log.read_bytes()
    assert b"DEBUG" in said, "it is talkative indeed"
    hidden = [player.token.encode(), player.operator.key.encode(), *every_form([opened])]
    hidden += [secret_half(secret).encode() for secret in (player.token, player.operator.key)]
    hidden += [b"a-player-with-a-name", b"a-clients-seed", player.session_id.encode()]
    assert_absent(hidden, said, log)


async def test_no_history_holds_a_secret_or_a_name_in_the_clear(
    gateway: Gateway, noisy: Player, seeds: dict[str, bytes]
) -> None:
    raw = await until(lambda: _history_of(gateway, noisy.round_key("spoken").workflow_id))
    assert raw is not None
    assert noisy.round_key("spoken").workflow_id.encode() in raw, "ids are to be read; the rest is not"
    hidden = [noisy.token.encode(), noisy.operator.key.encode(), *every_form(seeds.values())]
    hidden += [b"a-player-with-a-name", b"a-clients-seed", noisy.session_id.encode()]
    # With their quotes: three bytes alone are found by chance in what is sealed.
    hidden += [f'"{name}"'.encode() for name in (*OVER_HALF, "stake", "roll", "win", "EUR")]
    assert_absent(hidden, raw, "the history")


async def test_metrics_are_there_and_name_nobody(
    platform: dict[str, Any], gateway: Gateway, noisy: Player, seeds: dict[str, bytes]
) -> None:
    rounds = await noisy.operator.rounds()
    nobody = [noisy.player_id, noisy.session_id, noisy.token, noisy.operator.key, *gateway.secrets]
    nobody += [secret_half(secret) for secret in gateway.secrets]
    nobody += [r["workflow_id"] for r in rounds] + [r["round_id"] for r in rounds]
    async with http_client() as http:
        pages = {name: (await http.get(url)).text for name, url in platform["metrics_urls"].items()}
    assert "croupier_bet_duration_seconds" in pages["ingress"]
    operator = noisy.operator.operator_id
    assert (
        f'croupier_rounds_closed_total{{game="dice",operator="{operator}",state="settled"}}'
        in pages["ingress"]
    )
    for name, page in pages.items():
        hidden = [*(text.encode() for text in nobody), *every_form(seeds.values())]
        assert_absent(hidden, page.encode(), name)


async def test_the_database_keeps_only_hashes_of_keys_and_sealed_seeds(
    gateway: Gateway, noisy: Player, seeds: dict[str, bytes]
) -> None:
    for table in ("api_keys", "seeds", "sessions", "rounds", "outbox"):
        rows = await gateway.database.pool.fetch(f"SELECT to_jsonb(t)::text AS text FROM {table} t")  # noqa: S608
        assert rows
        hidden = [noisy.operator.key.encode(), noisy.token.encode(), *every_form(seeds.values())]
        assert_absent(hidden, "\n".join(row["text"] for row in rows).encode(), table)


async def _history_of(gateway: Gateway, workflow_id: str) -> bytes | None:
    """The raw bytes of a closed round's history, as Temporal stores and shows them."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=gateway.temporal.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
    )
    response = await gateway.temporal.workflow_service.get_workflow_execution_history(request)
    is_closed = any(
        event.HasField("workflow_execution_completed_event_attributes") for event in response.history.events
    )
    return response.SerializeToString() if is_closed else None
