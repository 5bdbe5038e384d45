"""Which keys and tokens each route takes, written down here once more: a new route has to say so too."""

import pytest

from api.gateway.authentication import KeyOf
from tests.support.routes import OPEN, guards

ALL = {"game", "operator", "admin"}
OPERATOR = {"operator", "admin"}
ADMIN = {"admin"}

SCOPES: dict[str, set[str]] = {
    "POST /v1/operator/sessions": ALL,
    "GET /v1/operator/sessions/{session_id}": ALL,
    "DELETE /v1/operator/sessions/{session_id}": ALL,
    "PUT /v1/operator/games/{game_id}": OPERATOR,
    "PUT /v1/operator/players/{player_id}": OPERATOR,
    "GET /v1/operator/events": ALL,
    "GET /v1/operator/rounds": ALL,
    "GET /v1/operator/rounds/{round_id}/replay": ALL,
    "GET /v1/operator/rounds/{round_id}": ALL,
    "POST /v1/operator/players/{player_id}/deposits": OPERATOR,
    "POST /v1/operator/players/{player_id}/withdrawals": OPERATOR,
    "GET /v1/operator/players/{player_id}/balance": OPERATOR,
    "GET /v1/operator/players/{player_id}/statement": OPERATOR,
    "POST /v1/operator/rounds/{round_id}/void": OPERATOR,
    "POST /v1/operator/rounds/{round_id}/resolve": OPERATOR,
    "POST /v1/operator/webhooks": OPERATOR,
    "GET /v1/operator/webhooks": OPERATOR,
    "GET /v1/operator/webhooks/{webhook_id}": OPERATOR,
    "PATCH /v1/operator/webhooks/{webhook_id}": OPERATOR,
    "DELETE /v1/operator/webhooks/{webhook_id}": OPERATOR,
    "POST /v1/operator/webhooks/{webhook_id}/rotate-secret": OPERATOR,
    "POST /v1/operator/webhooks/{webhook_id}/test": OPERATOR,
    "GET /v1/operator/webhooks/{webhook_id}/dead": OPERATOR,
    "POST /v1/operator/webhooks/{webhook_id}/replay": OPERATOR,
    "GET /v1/operator/keys": ADMIN,
    "POST /v1/operator/keys": ADMIN,
    "POST /v1/operator/keys/{key_id}/rotate": ADMIN,
    "DELETE /v1/operator/keys/{key_id}": ADMIN,
}


def test_every_route_of_operators_takes_keys_of_the_scopes_written_here() -> None:
    found = {name: guard for name, guard in guards().items() if " /v1/operator" in name}
    told = {name: {scope for key in guard if isinstance(key, KeyOf) for scope in key.scopes}
            for name, guard in found.items()}  # fmt: skip
    assert told == SCOPES
    assert all(len(guard) == 1 for guard in found.values())


def test_every_route_of_the_platform_takes_its_own_keys_alone() -> None:
    found = {name: guard for name, guard in guards().items() if " /v1/platform" in name}
    assert len(found) == 5
    for name, guard in found.items():
        (key,) = guard
        assert isinstance(key, KeyOf), name
        assert key.scopes == {"platform"}, name


def test_every_route_of_games_takes_one_sessions_token() -> None:
    found = {name: guard for name, guard in guards().items() if " /v1/game/" in name}
    assert found
    for name, guard in found.items():
        assert len(guard) == 1, name
        assert not isinstance(guard[0], KeyOf), name


def test_only_what_is_open_asks_for_nothing() -> None:
    assert {name for name, guard in guards().items() if not guard} == OPEN


@pytest.mark.parametrize("scope", ["game", "operator", "admin"])
def test_what_moves_money_or_decides_is_not_for_game_servers(scope: str) -> None:
    moving = [name for name in SCOPES if name.endswith(("deposits", "withdrawals", "void", "resolve"))]
    assert len(moving) == 4
    assert all((scope in SCOPES[name]) == (scope != "game") for name in moving)
