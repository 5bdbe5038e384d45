"""The client against wallets on real sockets that do what wallets do, and all that they should not."""

import asyncio
import gzip
import json
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from contracts.failures import DETAIL_LIMIT
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from security.standard_webhooks import PrivateKey, PublicKey, SharedSecret, verify
from tests.support.conditions import HANG_S, until
from wallet.dialect import Limits, load
from wallet.operator_http import OperatorWalletClient, OperatorWalletConfig, OperatorWallets, SystemClock

DIALECTS = load()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BET = WalletRequest(
    call=WalletCall.BET,
    operator_id="acme",
    player_id="p1",
    session_id="s1",
    currency="EUR",
    round_id="r1",
    game_id="dice",
    transaction_id="5f0c2f5e-6d2b-5b0e-9f59-0c5a1d3b7e11",
    amount=100,
)
FINE = json.dumps({"balance": 9900, "currency": "EUR", "transaction_id": "w1", "duplicate": False}).encode()
# As long as they may be: reached only by what hangs, however busy the machine is.
LIMITS = Limits(connect_s=60, read_s=60, total_s=60, wait_s=60, calls=4, unknowns=1000, pause_s=60)
# Where a limit ends the call: well below HANG_S, in which a call without it would hang.
SHORT = replace(LIMITS, connect_s=0.5, read_s=0.3, total_s=0.8)

Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wallet:
    """A server that reads each request whole and then says what it is told to."""

    say: Say
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                self.requests.append(await _read_request(reader))
                await self.say(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            self.tasks.discard(task)
            writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return first, headers, await reader.readexactly(int(headers.get("content-length", 0)))


@asynccontextmanager
async def wallet(say: Say, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wallet]:
    served = Wallet(say, scheme="https" if tls else "http")
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in (serving := list(served.tasks)):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@dataclass
class HandClock:
    """Its pauses pass when the test says so."""

    passed_s: float = 0

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return self.passed_s


def answer(body: bytes = FINE, status: str = "200 OK", *headers: str, length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(*parts: bytes, pause_s: float = 0, then_close: bool = False) -> Say:
    """Sends the parts with pauses between them."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then_close:
            raise ConnectionResetError

    return say


def config(url: str, **more: Any) -> OperatorWalletConfig:
    values: dict[str, Any] = {
        "operator_id": "acme",
        "dialect": "croupier",
        "secrets": (SECRET,),
        "limits": LIMITS,
        "local": True,
    }
    return OperatorWalletConfig(url=url, **(values | more))


@pytest.fixture
async def wallets() -> AsyncIterator[OperatorWallets]:
    opened = OperatorWallets(DIALECTS)
    yield opened
    await opened.aclose()


Ask = Callable[[Say], Awaitable[WalletAnswer]]


@pytest.fixture
def ask(wallets: OperatorWallets) -> Ask:
    async def once(say: Say) -> WalletAnswer:
        async with wallet(say) as served:
            return await wallets.call(config(served.url), BET)

    return once


def check_unknown(found: WalletAnswer, code: str, *, sent: bool = True) -> None:
    assert (found.verdict, found.code, found.sent) == (WalletVerdict.UNKNOWN, code, sent)
    assert 0 < len(found.detail) <= DETAIL_LIMIT
    assert found.detail.isprintable()
    assert SECRET.removeprefix("whsec_") not in repr(found)


# What should be


async def test_a_bet_is_signed_over_its_raw_body_and_answered(wallets: OperatorWallets) -> None:
    async with wallet(says(answer())) as served:
        found = await wallets.call(config(f"{served.url}/api/v1/"), BET)
        assert found == WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=9900, wallet_transaction_id="w1")
        ((first, headers, body),) = served.requests
        assert first == "POST /api/v1/bet HTTP/1.1"
        assert verify([SharedSecret.parse(SECRET)], headers, body, now=time.time) == BET.transaction_id
        assert headers["accept-encoding"] == "identity"
        assert headers["content-type"] == "application/json"


async def test_a_repeat_has_the_same_id_and_body_and_uses_the_same_connection(
    wallets: OperatorWallets,
) -> None:
    async with wallet(says(answer(FINE, "200 OK", "Set-Cookie: a=b; Path=/"))) as served:
        for _ in range(3):
            await wallets.call(config(served.url), BET)
        assert served.connections == 1
        assert len({(headers["webhook-id"], body) for _, headers, body in served.requests}) == 1
        assert all("cookie" not in headers for _, headers, _ in served.requests)


async def test_each_call_that_moves_nothing_has_an_id_of_its_own(wallets: OperatorWallets) -> None:
    balance = replace(BET, call=WalletCall.BALANCE, transaction_id=None)
    async with wallet(says(answer())) as served:
        for _ in range(2):
            await wallets.call(config(served.url), balance)
        assert len({headers["webhook-id"] for _, headers, _ in served.requests}) == 2


async def test_the_house_signs_with_ed25519_where_the_dialect_asks_for_it() -> None:
    key = Ed25519PrivateKey.generate()
    wallets = OperatorWallets(DIALECTS, house_keys=[PrivateKey(key)])
    micro = json.dumps({"balance": {"amount": 99_000_000, "currency": "EUR"}}).encode()
    async with wallet(says(answer(micro))) as served:
        found = await wallets.call(config(served.url, dialect="rgs_micro"), BET)
        _, headers, body = served.requests[0]
    assert found.balance == 9900
    assert headers["webhook-signature"].startswith("v1a,")
    assert " " not in headers["webhook-signature"]
    verify([PublicKey(key.public_key())], headers, body, now=time.time)
    await wallets.aclose()


async def test_static_headers_of_a_dialect_are_sent(wallets: OperatorWallets) -> None:
    said = json.dumps({"status": "OK", "balance": "99.00", "currency": "EUR"}).encode()
    async with wallet(says(answer(said))) as served:
        found = await wallets.call(config(served.url, dialect="decimal_aggregator"), BET)
        assert (found.balance, served.requests[0][1]["x-api-version"]) == (9900, "1")


async def test_a_refusal_is_clear(ask: Ask) -> None:
    said = json.dumps({"code": "insufficient-funds", "balance": 5}).encode()
    found = await ask(says(answer(said, "402 Payment Required")))
    assert (found.verdict, found.code, found.balance) == (WalletVerdict.REFUSED, "insufficient-funds", 5)


async def test_http_1_0_without_a_length_is_read_to_its_end(ask: Ask) -> None:
    found = await ask(says(b"HTTP/1.0 200 OK\r\n\r\n" + FINE, then_close=True))
    assert found.verdict is WalletVerdict.ACCEPTED


# What should not be


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer(b"<html><script>alert(1)</script>\x00\x1b</html>"), "not-json"),
        (answer(b""), "empty"),
        (answer(b'{"balance": 99.0, "currency": "EUR"}'), "bad-amount"),
        (answer(b'{"balance": 9900, "currency": "USD"}'), "other-currency"),
        (answer(b'{"balance": 1, "balance": 2, "currency": "EUR"}'), "not-json"),
        (answer(b'{"balance": ' + b"9" * 400 + b', "currency": "EUR"}'), "bad-amount"),
        (answer(b'{"balance": ' + b"9" * 9000 + b', "currency": "EUR"}'), "not-json"),
        (answer(b'{"balance": NaN, "currency": "EUR"}'), "not-json"),
        (answer(b"\xff\xfe{}"), "not-json"),
        (answer(b"[" * 60_000), "not-json"),
        (answer(b"", "204 No Content", length=False), "status-204"),
        (answer(b"<html>", "500 Internal Server Error"), "status-500"),
        (answer(b"<html>", "503 Service Unavailable", "Retry-After: 9999"), "status-503"),
        (answer(b"<", "502 Bad Gateway", "Content-Length: 10485760", length=False), "status-502"),
        (answer(FINE, "201 Created"), "status-201"),
        (answer(b"", "302 Found", "Location: http://[bad"), "status-302"),
        (answer(gzip.compress(FINE), "200 OK", "Content-Encoding: gzip"), "encoded"),
        (answer(FINE, "200 OK", "Content-Encoding: br"), "encoded"),
        (b"HTTP/1.1 abc\r\n\r\n", "connection-lost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "connection-lost"),
        (b"\x00\x01\x02" * 100 + b"\r\n\r\n", "connection-lost"),
        (answer(FINE, "200 OK", "Content-Length: 5"), "connection-lost"),
        (answer(FINE, "200 OK", "Bad Header\x01: x"), "connection-lost"),
        (answer(b"zz\r\n", "200 OK", "Transfer-Encoding: chunked", length=False), "connection-lost"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_unknown(ask: Ask, said: bytes, code: str) -> None:
    check_unknown(await ask(says(said)), code)


@pytest.mark.parametrize("said", [b"", answer()[:40], answer()[:-5]], ids=["nothing", "headers", "body"])
async def test_a_connection_that_is_reset_is_unknown(ask: Ask, said: bytes) -> None:
    check_unknown(await ask(says(said, then_close=True)), "connection-lost")


async def test_a_redirect_is_not_followed(wallets: OperatorWallets) -> None:
    async with wallet(says(answer())) as target:
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            said = answer(b"", status, f"Location: {target.url}/bet")
            async with wallet(says(said)) as served:
                found = await wallets.call(config(served.url), BET)
                check_unknown(found, f"status-{status[:3]}")
        assert target.connections == 0


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
async def test_ten_megabytes_are_not_read(wallets: OperatorWallets, head: bytes) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(160):
            writer.write(b"9" * 65536)
            await writer.drain()

    async with wallet(say) as served:
        found = await wallets.call(config(served.url), BET)
        check_unknown(found, "too-large")
        # The client hung up instead of reading on.
        await asyncio.wait_for(served.ended.wait(), HANG_S)


async def test_many_that_send_too_much_stay_bounded_in_memory(wallets: OperatorWallets) -> None:
    bomb = answer(gzip.compress(bytes(50_000_000)), "200 OK", "Content-Encoding: gzip")
    large = answer(b"9" * 10_000_000)
    async with wallet(says(bomb)) as packed, wallet(says(large)) as plain:
        tracemalloc.start()
        for operator_id, served, code in (("a", packed, "encoded"), ("b", plain, "too-large")):
            for _ in range(5):
                found = await wallets.call(config(served.url, operator_id=operator_id), BET)
                check_unknown(found, code)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The server's own buffers are in it, too: they hold at most one answer of 10 MB for each connection.
    assert peak < 30_000_000


@pytest.mark.parametrize(
    "say",
    [
        says(answer()[:20], pause_s=600),
        says(*(bytes([byte]) for byte in answer()), pause_s=0.1),
        says(answer(b"x" * 60_000)[:200], *([b"x" * 100] * 600), pause_s=0.1),
        says(*([b"HTTP/1.1 102 Processing\r\n\r\n"] * 600), pause_s=0.05),
        says(b"", pause_s=600),
    ],
    ids=["slow headers", "dripping headers", "dripping body", "endless interim answers", "silence"],
)
async def test_slow_is_a_time_out_within_the_total_limit(wallets: OperatorWallets, say: Say) -> None:
    async with wallet(say) as served, asyncio.timeout(HANG_S / 2):
        found = await wallets.call(config(served.url, limits=SHORT), BET)
        check_unknown(found, "timeout")


async def test_headers_without_end_are_bounded(ask: Ask) -> None:
    check_unknown(
        await ask(says(b"HTTP/1.1 200 OK\r\n", *([b"X-A: " + b"a" * 60_000 + b"\r\n"] * 100))),
        "connection-lost",
    )


async def test_nobody_listening_means_nothing_was_sent(wallets: OperatorWallets) -> None:
    async with wallet(says()) as served:
        url = served.url
    check_unknown(await wallets.call(config(url), BET), "not-reached", sent=False)


async def test_a_currency_that_the_wallet_cannot_be_told_is_refused_unsent(wallets: OperatorWallets) -> None:
    async with wallet(says(answer())) as served:
        for currency in ("XXX", "euro"):
            found = await wallets.call(config(served.url), replace(BET, currency=currency))
            assert (found.verdict, found.code, found.sent) == (WalletVerdict.REFUSED, "invalid", False)
        assert served.requests == []


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost`, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_nobody_vouches_for(
    wallets: OperatorWallets, server_tls: ssl.SSLContext
) -> None:
    async with wallet(says(answer()), tls=server_tls) as served:
        found = await wallets.call(config(served.url), BET)
        check_unknown(found, "tls", sent=False)
        assert served.requests == []


async def test_a_certificate_is_checked_for_the_name_not_for_the_address(
    certificate: Path, server_tls: ssl.SSLContext
) -> None:
    async def anywhere(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    trusting = ssl.create_default_context(cafile=str(certificate))
    async with wallet(says(answer()), tls=server_tls) as served:
        for host, verdict in (
            ("localhost", WalletVerdict.ACCEPTED),
            ("other.example", WalletVerdict.UNKNOWN),
        ):
            client = OperatorWalletClient(
                config(f"https://{host}:{served.port}"),
                DIALECTS["croupier"],
                [SharedSecret.parse(SECRET)],
                SystemClock(),
                tls=trusting,
                resolve=anywhere,
            )
            found = await client.call(BET)
            assert found.verdict is verdict
            await client.aclose()
        assert [headers["host"] for _, headers, _ in served.requests] == [f"localhost:{served.port}"]


async def test_a_handshake_that_never_ends(wallets: OperatorWallets) -> None:
    """Ended by the limit of connecting: the others are longer than this test may take."""
    limits = replace(LIMITS, connect_s=SHORT.connect_s)
    async with wallet(says(b"", pause_s=600)) as served, asyncio.timeout(HANG_S / 2):
        url = f"https://localhost:{served.port}"
        check_unknown(await wallets.call(config(url, limits=limits), BET), "timeout", sent=False)


async def test_plain_http_where_tls_is_expected(wallets: OperatorWallets) -> None:
    async def say_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "400 Bad Request"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say_at_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    check_unknown(await wallets.call(config(f"https://localhost:{port}"), BET), "tls", sent=False)
    server.close()


# Addresses


async def test_a_name_that_leads_inside_is_refused_unless_the_operator_is_local(
    wallets: OperatorWallets,
) -> None:
    async with wallet(says(answer())) as served:
        url = f"https://localhost:{served.port}"
        check_unknown(await wallets.call(config(url, local=False), BET), "address-refused", sent=False)
        assert served.connections == 0


@pytest.mark.parametrize("url", ["http://wallet.example", "https://127.0.0.1", "https://u:p@wallet.example"])
def test_a_config_that_cannot_be_right_is_refused_when_it_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="the wallet's URL"):
        config(url, local=False)


def test_no_secret_is_shown() -> None:
    assert SECRET.removeprefix("whsec_") not in repr(config("https://wallet.example"))
    with pytest.raises(ValueError, match="secret") as refused:
        config("https://wallet.example", secrets=("whsec_dG9vIHNob3J0",))
    assert "dG9vIHNob3J0" not in str(refused.value)


async def test_proxies_of_the_environment_are_not_asked(
    wallets: OperatorWallets, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wallet(says(answer())) as proxy, wallet(says(answer())) as served:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert (await wallets.call(config(served.url), BET)).verdict is WalletVerdict.ACCEPTED
        assert (proxy.connections, served.connections) == (0, 1)


# One operator's trouble is its own


async def test_a_dead_wallet_does_not_delay_another(wallets: OperatorWallets) -> None:
    """All calls to the other one end before any to the dead one does."""
    async with wallet(says(b"", pause_s=600)) as dead, wallet(says(answer())) as alive:
        hanging = [
            asyncio.create_task(wallets.call(config(dead.url, operator_id="dead"), BET)) for _ in range(50)
        ]
        await until(lambda: _arrived(dead, LIMITS.calls))
        async with asyncio.timeout(HANG_S / 2):
            for _ in range(20):
                assert (await wallets.call(config(alive.url), BET)).verdict is WalletVerdict.ACCEPTED
        assert not any(task.done() for task in hanging)
        assert dead.connections == LIMITS.calls
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_calls_to_a_dead_wallet_end_by_its_limits(wallets: OperatorWallets) -> None:
    """Those that have no place give up first, with more than a second to spare."""
    limits = replace(LIMITS, wait_s=0.2, total_s=1.5)
    async with wallet(says(b"", pause_s=600)) as dead:
        dead_config = config(dead.url, limits=limits)
        async with asyncio.timeout(HANG_S / 2):
            found = await asyncio.gather(*(wallets.call(dead_config, BET) for _ in range(50)))
        codes = [each.code for each in found]
        assert dead.connections == limits.calls
        assert codes.count("timeout") == limits.calls
        assert codes.count("wallet-busy") == 50 - limits.calls


async def _arrived(served: Wallet, count: int) -> bool:
    """So many requests in all."""
    return len(served.requests) >= count


class Counts:
    """A Watch that keeps what it heard."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.took_s: list[float] = []
        self.changes: list[int] = []
        self.open: dict[str, bool] = {}

    def asked(self, request: WalletRequest, verdict: WalletVerdict, *, took_s: float) -> None:
        self.outcomes.append(f"{request.operator_id} {request.call} {verdict}")
        self.took_s.append(took_s)

    def not_asked(self, request: WalletRequest) -> None:
        self.outcomes.append(f"{request.operator_id} {request.call} not-asked")

    def waiting(self, operator_id: str, change: int) -> None:
        self.changes.append(change)

    def breaker(self, operator_id: str, *, is_open: bool) -> None:
        self.open[operator_id] = is_open


async def test_every_call_is_counted_with_its_outcome_and_the_breaker_shown() -> None:
    counts, clock = Counts(), HandClock()
    wallets = OperatorWallets(DIALECTS, watch=counts, clock=clock)
    refusal = answer(json.dumps({"code": "player-blocked"}).encode(), "403 Forbidden")
    async with wallet(says(answer())) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=2))
        await wallets.call(small, BET)
        assert counts.open == {"acme": False}
        served.say = says(refusal)
        await wallets.call(small, BET)
        served.say = says(answer(b"", "503 Service Unavailable"))
        for _ in range(3):
            await wallets.call(small, BET)
        assert counts.open == {"acme": True}
        served.say = says(answer())
        clock.passed_s += LIMITS.pause_s
        await wallets.call(small, BET)
        assert counts.open == {"acme": False}
    verdicts = [outcome.removeprefix("acme bet ") for outcome in counts.outcomes]
    assert verdicts == ["accepted", "refused", "unknown", "unknown", "not-asked", "accepted"]
    assert len(counts.took_s) == 5
    assert (set(counts.changes), sum(counts.changes)) == ({1, -1}, 0)
    await wallets.aclose()


async def test_a_call_that_nobody_waits_for_any_more_is_counted_as_unknown() -> None:
    counts = Counts()
    wallets = OperatorWallets(DIALECTS, watch=counts)
    async with wallet(says(b"", pause_s=600)) as served:
        began = time.perf_counter()
        call = asyncio.create_task(wallets.call(config(served.url), BET))
        await until(lambda: _arrived(served, 1))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        ended = time.perf_counter()
    assert counts.outcomes == ["acme bet unknown"]
    assert 0.05 < counts.took_s[0] < ended - began
    await wallets.aclose()


async def test_the_breaker_opens_and_lets_the_wallet_recover() -> None:
    clock = HandClock()
    wallets = OperatorWallets(DIALECTS, clock=clock)
    broken = answer(b"", "503 Service Unavailable")
    async with wallet(says(broken)) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=3))
        for _ in range(3):
            check_unknown(await wallets.call(small, BET), "status-503")
        for _ in range(20):
            check_unknown(await wallets.call(small, BET), "wallet-away", sent=False)
        assert len(served.requests) == 3
        clock.passed_s += LIMITS.pause_s
        check_unknown(await wallets.call(small, BET), "status-503")
        check_unknown(await wallets.call(small, BET), "wallet-away", sent=False)
        served.say = says(answer())
        clock.passed_s += LIMITS.pause_s
        for _ in range(3):
            assert (await wallets.call(small, BET)).verdict is WalletVerdict.ACCEPTED
    await wallets.aclose()


async def test_refusals_do_not_open_the_breaker(wallets: OperatorWallets) -> None:
    refused = answer(b'{"code": "player-blocked"}', "403 Forbidden")
    async with wallet(says(refused)) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=2))
        for _ in range(10):
            assert (await wallets.call(small, BET)).verdict is WalletVerdict.REFUSED


async def test_calls_that_are_cancelled_give_back_all_that_they_held(wallets: OperatorWallets) -> None:
    async with wallet(says(b"", pause_s=600)) as served:
        patient = config(served.url)
        for _ in range(3):
            before = len(served.requests)
            calls = [asyncio.create_task(wallets.call(patient, BET)) for _ in range(LIMITS.calls)]
            await until(lambda before=before: _arrived(served, before + LIMITS.calls))  # type: ignore[misc]
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        served.say = says(answer())
        found = await asyncio.gather(*(wallets.call(patient, BET) for _ in range(LIMITS.calls)))
        assert {each.verdict for each in found} == {WalletVerdict.ACCEPTED}


async def test_a_changed_config_gets_a_new_client_and_the_old_one_ends_its_calls(
    wallets: OperatorWallets,
) -> None:
    new_one_was_asked = asyncio.Event()

    async def say_late(writer: asyncio.StreamWriter) -> None:
        await new_one_was_asked.wait()
        writer.write(answer())

    async with wallet(say_late) as old, wallet(says(answer())) as new:
        under_way = asyncio.create_task(wallets.call(config(old.url), BET))
        await until(lambda: _arrived(old, 1))
        assert (await wallets.call(config(new.url), BET)).verdict is WalletVerdict.ACCEPTED
        new_one_was_asked.set()
        assert (await under_way).verdict is WalletVerdict.ACCEPTED
        await wallets.call(config(new.url), BET)
        assert (old.connections, new.connections) == (1, 1)
        await asyncio.wait_for(old.ended.wait(), HANG_S)


async def test_a_config_without_a_dialect_or_a_key_is_refused(wallets: OperatorWallets) -> None:
    with pytest.raises(ValueError, match="no dialect"):
        await wallets.call(config("https://wallet.example", dialect="klingon"), BET)
    with pytest.raises(ValueError, match="no key"):
        await wallets.call(config("https://wallet.example", dialect="rgs_micro"), BET)


async def test_what_the_http_stack_never_raised_before_is_unknown_too(
    wallets: OperatorWallets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise LookupError("with a text that may quote anything")

    monkeypatch.setattr(httpx.AsyncClient, "stream", surprise)
    found = await wallets.call(config("https://wallet.example"), BET)
    check_unknown(found, "unexpected", sent=False)
    assert found.detail == "LookupError"
