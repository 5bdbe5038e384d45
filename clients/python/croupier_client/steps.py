"""How a call goes, without any I/O: a generator that asks for requests to be sent and for pauses, and gets
the answers. The synchronous and the asynchronous client drive the same generators."""

import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from croupier_client.problems import Problem, Unanswered, is_refusal, problem

T = TypeVar("T")

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
        """Raises ValueError for what is no JSON."""
        return json.loads(self.content) if self.content else None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def problem(self) -> Mapping[str, Any] | None:
        """The problem document of the casino, if it is one."""
        if not self.content_type.startswith("application/problem+json"):
            return None
        try:
            document = self.body
        except ValueError:
            return None
        return document if isinstance(document, dict) and isinstance(document.get("code"), str) else None

    @property
    def retry_after_s(self) -> float:
        """0.0 when the server names no time."""
        text = self.headers.get("retry-after", "")
        return min(float(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else 0.0


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


class _Uncertain(Exception):
    """An answer that does not say what became of the request."""

    def __init__(self, last: Problem | None) -> None:
        self.last = last


def exchange(
    request: Request,
    parse: Callable[[Any], T],
    patience: Patience,
    *,
    unfinished: Callable[[T], bool] = lambda _: False,
) -> Steps[T]:
    """The parsed answer to `request`, repeated while there is none, none that is certain, or one that is
    `unfinished`. Raises Problem, Unanswered."""
    pause_s, waited_s = patience.first_pause_s, 0.0
    seen: T | None = None
    while True:
        response = yield request
        last: Problem | None = None
        try:
            seen = _certain(response, parse)
            if not unfinished(seen):
                return seen
        except _Uncertain as uncertain:
            last = uncertain.last
        if not request.repeatable and response is not None and response.problem is not None and last:
            raise last
        if not request.repeatable or waited_s >= patience.total_s:
            raise Unanswered(f"{request.method} {request.path}", request.ids, unfinished=seen) from last
        # Half of it is chance: clients that were cut off together shall not come back together.
        wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        wait_s = max(wait_s, response.retry_after_s if response is not None else 0.0)
        wait_s = min(wait_s, patience.total_s - waited_s)
        yield Pause(wait_s)
        waited_s += wait_s
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


def _certain(response: Response | None, parse: Callable[[Any], T]) -> T:
    """What a certain answer says. Raises Problem for a refusal, _Uncertain for everything that may come from
    something on the way, or from a casino that does not know yet."""
    if response is None:
        raise _Uncertain(None)
    document = response.problem
    if document is not None:
        refused = problem(response.status, document)
        raise refused if is_refusal(response.status, document) else _Uncertain(refused)
    try:
        if 200 <= response.status < 300:
            return parse(response.body)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass  # a page of somebody on the way, or JSON of another meaning
    what = f"{response.status} with {response.content_type or 'no content type'} is no answer of the casino"
    raise _Uncertain(problem(response.status, {"code": "unknown", "detail": what}))
