"""The codec server as a program: beside the embedded Temporal, as `up` starts it; with tokens over TLS."""

import asyncio
import base64
import json
import os
import re
import shlex
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import psutil
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client

from api.operator.service import OperatorKeys
from compose import process
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack
from contracts.rounds import RoundKey
from runtime.settings import PROJECT_ROOT
from security.keyring import section_json
from security.seeds import SeedVault
from security.tokens import TokenVerifier
from storage.database import Database
from tests.conftest import Services
from tests.support.acting import BY
from tests.support.clients import STAKE, Player, seat_players
from tests.support.codec import codec_server
from tests.support.conditions import HANG_S
from tests.support.files import contents
from tests.support.http import http_client
from tests.support.issuer import AUDIENCE, Issuer, served_issuer
from tests.support.tls import Authority

NOBODY: Final = 65_534
ORIGIN: Final = "https://temporal.example"
# Any account has bash; this environment's Python may be where no other account can read it.
POST: Final = r"""
exec 3<>"/dev/tcp/127.0.0.1/$0"
printf 'POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}' "$1" >&3
read -r said <&3
echo "$said"
"""


@pytest.fixture(scope="module")
async def endpoint(services: Services) -> AsyncIterator[str]:
    """Of the one that `up` starts."""
    async with codec_server(services.stack) as endpoint:
        yield endpoint


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(timeout=HANG_S) as http:
        yield http


async def history_of(player: Player, round_id: str, services: Services, temporal: Client) -> dict[str, Any]:
    """As the web interface gets it, when the round has ended."""
    claims = TokenVerifier(services.keyring, time.time).verify(player.token)
    key = RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=round_id)
    await temporal.get_workflow_handle(key.workflow_id).result()
    asked = GetWorkflowExecutionHistoryRequest(
        namespace=temporal.namespace, execution=WorkflowExecution(workflow_id=key.workflow_id)
    )
    found = await temporal.workflow_service.get_workflow_execution_history(asked)
    return MessageToDict(found.history)


def payloads_in(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        if found.keys() >= {"metadata", "data"}:
            yield found
        else:
            for value in found.values():
                yield from payloads_in(value)
    elif isinstance(found, list):
        for value in found:
            yield from payloads_in(value)


class TestBesideTheEmbeddedTemporal:
    async def test_a_rounds_history_is_opened_whole_and_holds_no_seed(
        self,
        endpoint: str,
        platform: dict[str, Any],
        services: Services,
        temporal: Client,
        database: Database,
        http: httpx.AsyncClient,
    ) -> None:
        (player,) = await seat_players(platform, 1)
        answer = await player.bet(http, round_id := uuid4().hex)
        payloads = [*payloads_in(await history_of(player, round_id, services, temporal))]
        decoded = await http.post(f"{endpoint}/decode", json={"payloads": payloads})
        assert decoded.status_code == 200
        opened = [base64.b64decode(payload["data"]) for payload in decoded.json()["payloads"]]
        assert len(opened) == len(payloads) >= 3
        assert b"unreadable" not in b"".join(opened)
        bet = json.loads(opened[0])
        assert (bet["key"]["round_id"], bet["stake"]) == (round_id, STAKE)
        assert json.loads(opened[-1])["state"] == answer["state"]
        seed = await seed_of(round_id, services, database)
        for form in (seed, seed.hex().encode(), base64.b64encode(seed), base64.urlsafe_b64encode(seed)):
            assert form.rstrip(b"=") not in b"".join(opened)

    async def test_its_page_has_what_its_panel_shows(
        self, endpoint: str, platform: dict[str, Any], services: Services, http: httpx.AsyncClient
    ) -> None:
        encoding = base64.b64encode(b"json/plain").decode()
        plain = {"metadata": {"encoding": encoding}, "data": base64.b64encode(b"{}").decode()}
        await http.post(f"{endpoint}/decode", json={"payloads": [plain]})
        await http.post(f"{endpoint}/decode", content=b"no JSON")
        page = (await http.get(services.stack.info()["metrics_urls"]["codec"])).text
        assert re.search(r'^croupier_codec_payloads_total\{call="decode",outcome="plain"\} [1-9]', page, re.M)
        assert re.search(r'^croupier_codec_requests_refused_total\{reason="malformed"\} [1-9]', page, re.M)

    async def test_the_web_interface_is_told_of_it_and_process_arguments_say_nothing(
        self, endpoint: str, services: Services, http: httpx.AsyncClient
    ) -> None:
        stack = services.stack
        told = (await http.get(f"{stack.addresses.temporal_ui}/api/v1/settings")).json()
        assert told["Codec"]["Endpoint"] == endpoint
        path = endpoint.rsplit("/", 1)[1]
        assert len(path) >= 32
        for name in ("temporal", "codec"):
            assert path not in " ".join(psutil.Process(stack.pid(name)).cmdline())
        small = contents(stack.layout.home, below_bytes=100_000)
        holding = [found for found, content in small if path.encode() in content]
        assert {found.name for found in holding} == {"memory.json", "options.yaml"}
        assert {found.stat().st_mode & 0o777 for found in holding} == {0o600}

    async def test_it_has_the_keys_of_payloads_and_nothing_else(
        self, endpoint: str, services: Services
    ) -> None:
        variables = psutil.Process(services.stack.pid("codec")).environ()
        assert json.loads(variables["CROUPIER_KEYRING_JSON"]).keys() == {"payload"}
        secrets = "DATABASE_URL", "OWNER_DATABASE_URL", "AMQP_URL", "TEMPORAL_API_KEY"
        assert [name for name in secrets if variables[f"CROUPIER_{name}"]] == []

    async def test_browsers_have_it_opened_for_its_pages_alone(
        self, endpoint: str, services: Services, http: httpx.AsyncClient
    ) -> None:
        ui = services.stack.addresses.temporal_ui
        assert ui
        for origin, status in (
            (ui, 200),
            (ui.replace("127.0.0.1", "localhost"), 200),
            ("http://127.0.0.1:1", 403),
        ):
            answer = await http.post(f"{endpoint}/decode", json={}, headers={"origin": origin})
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == (origin if status == 200 else None)

    async def test_without_its_path_nobody_is_let_in(self, endpoint: str, http: httpx.AsyncClient) -> None:
        at, path = endpoint.rsplit("/", 1)
        for url, status in (
            (f"{at}/decode", 401),
            (f"{at}/{path[:-1]}/decode", 404),
            (f"{at}/x/decode", 404),
        ):
            assert (await http.post(url, json={})).status_code == status

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs of another account")
    @pytest.mark.parametrize(("account", "status"), [(NOBODY, "403"), (0, "200")])
    async def test_another_account_of_the_machine_is_refused_though_it_has_the_path(
        self, endpoint: str, account: int, status: str
    ) -> None:
        """Whoever reaches the web interface can ask it for the path."""
        url = httpx.URL(endpoint)
        said = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-c", POST, str(url.port), f"{url.path}/decode"),
            user=account,
            cwd="/",
            env={},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(said.communicate(), HANG_S)
        assert output.split()[1].decode() == status

    async def test_who_asked_is_recorded_whatever_the_level_and_the_path_is_not(
        self, endpoint: str, services: Services, http: httpx.AsyncClient
    ) -> None:
        """The stack of the tests logs warnings only."""
        await http.post(f"{endpoint}/decode", json={}, headers={"x-namespace": "a-namespace"})
        log = services.stack.layout.log_of("codec").read_text()
        assert f"decode of 0 payloads of namespace a-namespace for account {os.geteuid()} (admin)" in log
        assert endpoint.rsplit("/", 1)[1] not in log


async def seed_of(round_id: str, services: Services, database: Database) -> bytes:
    row = await database.pool.fetchrow(
        "SELECT d.id, d.sealed_server_seed FROM seeds d JOIN rounds r ON r.seed_id = d.id"
        " WHERE r.round_id = $1",
        round_id,
    )
    return SeedVault(services.keyring).open(row["id"], row["sealed_server_seed"])


@dataclass(frozen=True, slots=True)
class Served:
    http: httpx.AsyncClient
    issuer: Issuer
    log: Path
    running: process.Process


@asynccontextmanager
async def served(stack: Stack, services: Services, folder: Path) -> AsyncIterator[Served]:
    """A codec server with tokens of both kinds, over TLS, as in a production."""
    authority = Authority.made(folder)
    certificate, key = authority.issue("codec.example")
    port, metrics_port = stack.port("codec-tls"), stack.port("codec-tls-metrics")
    async with served_issuer() as issuer:
        program = OwnProgram(
            name="codec-tls",
            module="workers.codec",
            ready_url=f"http://127.0.0.1:{metrics_port}/metrics",
            settings={
                "CROUPIER_HOME": str(stack.layout.home),
                "CROUPIER_LOG_LEVEL": "debug",
                "CROUPIER_METRICS_PORT": str(metrics_port),
                "CROUPIER_CODEC_HOST": "0.0.0.0",  # noqa: S104
                "CROUPIER_CODEC_PORT": str(port),
                "CROUPIER_CODEC_TLS_CERT": str(certificate),
                "CROUPIER_CODEC_TLS_KEY": str(key),
                "CROUPIER_CODEC_ORIGINS": ORIGIN,
                "CROUPIER_CODEC_OIDC_ISSUER": issuer.url,
                "CROUPIER_CODEC_OIDC_AUDIENCE": AUDIENCE,
                "CROUPIER_DATABASE_URL": stack.addresses.application_database_url,
                "CROUPIER_KEYRING_JSON": section_json(services.keyring.payload),
            },
        )
        running = await process.start(program.command(), stack.layout)
        trusted = ssl.create_default_context(cafile=str(authority.path))
        try:
            await wait_until_ready(program.name, program.probe, limit_seconds=program.start_seconds)
            async with httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=HANG_S
            ) as http:
                yield Served(http, issuer, stack.layout.log_of(program.name), running)
        finally:
            await running.stop()


async def test_tokens_over_tls_open_for_those_who_may_and_leave_no_trace(
    services: Services, database: Database, tmp_path: Path
) -> None:
    keys = OperatorKeys(database.pool)
    platform_key = await keys.issue(operator_id=None, scope="platform", by=BY)
    operators_key = await keys.issue(operator_id=services.operator.operator_id, scope="admin", by=BY)
    assert platform_key
    assert operators_key
    async with served(services.stack, services, tmp_path) as codec:
        support, admin = codec.issuer.token(), codec.issuer.token(scope="admin")
        expected = (
            ("decode", support, 200),
            ("encode", support, 403),
            ("encode", admin, 200),
            ("decode", platform_key.text, 200),
            ("encode", platform_key.text, 200),
            ("decode", operators_key.text, 403),
            ("decode", f"crk_{'0' * 16}_{'x' * 43}", 401),
            ("decode", codec.issuer.token(aud="another"), 401),
        )
        for call, token, status in expected:
            headers = {"authorization": f"Bearer {token}", "origin": ORIGIN}
            answer = await codec.http.post(f"/{call}", json={}, headers=headers)
            assert (call, answer.status_code) == (call, status), answer.text
        with pytest.raises(httpx.HTTPError):
            await codec.http.post(f"http://127.0.0.1:{codec.http.base_url.port}/decode", json={})
        await codec.http.aclose()  # it waits for whoever does not say goodbye
        codec.running.handle.send_signal(signal.SIGTERM)
        assert await codec.running.handle.wait() == 0
        log = codec.log.read_text()
        assert "for subject 'anna' (support)" in log
        assert f"for API key {platform_key.key_id} (admin)" in log
        for _, token, _ in expected:
            assert token not in log
            assert token.rsplit(".", 1)[-1] not in log


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("CROUPIER_CODEC_HOST=0.0.0.0", "codec_host 0.0.0.0 is not loopback"),
        (
            f"CROUPIER_CODEC_TLS_CERT={__file__} CROUPIER_CODEC_TLS_KEY={__file__}",
            "settings codec_tls_cert and codec_tls_key cannot be used",
        ),
    ],
)
async def test_what_cannot_be_served_safely_ends_with_2_and_one_line(
    services: Services, settings: str, why: str
) -> None:
    given = dict(one.split("=", 1) for one in shlex.split(settings))
    usual = {
        "CROUPIER_HOME": str(services.stack.layout.home),
        "CROUPIER_CODEC_OIDC_ISSUER": "https://login.example",
        "CROUPIER_CODEC_OIDC_AUDIENCE": AUDIENCE,
    }
    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.codec"),
        env={**os.environ, **usual, **given},
        cwd=PROJECT_ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(ended.communicate(), HANG_S)
    assert ended.returncode == 2
    (line,) = said.decode().splitlines()
    assert line.startswith("croupier: ")
    assert why in line
