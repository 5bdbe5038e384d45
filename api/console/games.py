"""Games: what they return in theory and in fact, what was staked and won, and whether they are on offer."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import Console, acts, of, reads
from api.console.forms import REASON_WANTED, Form, FormRefused, reason_of
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import game_path, message, page, redirect
from api.console.sessions import Session
from contracts.interventions import REASON_LIMIT
from overview.games import ABOVE, BELOW, Band, Expected, expected
from storage import game_figures
from storage.game_figures import Counted, Played, Reach, Switched

NOT_FOUND: Final = (
    "There is no game of this id, and you have no rounds of one. The list has those that there are."
)
ID_LIMIT: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one game, currency and money. `voids` is None where nothing counts them. `expected` is None where
    the game's mathematics are not known, or none of its rounds is among the newest."""

    currency: str
    rounds: int
    voids: int | None
    staked: int
    won: int
    expected: Expected | None

    @property
    def actual(self) -> str:
        return percent(self.won / self.staked) if self.staked else "-"

    @property
    def theory(self) -> str:
        if self.expected is None:
            return "not known"
        return f"{'at most ' if self.expected.at_most else ''}{percent(float(self.expected.mean))}"

    @property
    def band(self) -> Band | None:
        return None if self.expected is None or not self.staked else self.expected.band(self.rounds)

    @property
    def range(self) -> str:
        return "-" if self.band is None else f"{percent(self.band.low)} to {percent(self.band.high)}"

    @property
    def verdict(self) -> str:
        return "-" if self.band is None else self.band.verdict(self.staked, self.won)

    @property
    def outside(self) -> bool:
        return self.verdict in (BELOW, ABOVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """`about` is what the API says of its current version, None when it does not answer or has no such game.
    `versions` have been played lately, with how many rounds."""

    game_id: str
    about: dict[str, Any] | None
    enabled: bool
    switched_at: datetime | None
    real: list[Figures]
    demo: list[Figures]
    versions: dict[str, int]

    @property
    def title(self) -> str:
        return self.game_id if self.about is None else str(self.about["title"])

    @property
    def path(self) -> str:
        return game_path(self.game_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`away` says why the API did not tell which games there are; the reaches are of the newest rounds."""

    games: list[Game]
    away: str | None
    real: Reach
    demo: Reach


@reads
async def games_page(request: Request, session: Session) -> Response:
    """Every game that can be played, and every one that was."""
    found = await _find(of(request), session)
    return page("games.html", session=session, found=found)


@reads
async def game_page(request: Request, session: Session) -> Response:
    return await _shown(of(request), session, request.path_params["game_id"])


@acts
async def switch_game(request: Request, session: Session, form: Form) -> Response:
    """Asks first; `confirmed`, switches the game off or on through the API."""
    console, game_id, wanted = of(request), request.path_params["game_id"], form.get("enabled")
    if not session.decides:
        raise FormRefused(403, "You only read here: the scope operator or admin switches games.")
    game = await _one(console, session, game_id)
    if game is None or wanted not in ("yes", "no"):
        return message("No such game", NOT_FOUND, status=404, session=session)
    reason, confirmed, enabled = reason_of(form), form.get("confirmed") == "yes", wanted == "yes"
    if reason is None or not confirmed:
        return page(
            "game_switch.html",
            status=422 if confirmed else 200,
            session=session,
            game=game,
            enabled=enabled,
            problem=REASON_WANTED if confirmed else None,
            reason_limit=REASON_LIMIT,
        )
    try:
        await console.api.switch_game(session.key, game_id=game_id, enabled=enabled, reason=reason)
    except ApiRefused as refused:
        return await _shown(console, session, game_id, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(console, session, game_id, problem=str(away), status=503)
    return redirect(game_path(game_id))


async def _shown(
    console: Console, session: Session, game_id: str, *, problem: str | None = None, status: int = 200
) -> Response:
    if not game_id.isprintable() or len(game_id) > ID_LIMIT:
        return message("No such game", NOT_FOUND, status=404, session=session)
    found = await _find(console, session, game_id)
    if not found.games:
        return message("No such game", NOT_FOUND, status=404, session=session)
    return page(
        "game.html", status=status, session=session, game=found.games[0], found=found, problem=problem
    )


async def _one(console: Console, session: Session, game_id: str) -> Game | None:
    if not game_id.isprintable():
        return None
    games = (await _find(console, session, game_id)).games
    return games[0] if games else None


async def _find(console: Console, session: Session, game_id: str | None = None) -> Found:
    """One game, or all of them, by id."""
    pool, operator_id, away = console.pool, session.operator_id, None
    about: dict[str, dict[str, Any]] = {}
    try:
        about = {one["id"]: one for one in await console.api.games(session.key)}
    except (ApiAway, ApiRefused) as problem:
        away = str(problem)
    counted = await game_figures.counted(pool, operator_id, game_id)
    switched = {one.game_id: one for one in await game_figures.switched(pool, operator_id, game_id)}
    real = await game_figures.newest(pool, operator_id, game_id, demo=False)
    demo = await game_figures.newest(pool, operator_id, game_id, demo=True)
    played = {one.game_id for one in counted} | {one.game_id for one in (*real, *demo)}
    ids = played | switched.keys() | about.keys()
    # The mathematics of a slot take their time, and other people's pages shall not wait for them.
    games = await asyncio.to_thread(
        lambda: [
            _game(each, about.get(each), switched.get(each), counted, real, demo)
            for each in sorted(ids)
            if game_id in (None, each)
        ]
    )
    return Found(
        games=games,
        away=away,
        real=await game_figures.reach(pool, operator_id, demo=False),
        demo=await game_figures.reach(pool, operator_id, demo=True),
    )


def _game(
    game_id: str,
    about: dict[str, Any] | None,
    switched: Switched | None,
    counted: Sequence[Counted],
    real: Sequence[Played],
    demo: Sequence[Played],
) -> Game:
    mine, mine_demo = _of(game_id, real), _of(game_id, demo)
    versions: dict[str, int] = {}
    for one in (*mine, *mine_demo):
        versions[one.game_version] = versions.get(one.game_version, 0) + one.rounds
    return Game(
        game_id=game_id,
        about=about,
        enabled=switched is None or switched.enabled,
        switched_at=None if switched is None else switched.updated_at,
        real=[_real(one, mine) for one in counted if one.game_id == game_id],
        demo=[_demo(currency, mine_demo) for currency in sorted({one.currency for one in mine_demo})],
        versions=versions,
    )


def _real(one: Counted, played: Sequence[Played]) -> Figures:
    """All rounds that were counted, with the expectation of the newest."""
    return Figures(
        currency=one.currency,
        rounds=one.rounds,
        voids=one.voids,
        staked=one.staked,
        won=one.won,
        expected=expected([each for each in played if each.currency == one.currency]),
    )


def _demo(currency: str, played: Sequence[Played]) -> Figures:
    alike = [one for one in played if one.currency == currency]
    return Figures(
        currency=currency,
        rounds=sum(one.rounds for one in alike),
        voids=None,
        staked=sum(one.staked for one in alike),
        won=sum(one.won for one in alike),
        expected=expected(alike),
    )


def _of(game_id: str, played: Iterable[Played]) -> list[Played]:
    return [one for one in played if one.game_id == game_id]


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"
