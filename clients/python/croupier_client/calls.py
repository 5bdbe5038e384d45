"""Every call of the API as steps: what to send, and what the answer means."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import quote
from uuid import uuid4

from croupier_client.models import (
    Balance,
    Decision,
    Event,
    GameInfo,
    Money,
    Moved,
    Page,
    Posting,
    Round,
    RoundState,
    SeedRotation,
    Session,
    SessionOpened,
    page_of,
)
from croupier_client.steps import Patience, Pause, Request, Steps, exchange

Strategy: TypeAlias = Callable[[Round], Decision]
POLL_S = 0.5


def new_id() -> str:
    """An idempotency key: 32 characters that nobody had before."""
    return uuid4().hex


class GameCalls:
    """What a player's game client may ask."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def session(self) -> Steps[Session]:
        return self._get("/v1/game/session", Session.parse)

    def balance(self) -> Steps[Money]:
        return self._get("/v1/game/balance", lambda body: Money.parse(body["balance"]))

    def bet(
        self, stake: int, choice: Mapping[str, Any] | None, *, mode: str, round_id: str | None
    ) -> Steps[Round]:
        body: dict[str, Any] = {"round_id": round_id or new_id(), "stake": stake, "mode": mode}
        if choice is not None:
            body["choice"] = choice
        # The same bet once more waits for its end, and starts it should nothing be stored of it.
        return self._until_certain(Request("POST", "/v1/game/rounds", body=body))

    def act(
        self, round_id: str, action: str, params: Mapping[str, Any] | None, *, action_id: str | None
    ) -> Steps[Round]:
        body: dict[str, Any] = {"action_id": action_id or new_id(), "action": action}
        if params is not None:
            body["params"] = params
        return self._until_certain(Request("POST", f"{_path(round_id)}/actions", body=body))

    def finish(self, round_: Round, strategy: Strategy) -> Steps[Round]:
        """Plays an open round to its end: each time it offers choices, `strategy` decides."""
        while not round_.state.final:
            if round_.state is RoundState.AWAITING_CHOICE:
                decision = strategy(round_)
                round_ = yield from self.act(
                    round_.round_id, decision.action, decision.params, action_id=None
                )
            else:
                yield Pause(POLL_S)
                round_ = yield from self._until_certain(Request("GET", _path(round_.round_id)))
        return round_

    def round(self, round_id: str) -> Steps[Round]:
        return self._get(_path(round_id), Round.parse)

    def rounds(self, cursor: str | None, limit: int) -> Steps[Page[Round]]:
        return self._get("/v1/game/rounds", page_of(Round.parse), query(cursor=cursor, limit=limit))

    def rotate_seed(self, client_seed: str, server_seed_hash: str | None) -> Steps[SeedRotation]:
        body = {"client_seed": client_seed}
        if server_seed_hash is not None:
            body["server_seed_hash"] = server_seed_hash
        return exchange(Request("POST", "/v1/game/seed", body=body), SeedRotation.parse, self._patience)

    def report(self, events: list[Mapping[str, Any]]) -> Steps[None]:
        request = Request("POST", "/v1/game/events", body={"events": events})
        return exchange(request, lambda _: None, self._patience)

    def _until_certain(self, request: Request) -> Steps[Round]:
        """A round that is final or awaits a choice: it is asked again while the casino is at it."""
        return exchange(
            request, Round.parse, self._patience, unfinished=lambda round_: round_.state.under_way
        )

    def _get(self, path: str, parse: Any, params: Mapping[str, str | int] | None = None) -> Steps[Any]:
        return exchange(Request("GET", path, params or {}), parse, self._patience)


class OperatorCalls:
    """What an operator may ask."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def games(self) -> Steps[tuple[GameInfo, ...]]:
        return self._send(
            Request("GET", "/v1/games"), lambda body: tuple(GameInfo.parse(game) for game in body["items"])
        )

    def open_session(self, body: Mapping[str, Any]) -> Steps[SessionOpened]:
        # A repeat opens a second session, which no caller has and which ends by itself.
        return self._send(Request("POST", "/v1/operator/sessions", body=body), SessionOpened.parse)

    def end_session(self, session_id: str) -> Steps[None]:
        return self._send(Request("DELETE", f"/v1/operator/sessions/{_word(session_id)}"), lambda _: None)

    def move(self, kind: str, player_id: str, amount: Money, transaction_id: str | None) -> Steps[Moved]:
        """`kind`: "deposits" or "withdrawals"."""
        body = {
            "transaction_id": transaction_id or new_id(),
            "amount": {"amount": amount.amount, "currency": amount.currency},
        }
        return self._send(
            Request("POST", f"/v1/operator/players/{_word(player_id)}/{kind}", body=body), Moved.parse
        )

    def balance(self, player_id: str, currency: str) -> Steps[Balance]:
        path = f"/v1/operator/players/{_word(player_id)}/balance"
        return self._send(Request("GET", path, {"currency": currency}), Balance.parse)

    def statement(self, player_id: str, filters: Mapping[str, str | int]) -> Steps[Page[Posting]]:
        path = f"/v1/operator/players/{_word(player_id)}/statement"
        return self._send(Request("GET", path, filters), page_of(Posting.parse))

    def rounds(self, filters: Mapping[str, str | int]) -> Steps[Page[Round]]:
        return self._send(Request("GET", "/v1/operator/rounds", filters), page_of(Round.parse))

    def round(self, round_id: str, player_id: str | None) -> Steps[Round]:
        path = f"/v1/operator/rounds/{_word(round_id)}"
        return self._send(Request("GET", path, query(player_id=player_id)), Round.parse)

    def decide(
        self, kind: str, round_id: str, body: Mapping[str, Any], player_id: str | None
    ) -> Steps[Round]:
        """`kind`: "void" or "resolve". Never repeated: the caller checks the round first."""
        path = f"/v1/operator/rounds/{_word(round_id)}/{kind}"
        return self._send(
            Request("POST", path, query(player_id=player_id), body, repeatable=False), Round.parse
        )

    def events(self, after: str | None, limit: int) -> Steps[Page[Event]]:
        request = Request("GET", "/v1/operator/events", query(after=after, limit=limit))
        return self._send(request, page_of(Event.parse))

    def switch(self, kind: str, name: str, body: Mapping[str, bool]) -> Steps[Mapping[str, Any]]:
        """`kind`: "games" or "players"."""
        return self._send(Request("PUT", f"/v1/operator/{kind}/{_word(name)}", body=body), dict)

    def _send(self, request: Request, parse: Any) -> Steps[Any]:
        return exchange(request, parse, self._patience)


def _path(round_id: str) -> str:
    return f"/v1/game/rounds/{_word(round_id)}"


def _word(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def query(**values: str | int | None) -> dict[str, str | int]:
    """Those that are given."""
    return {name: value for name, value in values.items() if value is not None}


def filters_of(filters: Mapping[str, str | datetime]) -> dict[str, str | int]:
    """`since` and `until` are `from` and `to` in the API, and one of them is a word of Python's."""
    names = {"since": "from", "until": "to"}
    return {
        names.get(name, name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in filters.items()
    }
