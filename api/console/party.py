"""The console at an OpenID Connect issuer: people sign in there, and come back with a code for their tokens.

The authorization code flow, with PKCE, a state and a nonce (RFC 6749, 7636, 9207; OpenID Connect Core 1.0).
"""

import base64
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from cryptography.fernet import Fernet, InvalidToken

from api.oidc.issuer import DOCUMENT_LIMIT_BYTES, Issuer, IssuerAway
from api.oidc.people import AccessTokens, Person
from api.oidc.tokens import TokenRefused, claims_of
from outbound.breaker import NotAsked
from outbound.client import OutboundClient, Unanswered
from runtime.addresses import trusted

DONE: Final = "/console/sign-in/done"
# How long somebody may take to sign in at the issuer.
BEGUN_LIMIT_S: Final = 600
# A token that ends so soon is renewed first: what is done with it takes a while too.
MARGIN_S: Final = 20
REFUSALS: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
)
NOT_BEGUN: Final = "This sign-in was not begun in this browser, or is older than ten minutes. Begin again."
NOT_LET_IN: Final = "The issuer did not let you in. Begin again, or sign in with an API key."
NOT_TRUE: Final = "What the issuer has said does not belong to this sign-in. Begin again."

log = logging.getLogger(__name__)


class SignInRefused(Exception):
    """Why nobody is signed in. The text is for people, and quotes nothing of what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the issuer gave for one person."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    person: Person

    def lasts(self, margin_s: float = 0) -> bool:
        """Whether the access token is in its time, and will be in `margin_s`."""
        return time.time() + margin_s < self.person.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Where the browser goes now, and what its cookie of the name `cookie` is to have meanwhile."""

    url: str
    cookie: str
    sealed: str = field(repr=False)


class Party:
    """`origin` is the console's own, which the issuer leads back to. A `secret` of None is a public
    client's."""

    def __init__(
        self,
        issuer: Issuer,
        http: OutboundClient,
        tokens: AccessTokens,
        *,
        client_id: str,
        secret: str | None,
        scopes: str,
        origin: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer, self._http, self._tokens = issuer, http, tokens
        self._id, self._secret, self._scopes, self._origin = client_id, secret, scopes, origin
        self._seal, self._clock = Fernet(Fernet.generate_key()), clock

    @property
    def name(self) -> str:
        """Of the issuer, for people."""
        return urlsplit(self._issuer.url).netloc

    async def begin(self, following: str) -> Begun:
        """Each sign-in has a cookie of its own, so that two tabs do not disturb each other; what is in it,
        nobody else can read or make. Raises IssuerAway."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": self._origin + DONE,
            "scope": self._scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        begun = json.dumps([state, nonce, verifier, following]).encode()
        sealed = self._seal.encrypt_at_time(begun, int(self._clock()))
        url = _with(_endpoint(await self._issuer.document(), "authorization_endpoint"), asked)
        return Begun(url=url, cookie=cookie_of(state), sealed=sealed.decode())

    async def finish(self, came: Mapping[str, str], sealed: str) -> tuple[Grant, str]:
        """Of what came back: what the issuer grants, and the page that follows. Raises SignInRefused,
        IssuerAway and NoRole."""
        try:
            begun = self._seal.decrypt_at_time(sealed.encode(), BEGUN_LIMIT_S, int(self._clock()))
        except InvalidToken:
            raise SignInRefused(NOT_BEGUN) from None
        state, nonce, verifier, following = json.loads(begun)
        if not _same(came.get("state", ""), state):
            raise SignInRefused(NOT_BEGUN)
        if came.get("iss", self._issuer.url) != self._issuer.url:
            raise SignInRefused(NOT_TRUE)
        if "code" not in came:
            raise SignInRefused(NOT_LET_IN)
        given = await self._asked(
            grant_type="authorization_code",
            code=came["code"],
            redirect_uri=self._origin + DONE,
            code_verifier=verifier,
        )
        grant = await self._grant(given, refresh=None)
        await self._check_identity(given, nonce, grant.person)
        return grant, following

    async def renewed(self, grant: Grant) -> Grant:
        """The same person's, with a later end. Raises SignInRefused, IssuerAway and NoRole."""
        if grant.refresh is None:
            raise SignInRefused(NOT_LET_IN)
        given = await self._asked(grant_type="refresh_token", refresh_token=grant.refresh)
        renewed = await self._grant(given, refresh=grant.refresh)
        if renewed.person.subject != grant.person.subject:
            raise SignInRefused(NOT_TRUE)
        return renewed

    async def farewell(self) -> str | None:
        """Where the issuer's own session ends, if it has such a page. The address has no token: who is
        signed in, the issuer knows by its own cookie."""
        try:
            document = await self._issuer.document()
            if "end_session_endpoint" not in document:
                return None
            end = _endpoint(document, "end_session_endpoint")
        except IssuerAway:
            return None
        back = f"{self._origin}/console/sign-in"
        return _with(end, {"client_id": self._id, "post_logout_redirect_uri": back})

    async def _grant(self, given: Mapping[str, Any], *, refresh: str | None) -> Grant:
        access = given.get("access_token")
        if not isinstance(access, str):
            raise SignInRefused(NOT_TRUE)
        try:
            person = await self._tokens.person(access)
        except TokenRefused as refused:
            log.warning("the issuer gave an access token that does not count: %s", refused)
            raise SignInRefused(NOT_TRUE) from None
        later = given.get("refresh_token")
        return Grant(access=access, refresh=later if isinstance(later, str) else refresh, person=person)

    async def _check_identity(self, given: Mapping[str, Any], nonce: str, person: Person) -> None:
        """That the tokens are of this very sign-in. Raises SignInRefused and IssuerAway."""
        try:
            claims = await claims_of(str(given.get("id_token", "")), self._issuer, audience=self._id)
        except TokenRefused as refused:
            log.warning("the issuer gave an ID token that does not count: %s", refused)
            raise SignInRefused(NOT_TRUE) from None
        ours = _same(str(claims.get("nonce", "")), nonce) and claims.get("azp", self._id) == self._id
        if not ours or claims["sub"] != person.subject:
            raise SignInRefused(NOT_TRUE)

    async def _asked(self, **form: str) -> Mapping[str, Any]:
        """The token endpoint's answer. Raises SignInRefused and IssuerAway."""
        document = await self._issuer.document()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._secret is None:
            form["client_id"] = self._id
        elif "client_secret_basic" in methods:
            pair = f"{quote(self._id, safe='')}:{quote(self._secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._id, "client_secret": self._secret}
        try:
            async with self._http.permit():
                answer = await self._http.ask(
                    "POST",
                    _endpoint(document, "token_endpoint"),
                    headers=headers,
                    content=urlencode(form).encode(),
                    wanted={200, 400, 401},
                    body_limit=DOCUMENT_LIMIT_BYTES,
                )
        except (Unanswered, NotAsked):
            raise IssuerAway from None
        return _given(answer.status, answer.body)


def cookie_of(state: str) -> str:
    """The name of the cookie that a sign-in has, from the first letters of its state."""
    return (
        f"croupier_sign_in_{''.join(letter for letter in state[:12] if letter.isalnum() or letter in '_-')}"
    )


def _given(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body) if status in (200, 400, 401) else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise IssuerAway
    if status != 200:
        # What is no known word of the protocol is not repeated.
        log.warning("the issuer gives no tokens: %s", next(iter(REFUSALS & {str(said.get("error"))}), status))
        raise SignInRefused(NOT_LET_IN)
    return said


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    """Raises IssuerAway for an issuer that cannot be used: whoever runs it or us has to mend that."""
    try:
        return trusted(document[name])
    except (KeyError, ValueError, TypeError, AttributeError):
        log.warning("the issuer's document has no %s that could be used", name)
        raise IssuerAway from None


def _with(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"


def _same(came: str, wanted: str) -> bool:
    return hmac.compare_digest(came.encode(errors="surrogatepass"), wanted.encode())
