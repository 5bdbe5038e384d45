"""The operator's calls: sessions, switches, deposits and withdrawals, balances, statements and the history of
its rounds."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from api.authentication import Deps, GameServer, Operator
from api.game_calls import REPLAYED
from api.game_routes import ID_PATTERN
from api.models import (
    PROBLEM_RESPONSES,
    CallerId,
    Currency,
    Deposit,
    Deposited,
    GameId,
    GameSwitched,
    Moment,
    OpenSession,
    OperatorBalance,
    OperatorRoundPage,
    OperatorRoundRecord,
    OperatorSession,
    PlayerSwitched,
    SessionMode,
    SessionOpened,
    StatementPage,
    SwitchGame,
    SwitchPlayer,
    Withdrawal,
    Withdrawn,
    repeat,
)
from api.problems import Problem, problems
from api.services import Services
from api.shapes import (
    cursor,
    moment,
    money,
    operator_record_body,
    operator_round_body,
    operator_session_body,
    position,
    statement_item,
)
from api.strict_json import StrictRoute
from contracts import failures
from contracts.jurisdictions import UnknownCurrency, UnknownJurisdiction, jurisdiction
from contracts.limits import SessionLimits
from contracts.movements import StatementFilter, WithdrawalView
from contracts.rounds import RoundState
from contracts.sessions import DEMO
from contracts.views import ApiKeyView, DepositView, RoundFilter
from games.checks import ladder
from games.protocol import Game
from games.registry import UnknownGame

router = APIRouter(
    prefix="/v1/operator",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)

PlayerId = Annotated[str, Path(pattern=ID_PATTERN)]
WhichMoney = Annotated[SessionMode, Query(description="`demo`: those of play money, which are apart")]


@router.post(
    "/sessions",
    tags=["Session API"],
    status_code=201,
    response_model=SessionOpened,
    responses=problems("not-found", "stake-not-allowed", "currency-mismatch"),
)
async def open_session(body: OpenSession, operator: GameServer, services: Deps) -> JSONResponse:
    """Opens a session; the player is made by the first one. The token goes to the game client."""
    game = _game(body.game_id, services)
    limits = _limits(body, game)
    session, token = await services.sessions.open(
        operator_id=operator.operator_id,
        player_id=body.player_id,
        game_id=body.game_id,
        currency=body.currency,
        client_seed=body.client_seed,
        mode=body.mode,
        jurisdiction=body.jurisdiction,
        limits=limits,
    )
    fragment = urlencode({"token": token})
    return JSONResponse(
        {
            "session_id": session.session_id,
            "token": token,
            "launch_url": f"{services.game_client_url}?{urlencode({'game': body.game_id})}#{fragment}",
            "expires_at": moment(session.expires_at),
            "limits": limits.as_json(),
            "enabled": session.enabled,
        },
        201,
    )


def _game(game_id: str, services: Services) -> Game:
    try:
        return services.games.get(game_id)
    except UnknownGame:
        raise Problem("not-found", "There is no such game; GET /v1/games lists them.") from None


def _limits(body: OpenSession, game: Game) -> SessionLimits:
    """Of the jurisdiction's and the operator's limits the stricter ones, and a ladder on which something is
    left: a session that can take no bet at all is a mistake that shows at once."""
    try:
        rules = jurisdiction(body.jurisdiction).limits(body.currency)
    except UnknownJurisdiction as unknown:
        raise Problem("invalid", f"jurisdiction: {unknown}") from None
    except UnknownCurrency as unknown:
        raise Problem(failures.CURRENCY_MISMATCH, f"jurisdiction: {unknown}") from None
    asked = {} if body.limits is None else body.limits.model_dump()
    stakes = asked.pop("stakes", None)
    own = SessionLimits(**asked, stakes=None if stakes is None else tuple(sorted(set(stakes))))
    steps = {stake for mode in game.modes for stake in ladder(game, mode)}
    if not steps.issuperset(own.stakes or ()):
        raise Problem(failures.STAKE_NOT_ALLOWED, "limits.stakes: not all of them are on the game's ladder")
    limits = own.stricter(rules)
    if not any(limits.allows(stake) for stake in steps):
        raise Problem(failures.STAKE_NOT_ALLOWED, "limits: they allow no stake of the game's ladder")
    return limits


@router.get(
    "/sessions/{session_id}",
    tags=["Session API"],
    response_model=OperatorSession,
    responses=problems("not-found"),
)
async def session_(
    session_id: Annotated[str, Path(pattern=ID_PATTERN)], operator: GameServer, services: Deps
) -> JSONResponse:
    """One session: whether it takes bets, until when, and within which limits."""
    found = await services.sessions.find(operator_id=operator.operator_id, session_id=session_id)
    if found is None:
        raise Problem("not-found", "There is no such session.")
    return JSONResponse(operator_session_body(found, now=datetime.now(UTC)))


@router.delete(
    "/sessions/{session_id}", tags=["Session API"], status_code=204, responses=problems("not-found")
)
async def end_session(
    session_id: Annotated[str, Path(pattern=ID_PATTERN)], operator: GameServer, services: Deps
) -> Response:
    """Ends a session: it takes no more bets, and rounds in flight finish."""
    if not await services.sessions.end(operator_id=operator.operator_id, session_id=session_id):
        raise Problem("not-found", "There is no such session.")
    services.pushes.session_ended(session_id)
    return Response(status_code=204)


@router.put(
    "/games/{game_id}", tags=["Session API"], response_model=GameSwitched, responses=problems("not-found")
)
async def switch_game(
    game_id: Annotated[GameId, Path()], body: SwitchGame, operator: Operator, services: Deps
) -> JSONResponse:
    """Switches a game off, or on again, for this operator's players. Rounds under way finish; a new bet is
    refused with `game-disabled`."""
    _game(game_id, services)
    await services.switches.switch(operator_id=operator.operator_id, game_id=game_id, enabled=body.enabled)
    return JSONResponse({"game_id": game_id, "enabled": body.enabled})


@router.put(
    "/players/{player_id}",
    tags=["Session API"],
    response_model=PlayerSwitched,
    responses=problems("not-found"),
)
async def switch_player(
    player_id: PlayerId, body: SwitchPlayer, operator: Operator, services: Deps
) -> JSONResponse:
    """Blocks a player, or lets the player bet again, with real money and with play money. Rounds under way
    finish; a new bet is refused with `player-blocked`."""
    if not await services.players.block(
        operator_id=operator.operator_id, player_id=player_id, blocked=body.blocked
    ):
        raise Problem("not-found", "There is no such player; the first session or deposit makes one.")
    return JSONResponse({"player_id": player_id, "blocked": body.blocked})


@router.post(
    "/players/{player_id}/deposits",
    tags=["Wallet API"],
    status_code=201,
    response_model=Deposited,
    responses={**repeat(Deposited), **problems("id-reused", "limit-exceeded", "wrong-state")},
)
async def deposit(player_id: PlayerId, body: Deposit, operator: Operator, services: Deps) -> JSONResponse:
    """Credits the player, once per transaction id. An id names one deposit or one withdrawal of the player,
    for ever: what was used for the one is refused for the other. Refused where the operator's own wallet
    keeps the money."""
    _need_our_ledger(operator, services)
    done = await services.players.deposit(
        operator_id=operator.operator_id,
        player_id=player_id,
        transaction_id=body.transaction_id,
        amount=body.amount.amount,
        currency=body.amount.currency,
    )
    if done.result == "reused":
        raise Problem(
            failures.ID_REUSED, "This transaction id belongs to another deposit or withdrawal of the player."
        )
    if done.result == "too-much":
        raise Problem(
            "limit-exceeded",
            "No balance may exceed 2^53 - 1 minor units.",
            balance=money(done.available, body.amount.currency),
        )
    return _moved(body, done)


@router.post(
    "/players/{player_id}/withdrawals",
    tags=["Wallet API"],
    status_code=201,
    response_model=Withdrawn,
    responses={
        **repeat(Withdrawn),
        **problems("not-found", "id-reused", "insufficient-funds", "wrong-state"),
    },
)
async def withdraw(player_id: PlayerId, body: Withdrawal, operator: Operator, services: Deps) -> JSONResponse:
    """Pays out to the player, once per transaction id, and never out of what open rounds hold. An id names
    one deposit or one withdrawal of the player, for ever. A refusal is not remembered: the same withdrawal
    may come again when the balance covers it. Refused where the operator's own wallet keeps the money."""
    _need_our_ledger(operator, services)
    done = await services.players.withdraw(
        operator_id=operator.operator_id,
        player_id=player_id,
        transaction_id=body.transaction_id,
        amount=body.amount.amount,
        currency=body.amount.currency,
    )
    if done is None:
        raise Problem("not-found", "There is no such player; the first session or deposit makes one.")
    if done.result == "reused":
        raise Problem(
            failures.ID_REUSED, "This transaction id belongs to another deposit or withdrawal of the player."
        )
    if done.result == failures.INSUFFICIENT_FUNDS:
        raise Problem(
            failures.INSUFFICIENT_FUNDS,
            "The available balance does not cover the withdrawal.",
            balance=money(done.available, body.amount.currency),
        )
    return _moved(body, done)


def _need_our_ledger(operator: ApiKeyView, services: Services) -> None:
    if services.players.kept_elsewhere(operator.operator_id):
        raise Problem("wrong-state", "The operator's own wallet keeps its players' money: turn to that.")


def _moved(body: Deposit | Withdrawal, done: DepositView | WithdrawalView) -> JSONResponse:
    replayed = done.result == "replayed"
    answer = {
        "transaction_id": body.transaction_id,
        "balance": money(done.available, body.amount.currency),
    }
    return JSONResponse(answer, 200 if replayed else 201, headers=REPLAYED if replayed else None)


@router.get(
    "/players/{player_id}/balance",
    tags=["Wallet API"],
    response_model=OperatorBalance,
    responses=problems("not-found", "wrong-state"),
)
async def balance(
    player_id: PlayerId, currency: Annotated[Currency, Query()], operator: Operator, services: Deps
) -> JSONResponse:
    """The player's balance in one currency, with what open rounds hold. Refused where the operator's own
    wallet keeps the money: that is where to ask, for our ledger only mirrors the rounds under way."""
    _need_our_ledger(operator, services)
    found = await services.players.balance(
        operator_id=operator.operator_id, player_id=player_id, currency=currency
    )
    if found is None:
        raise Problem("not-found", "The player has no account in this currency.")
    return JSONResponse(
        {
            "balance": money(found.available, currency),
            "held": money(found.held, currency),
            "total": money(found.balance, currency),
        }
    )


@router.get(
    "/players/{player_id}/statement",
    tags=["Wallet API"],
    response_model=StatementPage,
    responses=problems("not-found"),
)
async def statement(
    player_id: PlayerId,
    operator: Operator,
    services: Deps,
    currency: Annotated[Currency | None, Query(description="one wallet; all when not given")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="at or after")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The postings on the player's accounts, newest first."""
    player_key = await services.players.find(operator_id=operator.operator_id, player_id=player_id)
    if player_key is None:
        raise Problem("not-found", "There is no such player; the first session or deposit makes one.")
    wanted = StatementFilter(player_key=player_key, currency=currency, since=since, until=until)
    entries, following = await services.players.statement(wanted, before=position(cursor_), limit=limit)
    return JSONResponse(
        {"items": [statement_item(entry) for entry in entries], "next_cursor": cursor(following)}
    )


@router.get("/rounds", tags=["Result API"], response_model=OperatorRoundPage)
async def rounds(
    operator: GameServer,
    services: Deps,
    player_id: Annotated[CallerId | None, Query()] = None,
    game_id: Annotated[CallerId | None, Query()] = None,
    state: Annotated[RoundState | None, Query()] = None,
    mode: WhichMoney = "real",
    since: Annotated[Moment | None, Query(alias="from", description="started at or after")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="started before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The operator's rounds, newest first; those of play money with `mode=demo`."""
    player_key = await _player_key(operator, player_id, mode, services)
    wanted = RoundFilter(
        operator_id=operator.operator_id,
        player_key=player_key,
        game_id=game_id,
        state=state,
        since=since,
        until=until,
        demo=mode == DEMO,
    )
    items, following = await services.rounds.page(wanted, before=position(cursor_), limit=limit)
    return JSONResponse(
        {"items": [operator_round_body(view) for view in items], "next_cursor": cursor(following)}
    )


@router.get(
    "/rounds/{round_id}",
    tags=["Result API"],
    response_model=OperatorRoundRecord,
    responses=problems("not-found"),
)
async def round_(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)],
    operator: GameServer,
    services: Deps,
    player_id: Annotated[CallerId | None, Query()] = None,
    mode: WhichMoney = "real",
) -> JSONResponse:
    """One round with every call of the operator's wallet, every decision of a person, and its event. A round
    id is its player's own: where two players used the same one, say whose."""
    player_key = await _player_key(operator, player_id, mode, services)
    wanted = RoundFilter(
        operator_id=operator.operator_id, player_key=player_key, round_id=round_id, demo=mode == DEMO
    )
    found, _ = await services.rounds.page(wanted, limit=2)
    if not found:
        raise Problem("not-found", "There is no such round.")
    if len(found) > 1:
        raise Problem("invalid", "player_id: several players have a round of this id; say whose")
    return JSONResponse(operator_record_body(await services.rounds.record(found[0].key)))


async def _player_key(
    operator: ApiKeyView, player_id: str | None, mode: SessionMode, services: Services
) -> int | None:
    """The key to filter by, None for any player. A player whom the operator does not have has no rounds,
    and no key is that player's: 0."""
    if player_id is None:
        return None
    key = await services.players.find(
        operator_id=operator.operator_id, player_id=player_id, demo=mode == DEMO
    )
    return key or 0
