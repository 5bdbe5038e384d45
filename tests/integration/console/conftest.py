"""A console over a ledger of its own, read as the role that the console has."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette

from api.console.app import create_app
from api.console.console import COOKIE, Console
from api.console.operator_api import OperatorApi
from api.console.sessions import Sessions
from api.gateway.rate_limits import OFF, Buckets
from contracts.views import ApiKeyView
from overview.rounds import Rounds, Sources
from runtime.services import Unreachable
from security.api_keys import new_api_key
from storage import operators
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.acting import BY
from tests.support.databases import as_console, migrated_database
from tests.support.ledger import Seat, take_seat

URL = "http://console.example/console"


@pytest.fixture(scope="module")
async def own_url(services: Services) -> AsyncIterator[str]:
    async with migrated_database(services) as url:
        yield url


@pytest.fixture(scope="module")
async def own(own_url: str) -> AsyncIterator[Database]:
    """As its owner, who makes what the tests look at."""
    opened = await open_database(own_url, connections=5)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def as_read(services: Services, own_url: str) -> AsyncIterator[Database]:
    """As the console's role."""
    opened = await open_database(as_console(services, own_url), connections=4)
    yield opened
    await opened.close()


@pytest.fixture
async def seat(own: Database) -> Seat:
    """Of an operator that no other test has."""
    return await take_seat(own, balance=1_000_000)


async def nowhere() -> None:
    raise Unreachable("Temporal is not asked here")


@dataclass(frozen=True, slots=True)
class Running:
    """A console, and the secret of somebody's session there: support of the seat's operator."""

    app: Starlette
    console: Console
    key_id: str
    secret: str

    def begin_session(self) -> str:
        """Another one of the same person. Returns its secret."""
        session = self.console.sessions.lasting(self.secret)
        assert session is not None
        names = ("key", "key_id", "operator_id", "operator_name", "scope")
        return self.console.sessions.begin(**{name: getattr(session, name) for name in names})


@pytest.fixture
async def running(own: Database, as_read: Database, seat: Seat) -> AsyncIterator[Running]:
    """The API answers nothing here."""
    key, sessions = new_api_key(), Sessions()
    stored = ApiKeyView(
        key_id=key.key_id,
        operator_id=seat.session.operator_id,
        secret_hash=key.secret_hash,
        scope="operator",
    )
    assert await operators.add_key(own.pool, stored, by=BY) == "added"
    secret = sessions.begin(
        key=key.text,
        key_id=key.key_id,
        operator_id=seat.session.operator_id,
        operator_name="a test's",
        scope="operator",
    )
    away = httpx.MockTransport(lambda request: httpx.Response(500))
    async with httpx.AsyncClient(transport=away, base_url="http://api.example") as api:
        console = Console(
            as_read.pool,
            Rounds(Sources(as_read.pool, nowhere)),  # type: ignore[arg-type]  # it never returns
            OperatorApi(api),
            sessions,
            Buckets(OFF, "failures"),
            None,
        )
        app = create_app(console)
        yield Running(app, console, key.key_id, secret)
        await app.state.live.close()


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in."""
    transport = httpx.ASGITransport(app=running.app)
    async with httpx.AsyncClient(transport=transport, cookies={COOKIE: running.secret}) as http:
        yield http
