"""Pages from templates that escape whatever they are given: text from data never becomes markup."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from contracts.currencies import UnknownCurrency, exponent

# No script at all, so that nothing can be made to run one.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # With `no-referrer` browsers would send no origin with forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def money(amount: int | None, currency: str) -> str:
    """Minor units by the currency's exponent: 100 EUR are shown as 1.00 EUR."""
    if amount is None:
        return "-"
    try:
        decimals = exponent(currency)
    except UnknownCurrency:
        return f"{amount} minor units of {currency}"
    sign, digits = "-" if amount < 0 else "", str(abs(amount)).rjust(decimals + 1, "0")
    whole, part = (digits[:-decimals], f".{digits[-decimals:]}") if decimals else (digits, "")
    return f"{sign}{whole}{part} {currency}"


def recorded(text: str, currency: str) -> str:
    """What a workflow has recorded, with its amounts, which are in minor units, as `money` shows them."""
    return re.sub(
        rf"(?<![\d.-])(\d+) {re.escape(currency)}\b", lambda found: money(int(found[1]), currency), told(text)
    )


def told(text: str) -> str:
    """What has times as the API writes them, with each as pages show it."""
    return re.sub(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d{1,3})?)\d*(?:Z|\+00:00)", r"\1 \2", text)


def minute(at: datetime | None) -> str:
    """To the second, in UTC."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def instant(at: datetime | None) -> str:
    """To the millisecond, in UTC."""
    return "-" if at is None else f"{minute(at)}.{at.astimezone(UTC).microsecond // 1000:03}"


def round_path(round_id: str, player_id: str, mode: str, below: str = "") -> str:
    """The page of one round, or one below it. Ids are its player's own, so it says whose."""
    query = urlencode({"player_id": player_id, "mode": mode})
    return f"/console/rounds/{quote(round_id, safe='')}{below}?{query}"


def player_path(player_id: str, mode: str | None = None) -> str:
    """The page of a player; without a mode, of the one with real money if there is one, else with demo
    money."""
    path = f"/console/players/{quote(player_id, safe='')}"
    return path if mode is None else f"{path}?{urlencode({'mode': mode})}"


def game_path(game_id: str) -> str:
    """The page of a game."""
    return f"/console/games/{quote(game_id, safe='')}"


def webhook_path(webhook_id: str, event_id: str | None = None) -> str:
    """The page of a webhook, or of the delivery of an event to it."""
    path = f"/console/webhooks/{quote(webhook_id, safe='')}"
    return path if event_id is None else f"{path}/deliveries/{event_id}"


def delivery_state(state: str, *, disabled: bool) -> str:
    """How far a webhook is with an event, in words."""
    retried = "failed, and waits until the webhook is enabled" if disabled else "failed, and is being retried"
    return {
        "pending": retried,
        "dead": "given up",
        "disabled": "not sent, the webhook is disabled",
        "waiting": "not yet sent",
    }.get(state, state)


def list_path(**filters: str) -> str:
    """The list behind a number."""
    return f"/console/rounds?{urlencode(filters)}"


_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"money": money, "minute": minute, "instant": instant, "told": told}
_TEMPLATES.globals |= {
    "round_path": round_path,
    "list_path": list_path,
    "player_path": player_path,
    "webhook_path": webhook_path,
    "delivery_state": delivery_state,
}


def page(template: str, *, status: int = 200, headers: Mapping[str, str] = {}, **about: Any) -> Response:
    """A document from a template."""
    text = _TEMPLATES.get_template(template).render(**{"session": None, **about})
    return Response(text, status, headers={**HEADERS, **headers}, media_type="text/html; charset=utf-8")


def message(title: str, text: str, *, status: int, session: object = None) -> Response:
    """A page that says what is wrong, and what to do."""
    return page("message.html", status=status, title=title, text=text, session=session)


def redirect(path: str) -> Response:
    """To one of our own pages, which the browser then gets."""
    return Response(status_code=303, headers={**HEADERS, "location": path})
