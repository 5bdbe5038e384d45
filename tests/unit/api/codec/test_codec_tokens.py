"""Whose payloads are opened: tokens of people, keys of the platform, and what neither of them may do."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import jwt
import pytest
from jwt.algorithms import HMACAlgorithm

from api.codec.access import Access, Reader, Refused, own_accounts
from api.codec.people import People
from api.codec.platform_keys import PlatformKeys
from api.gateway.rate_limits import Buckets, Rate
from api.oidc.issuer import AGAIN_S, STALE_S
from api.oidc.issuer import Issuer as Published
from api.operator.service import OperatorKeys
from contracts.views import ApiKeyView
from security.api_keys import NewApiKey, new_api_key
from storage.database import NotAdmitted
from tests.support.issuer import AUDIENCE, KEYS, Issuer
from tests.unit.api.codec.parties import body, server

NO_LIMIT: Final = Rate(per_s=0, burst=1)
Refusal = Callable[[str], Awaitable[Refused]]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(issuer: Issuer, clock: Clock) -> People:
    """With a clock of the test's."""
    return people_of(issuer, clock)


@pytest.fixture
def refusal(people: People) -> Refusal:
    """Of a token of people."""
    return lambda token: refusal_of(people, token)


def people_of(issuer: Issuer, clock: Clock, *, claim: str = "scope") -> People:
    return People(Published(issuer.url, issuer.fetch, clock), audience=AUDIENCE, claim=claim)


async def refusal_of(tokens: People | PlatformKeys, token: str) -> Refused:
    with pytest.raises(Refused) as caught:
        await tokens.reader(token, "203.0.113.7")
    return caught.value


class TestTokensOfPeople:
    @pytest.mark.parametrize(
        ("said", "scope"),
        [
            ("support", "support"),
            ("openid email support", "support"),
            ("support admin", "admin"),
            (["croupier", "admin"], "admin"),
        ],
    )
    async def test_open_with_one_of_the_two_words(
        self, issuer: Issuer, people: People, said: Any, scope: str
    ) -> None:
        reader = await people.reader(issuer.token(scope=said), "")
        assert (reader.name, reader.scope) == ("subject 'anna'", scope)

    async def test_have_their_words_in_the_claim_that_is_set(self, issuer: Issuer, clock: Clock) -> None:
        token = issuer.token(scope="openid", roles=["support"])
        assert (await people_of(issuer, clock, claim="roles").reader(token, "")).scope == "support"

    @pytest.mark.parametrize(
        "said", ["", "openid", "administrator", "support-x", [], ["x"], None, 7, {"admin": 1}]
    )
    async def test_without_one_are_403(self, issuer: Issuer, refusal: Refusal, said: Any) -> None:
        assert (await refusal(issuer.token(scope=said))).status == 403

    @pytest.mark.parametrize(
        "wrong",
        [
            {"iss": "https://login.example/realms/other"},
            {"aud": "another-program"},
            {"exp": int(time.time()) - 3_600},
            {"iat": int(time.time()) + 360_000},
            {"nbf": int(time.time()) + 360_000},
            {"sub": None},
            {"exp": None},
            {"aud": None},
            {"iss": None},
            {"iat": None},
        ],
        ids=lambda wrong: " ".join(wrong),
    )
    async def test_of_others_for_others_and_of_another_time_are_401(
        self, issuer: Issuer, refusal: Refusal, wrong: dict[str, Any]
    ) -> None:
        assert (await refusal(issuer.token(**wrong))).status == 401

    async def test_signed_by_anybody_else_are_401(self, refusal: Refusal) -> None:
        forger = Issuer()
        for token in (forger.token(), forger.token(header={"kid": "unknown"}), "a.b.c"):
            assert (await refusal(token)).status == 401

    async def test_without_a_signature_or_with_a_published_secret_are_401(
        self, issuer: Issuer, refusal: Refusal
    ) -> None:
        secret = b"x" * 32
        issuer.added.append({**HMACAlgorithm.to_jwk(secret, as_dict=True), "kid": "shared"})
        claims = jwt.decode(issuer.token(scope="admin"), options={"verify_signature": False})
        unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": "first"})
        shared = jwt.encode(claims, secret, algorithm="HS256", headers={"kid": "shared"})
        for token in (unsigned, shared):
            assert (await refusal(token)).status == 401

    async def test_a_new_key_of_the_issuer_counts_and_the_old_one_no_more(
        self, issuer: Issuer, people: People, refusal: Refusal, clock: Clock
    ) -> None:
        old = issuer.token()
        await people.reader(old, "")
        issuer.keys = {"second": Issuer().keys["first"]}
        clock.now_s += AGAIN_S
        assert await people.reader(issuer.token("second"), "")
        assert (await refusal(old)).status == 401

    async def test_unknown_keys_make_the_issuer_be_asked_once_in_a_while(
        self, issuer: Issuer, people: People, refusal: Refusal, clock: Clock
    ) -> None:
        forger = Issuer()
        for number in range(50):
            assert (await refusal(forger.token(header={"kid": f"guess-{number}"}))).status == 401
        assert issuer.reads == 1
        assert await people.reader(issuer.token(), "")
        clock.now_s += AGAIN_S
        await refusal(forger.token(header={"kid": "another"}))
        assert issuer.reads == 2

    async def test_keys_count_for_a_while_when_the_issuer_is_away(
        self, issuer: Issuer, people: People, refusal: Refusal, clock: Clock
    ) -> None:
        await people.reader(issuer.token(), "")
        issuer.away = True
        clock.now_s += STALE_S
        assert await people.reader(issuer.token(), "")
        clock.now_s += AGAIN_S
        refused = await refusal(issuer.token())
        assert (refused.status, refused.reason) == (503, "unavailable")
        issuer.away = False
        clock.now_s += AGAIN_S
        assert await people.reader(issuer.token(), "")

    @pytest.mark.parametrize(
        "described",
        [
            {"issuer": f"{Issuer.url}/", "jwks_uri": Issuer.url + KEYS},
            {"issuer": Issuer.url},
            {},
            [],
            "text",
        ],
        ids=str,
    )
    async def test_a_document_that_is_not_the_issuers_opens_nothing(
        self, issuer: Issuer, refusal: Refusal, described: Any
    ) -> None:
        issuer.described = described
        assert (await refusal(issuer.token())).status == 503

    async def test_a_long_name_is_cut_and_shown_on_one_line(self, issuer: Issuer, people: People) -> None:
        reader = await people.reader(issuer.token(sub="a\nb" + "x" * 500), "")
        assert reader.name.startswith(r"subject 'a\nb")
        assert len(reader.name) < 160


class Stored(OperatorKeys):
    """The keys of a database of one row."""

    def __init__(self, key: NewApiKey, scope: str) -> None:
        self.key, self.scope = key, scope

    async def authenticate(
        self, presented: str, *, may_look_up: Callable[[], bool] = lambda: True
    ) -> ApiKeyView | None:
        if presented != self.key.text:
            return None
        operator = "" if self.scope == "platform" else "demo"
        return ApiKeyView(
            key_id=self.key.key_id, operator_id=operator, secret_hash=self.key.secret_hash, scope=self.scope
        )


def keys_of(stored: Stored, failures: Rate = NO_LIMIT) -> PlatformKeys:
    async def open_keys() -> OperatorKeys:
        return stored

    return PlatformKeys(open_keys, Buckets(failures, "failures"))


class TestApiKeys:
    async def test_of_the_platform_open(self) -> None:
        key = new_api_key()
        reader = await keys_of(Stored(key, "platform")).reader(key.text, "")
        assert reader == Reader(f"API key {key.key_id}", "admin")

    @pytest.mark.parametrize("scope", ["game", "operator", "admin"])
    async def test_of_an_operator_are_403_whatever_their_scope(self, scope: str) -> None:
        """Payloads are of all operators."""
        key = new_api_key()
        assert (await refusal_of(keys_of(Stored(key, scope)), key.text)).status == 403

    async def test_that_are_not_known_are_401_and_then_429(self) -> None:
        keys = keys_of(Stored(new_api_key(), "platform"), Rate(per_s=0.0001, burst=2))
        statuses = [(await refusal_of(keys, new_api_key().text)).status for _ in range(4)]
        assert statuses == [401, 401, 429, 429]

    async def test_are_503_while_the_database_is_away_and_people_are_let_in(
        self, issuer: Issuer, people: People
    ) -> None:
        async def open_keys() -> OperatorKeys:
            raise NotAdmitted("PostgreSQL takes no connection of ours now")

        codec = server(Access((PlatformKeys(open_keys, Buckets(NO_LIMIT, "failures")), people)))
        for token, status in ((new_api_key().text, 503), (issuer.token(), 200)):
            headers = {"authorization": f"Bearer {token}"}
            assert (await codec.post("/decode", json=body(1), headers=headers)).status_code == status


def test_the_account_that_started_a_stack_by_sudo_counts() -> None:
    own = own_accounts({})
    assert own_accounts({"SUDO_UID": "1234"}) == own | {1234}
    assert own_accounts({"SUDO_UID": "nobody"}) == own
    assert 0 in own


async def test_an_answer_says_nothing_of_the_token(issuer: Issuer, people: People) -> None:
    token = issuer.token(aud="another")
    headers = {"authorization": f"Bearer {token}"}
    answer = await server(Access((people,))).post("/decode", json=body(1), headers=headers)
    assert answer.status_code == 401
    assert token not in answer.text
    assert AUDIENCE not in answer.text
