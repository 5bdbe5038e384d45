"""What stands before the ingresses: sends each request to one of them, by turns, and hides nothing."""

import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.support.conditions import until


@dataclass
class Entrance:
    """One ingress. While it leaves it gets no further requests, and `under_way` counts those that it has."""

    base_url: httpx.URL
    release: str
    under_way: int = 0
    answered: int = 0


@dataclass
class Seen:
    """What clients saw, in all."""

    statuses: Counter[int] = field(default_factory=Counter)
    by_release: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    @property
    def broken(self) -> list[str]:
        """Answers of 5xx and lost connections: there must be none."""
        return [
            f"{count} x {status}" for status, count in self.statuses.items() if status >= 500
        ] + self.errors


class Entrances(httpx.AsyncBaseTransport):
    """A transport that stands for a load balancer: the host of a request's URL says nothing."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=100))
        self._open: list[Entrance] = []
        self._turn = 0
        self.seen = Seen()

    def add(self, base_url: str, release: str) -> Entrance:
        entrance = Entrance(httpx.URL(base_url), release)
        self._open.append(entrance)
        return entrance

    async def leave(self, entrance: Entrance) -> None:
        """Returns when it has answered all that it was sent."""
        self._open.remove(entrance)

        async def idle() -> bool:
            return entrance.under_way == 0

        await until(idle)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._turn += 1
        entrance = self._open[self._turn % len(self._open)]
        request.url = request.url.copy_with(host=entrance.base_url.host, port=entrance.base_url.port)
        request.headers["host"] = entrance.base_url.netloc.decode()
        entrance.under_way += 1
        began = time.monotonic()
        try:
            response = await self._inner.handle_async_request(request)
            await response.aread()
        except httpx.TransportError as error:
            self.seen.errors.append(f"{type(error).__name__} at {entrance.release}: {error}")
            raise
        finally:
            entrance.under_way -= 1
        self._note(entrance, response, time.monotonic() - began)
        return response

    def _note(self, entrance: Entrance, response: httpx.Response, took_s: float) -> None:
        entrance.answered += 1
        self.seen.statuses[response.status_code] += 1
        self.seen.by_release[entrance.release] += 1
        self.seen.longest_s = max(self.seen.longest_s, took_s)

    async def aclose(self) -> None:
        await self._inner.aclose()
