"""History over HTTP: complete, in order, each round once, while new rounds arrive; for its owner alone."""

import pytest

from tests.e2e.parties import Operator, Player, checked_problem, checked_round

BAD_CURSORS = [
    "", "x", "r1", "cjE==", "cg", "MTI", "ci0x", "\0", "-1", "cjE\n", "Ω",
    "cjk5OTk5OTk5OTk5OTk5OTk5OTk5OQ", "a" * 65,
]  # fmt: skip


async def ids_of(player: Player, limit: int) -> list[str]:
    return [r["round_id"] for r in await player.history(limit)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_hold_every_round_once_newest_first(seven_rounds: Player, limit: int) -> None:
    assert await ids_of(seven_rounds, limit) == [f"h-{number}" for number in reversed(range(7))]


async def test_a_page_shows_each_round_as_its_own_address_does(seven_rounds: Player) -> None:
    for listed in (await seven_rounds.call("GET", "/rounds")).json()["items"]:
        response = await seven_rounds.call("GET", f"/rounds/{listed['round_id']}")
        assert checked_round(response) == listed


async def test_the_last_page_has_no_next_one_even_when_it_is_full(seven_rounds: Player) -> None:
    page = (await seven_rounds.call("GET", "/rounds", params={"limit": 7})).json()
    assert (len(page["items"]), page["next_cursor"]) == (7, None)


async def test_pages_stay_as_they_were_while_new_rounds_arrive(player: Player) -> None:
    old = [(await player.played())["round_id"] for _ in range(6)]
    seen: list[str] = []
    page = (await player.call("GET", "/rounds", params={"limit": 2})).json()
    while True:
        seen += [r["round_id"] for r in page["items"]]
        if page["next_cursor"] is None:
            break
        await player.played()
        page = (
            await player.call("GET", "/rounds", params={"limit": 2, "cursor": page["next_cursor"]})
        ).json()
    assert seen == old[::-1]


async def test_a_player_without_rounds_has_an_empty_history(operator: Operator) -> None:
    player = await operator.open_session()
    assert (await player.call("GET", "/rounds")).json() == {"items": [], "next_cursor": None}


async def test_a_history_holds_all_games_and_sessions_of_the_player(operator: Operator) -> None:
    dice = await operator.open_session(balance=1_000)
    slot = await operator.open_session(dice.player_id, game_id="fruit-lines")
    played = [await dice.played(), await slot.played(stake=10)]
    assert await dice.history() == await slot.history() == played[::-1]


async def test_a_cursor_of_another_player_shows_nothing_of_theirs(
    seven_rounds: Player, player: Player
) -> None:
    own = await player.played()
    stolen = (await seven_rounds.call("GET", "/rounds", params={"limit": 1})).json()["next_cursor"]
    page = (await player.call("GET", "/rounds", params={"cursor": stolen})).json()
    assert all(r["round_id"] == own["round_id"] for r in page["items"])


@pytest.mark.parametrize("cursor", BAD_CURSORS)
async def test_a_cursor_of_ones_own_making_is_refused(player: Player, cursor: str) -> None:
    for response in (
        await player.call("GET", "/rounds", params={"cursor": cursor}),
        await player.operator.call("GET", "/rounds", params={"cursor": cursor}),
    ):
        checked_problem(response, 422, "invalid")


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1.5", "x", "", "1e2", "9" * 40])
async def test_a_limit_out_of_range_is_refused(player: Player, limit: str) -> None:
    checked_problem(await player.call("GET", "/rounds", params={"limit": limit}), 422, "invalid")


@pytest.mark.parametrize("name", ["Limit", "page", "state"])
async def test_a_parameter_that_is_not_known_is_refused_and_not_ignored(player: Player, name: str) -> None:
    problem = checked_problem(await player.call("GET", "/rounds", params={name: "1"}), 422, "invalid")
    assert problem["detail"].startswith(f"query.{name}: ")


@pytest.fixture(scope="session")
async def seven_rounds(operator: Operator) -> Player:
    player = await operator.open_session(balance=10_000)
    for number in range(7):
        await player.played(round_id=f"h-{number}")
    return player


@pytest.mark.parametrize("game_id", ["dice", "fruit-lines"])
async def test_a_settled_round_is_computed_again_for_its_operator(
    operator: Operator, rival: Operator, game_id: str
) -> None:
    player = await operator.open_session(game_id=game_id, balance=10_000)
    round_ = await player.played()
    path = f"/rounds/{round_['round_id']}/replay"
    replayed = (await operator.call("GET", path)).json()
    assert replayed == {
        "round_id": round_["round_id"],
        "reproduced": True,
        "why": None,
        "outcome": round_["outcome"],
        "win": round_["win"],
    }
    checked_problem(await rival.call("GET", path), 404, "not-found")
    checked_problem(await operator.call("GET", "/rounds/nothing/replay"), 404, "not-found")
