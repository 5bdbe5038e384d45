"""From SIGTERM to the end of an ingress: it is not ready first, and answers on, so that nothing is lost."""

from typing import Any

from tests.conftest import Services
from tests.e2e.parties import Player
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import is_draining, one_more_ingress


async def test_an_ingress_that_stops_is_not_ready_and_plays_on_until_the_delay_is_over(
    platform: dict[str, Any], services: Services, player: Player
) -> None:
    """The delay is longer than this test: what it sees is what load balancers see."""
    headers = {"Authorization": f"Bearer {player.token}"}
    async with (
        one_more_ingress(services.stack, "draining-ingress", drain_delay_s=30) as ingress,
        http_client(base_url=ingress.base_url, timeout=HANG_S, headers=headers) as http,
    ):
        before = await http.post("/v1/game/rounds", json=player.wager())
        assert (before.status_code, before.headers.get("connection")) == (201, None)
        ingress.running.handle.terminate()
        await until(lambda: is_draining(ingress.base_url))
        # On the connection of before, which ends with this answer; then on a new one, which does so too.
        for _ in range(2):
            answer = await http.post("/v1/game/rounds", json=player.wager())
            assert (answer.status_code, answer.headers["connection"]) == (201, "close")
        assert ingress.running.running
        await ingress.running.kill()
