"""PostgreSQL, RabbitMQ and Temporal behind TLS: everything works over it, and nobody else is trusted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from pydantic import SecretStr

from compose import probes
from compose.problems import NotReady
from events import broker
from events.broker import LinkLost
from runtime.services import Unreachable, connect_database
from runtime.settings import Settings
from runtime.temporal import access, connect_temporal
from tests.conftest import Services
from tests.support.clients import seat_players
from tests.support.conditions import HANG_S
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress
from tests.support.tls import Authority, Front, headers_sent, tls_before

API_KEY = "an-api-key-of-temporal"


@dataclass(frozen=True, slots=True)
class Fronts:
    """The three services behind certificates of `authority`."""

    authority: Authority
    postgres: Front
    rabbitmq: Front
    temporal: Front
    services: Services

    @property
    def database_url(self) -> str:
        """As the programs connect, and sure of whom they talk to."""
        url = urlsplit(self.services.stack.addresses.application_database_url)
        at = url._replace(netloc=f"{url.username}:{url.password}@localhost:{self.postgres.port}").geturl()
        return f"{at}?sslmode=verify-full&sslrootcert={self.authority.path}"

    @property
    def amqp_url(self) -> str:
        url = urlsplit(self.services.stack.addresses.application_amqp_url)
        login = f"{url.username}:{url.password}"
        return f"amqps://{login}@localhost:{self.rabbitmq.port}/?cafile={self.authority.path}"

    @property
    def temporal_address(self) -> str:
        return f"localhost:{self.temporal.port}"

    def settings(self, **given: Any) -> Settings:
        chosen = {
            "temporal_address": self.temporal_address,
            "temporal_namespace": self.services.stack.addresses.temporal_namespace,
        }
        return Settings(home=self.services.settings.home, **{**chosen, **given})


@pytest.fixture
async def fronts(services: Services, tmp_path: Path) -> AsyncIterator[Fronts]:
    authority, addresses = Authority.made(tmp_path), services.stack.addresses
    context = authority.server()
    async with (
        tls_before(*place(addresses.application_database_url), context, is_postgres=True) as postgres,
        tls_before(*place(addresses.application_amqp_url), context) as rabbitmq,
        tls_before(*place(f"//{addresses.temporal_address}"), context) as temporal,
    ):
        yield Fronts(authority, postgres, rabbitmq, temporal, services)


def place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """An authority that has signed nothing here."""
    (folder := tmp_path / "others").mkdir()
    return Authority.made(folder).path


async def test_a_round_is_played_over_tls_alone_with_secrets_from_files(
    services: Services, platform: dict[str, Any], fronts: Fronts, tmp_path: Path
) -> None:
    secrets = {"database_url": fronts.database_url, "amqp_url": fronts.amqp_url, "temporal_api_key": API_KEY}
    settings: dict[str, Any] = {"temporal_address": fronts.temporal_address}
    settings["temporal_tls_ca"] = fronts.authority.path
    for name, text in secrets.items():
        (tmp_path / name).write_text(f"{text}\n")
        settings |= {name: "", f"{name}_file": tmp_path / name}
    async with one_more_ingress(services.stack, "over-tls", **settings) as ingress:
        (player,) = await seat_players({**platform, "base_url": ingress.base_url}, 1)
        async with http_client(timeout=HANG_S) as client:
            answer = await player.bet(client, uuid4().hex)
    assert answer["state"] == "settled"
    for front in (fronts.postgres, fronts.rabbitmq, fronts.temporal):
        assert any(front.heard)
    sent = [header for heard in fronts.temporal.heard for header in headers_sent(bytes(heard))]
    assert ("authorization", f"Bearer {API_KEY}") in sent
    assert API_KEY not in ingress.log.read_text()


async def test_a_database_that_another_authority_signed_for_is_refused(fronts: Fronts, others: Path) -> None:
    url = fronts.database_url.replace(str(fronts.authority.path), str(others))
    with pytest.raises(Unreachable, match=r"CROUPIER_DATABASE_URL.*certificate verify failed"):
        await connect_database(fronts.settings(database_url=SecretStr(url)), connections=1)
    assert not fronts.postgres.heard


async def test_a_database_without_tls_is_refused_where_tls_is_required(services: Services) -> None:
    url = f"{services.stack.addresses.application_database_url}?sslmode=require"
    settings = Settings(home=services.settings.home, database_url=SecretStr(url))
    with pytest.raises(Unreachable, match=r"CROUPIER_DATABASE_URL.*rejected SSL upgrade"):
        await connect_database(settings, connections=1)


async def test_a_broker_that_another_authority_signed_for_is_refused(fronts: Fronts, others: Path) -> None:
    url = fronts.amqp_url.replace(str(fronts.authority.path), str(others))
    with pytest.raises(LinkLost, match="certificate verify failed"):
        await broker.connect(url, name="croupier test")
    assert not fronts.rabbitmq.heard


async def test_a_broker_under_another_name_is_refused(fronts: Fronts) -> None:
    context = fronts.authority.server("mq.example")
    async with tls_before(*fronts.rabbitmq.service, context) as front:
        url = fronts.amqp_url.replace(f":{fronts.rabbitmq.port}/", f":{front.port}/")
        with pytest.raises(LinkLost, match="Hostname mismatch"):
            await broker.connect(url, name="croupier test")
    assert not any(front.heard)


class TestTemporal:
    async def test_that_another_authority_signed_for_is_refused(self, fronts: Fronts, others: Path) -> None:
        with pytest.raises(Unreachable, match="CROUPIER_TEMPORAL_ADDRESS"):
            await connect_temporal(fronts.settings(temporal_tls_ca=others), fronts.services.keyring)
        assert not any(fronts.temporal.heard)

    async def test_under_another_name_is_refused_unless_it_is_set(self, fronts: Fronts) -> None:
        ca, keyring = fronts.authority.path, fronts.services.keyring
        named = {"temporal_tls_ca": ca, "temporal_tls_server_name": "temporal.example"}
        with pytest.raises(Unreachable, match="CROUPIER_TEMPORAL_ADDRESS"):
            await connect_temporal(fronts.settings(**named), keyring)
        context = fronts.authority.server("temporal.example")
        async with tls_before(*fronts.temporal.service, context) as front:
            address = f"localhost:{front.port}"
            await connect_temporal(fronts.settings(**named, temporal_address=address), keyring)

    async def test_without_tls_gets_no_api_key(self, fronts: Fronts) -> None:
        address = fronts.services.stack.addresses.temporal_address
        settings = fronts.settings(temporal_address=address, temporal_api_key=SecretStr(API_KEY))
        with pytest.raises(Unreachable, match="CROUPIER_TEMPORAL_ADDRESS"):
            await connect_temporal(settings, fronts.services.keyring)

    async def test_that_wants_certificates_gets_ours(self, fronts: Fronts, tmp_path: Path) -> None:
        (folder := tmp_path / "clients").mkdir()
        clients = Authority.made(folder, "clients")
        cert, key = clients.issue("croupier")
        context = fronts.authority.server(clients=clients.path)
        async with tls_before(*fronts.temporal.service, context) as front:
            given = {
                "temporal_address": f"localhost:{front.port}",
                "temporal_tls_ca": fronts.authority.path,
            }
            with pytest.raises(Unreachable, match="CROUPIER_TEMPORAL_ADDRESS"):
                await connect_temporal(fronts.settings(**given), fronts.services.keyring)
            ours = fronts.settings(**given, temporal_tls_cert=cert, temporal_tls_key=key)
            await connect_temporal(ours, fronts.services.keyring)

    async def test_is_probed_as_the_programs_connect(self, fronts: Fronts, others: Path) -> None:
        namespace = fronts.services.stack.addresses.temporal_namespace
        for ca in (fronts.authority.path, others):
            probe = probes.temporal(
                fronts.temporal_address, namespace, access(fronts.settings(temporal_tls_ca=ca))
            )
            if ca == others:
                with pytest.raises(NotReady):
                    await probe
            else:
                await probe
