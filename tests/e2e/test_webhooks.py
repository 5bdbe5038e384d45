"""Webhooks on the running stack: signed, sent again while the endpoint fails, dead in the end, replayed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from cli.webhooks import run as cli_webhooks
from contracts.webhooks import Delivery, Retries, WebhookKey
from runtime.settings import Settings
from runtime.webhook_workflows import WebhookWorkflows
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.conditions import until
from tests.support.receiver import Receiver, receiving

SETTLED = "round.settled"


async def new_webhook(operator: Operator, receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A webhook of settled rounds alone, so that a test knows how many events there are."""
    body = {"url": receiver.url, "types": [SETTLED], **more}
    response = await operator.call("POST", "/webhooks", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    receiver.secrets.append(made["secret"])
    operator.gateway.secrets.append(made["secret"])
    return made


async def seen(operator: Operator, webhook: dict[str, Any]) -> dict[str, Any]:
    response = await operator.call("GET", f"/webhooks/{webhook['webhook_id']}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def until_settled(operator: Operator, webhook: dict[str, Any]) -> dict[str, Any]:
    """How it fares once something came through and nothing is under way."""

    async def settled() -> bool:
        fares = await seen(operator, webhook)
        return bool(fares["last_success_at"]) and not fares["pending"]

    await until(settled)
    return await seen(operator, webhook)


async def event_of(gateway: Gateway, round_: dict[str, Any]) -> str:
    return str(
        await gateway.database.pool.fetchval(
            "SELECT event_id FROM outbox WHERE subject = $1 AND type = $2", round_["round_id"], SETTLED
        )
    )


async def events_of(gateway: Gateway, rounds: list[dict[str, Any]]) -> list[str]:
    return [await event_of(gateway, round_) for round_ in rounds]


async def played(player: Player, count: int) -> list[dict[str, Any]]:
    return [await player.played() for _ in range(count)]


@pytest.fixture
async def own(gateway: Gateway) -> AsyncIterator[Operator]:
    """An operator of the test alone: a webhook gets all of its operator's events."""
    operator = await gateway.new_operator()
    yield operator
    await operator.forget_webhooks()


@dataclass(frozen=True, slots=True)
class Command:
    """`croupier webhooks`, as a thread of the tests: it has an event loop of its own."""

    settings: Settings
    capsys: pytest.CaptureFixture[str]

    async def show(self, operator_id: str) -> int:
        return await asyncio.to_thread(
            cli_webhooks.show, self.settings, operator_id=operator_id, as_json=False
        )

    async def dead(self, webhook_id: str) -> int:
        return await asyncio.to_thread(cli_webhooks.dead, self.settings, webhook_id, as_json=False)

    async def replay_all(self, webhook_id: str) -> int:
        return await asyncio.to_thread(cli_webhooks.replay, self.settings, webhook_id, [], all_dead=True)

    def said(self) -> str:
        return self.capsys.readouterr().out


@pytest.fixture
def command(services: Services, capsys: pytest.CaptureFixture[str]) -> Command:
    addresses = services.stack.addresses
    known = {
        "database_url": SecretStr(addresses.database_url),
        "temporal_address": addresses.temporal_address,
    }
    return Command(services.settings.model_copy(update=known), capsys)


async def test_a_command_for_a_webhook_that_is_not_there_says_so(command: Command) -> None:
    assert await command.dead("nowhere") == 2
    assert "there is no webhook nowhere" in command.capsys.readouterr().err


async def test_an_event_arrives_signed_and_as_the_broker_has_it(gateway: Gateway, own: Operator) -> None:
    player = await own.open_session(balance=1_000)
    earlier = await player.played()
    async with receiving() as receiver:
        await new_webhook(own, receiver)
        round_ = await player.played()
        event_id = await event_of(gateway, round_)
        await receiver.until_taken([event_id])
    (got,) = receiver.received
    assert got.path == "/croupier/events"
    assert got.headers["webhook-id"] == event_id == got.event["id"]
    assert got.signed_by == tuple(receiver.secrets)
    assert (got.event["type"], got.event["subject"]) == (SETTLED, round_["round_id"])
    assert got.event["data"]["win"] == round_["win"]
    assert got.headers["content-type"] == "application/cloudevents+json"
    feed = (await own.call("GET", "/events")).json()["items"]
    assert got.event in feed
    assert earlier["round_id"] not in {sent.event["subject"] for sent in receiver.received}


async def test_an_endpoint_that_fails_twice_gets_the_event_a_third_time(
    gateway: Gateway, own: Operator
) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving(answers=[500, 0], says=b"not\x1b today") as receiver:
        webhook = await new_webhook(own, receiver)
        event_id = await event_of(gateway, await player.played())
        await receiver.until_taken([event_id])
        fares = await until_settled(own, webhook)
    assert [got.headers["webhook-id"] for got in receiver.received] == [event_id] * 3
    assert all(got.signed_by for got in receiver.received)
    assert (fares["pending"], fares["dead"]) == (0, 0)
    assert fares["last_error"].startswith("connection-lost")
    assert fares["last_success_at"] > fares["last_error_at"]


async def test_an_event_that_an_endpoint_never_takes_is_dead_and_can_be_replayed(
    gateway: Gateway, own: Operator, command: Command
) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving(otherwise=503, says=b"down for a while") as receiver:
        webhook = await new_webhook(own, receiver)
        path = f"/webhooks/{webhook['webhook_id']}"
        ids = await events_of(gateway, await played(player, 3))

        async def all_dead() -> bool:
            return bool((await seen(own, webhook))["dead"] == 3)

        await until(all_dead)
        tried = Counter(got.headers["webhook-id"] for got in receiver.received)
        page = (await own.call("GET", f"{path}/dead", params={"limit": 2})).json()
        rest = (await own.call("GET", f"{path}/dead", params={"cursor": page["next_cursor"]})).json()
        dead = page["items"] + rest["items"]
        assert sorted(item["event_id"] for item in dead) == sorted(ids)
        # The last attempt may have been under way when the time was over, and is not counted then.
        assert all(2 <= item["attempts"] <= tried[item["event_id"]] for item in dead)
        assert {item["last_error"] for item in dead} == {"status-503: down for a while"}
        assert rest["next_cursor"] is None

        assert await command.dead(webhook["webhook_id"]) == 1
        said = command.said()
        assert all(event_id in said for event_id in ids)
        assert await command.show(own.operator_id) == 1
        assert "pending 0  dead 3  last error: status-503: down for a while" in command.said()

        receiver.otherwise = 200
        again = await own.call("POST", f"{path}/replay", json={"event_ids": [ids[0], str(uuid4())]})
        assert (again.status_code, again.json()) == (202, {"replayed": 1})
        await receiver.until_taken(ids[:1])
        assert await command.replay_all(webhook["webhook_id"]) == 0
        assert command.said().splitlines()[-1] == "2 events are sent again"
        await receiver.until_taken(ids)
        fares = await until_settled(own, webhook)
        assert (fares["pending"], fares["dead"]) == (0, 0)


async def test_an_endpoint_that_is_gone_is_left_alone_and_its_events_wait_for_the_next_one(
    gateway: Gateway, own: Operator
) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving(otherwise=410) as gone, receiving() as next_one:
        webhook = await new_webhook(own, gone)
        first = await event_of(gateway, await player.played())

        async def disabled() -> bool:
            return not (await seen(own, webhook))["enabled"]

        await until(disabled)
        assert (await seen(own, webhook))["disabled"] == "gone"
        second = await event_of(gateway, await player.played())
        next_one.secrets = gone.secrets
        changed = await own.call(
            "PATCH",
            f"/webhooks/{webhook['webhook_id']}",
            json={"url": next_one.url, "enabled": True},
        )
        assert changed.json()["enabled"] is True
        await next_one.until_taken([second])
        await own.call("POST", f"/webhooks/{webhook['webhook_id']}/replay", json={"all_dead": True})
        await next_one.until_taken([first, second])
    assert {got.headers["webhook-id"] for got in gone.received} == {first}


async def test_a_disabled_webhook_sends_nothing_until_it_is_enabled(gateway: Gateway, own: Operator) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving() as receiver:
        webhook = await new_webhook(own, receiver)
        path = f"/webhooks/{webhook['webhook_id']}"
        assert (await own.call("PATCH", path, json={"enabled": False})).json()["disabled"] == "by-operator"
        workflow = WebhookKey(operator_id=own.operator_id, webhook_id=webhook["webhook_id"]).workflow_id

        async def ended() -> bool:
            found = await gateway.temporal.get_workflow_handle(workflow).describe()
            return found.close_time is not None

        if await gateway.has_workflow(workflow):
            await until(ended)
        ids = await events_of(gateway, await played(player, 2))
        assert receiver.received == []
        await own.call("PATCH", path, json={"enabled": True})
        await receiver.until_taken(ids)


async def test_both_secrets_sign_after_a_rotation(gateway: Gateway, own: Operator) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving() as receiver:
        webhook = await new_webhook(own, receiver)
        rotated = await own.call("POST", f"/webhooks/{webhook['webhook_id']}/rotate-secret")
        assert rotated.status_code == 200, rotated.text
        receiver.secrets.append(rotated.json()["secret"])
        gateway.secrets.append(rotated.json()["secret"])
        await receiver.until_taken([await event_of(gateway, await player.played())])
    assert receiver.received[0].signed_by == tuple(receiver.secrets)
    assert len(set(receiver.secrets)) == 2
    signatures = receiver.received[0].headers["webhook-signature"].split()
    assert [signature.split(",")[0] for signature in signatures] == ["v1", "v1", "v1a"]


async def test_a_killed_sender_loses_nothing(gateway: Gateway, own: Operator, services: Services) -> None:
    """The interleaving: an endpoint has taken an event, and the process dies before the cursor is moved."""
    player = await own.open_session(balance=10_000)
    async with receiving() as receiver:
        await new_webhook(own, receiver)
        rounds = await played(player, 5)
        await receiver.until_received(1)
        playing = asyncio.create_task(played(player, 20))
        await services.stack.kill("webhooks")
        await services.stack.start("webhooks")
        rounds += await playing
        await receiver.until_taken(await events_of(gateway, rounds))
    assert all(got.signed_by for got in receiver.received)


async def test_a_webhook_whose_workflow_was_terminated_goes_on(gateway: Gateway, own: Operator) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving() as receiver:
        webhook = await new_webhook(own, receiver)
        await receiver.until_taken([await event_of(gateway, await player.played())])
        key = WebhookKey(operator_id=own.operator_id, webhook_id=webhook["webhook_id"])
        await gateway.temporal.get_workflow_handle(key.workflow_id).terminate("by a test")
        # As if the three minutes had passed after which a webhook counts as left alone.
        await gateway.database.pool.execute(
            "UPDATE webhooks SET pumped_at = pumped_at - interval '1 hour' WHERE id = $1", key.webhook_id
        )
        await receiver.until_taken([await event_of(gateway, await player.played())])


async def test_a_retry_that_was_begun_before_its_starter_died_is_not_begun_again(gateway: Gateway) -> None:
    """The interleaving: the workflow was started, and the mark of it was not made."""
    key = WebhookKey(operator_id="nobody", webhook_id=uuid4().hex)
    delivery = Delivery(key=key, event_id=str(uuid4()), replay=0)
    workflows = WebhookWorkflows(gateway.temporal, Retries(first_s=1, longest_s=1, patience_s=3))
    await workflows.deliver(delivery)
    handle = gateway.temporal.get_workflow_handle(delivery.workflow_id)
    assert await handle.result() is False
    first = await handle.describe()
    await workflows.deliver(delivery)
    assert (await handle.describe()).run_id == first.run_id


async def test_no_operator_reaches_anothers_webhook(gateway: Gateway, own: Operator, rival: Operator) -> None:
    player = await own.open_session(balance=1_000)
    async with receiving() as receiver, receiving() as theirs:
        webhook = await new_webhook(own, receiver)
        await new_webhook(rival, theirs)
        path = f"/webhooks/{webhook['webhook_id']}"
        for method, below, body in (
            ("GET", "", None),
            ("PATCH", "", {"enabled": False}),
            ("DELETE", "", None),
            ("POST", "/rotate-secret", None),
            ("GET", "/dead", None),
            ("POST", "/replay", {"all_dead": True}),
        ):
            request = {} if body is None else {"json": body}
            checked_problem(await rival.call(method, path + below, **request), 404, "not-found")
        listed = (await rival.call("GET", "/webhooks")).json()["items"]
        assert webhook["webhook_id"] not in {item["webhook_id"] for item in listed}
        await receiver.until_taken([await event_of(gateway, await player.played())])
        assert theirs.received == []
        assert (await own.call("DELETE", path)).status_code == 204
        checked_problem(await own.call("GET", path), 404, "not-found")


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://example.com/"},
        {"url": "http://user:pass@127.0.0.1/"},
        {"url": "http://127.0.0.1/?token=x"},
        {"url": "http://127.0.0.1/", "types": []},
        {"url": "http://127.0.0.1/", "types": ["round.exploded"]},
        {"url": "http://127.0.0.1/", "types": ["incident.opened"]},
        {"url": "http://127.0.0.1/", "secret": "whsec_mine"},
        {},
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(own: Operator, body: dict[str, Any]) -> None:
    checked_problem(await own.call("POST", "/webhooks", json=body), 422, "invalid")


async def test_an_operator_has_so_many_webhooks_and_no_more(own: Operator) -> None:
    for _ in range(10):
        made = await own.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/", "types": [SETTLED]})
        assert made.status_code == 201
    one_more = await own.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/"})
    checked_problem(one_more, 403, "limit-exceeded")


@pytest.mark.parametrize("body", [{}, {"event_ids": []}, {"event_ids": ["x"]}, {"all_dead": False}])
async def test_a_replay_of_nothing_is_refused(own: Operator, body: dict[str, Any]) -> None:
    made = await own.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/", "types": [SETTLED]})
    path = f"/webhooks/{made.json()['webhook_id']}/replay"
    checked_problem(await own.call("POST", path, json=body), 422, "invalid")


async def test_a_test_is_sent_once_and_its_caller_hears_what_came_of_it(own: Operator) -> None:
    async with receiving(answers=[204, 503, 410, 204], says=b"down\x1b for a while") as receiver:
        webhook = await new_webhook(own, receiver)
        path = f"/webhooks/{webhook['webhook_id']}"
        said = []
        for _ in range(3):
            answer = await own.call("POST", f"{path}/test")
            assert answer.status_code == 200, answer.text
            said.append(answer.json())
        assert [(one["delivered"], one["error"]) for one in said] == [
            (True, None),
            (False, "status-503: down for a while"),
            (False, "status-410: down for a while"),
        ]
        fares = await seen(own, webhook)
        assert (fares["enabled"], fares["pending"], fares["last_error"]) == (True, 0, None)
        assert (await own.call("PATCH", path, json={"enabled": False})).status_code == 200
        last = (await own.call("POST", f"{path}/test")).json()
        assert last["delivered"], "also while it is disabled"
        assert [got.headers["webhook-id"] for got in receiver.received] == [
            *(one["event_id"] for one in said),
            last["event_id"],
        ]
    assert all(got.signed_by == (webhook["secret"],) for got in receiver.received)
    event = receiver.received[0].event
    assert (event["type"], event["operator"], event["subject"]) == (
        "webhook.test",
        own.operator_id,
        webhook["webhook_id"],
    )
    assert (await own.call("GET", "/events")).json()["items"] == []


async def test_a_test_waits_for_no_event_that_its_endpoint_leaves_unanswered(own: Operator) -> None:
    """When an endpoint has stopped answering, a test is what its operator sends."""
    player = await own.open_session(balance=10_000)
    async with receiving(silent=True) as receiver:
        webhook = await new_webhook(own, receiver)
        path = f"/webhooks/{webhook['webhook_id']}"
        assert (await own.call("PATCH", path, json={"enabled": False})).status_code == 200
        await played(player, 20)
        assert (await own.call("PATCH", path, json={"enabled": True})).status_code == 200
        await receiver.until_received(8)
        answer = await own.call("POST", f"{path}/test")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["delivered"], told["error"]) == (False, "timeout: no answer within 5 s")
        assert told["event_id"] in {got.headers["webhook-id"] for got in receiver.received}


async def test_nobody_tests_the_webhook_of_another(own: Operator, rival: Operator) -> None:
    async with receiving() as receiver:
        webhook = await new_webhook(own, receiver)
        for other, webhook_id in ((rival, webhook["webhook_id"]), (own, "nobody")):
            checked_problem(await other.call("POST", f"/webhooks/{webhook_id}/test"), 404, "not-found")
    assert receiver.received == []
