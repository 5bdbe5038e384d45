"""Operators' wallets over HTTP: each call is signed, and gives an answer whatever the wallet does.

Each operator has a client of its own, so that a wallet which is dead or hostile costs nobody but itself.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol
from uuid import uuid4

from contracts.wallet import WalletAnswer, WalletRefusal, WalletRequest, WalletVerdict
from outbound.addresses import Resolve, check_url
from outbound.breaker import Away, Breaker, Busy, NotAsked
from outbound.client import ClientLimits, OutboundClient, Unanswered, tls_context
from security.standard_webhooks import SharedSecret, WebhookKey, signed_headers
from wallet.amounts import NotExpressible
from wallet.codec import Message, decode, encode, unknown
from wallet.dialect import Dialect, Limits

BODY_LIMIT_BYTES: Final = 64 * 1024
# Unknown outcomes that tell of the wallet, whatever it was asked.
AWAY: Final = frozenset(
    {
        *("timeout", "connection-lost", "not-reached", "tls", "address-refused", "unexpected"),
        *("status-429", "status-502", "status-503", "status-504"),
    }
)


class Clock(Protocol):
    """`now_s` is seconds since 1970, for signatures; `monotonic_s` never goes back, for pauses."""

    def now_s(self) -> float: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    """The clock of this machine."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class Watch(Protocol):
    """Counts the calls of operators' wallets."""

    def asked(self, request: WalletRequest, verdict: WalletVerdict, *, took_s: float) -> None:
        """The outcome of a call; unknown also where the caller did not wait for it."""

    def not_asked(self, request: WalletRequest) -> None:
        """A call that found no permit, or an open breaker."""

    def waiting(self, operator_id: str, change: int) -> None:
        """The change of the number of calls that wait for a permit."""

    def breaker(self, operator_id: str, *, is_open: bool) -> None:
        """The breaker's state, after each call and before the first."""


class Unwatched:
    """Counts nothing."""

    def asked(self, request: WalletRequest, verdict: WalletVerdict, *, took_s: float) -> None: ...

    def not_asked(self, request: WalletRequest) -> None: ...

    def waiting(self, operator_id: str, change: int) -> None: ...

    def breaker(self, operator_id: str, *, is_open: bool) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorWalletConfig:
    """Where an operator's wallet is and how it is called. `secrets` are of the form `whsec_...`; several
    sign while one is rotated. `limits` replace the dialect's. `local` lets the wallet be on this machine or
    network, and speak without TLS. Raises ValueError, which quotes neither the URL nor a secret."""

    operator_id: str
    url: str
    dialect: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits | None = None
    local: bool = False

    def __post_init__(self) -> None:
        self.base_url()
        for secret in self.secrets:
            SharedSecret.parse(secret)

    def base_url(self) -> str:
        """The URL that paths are appended to."""
        return str(check_url(self.url, local=self.local, name="the wallet's URL")).rstrip("/")


def signing_keys(keys: Sequence[WebhookKey], dialect: Dialect) -> list[WebhookKey]:
    """Those whose signatures the dialect's wallet checks. Raises ValueError when there is none."""
    found = [key for key in keys if key.version in dialect.signatures]
    if not found:
        raise ValueError("no key signs in a way that this wallet checks")
    return found


class OperatorWalletClient:
    """One operator's wallet. `keys` sign, those of them whose versions the dialect's wallet checks; raises
    ValueError when there is none."""

    def __init__(
        self,
        config: OperatorWalletConfig,
        dialect: Dialect,
        keys: Sequence[WebhookKey],
        clock: Clock,
        *,
        tls: ssl.SSLContext,
        resolve: Resolve | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._keys = signing_keys(keys, dialect)
        self._url = config.base_url()
        self._dialect = dialect
        self._clock = clock
        self._watch = watch or Unwatched()
        self._operator_id = config.operator_id
        limits = config.limits or dialect.limits
        self._breaker = Breaker(unknowns=limits.unknowns, pause_s=limits.pause_s, now_s=clock.monotonic_s)
        self._watch.breaker(config.operator_id, is_open=False)
        self._http = OutboundClient(
            local=config.local,
            limits=ClientLimits(
                connect_s=limits.connect_s,
                read_s=limits.read_s,
                total_s=limits.total_s,
                calls=limits.calls,
                wait_s=limits.wait_s,
            ),
            headers={
                **dialect.headers,
                "accept": "application/json",
                "content-type": "application/json",
            },
            tls=tls,
            resolve=resolve,
            breaker=self._breaker,
            waiting=partial(self._watch.waiting, config.operator_id),
        )

    async def call(self, request: WalletRequest) -> WalletAnswer:
        """Asks the wallet once. Nothing that the wallet or the network does raises; ValueError is for a
        request that lacks what its call needs."""
        try:
            message = encode(request, self._dialect)
        except NotExpressible as reason:
            return _not_expressible(reason)
        try:
            async with self._http.permit():
                answer = await self._watched(request, message)
                self._record(request, answer)
                self._watch.breaker(self._operator_id, is_open=self._breaker.is_open)
                return answer
        except NotAsked as reason:
            self._watch.not_asked(request)
            return unknown(_NOT_ASKED[type(reason)], str(reason), sent=False)

    def _record(self, request: WalletRequest, answer: WalletAnswer) -> None:
        """A wallet that is there and answers nonsense may do so for this player alone."""
        certain = answer.verdict is not WalletVerdict.UNKNOWN
        self._breaker.record(certain=certain, of=None if answer.code in AWAY else request.player_id)

    async def aclose(self) -> None:
        """Waits for the calls under way; later ones find no permit."""
        await self._http.drain()
        await self._http.aclose()

    async def _watched(self, request: WalletRequest, message: Message) -> WalletAnswer:
        since, verdict = time.perf_counter(), WalletVerdict.UNKNOWN
        try:
            answer = await self._ask(request, message)
            verdict = answer.verdict
            return answer
        finally:
            self._watch.asked(request, verdict, took_s=time.perf_counter() - since)

    async def _ask(self, request: WalletRequest, message: Message) -> WalletAnswer:
        headers = signed_headers(
            self._keys,
            message_id=message.message_id or str(uuid4()),
            timestamp=int(self._clock.now_s()),
            body=message.body,
        )
        try:
            answer = await self._http.ask(
                "POST",
                f"{self._url}{message.path}",
                headers=headers,
                content=message.body,
                wanted=self._dialect.meanings,
                body_limit=BODY_LIMIT_BYTES,
            )
        except Unanswered as problem:
            return unknown(problem.code, str(problem), sent=problem.sent)
        return decode(answer.status, answer.body, request, self._dialect)


class OperatorWallets:
    """The clients of all operators, each made when it is first needed. `platform_keys` sign for every
    operator whose dialect takes them, beside the operator's own secrets."""

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        *,
        platform_keys: Sequence[WebhookKey] = (),
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._dialects = dialects
        self._platform_keys = platform_keys
        self._clock = clock or SystemClock()
        self._tls = tls or tls_context()
        self._watch = watch
        self._clients: dict[str, tuple[OperatorWalletConfig, OperatorWalletClient]] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def call(self, config: OperatorWalletConfig, request: WalletRequest) -> WalletAnswer:
        """As OperatorWalletClient.call. Raises ValueError also for a config that names no dialect, or has no
        key that its dialect takes."""
        return await self._client(config).call(request)

    async def aclose(self) -> None:
        """Closes every client when its calls have ended."""
        for _, client in self._clients.values():
            self._retire(client)
        self._clients.clear()
        await asyncio.gather(*self._retiring)

    def _client(self, config: OperatorWalletConfig) -> OperatorWalletClient:
        known, client = self._clients.get(config.operator_id, (None, None))
        if client is not None and known == config:
            return client
        made = self._make(config)
        if client is not None:
            self._retire(client)
        self._clients[config.operator_id] = (config, made)
        return made

    def _make(self, config: OperatorWalletConfig) -> OperatorWalletClient:
        dialect = self._dialects.get(config.dialect)
        if dialect is None:
            raise ValueError("no dialect has this name")
        secrets = [SharedSecret.parse(secret) for secret in config.secrets]
        return OperatorWalletClient(
            config,
            dialect,
            [*secrets, *self._platform_keys],
            self._clock,
            tls=self._tls,
            watch=self._watch,
        )

    def _retire(self, client: OperatorWalletClient) -> None:
        task = asyncio.create_task(client.aclose())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


_NOT_ASKED: Final[Mapping[type[NotAsked], str]] = {Busy: "wallet-busy", Away: "wallet-away"}


def _not_expressible(reason: NotExpressible) -> WalletAnswer:
    """The refusal of an amount that the wallet's form cannot express."""
    return WalletAnswer(
        verdict=WalletVerdict.REFUSED, code=WalletRefusal.INVALID, detail=str(reason), sent=False
    )
