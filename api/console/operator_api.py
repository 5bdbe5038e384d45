"""The operator's API as the console calls it: with the key of the person who has signed in."""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx

from contracts.interventions import Action

LIMIT_S: Final = 20.0


class ApiAway(Exception):
    """No certain answer came. The text says what to do."""


class ApiRefused(Exception):
    """The API has refused; the text is its own."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class OperatorApi:
    """`http` has the address of an ingress."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def takes(self, key: str) -> bool:
        """Whether the API takes this key, which then is an operator's. Raises ApiAway and ApiRefused."""
        answer = await self._call("GET", "/v1/operator/rounds", key, "Try again.", params={"limit": "1"})
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            return False
        _accepted(answer)
        return True

    async def decide(
        self, key: str, *, round_id: str, player_id: str, mode: str, action: Action, reason: str
    ) -> None:
        """Puts the decision to the round. Raises ApiAway and ApiRefused."""
        path = f"/v1/operator/rounds/{quote(round_id, safe='')}/resolve"
        answer = await self._call(
            "POST",
            path,
            key,
            "It may have been done, or still be done: look at the round before you decide again.",
            params={"player_id": player_id, "mode": mode},
            json={"action": action.value, "reason": reason},
        )
        _accepted(answer)

    async def replay(self, key: str, *, round_id: str, player_id: str, mode: str) -> dict[str, Any]:
        """The round, computed once more. Raises ApiAway and ApiRefused."""
        path = f"/v1/operator/rounds/{quote(round_id, safe='')}/replay"
        params = {"player_id": player_id, "mode": mode}
        answer = await self._call("GET", path, key, "Try again.", params=params)
        _accepted(answer)
        replayed: dict[str, Any] = answer.json()
        return replayed

    async def switch_player(self, key: str, *, player_id: str, blocked: bool, reason: str) -> None:
        """Raises ApiAway and ApiRefused."""
        path = f"/v1/operator/players/{quote(player_id, safe='')}"
        then = "Look at the player before you do it again."
        wanted = {"blocked": blocked, "reason": reason}
        _accepted(await self._call("PUT", path, key, then, params={}, json=wanted))

    async def act(
        self, key: str, method: str, path: str, *, then: str, json: dict[str, Any] | None = None
    ) -> Any:
        """Any other act; `then` is what to do when no answer came. Returns the answer's body, None where it
        has none. Raises ApiAway and ApiRefused."""
        answer = await self._call(method, path, key, then, params={}, json=json)
        _accepted(answer)
        return answer.json() if answer.content else None

    async def switch_game(self, key: str, *, game_id: str, enabled: bool, reason: str) -> None:
        """Raises ApiAway and ApiRefused."""
        path = f"/v1/operator/games/{quote(game_id, safe='')}"
        then = "Look at the game before you do it again."
        wanted = {"enabled": enabled, "reason": reason}
        _accepted(await self._call("PUT", path, key, then, params={}, json=wanted))

    async def games(self, key: str) -> list[dict[str, Any]]:
        """The games that can be played, each in its current version. Raises ApiAway and ApiRefused."""
        answer = await self._call("GET", "/v1/games", key, "Try again.", params={})
        _accepted(answer)
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def _call(
        self,
        method: str,
        path: str,
        key: str,
        then: str,
        *,
        params: dict[str, str],
        json: dict[str, Any] | None = None,
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        try:
            return await self._http.request(
                method, path, headers=headers, params=params, json=json, timeout=LIMIT_S
            )
        except httpx.HTTPError:
            raise ApiAway(f"The API does not answer. {then}") from None


def _accepted(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"The API has answered {answer.status_code}, and not said why."
    raise ApiRefused(answer.status_code, detail)
