"""One look for all webhooks that wait: how often it is made, whom it wakes, and what its failure does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import pytest

from activities.webhook_news import News
from contracts.webhooks import Webhook, WebhookKey
from tests.support.conditions import until

PAUSE_S: Final = 0.005
NOW: Final = datetime(2026, 11, 28, tzinfo=UTC)


def webhook(webhook_id: str) -> Webhook:
    return Webhook(
        key=WebhookKey(operator_id="demo", webhook_id=webhook_id),
        url="https://example.com/",
        types=None,
        sealed_secrets="",
        disabled=None,
        cursor=7,
        created_at=NOW,
        updated_at=NOW,
    )


@dataclass
class Looks:
    """What was asked, and what is told: the ids of those that have something, or an error."""

    asked: list[set[str]] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    error: Exception | None = None

    async def __call__(self, waiting: Sequence[Webhook]) -> set[str]:
        self.asked.append({one.key.webhook_id for one in waiting})
        if self.error is not None:
            raise self.error
        return self.found

    async def more(self, count: int) -> None:
        """Until there were so many more."""
        before = len(self.asked)

        async def enough() -> bool:
            return len(self.asked) >= before + count

        await until(enough)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
async def news(looks: Looks) -> AsyncIterator[News]:
    made = News(looks, pause_s=PAUSE_S)
    yield made
    await made.aclose()


async def waiting(news: News, ids: Sequence[str]) -> dict[str, asyncio.Task[None]]:
    return {one: asyncio.create_task(news.wait(webhook(one))) for one in ids}


async def test_all_who_wait_are_in_one_look(news: News, looks: Looks) -> None:
    ids = [f"w{number}" for number in range(100)]
    tasks = await waiting(news, ids)
    await looks.more(3)
    assert looks.asked == [set(ids)] * len(looks.asked)
    looks.found = set(ids)
    await asyncio.gather(*tasks.values())


async def test_only_those_are_woken_that_have_something(news: News, looks: Looks) -> None:
    tasks = await waiting(news, ["quiet", "busy"])
    looks.found = {"busy"}
    await tasks["busy"]
    await looks.more(2)
    assert looks.asked[-1] == {"quiet"}
    assert not tasks["quiet"].done()
    tasks["quiet"].cancel()


async def test_what_came_before_the_wait_is_found_by_the_next_look(news: News, looks: Looks) -> None:
    """The interleaving: an event after the webhook's own look, before it waits, while others wait already."""
    tasks = await waiting(news, ["other"])
    await looks.more(1)
    looks.found = {"late"}
    await looks.more(1)
    await news.wait(webhook("late"))
    tasks["other"].cancel()


async def test_two_senders_of_one_webhook_are_both_woken(news: News, looks: Looks) -> None:
    both = [asyncio.create_task(news.wait(webhook("one"))) for _ in range(2)]
    looks.found = {"one"}
    await asyncio.gather(*both)


@pytest.mark.parametrize("error", [ConnectionError("the database is away"), ValueError("nobody foresaw it")])
async def test_a_look_that_fails_wakes_all_and_the_next_is_made_all_the_same(
    news: News, looks: Looks, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    looks.error = error
    tasks = await waiting(news, ["a", "b"])
    await asyncio.gather(*tasks.values())
    assert "webhooks that wait look one by one" in caplog.text
    assert f"{type(error).__name__}: {error}" in caplog.text
    looks.error, looks.found = None, {"a"}
    await news.wait(webhook("a"))


async def test_nobody_looks_while_nobody_waits(news: News, looks: Looks) -> None:
    (task,) = (await waiting(news, ["gone"])).values()
    await looks.more(1)
    task.cancel()
    counts = []

    async def ended() -> bool:
        counts.append(len(looks.asked))
        return counts[-5:] == [counts[-1]] * 5

    await until(ended)
    looks.found = {"next"}
    await news.wait(webhook("next"))
    assert "gone" not in looks.asked[-1]
    assert set() not in looks.asked
