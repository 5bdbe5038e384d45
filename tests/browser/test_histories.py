"""An SRE reads the history of a round in Temporal's own web interface."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect
from temporalio.client import Client

from contracts.rounds import RoundKey
from security.tokens import TokenVerifier
from tests.browser.conftest import Complaints, Screenshots
from tests.conftest import Services
from tests.support.clients import STAKE, Player, seat_players
from tests.support.codec import codec_server
from tests.support.http import http_client


@pytest.fixture(scope="module")
async def codec(services: Services) -> AsyncIterator[None]:
    async with codec_server(services.stack):
        yield


async def test_the_history_of_an_ordinary_round_is_readable(
    platform: dict[str, Any],
    services: Services,
    temporal: Client,
    codec: None,
    page: Page,
    complaints: Complaints,
    screenshots: Screenshots,
) -> None:
    (player,) = await seat_players(platform, 1)
    round_id = f"round-{uuid4().hex[:8]}"
    async with http_client() as http:
        answer = await player.bet(http, round_id)
    await page.goto(await address_of(round_id, player, platform, services, temporal))
    body = page.locator("body")
    # The bet and the result stand at the top of the page; without the codec server they are base64.
    await expect(body).to_contain_text(re.compile(rf'"stake":\s*{STAKE}\b'))
    await expect(body).to_contain_text(re.compile(rf'"state":\s*"{answer["state"]}"'))
    # The fast path's steps are in the marker of its local activity.
    await page.get_by_role("row").filter(has_text="Local Activity").first.click()
    await expect(body).to_contain_text('"activity_type": "reserve-resolve-settle-emit"')
    await screenshots.take(page, "sre/history.png")
    await page.get_by_role("button", name="Maximize").last.click()
    await expect(body).to_contain_text(re.compile(r'"reserve"[\s\S]*"settle"'))
    await expect(body).not_to_contain_text("encryption-key-id")
    await screenshots.take(page, "sre/history-steps.png")
    assert complaints.outside == set(), "whoever looks at a history tells nobody outside"


async def address_of(
    round_id: str, player: Player, platform: dict[str, Any], services: Services, temporal: Client
) -> str:
    """Of its page, when its workflow has ended."""
    claims = TokenVerifier(services.keyring, time.time).verify(player.token)
    key = RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=round_id)
    handle = temporal.get_workflow_handle(key.workflow_id)
    await handle.result()
    run_id = (await handle.describe()).run_id
    return (
        f"{platform['temporal_ui']}/namespaces/{platform['temporal_namespace']}/workflows/"
        f"{quote(key.workflow_id, safe='')}/{run_id}/history"
    )
