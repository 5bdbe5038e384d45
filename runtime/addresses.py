"""Addresses as settings give them: what drivers do not read is refused, and the files that they name exist.

Each function returns the address as it is, or raises ValueError with words that hold nothing of it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

from pydantic import SecretStr

from runtime.listening import is_loopback

ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9]\d*)?", re.ASCII)
# What libpq reads in an address and asyncpg does not. Any other name that asyncpg does not know goes to the
# server, which refuses by name what is no parameter of its own.
LIBPQ_ALONE: Final = frozenset(
    """
    channel_binding connect_timeout fallback_application_name gssdelegation gssencmode hostaddr keepalives
    keepalives_count keepalives_idle keepalives_interval load_balance_hosts max_protocol_version
    min_protocol_version oauth_client_id oauth_client_secret oauth_issuer oauth_scope replication require_auth
    requirepeer requiressl scram_client_key scram_server_key sslcertmode sslcompression sslcrldir
    sslkeylogfile sslsni tcp_user_timeout
    """.split()  # noqa: SIM905 - read more easily than thirty literals
)


def for_asyncpg(value: SecretStr | None) -> SecretStr | None:
    """PostgreSQL's."""
    refused = sorted(_parameters(value).keys() & LIBPQ_ALONE)
    if refused:
        raise ValueError(f"has the parameter {refused[0]}, which the driver does not know: leave it out")
    return _with_its_files(value, "sslrootcert", "sslcert", "sslkey", "sslcrl")


def named(address: str, name: str) -> str:
    """PostgreSQL's, with the name that its server shows for our connections; the address's own counts."""
    query = urlsplit(address).query
    if "application_name" in parse_qs(query, keep_blank_values=True):
        return address
    return f"{address}{'&' if query else '?'}application_name={quote(name)}"


def for_aiormq(value: SecretStr | None) -> SecretStr | None:
    """RabbitMQ's. Files of certificates beside a scheme without TLS would promise what does not happen."""
    files = ("cafile", "certfile", "keyfile")
    if value is not None and urlsplit(value.get_secret_value()).scheme == "amqp":
        for name in _parameters(value).keys() & set(files):
            raise ValueError(f"has the parameter {name}, which counts for amqps:// alone")
    return _with_its_files(value, *files)


def _with_its_files(value: SecretStr | None, *names: str) -> SecretStr | None:
    """The address, when the files that its parameters name can be read: else it would fail at each try to
    connect, and look like a service that is away."""
    for name, path in _parameters(value).items():
        if name in names:
            try:
                Path(path).open("rb").close()
            except OSError as problem:
                raise ValueError(f"names a file in {name} that cannot be read: {problem.strerror}") from None
    return value


def _parameters(value: SecretStr | None) -> dict[str, str]:
    query = "" if value is None else urlsplit(value.get_secret_value()).query
    return dict(parse_qsl(query, keep_blank_values=True))


def with_scheme(value: SecretStr | None, *schemes: str) -> SecretStr | None:
    """A URL of one of the schemes, with a host."""
    if value is None:
        return None
    try:
        parts = urlsplit(value.get_secret_value())
        usable = parts.scheme in schemes and bool(parts.hostname)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"must be a URL that begins with {schemes[0]}:// and names a host")
    return value


def launchable(url: str) -> str:
    """A URL to which the game goes in the query and the token in the fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("must be a URL such as https://games.example/play") from None
    if not parts.scheme or not parts.netloc:
        raise ValueError("must be a URL such as https://games.example/play")
    if parts.fragment or "game" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError(
            "has a fragment or a `game` of its own: launch URLs put the token and the game there"
        )
    return url


def collector(url: str) -> str:
    """A URL to which traces are sent as it is. What opens the collector has no place in it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path not in ("", "/")
        _ = parts.port  # reading it is what checks it
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be the whole URL, such as http://collector.example:4318/v1/traces")
    if "@" in parts.netloc:
        raise ValueError("has a user or password: OTEL_EXPORTER_OTLP_HEADERS is their place")
    return url


def check_origin(origin: str) -> None:
    """Exactly as a browser sends it: what is written otherwise would match no page, and say nothing."""
    try:
        sent = origin_of(origin)
    except ValueError:  # a port that is none
        sent = ""
    if not re.fullmatch(r"https?://[^/?#@]+", origin, re.IGNORECASE) or not ORIGIN.fullmatch(sent):
        raise ValueError("each origin is a scheme, a host and a port alone: https://temporal.example")
    if origin != sent:
        raise ValueError(f"browsers write this origin {sent}: write it so")


def check_framing(origin: str) -> None:
    """As a policy of frames can name it. Raises ValueError."""
    if "[" in origin:
        raise ValueError("no page policy can name an IPv6 address: give the page's host a name")


def origin_of(url: str) -> str:
    """What a browser sends for pages at this URL: the host in ASCII, small, and no port where it is the
    scheme's own."""
    parts = urlsplit(url)
    own = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, own) else f":{parts.port}"
    return f"{parts.scheme}://{_host_as_sent(parts.hostname or '')}{port}"


def _host_as_sent(host: str) -> str:
    """Empty, or as it is, where no browser can go."""
    if ":" in host:
        return f"[{_ipv6_as_sent(host)}]"
    if re.search(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$", host, re.ASCII):  # browsers read it as an IPv4 address
        try:
            return socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
        except OSError:
            return ""
    return host if host.isascii() else _name_in_ascii(host)


def _ipv6_as_sent(host: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return ""
    if (inner := address.ipv4_mapped) is not None:  # in hexadecimal, which Python has done in some versions
        high, low = divmod(int(inner), 1 << 16)
        return f"::ffff:{high:x}:{low:x}"
    return address.compressed


def _name_in_ascii(host: str) -> str:
    import httpx  # for the few who need it: every program reads settings when it starts

    try:
        return httpx.URL(f"https://{host}").raw_host.decode("ascii")
    except httpx.InvalidURL:
        return host


def over_tls(url: str) -> str:
    """A URL, without a query, whose answers are trusted."""
    if urlsplit(url).query:
        raise ValueError("must be a URL such as https://login.example/realms/casino")
    return trusted(url)


def trusted(url: str) -> str:
    """A URL whose answers are trusted: https, or http on this machine."""
    parts = urlsplit(url)
    if not parts.hostname or parts.fragment or parts.username:
        raise ValueError("must be a URL such as https://login.example/realms/casino")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must begin with https://")
    return url
