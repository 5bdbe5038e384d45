"""What an issuer publishes is read again without making anybody wait who needs what is known."""

import asyncio
from typing import Any

import pytest

from api.oidc.issuer import AGAIN_S, FRESH_S, STALE_S, WAITING_LIMIT, IssuerAway
from api.oidc.issuer import Issuer as Published
from tests.support.issuer import Issuer


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Silent:
    """An issuer that can be made to keep whoever asks waiting."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def fetch(self, url: str) -> Any:
        self.asked += 1
        await self.answers.wait()
        return await self.issuer.fetch(url)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def silent() -> Silent:
    return Silent()


@pytest.fixture
def published(silent: Silent, clock: Clock) -> Published:
    return Published(silent.issuer.url, silent.fetch, clock)


async def test_a_known_key_counts_at_once_while_it_is_read_again(
    published: Published, silent: Silent, clock: Clock
) -> None:
    assert await published.key("first")
    clock.now_s += FRESH_S
    silent.answers.clear()
    asked = silent.asked
    assert await published.key("first")
    assert await published.key("first")
    await asyncio.sleep(0)
    assert silent.asked == asked + 1
    await published.aclose()


async def test_few_wait_for_an_unknown_key_and_the_others_are_told(
    published: Published, silent: Silent, clock: Clock
) -> None:
    assert await published.key("first")
    clock.now_s += AGAIN_S
    silent.answers.clear()
    asked = silent.asked
    waiting = [asyncio.create_task(published.key(f"guess-{number}")) for number in range(WAITING_LIMIT)]
    await asyncio.sleep(0)
    with pytest.raises(IssuerAway):
        await published.key("one more")
    assert await published.key("first")
    silent.answers.set()
    assert await asyncio.gather(*waiting) == [None] * WAITING_LIMIT
    assert silent.asked == asked + 2
    assert await published.key("one more") is None


async def test_who_gives_up_does_not_end_it_for_others(published: Published, silent: Silent) -> None:
    silent.answers.clear()
    first, second = (asyncio.create_task(published.key("first")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    silent.answers.set()
    assert await second


async def test_whoever_may_not_ask_gets_what_is_known(
    published: Published, silent: Silent, clock: Clock
) -> None:
    assert await published.key("first")
    clock.now_s += AGAIN_S
    asked = silent.asked
    assert await published.key("unknown", may_ask=lambda: False) is None
    assert silent.asked == asked


async def test_the_document_counts_for_a_while_when_the_issuer_is_away(
    published: Published, silent: Silent, clock: Clock
) -> None:
    assert (await published.document())["issuer"] == silent.issuer.url
    silent.issuer.away = True
    clock.now_s += STALE_S
    assert await published.document()
    clock.now_s += AGAIN_S
    with pytest.raises(IssuerAway):
        await published.document()


@pytest.mark.parametrize("address", ["http://login.example/keys", "ftp://a/b", "https://u:p@a/b", 7, None])
async def test_keys_of_an_address_that_is_not_trusted_count_for_nothing(
    published: Published, silent: Silent, address: Any
) -> None:
    silent.issuer.described = {"issuer": silent.issuer.url, "jwks_uri": address}
    with pytest.raises(IssuerAway):
        await published.key("first")
