"""A request's id: begins with its caller's name, is nobody else's, and holds no secret."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import pytest

from api.gateway import request_ids
from contracts import requests

OWN: Final = "[0-9a-f]{32}"
SECRETS: Final = (
    "crk_0123456789abcdef_" + "s" * 43,
    "whsec_c2VjcmV0",
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln",
)


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    before = requests.CURRENT.set(None)
    yield
    requests.CURRENT.reset(before)
    requests.trace_with(None)


class TestAnId:
    @pytest.mark.parametrize("name", ["abc", "a" * 64, "Root=1-5759e988-bd862e3f", "550e8400-e29b-41d4-a716"])
    def test_begins_with_the_callers_name(self, name: str) -> None:
        assert re.fullmatch(f"{re.escape(name)}[.]{OWN}", request_ids.new_id(name))

    @pytest.mark.parametrize(
        "name", [None, "", "a" * 65, "a b", "a\nb", "\u00e4", 'a"b', 5, b"abc", *SECRETS]
    )
    def test_is_our_own_alone_where_the_name_cannot_be_shown(self, name: object) -> None:
        assert re.fullmatch(OWN, request_ids.new_id(name))

    def test_differs_between_two_requests_of_one_name(self) -> None:
        assert request_ids.new_id("abc") != request_ids.new_id("abc")


class TestTheCurrentOne:
    async def test_is_its_tasks_alone(self) -> None:
        async def one(name: str) -> tuple[str, str | None]:
            request_id = request_ids.begin(name)
            await asyncio.sleep(0)
            return request_id, requests.CURRENT.get()

        for request_id, current in await asyncio.gather(*(one(name) for name in ("a", "b"))):
            assert request_id == current
        assert requests.CURRENT.get() is None

    def test_ends_with_its_block(self) -> None:
        with request_ids.begun("an operation", "abc") as request_id:
            assert requests.CURRENT.get() == request_id
            with requests.resumed("another", "earlier"):
                assert requests.CURRENT.get() == "earlier"
            with requests.resumed("one of nobody's", None):
                assert requests.CURRENT.get() == request_id
        assert requests.CURRENT.get() is None


class Traced:
    """A Tracing that only takes note."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []

    def own_part(self) -> str | None:
        return "f" * 48 if self.seen else None

    def operation(self, name: str, request_id: str | None) -> AbstractContextManager[object]:
        return self._block(name, request_id)

    @contextmanager
    def _block(self, name: str, request_id: str | None) -> Iterator[None]:
        self.seen.append((name, request_id))
        yield


class TestWhereTracesAreOn:
    def test_the_part_of_our_own_is_the_trace(self) -> None:
        traced = Traced()
        requests.trace_with(traced)
        assert re.fullmatch(f"abc[.]{OWN}", request_ids.new_id("abc")), "it is not sampled"
        with request_ids.begun("a call", "abc") as request_id:
            assert request_id == f"abc.{'f' * 48}"
        with requests.resumed("a webhook", request_id):
            pass
        assert traced.seen == [("a call", None), ("a webhook", request_id)]
