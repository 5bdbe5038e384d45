"""Rate limits: per API key, per session, per address, and per address that keeps being refused.

In memory, for this process alone: with N ingresses a client that reaches all of them may ask N times as
often, unless each is given its part (compose/ingresses.py).
"""

import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from starlette.types import Scope

from api.gateway.problems import Problem
from runtime import metrics

# Distinct callers that are remembered for one limit, at the most; some 100 bytes each.
CALLERS_LIMIT: Final = 100_000
FORWARDED_HEADER: Final = b"x-forwarded-for"
NO_ADDRESS: Final = ""
# A body of so many bytes counts as one call more.
BYTES_A_TOKEN: Final = 2_048

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`per_s` in the long run, and `burst` at once after a pause. 0 a second is no limit."""

    per_s: float
    burst: int


OFF: Final = Rate(per_s=0, burst=1)


class Buckets:
    """A token bucket for each caller, kept as the time at which it would be full again (GCRA): one number
    each.

    Who has not asked for as long as an empty bucket takes to fill has a full one, as a new caller has, and is
    forgotten: the younger of two generations becomes the older one after that time, or when it is full.
    """

    def __init__(self, rate: Rate, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_s = 1 / rate.per_s if rate.per_s else 0.0
        # A microsecond more, for what floats lose by adding.
        self._burst = rate.burst
        self._slack_s = self._pause_s * (rate.burst - 1) + 1e-6
        self._clock = clock
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._turn_at = clock() + self._slack_s + self._pause_s
        self._refused = metrics.REQUESTS_LIMITED.labels(name)

    def take(self, caller: str, tokens: int = 1) -> float:
        """0.0 when the caller had so many tokens, which are now spent; else the seconds until it has. More
        than the burst is the burst."""
        if not self._pause_s:
            return 0.0
        now = self._clock()
        before_s = self._pause_s * (min(tokens, self._burst) - 1)
        full_at = self._full_at(caller, now) + before_s
        if (wait_s := full_at - now - self._slack_s) > 0:
            self._refused.inc()
            return wait_s
        self._note(caller, full_at + self._pause_s, now)
        return 0.0

    def charge(self, caller: str, tokens: int) -> None:
        """Spends so many tokens, also those that the caller does not have yet."""
        if self._pause_s:
            now = self._clock()
            self._note(caller, self._full_at(caller, now) + self._pause_s * tokens, now)

    def _note(self, caller: str, full_at: float, now: float) -> None:
        if now >= self._turn_at or len(self._young) >= CALLERS_LIMIT // 2:
            self._old, self._young = self._young, {}
            self._turn_at = now + self._slack_s + self._pause_s
        self._young[caller] = full_at

    def has_token(self, caller: str) -> bool:
        """Whether `take` would find one."""
        now = self._clock()
        return not self._pause_s or self._full_at(caller, now) - now <= self._slack_s

    def _full_at(self, caller: str, now: float) -> float:
        known = self._young.get(caller)
        if known is None:
            known = self._old.get(caller, now)
        return known if known > now else now

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class RateLimits:
    """All of an ingress's limits. Without arguments there are none."""

    def __init__(
        self,
        *,
        sessions: Rate = OFF,
        keys: Rate = OFF,
        addresses: Rate = OFF,
        failures: Rate = OFF,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self.addresses = Buckets(addresses, "address")
        self._sessions = Buckets(sessions, "session")
        self._keys = Buckets(keys, "key")
        self._failures = Buckets(failures, "failures")
        self._proxies = tuple(trusted_proxies)

    def admit_session(self, session_id: str, size: int = 0) -> None:
        """Raises the Problem too-many-requests. For every call of a session, whatever way it came in; one
        with a body of `size` bytes counts as often as small ones would."""
        _check(self.take_of_session(session_id, size))

    def take_of_session(self, session_id: str, size: int) -> float:
        """As Buckets.take."""
        return self._sessions.take(session_id, 1 + size // BYTES_A_TOKEN)

    def admit_key(self, key_id: str) -> None:
        """Raises the Problem too-many-requests."""
        _check(self._keys.take(key_id))

    def may_fail(self, address: str) -> bool:
        """Returns whether the address may make another costly attempt that is likely to fail."""
        return self._failures.has_token(address)

    def count_failure(self, address: str) -> None:
        """Raises the Problem too-many-requests for an address that was refused too often."""
        _check(self._failures.take(address))

    def address_of(self, scope: Scope) -> str:
        """Whose request it is: the peer, or, when that is a proxy of ours, the last address before our
        proxies in X-Forwarded-For. What anybody else writes into that header counts for nothing."""
        client = scope.get("client")
        if client is None:
            return NO_ADDRESS
        if not self._proxies:
            return client[0] if ":" not in client[0] else _as_caller(_address(client[0]))
        return self._behind_proxies(client[0], scope)

    def is_proxy(self, address: str) -> bool:
        """Whether one of our proxies has this address."""
        return bool(self._proxies) and self._trusts(_address(address))

    def _behind_proxies(self, peer: str, scope: Scope) -> str:
        at = _address(peer)
        forwarded = [value for name, value in scope["headers"] if name == FORWARDED_HEADER]
        hops = b",".join(forwarded).decode("latin-1").split(",") if forwarded else []
        while hops and self._trusts(at):
            try:
                at = _address(_without_port(hops.pop().strip()))
            except ValueError:
                break  # the last one that can be read passed it on
        return _as_caller(at)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


def _address(text: str) -> Address:
    """Who listens on IPv6 for both sees an IPv4 peer as `::ffff:10.0.0.1`: it is that IPv4 address. Raises
    ValueError."""
    address = ipaddress.ip_address(text)
    return address if isinstance(address, ipaddress.IPv4Address) else address.ipv4_mapped or address


def _without_port(hop: str) -> str:
    """The address of `203.0.113.7:51234`, `[2001:db8::1]:443`, `"[2001:db8::1]"` and of plain addresses, as
    proxies write them."""
    hop = hop.strip('"')
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _as_caller(address: Address) -> str:
    """One household has a whole /64 of IPv6, so that is what counts as one address."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _check(wait_s: float) -> None:
    if wait_s > 0:
        raise too_many(wait_s)


def too_many(wait_s: float) -> Problem:
    return Problem(
        "too-many-requests", "Try again after the time in Retry-After.", retry_after=max(1, ceil(wait_s))
    )
