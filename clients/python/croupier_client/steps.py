"""How a call goes, without any I/O: a generator that asks for requests to be sent and for pauses, and gets
the answers. The synchronous and the asynchronous client drive the same generators."""

import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from croupier_client.problems import Unanswered, problem

T = TypeVar("T")

# What says nothing about the request itself: the same one may well be answered in a moment.
TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
PAUSE_MAX_S: Final = 5.0
IDS: Final = ("round_id", "action_id", "transaction_id")
RETRY_AFTER_MAX_S: Final = 60.0


def ids_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The ids in a request's body by which the server knows a repeat."""
    return {name: str(body[name]) for name in IDS if name in body}


@dataclass(frozen=True, slots=True)
class Request:
    """`repeatable`: sending it twice does no more than sending it once."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    repeatable: bool = True

    @property
    def ids(self) -> dict[str, str]:
        return ids_of(self.body or {})


@dataclass(frozen=True, slots=True)
class Response:
    """Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None

    @property
    def is_problem(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/problem+json")

    @property
    def retry_after_s(self) -> float:
        """0.0 when the server names no time."""
        text = self.headers.get("retry-after", "")
        return min(float(text), RETRY_AFTER_MAX_S) if text.isdigit() else 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call is repeated before it is given up, counted in pauses; `first_pause_s` doubles."""

    total_s: float = 60.0
    first_pause_s: float = 0.1


# A request is answered with a response, or with None when the connection gave none; a pause with None.
Steps: TypeAlias = Generator[Request | Pause, Response | None, T]


def exchange(
    request: Request,
    parse: Callable[[Any], T],
    patience: Patience,
    *,
    unfinished: Callable[[Response], bool] = lambda _: False,
) -> Steps[T]:
    """The parsed answer to `request`, repeated while there is none, none that is certain, or one that is
    `unfinished`. Raises Problem, Unanswered."""
    pause_s, waited_s = patience.first_pause_s, 0.0
    while True:
        response = yield request
        if response is not None and not _inconclusive(response) and not unfinished(response):
            return _parsed(response, parse)
        if not request.repeatable or waited_s >= patience.total_s:
            refused = problem(response.status, response.body) if response and response.is_problem else None
            if refused is not None and not request.repeatable:
                raise refused
            raise Unanswered(f"{request.method} {request.path}", request.ids) from refused
        # Half of it is chance: clients that were cut off together shall not come back together.
        wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        wait_s = max(wait_s, response.retry_after_s if response is not None else 0.0)
        yield Pause(wait_s)
        waited_s += wait_s
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


def _inconclusive(response: Response) -> bool:
    """A bet that was declined for its wallet's sake is on record, and stays so: its round is named."""
    if response.status not in TRY_AGAIN:
        return False
    return not (response.is_problem and response.status == 502 and "round_id" in response.body)


def _parsed(response: Response, parse: Callable[[Any], T]) -> T:
    if response.is_problem:
        raise problem(response.status, response.body)
    if not 200 <= response.status < 300:
        raise problem(response.status, {"code": "unknown", "detail": "the answer is no problem document"})
    return parse(response.body)
