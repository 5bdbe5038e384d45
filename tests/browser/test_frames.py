"""A game and the casino's page around it speak by messages, and neither hears anybody else."""

from typing import Any, Final

import pytest
from playwright.async_api import Frame, Page

from tests.browser.casino import (
    CASINO,
    FOREIGN,
    READY,
    content_of,
    game_in,
    heard,
    launch_url,
    launched,
    received,
)
from tests.browser.casino import opened as at

MONEY = {"amount": 1_000, "currency": "EUR"}
LINKS = {"lobby_url": f"{CASINO}/lobby", "deposit_url": f"{CASINO}/lobby", "history_url": f"{CASINO}/lobby"}


@pytest.fixture
async def casino(page: Page) -> Page:
    return await at(page)


async def say(frame: Frame, method: str, *arguments: Any) -> None:
    await frame.evaluate("([method, ...rest]) => window.frame_[method](...rest)", [method, *arguments])


async def test_everything_that_a_game_says_is_heard(casino: Page) -> None:
    game = await launched(casino, launch_url(**LINKS))
    win = {"round": "r-1", "stake": MONEY, "win": MONEY}
    failed = {"code": "overloaded", "message": "The casino is very busy.", "fatal": False}
    await say(game, "ready", READY)
    await say(game, "balance", {**MONEY, "note": "not the contract's"})
    await say(game, "busy", "r-1")
    assert await heard(casino, 3) == [
        ["ready", READY],
        ["balance", {"balance": MONEY}],
        ["busy", {"round": "r-1"}],
    ]
    assert await casino.evaluate("game.busy")
    await say(game, "win", win)
    await say(game, "idle")
    await say(game, "error", failed)
    for place in ("exit", "deposit", "history"):
        assert await game.evaluate("(place) => frame_.offers(place)", place)
        await say(game, "leave", place)
    assert (await heard(casino, 9))[3:] == [
        *(["win", win], ["idle", {}], ["error", failed]),
        *(["exit", {}], ["deposit", {}], ["history", {}]),
    ]
    assert not await casino.evaluate("game.busy")
    assert casino.url == f"{CASINO}/", "a page that handles it stays where it is"
    assert "the-token" not in str(await casino.evaluate("raw"))


async def test_a_game_is_asked_when_it_is_ready_and_stays_paused_when_it_is_loaded_anew(casino: Page) -> None:
    game = await launched(casino, launch_url())
    await casino.evaluate("game.refresh(), game.pause()")
    await say(game, "ready", READY)
    await game.wait_for_function("asked.length === 1")
    await casino.evaluate("game.refresh()")
    await game.wait_for_function("asked.length === 2")
    assert await game.evaluate("asked") == ["pause", "refresh"], "nobody is asked before there is somebody"

    await game.evaluate("history.replaceState(null, '', withoutToken(location.hash)), location.reload()")
    await game.wait_for_function("window.asked?.length === 0 && window.frame_ !== undefined")
    assert await game.evaluate("launch.token") is None
    await say(game, "ready", READY)
    await game.wait_for_function("asked.length === 1")
    await casino.evaluate("game.resume()")
    await game.wait_for_function("asked.length === 2")
    assert await game.evaluate("asked") == ["pause", "resume"]


async def test_the_token_is_in_the_fragment_and_the_game_is_told_whose_page_it_is_in(casino: Page) -> None:
    game = await launched(casino, launch_url(lang="de-AT", device="mobile", country="AT", **LINKS))
    assert await game.evaluate("launch") == {
        "game": "dice",
        "token": "the-token",
        **{"lang": "de-AT", "device": "mobile", "country": "AT"},
        **{"lobbyUrl": f"{CASINO}/lobby", "depositUrl": f"{CASINO}/lobby", "historyUrl": f"{CASINO}/lobby"},
        "parentOrigin": CASINO,
    }
    assert "the-token" not in game.url.partition("#")[0]
    assert await casino.get_attribute("iframe", "title") == "Game"


FORGED = {"croupier": 1, "type": "balance", "balance": {"amount": 10**9, "currency": "EUR"}}


async def test_no_other_window_passes_for_the_game(casino: Page) -> None:
    game = await launched(casino, launch_url())
    await casino.evaluate(
        "(url) => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))",
        f"{FOREIGN}/",
    )
    foreign = await content_of(casino, "iframe >> nth=1")
    await foreign.wait_for_selector("iframe", state="attached")
    await foreign.evaluate("(forged) => parent.postMessage(forged, '*')", FORGED)
    await casino.evaluate("(forged) => postMessage(forged, '*')", FORGED)  # a script of the page's own origin
    await received(casino, 2)
    await say(game, "balance", MONEY)
    assert await heard(casino, 1) == [["balance", {"balance": MONEY}]]

    # The foreign frame reaches the game's window through its parent, and says what only the parent may.
    command = {"croupier": 1, "type": "pause"}
    await foreign.evaluate("(command) => parent.frames[0].postMessage(command, '*')", command)
    await received(game, 1)
    assert await game.evaluate("asked") == []


async def test_a_frame_that_went_elsewhere_is_not_the_game(casino: Page) -> None:
    game = await launched(casino, launch_url())
    await say(game, "ready", READY)
    await heard(casino, 1)
    await game.goto(f"{FOREIGN}/")
    await game.evaluate("(forged) => parent.postMessage(forged, '*')", FORGED)
    await received(casino, 2)
    await game.evaluate("window.raw = []; addEventListener('message', (event) => raw.push(event.data))")
    await casino.evaluate("game.pause()")
    await casino.evaluate("document.querySelector('iframe').contentWindow.postMessage('the last', '*')")
    await game.wait_for_function("raw.includes('the last')")
    assert await game.evaluate("raw") == ["the last"], "what is for the game is told to its origin alone"
    assert await casino.evaluate("heard.length") == 1


UNKNOWN: Final[list[Any]] = [
    *(None, "ready", 7, [], {}, {"croupier": 2, "type": "idle"}, {"type": "idle"}, {"croupier": 1}),
    *({"croupier": 1, "type": type_} for type_ in ("jump", "toString", "__proto__", "constructor", 3)),
    *({"croupier": 1, "type": "busy", "round": round_} for round_ in (None, 1, "", "<b>", "a" * 65)),
    {"croupier": 1, "type": "balance", "balance": {"amount": 0.5, "currency": "EUR"}},
    {"croupier": 1, "type": "balance", "balance": {"amount": "1", "currency": "EUR"}},
    {"croupier": 1, "type": "balance", "balance": {"amount": 1, "currency": "<b>"}},
    {"croupier": 1, "type": "win", "round": "r", "win": MONEY},
    {"croupier": 1, "type": "ready", **READY, "mode": "free"},
    {"croupier": 1, "type": "error", "code": "x", "message": "a" * 1_001, "fatal": False},
]


async def test_what_the_contract_does_not_know_is_not_heard(casino: Page) -> None:
    game = await launched(casino, launch_url())
    for message in UNKNOWN:
        await game.evaluate("([message, to]) => parent.postMessage(message, to)", [message, CASINO])
    await say(game, "idle")
    assert await heard(casino, 1) == [["idle", {}]]
    assert await casino.evaluate("raw.length") == len(UNKNOWN) + 1


async def test_a_foreign_page_around_the_game_hears_nothing_and_is_not_obeyed(page: Page) -> None:
    """It has the address of somebody else's frame: the game was told of the casino, not of this page."""
    await at(page, f"{FOREIGN}/")
    complaints = "window.raw = []; addEventListener('message', (event) => raw.push(event.data))"
    await page.evaluate(complaints)
    told = f"&parent_origin={CASINO.replace(':', '%3A').replace('/', '%2F')}"
    await page.evaluate("(url) => document.querySelector('iframe').src = url", launch_url() + told)
    game = await game_in(page)
    assert await game.evaluate("[frame_.framed, launch.parentOrigin]") == [True, CASINO]
    await page.evaluate("frames[0].postMessage({croupier: 1, type: 'pause'}, '*')")
    await received(game, 1)
    assert await game.evaluate("asked") == []
    # Whoever sends to another origin than the window has is told so, in the console and nowhere else.
    await game.evaluate("parent.postMessage('the last', '*')")
    await page.wait_for_function("raw.length === 1")
    assert await page.evaluate("raw") == ["the last"]


async def test_alone_a_game_follows_its_links_and_offers_no_others(page: Page) -> None:
    await at(page, launch_url(lobby_url=LINKS["lobby_url"]) + "&parent_origin=https%3A%2F%2Fcasino.example")
    await page.wait_for_function("window.frame_ !== undefined")
    offered = "['exit', 'deposit', 'history'].map((place) => frame_.offers(place))"
    assert await page.evaluate(f"[frame_.framed, ...{offered}]") == [False, True, False, False]
    await page.evaluate("frame_.leave('deposit'), frame_.leave('exit')")
    await page.wait_for_url(LINKS["lobby_url"])


@pytest.mark.parametrize("place", ["exit", "deposit", "history"])
async def test_a_page_that_handles_nothing_follows_the_launch_urls_own_link(casino: Page, place: str) -> None:
    game = await launched(casino, launch_url(**LINKS), [])
    await say(game, "leave", place)
    await casino.wait_for_url(LINKS["lobby_url"])


async def test_without_a_lobby_the_game_is_taken_out_of_the_page(casino: Page) -> None:
    game = await launched(casino, launch_url(deposit_url="javascript:document.title='run'"), [])
    assert not await game.evaluate("frame_.offers('deposit')")
    await game.evaluate("parent.postMessage({croupier: 1, type: 'deposit'}, '*')")  # says so all the same
    await game.evaluate("parent.postMessage({croupier: 1, type: 'exit'}, '*')")
    await casino.wait_for_selector("iframe", state="detached")
    assert (await casino.title(), casino.url) == ("casino", f"{CASINO}/")


NOT_READ = [
    *(("lobby_url", url) for url in ("javascript:alert(1)", "data:text/html,x", "/lobby", "")),
    *(("lobby_url", url) for url in ("http://casino.example/", "https://a:b@casino.example/", "x" * 600)),
    *(("lang", "de_AT"), ("lang", "<b>"), ("device", "phone"), ("country", "at"), ("game", "<img>")),
]
NO_ORIGIN = ["*", "null", f"{CASINO}/", "http://casino.example", "javascript:", ""]


async def test_what_an_address_may_not_say_is_not_read(casino: Page) -> None:
    game = await launched(casino, launch_url())
    for name, value in NOT_READ:
        read = "(query) => window.read({ search: `?${new URLSearchParams([query])}`, hash: '' })"
        found = await game.evaluate(read, [name, value])
        assert set(found.values()) == {None}, (name, value)
    for origin in NO_ORIGIN:
        read = "(it) => window.read({ search: '', hash: `#${new URLSearchParams([['parent_origin', it]])}` })"
        assert (await game.evaluate(read, origin))["parentOrigin"] is None, origin


async def test_a_game_that_does_not_answer_is_said_with_what_to_look_at(casino: Page) -> None:
    await launched(casino, launch_url(), readyMs=1)
    ((kind, said),) = await heard(casino, 1)
    assert (kind, said["code"], said["fatal"]) == ("error", "frame-silent", False)
    assert CASINO in said["message"]
    assert "frame_origins" in said["message"]


async def test_only_a_web_address_is_launched(casino: Page) -> None:
    await casino.wait_for_function("window.launch !== undefined")
    tried = "(url) => { try { launch(url, []) } catch (error) { return error.name } }"
    for url in ("javascript:alert(1)", "data:text/html,x", "/play", ""):
        assert await casino.evaluate(tried, url) == "TypeError", url
    assert await casino.locator("iframe").count() == 0
