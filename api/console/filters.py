"""What a list of rounds is filtered by: read from its address, and written into the addresses of others."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from api.gateway.paging import position
from api.gateway.problems import Problem
from contracts.rounds import RoundState
from contracts.sessions import DEMO
from contracts.views import RoundFilter

NAMES: Final = ("player_id", "game_id", "state", "mode", "currency", "failure", "from", "to")
TEXT_LIMIT: Final = 64
CURRENCY: Final = re.compile(r"[A-Z][A-Z0-9]{2,9}")


@dataclass(frozen=True, slots=True)
class Filters:
    """`values` are as the address has them; `problems` say what of them is no filter."""

    values: dict[str, str]
    state: RoundState | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def demo(self) -> bool:
        return self.values["mode"] == DEMO

    @property
    def query(self) -> str:
        """Of the same list, from its begin."""
        return urlencode({name: value for name, value in self.values.items() if value})

    def wanted(self, operator_id: str, player_key: int | None) -> RoundFilter:
        """For one operator's rounds, and no other's."""
        return RoundFilter(
            operator_id=operator_id,
            player_key=player_key,
            game_id=self.values["game_id"] or None,
            state=self.state,
            since=self.since,
            until=self.until,
            demo=self.demo,
            failure_code=self.values["failure"] or None,
            currency=self.values["currency"] or None,
        )


def filters(query: QueryParams) -> Filters:
    """Of an address, which a person may have typed."""
    values = {name: query.get(name, "").strip() for name in NAMES}
    values["mode"] = values["mode"] or "real"
    problems: list[str] = [
        f"{name}: longer than {TEXT_LIMIT}" for name in NAMES if len(values[name]) > TEXT_LIMIT
    ]
    problems += [
        f"{name}: has a character that no id has" for name in NAMES if not values[name].isprintable()
    ]
    if values["mode"] not in ("real", DEMO):
        problems.append("mode: real or demo")
    if values["currency"] and not CURRENCY.fullmatch(values["currency"]):
        problems.append("currency: a code in capitals, such as EUR")
    since, until = (_moment(name, values[name], problems) for name in ("from", "to"))
    if since is not None and until is not None and since >= until:
        problems.append("from: a moment before the one in to")
    return Filters(
        values,
        state=_state(values["state"], problems),
        since=since,
        until=until,
        before=_place(query.get("cursor"), problems),
        problems=problems,
    )


def _state(text: str, problems: list[str]) -> RoundState | None:
    try:
        return RoundState(text) if text else None
    except ValueError:
        problems.append(f"state: one of {', '.join(state.value for state in RoundState)}")
        return None


def _moment(name: str, text: str, problems: list[str]) -> datetime | None:
    """What has no zone is UTC, as forms send it."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        problems.append(f"{name}: a moment such as 2026-11-27T19:30")
        return None
    if found is None:
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        problems.append(f"{name}: out of range")
        return None


def _place(text: str | None, problems: list[str]) -> int | None:
    try:
        return position(text)
    except Problem:
        problems.append("cursor: go on from a page of the list")
        return None
