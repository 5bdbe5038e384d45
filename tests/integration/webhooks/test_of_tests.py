"""A test of a webhook waits for nobody's events."""

from dataclasses import replace

from temporalio.client import Client

from activities.webhooks import Pace
from api.webhook.service import WebhookService
from contracts.webhooks import TestResult
from runtime.webhook_workflows import WebhookTests
from security.webhook_secrets import WebhookVault
from storage.database import Database
from tests.conftest import Services
from tests.integration.webhooks.stage import KEYRING, new_webhook, patient
from tests.support.acting import BY
from tests.support.conditions import HANG_S, until
from tests.support.ledger import Seat
from tests.support.receiver import receiving
from workers import webhooks as program

TAKEN_UP = "SELECT count(*) = 2 FROM webhooks WHERE pumped_at IS NOT NULL"


async def test_a_test_is_sent_while_events_take_every_place_of_the_program(
    services: Services, own: Database, seat: Seat, steady: Client
) -> None:
    """Each webhook takes a place for the whole of its turn, and so does each event that is sent again."""
    async with receiving() as receiver:
        busy = [await new_webhook(seat, receiver.url) for _ in range(2)]
        service = WebhookService(own.pool, patient(own.pool), WebhookVault(KEYRING), local=True)
        order = await service.new_test(busy[0].key, by=BY)
        assert order is not None
        async with program.running(
            steady, own, KEYRING, services.settings, Pace(turn_s=HANG_S), activities=len(busy)
        ):
            await until(lambda: own.pool.fetchval(TAKEN_UP))
            sent = await WebhookTests(steady).send(order)
        assert replace(sent, took_ms=0) == TestResult(found=True, error=None, took_ms=0)
        assert receiver.taken == [order.event_id]
