"""What the operator tells a game's page: checked when the session opens, and said in the launch URL alone."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from api.session.launch import LONGEST_LINK, launch_url
from tests.e2e.parties import Operator, checked_problem

TOLD = {
    "lang": "de-AT",
    "device": "mobile",
    "country": "AT",
    "lobby_url": "https://casino.example/lobby?from=dice&x=1#top",
    "deposit_url": "http://127.0.0.1:9000/deposit",
    "history_url": "https://casino.example/history",
}


async def open_session(operator: Operator, **told: Any) -> httpx.Response:
    body = {"player_id": uuid4().hex, "game_id": "dice", "currency": "EUR", **told}
    return await operator.call("POST", "/sessions", json=body)


async def test_the_launch_url_says_what_the_session_was_told(operator: Operator) -> None:
    opened = (await open_session(operator, **TOLD)).json()
    url = urlsplit(opened["launch_url"])
    assert parse_qs(url.query) == {"game": ["dice"]} | {name: [value] for name, value in TOLD.items()}
    assert url.fragment == f"token={opened['token']}"


async def test_what_is_not_told_is_not_said(operator: Operator) -> None:
    opened = (await open_session(operator, lang="en", lobby_url=None)).json()
    assert parse_qs(urlsplit(opened["launch_url"]).query) == {"game": ["dice"], "lang": ["en"]}


@pytest.mark.parametrize("name", ["deposit_url", "history_url"])
async def test_no_link_runs_anything(operator: Operator, name: str) -> None:
    checked_problem(await open_session(operator, **{name: "javascript:alert(1)"}), 422, "invalid")


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "data:text/html,x"),
        *("http://casino.example/lobby", "http://127.0.0.1.casino.example/", "http://localhost.example/"),
        *("https://", "https:casino.example", "//casino.example", "/lobby", "lobby", ""),
        *("https://casino.example\\@evil.example/", "https://user:password@casino.example/"),
        *("https://casino.example/\n", "https://casino.example/a b", "https://[casino.example/"),
        *("https://casino.example:port/", "https://casino.example/" + "a" * LONGEST_LINK),
        *("<script>alert(1)</script>", 1, {}, ["https://casino.example/"]),
    ],
)
async def test_a_link_leads_to_https_or_to_this_machine(operator: Operator, url: object) -> None:
    problem = checked_problem(await open_session(operator, lobby_url=url), 422, "invalid")
    assert "lobby_url" in problem["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("lang", value) for value in ("", "d", "de_AT", "de-", "german language", "de-AT\n", "a" * 36, 3)),
        *(("country", value) for value in ("", "at", "AUT", "ZZ", "UK", "EU", "AT ", 43)),
        *(("device", value) for value in ("", "phone", "MOBILE", 1)),
    ],
)
async def test_a_language_a_country_and_a_device_are_of_their_standards(
    operator: Operator, name: str, value: object
) -> None:
    problem = checked_problem(await open_session(operator, **{name: value}), 422, "invalid")
    assert name in problem["detail"]


@pytest.mark.parametrize(
    "lang", ["en", "pt-BR", "zh-Hant-TW", "sl-rozaj-biske", "de-DE-u-co-phonebk", "es-419"]
)
async def test_any_well_formed_language_is_taken(operator: Operator, lang: str) -> None:
    assert (await open_session(operator, lang=lang)).status_code == 201


def test_the_sessions_word_comes_before_the_clients_own() -> None:
    url = launch_url(
        "https://games.example/play?lang=en&skin=red%20one", game_id="dice", token="t", told={"lang": "de"}
    )
    assert url == "https://games.example/play?skin=red%20one&game=dice&lang=de#token=t"
