"""The codec server as most tests want it."""

import httpx
import pytest

from api.codec.access import Access
from api.codec.people import People
from api.oidc.issuer import Issuer as Published
from tests.support.issuer import AUDIENCE, Issuer
from tests.unit.api.codec.parties import PATH, server


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def people(issuer: Issuer) -> People:
    return People(Published(issuer.url, issuer.fetch), audience=AUDIENCE, claim="scope")


@pytest.fixture
def codec(people: People) -> httpx.AsyncClient:
    """With tokens of the issuer, and a path that no account may take."""
    return server(Access((people,), path=PATH))


@pytest.fixture
def support(issuer: Issuer) -> dict[str, str]:
    return {"authorization": f"Bearer {issuer.token()}"}


@pytest.fixture
def admin(issuer: Issuer) -> dict[str, str]:
    return {"authorization": f"Bearer {issuer.token(scope='openid admin')}"}
