"""This moment as tables of texts and links, which the server writes and its page's script rewrites."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from api.console.drawing import duration
from api.console.pages import list_path, minute
from contracts.sessions import DEMO
from overview.model import Stuck
from overview.now import Now, WalletNow
from storage.now import COUNTED, WebhookNow
from storage.stuck import OpenNow

# By stage, the state that lists its rounds. Only a wallet is asked for stakes, and takes results: not of demo
# money.
STAGES: Final = {
    "asked": "pending",
    "pending": "pending",
    "awaiting_choice": "awaiting_choice",
    "settling": "settling",
}
DEMO_STAGES: Final = ("pending", "awaiting_choice")
OF_STAGES: Final = (
    "asked: the wallet has not answered for the stake. pending: the stake is held, without a result yet."
    " awaiting_choice: the player decides. settling: the wallet has not taken the result."
)
OF_PACE: Final = (
    "Of your newest rounds with real money, those that did not wait for their player: from hold to end."
)
# Youngest first, with how long ago its rounds began: at least, and less than.
AGES: Final = (
    ("Under a minute", timedelta(0), timedelta(minutes=1)),
    ("Under an hour", timedelta(minutes=1), timedelta(hours=1)),
    ("Under a day", timedelta(hours=1), timedelta(days=1)),
    ("A day and more", timedelta(days=1), None),
)
# An event is on its way for some milliseconds, a webhook's for a second. What waits longer than this, waits.
LATE: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Cell:
    """`href` is the list behind a number; `bad` is what somebody should look at."""

    text: str
    href: str | None = None
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A table; the first cell of a row is its heading. `nothing` stands in its place while it has no row,
    and `note` says what is in it."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    nothing: str = ""
    note: str = ""


def panels(now: Now) -> list[Panel]:
    """In the order of the page."""
    return [
        _open(now),
        _overdue(now),
        _incidents(now),
        _rounds(now),
        _wallet(now),
        _events(now),
        _webhooks(now),
    ]


def document(now: Now) -> dict[str, Any]:
    """As JSON has it: what of the page is new."""
    return {
        "as_of": clock(now.moment),
        "incidents": sum(one.incidents for one in now.incidents),
        "panels": {
            panel.key: [[asdict(cell) for cell in row] for row in panel.rows] for panel in panels(now)
        },
    }


def clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def _open(now: Now) -> Panel:
    """Every stage, with a 0 where nothing is: rows that come and go are hard to read."""
    rows = [_stage(now, state, demo=False) for state in STAGES]
    rows += [_stage(now, state, demo=True) for state in DEMO_STAGES]
    columns = ("Stage", "Money", *(name for name, *_ in AGES), "All", "Oldest for")
    return Panel(key="open", title="Open rounds", columns=columns, rows=rows, note=OF_STAGES)


def _stage(now: Now, state: str, *, demo: bool) -> list[Cell]:
    found = [one for one in now.open_rounds if (one.state, one.demo) == (state, demo)]
    mode = DEMO if demo else "real"
    all_ = list_path(state=STAGES[state], mode=mode)
    counts = [_of_age(now, found, age, f"{all_}&") for age in range(len(AGES))]
    oldest = _for(now.moment, min((one.oldest for one in found), default=None))
    total = _count(sum(one.rounds for one in found))
    return [Cell(state), Cell(mode), *counts, Cell(total, all_), Cell(oldest)]


def _of_age(now: Now, found: list[OpenNow], age: int, all_: str) -> Cell:
    _, least, most = AGES[age]
    span = {"to": now.moment - least} if least else {}
    span |= {} if most is None else {"from": now.moment - most}
    query = list_path(**{name: f"{at:%Y-%m-%dT%H:%M:%S}" for name, at in span.items()}).partition("?")[2]
    return Cell(_count(sum(one.rounds for one in found if one.age == age)), f"{all_}{query}")


def _overdue(now: Now) -> Panel:
    rows = [
        [
            Cell(one.round_id or one.subject, _round(one)),
            Cell(one.why),
            Cell(_for(now.moment, one.since), bad=True),
        ]
        for one in now.overdue
    ]
    if more := now.overdue_rounds - len(rows):
        rows.append([Cell(f"and {_count(more)} more"), Cell("The open rounds by age are above."), Cell("")])
    return Panel(
        key="overdue",
        title="Rounds that should have gone on",
        columns=("Round", "Why it has not", "For"),
        rows=rows,
        nothing="Every open round is on its way, or waits for its player in time.",
    )


def _round(one: Stuck) -> str | None:
    """Its page, which finds it with real money or demo money."""
    if one.round_id is None or one.player_id is None:
        return None
    return f"/console/rounds/{quote(one.round_id, safe='')}?{urlencode({'player_id': one.player_id})}"


def _incidents(now: Now) -> Panel:
    return Panel(
        key="incidents",
        title="Open incidents",
        columns=("Kind", "Open", "Oldest for"),
        rows=[
            [
                Cell(one.kind),
                Cell(_count(one.incidents), "/console/incidents", bad=True),
                Cell(_for(now.moment, one.since)),
            ]
            for one in now.incidents
        ],
        nothing="Reconciliation has found no difference that is still there.",
    )


def _rounds(now: Now) -> Panel:
    """How fast rounds come and end."""
    pace, all_ = now.pace, list_path(mode="real")
    since = f"{now.moment - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}"
    # As far as it was counted.
    full = pace.last_minute and pace.last_minute == pace.rounds
    began = f"{_count(pace.last_minute)}{' or more' if full else ''}"
    rows = [[Cell("Began in the last minute"), Cell(began, list_path(mode="real", **{"from": since}))]]
    if pace.half is not None and pace.most is not None and pace.longest is not None:
        rows += [
            [Cell("Ended, of the newest"), Cell(f"{pace.ended} of {pace.rounds}", all_)],
            [Cell("Half took at most"), Cell(duration(pace.half), all_)],
            [Cell("19 in 20 took at most"), Cell(duration(pace.most), all_)],
            [Cell("The longest took"), Cell(duration(pace.longest), all_)],
        ]
    return Panel(
        key="rounds", title="How fast rounds end", columns=("Rounds with real money", "Now"), rows=rows
    )


def _wallet(now: Now) -> Panel:
    nothing = "You have no wallet of your own here: your players' money is in Croupier's ledger."
    rows = [] if now.wallet is None else list(_of_wallet(now.wallet, now.moment))
    return Panel(key="wallet", title="Your wallet", columns=("Calls", "Now"), rows=rows, nothing=nothing)


def _of_wallet(wallet: WalletNow, moment: datetime) -> Iterator[list[Cell]]:
    yield [Cell("Dialect"), Cell(wallet.dialect)]
    if wallet.left_alone is None:
        yield [
            Cell("Breaker"),
            Cell("closed: the last call was made" if wallet.calls else "closed: no call yet"),
        ]
    else:
        text = f"open: the wallet is left alone, as of {duration(moment - wallet.left_alone)} ago"
        yield [Cell("Breaker"), Cell(text, bad=True)]
    if wallet.since is None:
        return
    yield [Cell("Newest calls, since"), Cell(f"{_count(wallet.calls)}, {minute(wallet.since)}", list_path())]
    yield [Cell("Accepted"), Cell(_count(wallet.accepted), list_path())]
    yield [Cell("Refused"), Cell(_count(wallet.refused), list_path(state="declined"))]
    unknown = [("No certain answer", wallet.unknown), ("Not asked", wallet.not_asked)]
    for name, calls in unknown:
        yield [Cell(name), Cell(_count(calls), list_path(state="settling"), bad=calls > 0)]
    if wallet.half is not None and wallet.most is not None:
        yield [Cell("Half answered within"), Cell(duration(wallet.half), list_path())]
        yield [Cell("19 in 20 answered within"), Cell(duration(wallet.most), list_path())]


def _events(now: Now) -> Panel:
    yours = _late(now.moment, now.unpublished.since)
    anybodys = _late(now.moment, now.unpublished.anybodys)
    uncounted = None if now.uncounted_since is None else now.moment - now.uncounted_since
    rows = [
        [Cell("Your events reach the broker"), _yes(yours, "the first has waited for")],
        [Cell("The broker takes events, of anybody"), _yes(anybodys, "the first has waited for")],
        [Cell("Your newest rounds are counted in the statistics"), _yes(uncounted, "one is missing for")],
    ]
    return Panel(key="events", title="Events", columns=("Step", "Now"), rows=rows)


def _webhooks(now: Now) -> Panel:
    return Panel(
        key="webhooks",
        title="Webhooks",
        columns=("Address", "Behind for", "Repeated", "Given up"),
        rows=[_webhook(one, now.moment) for one in now.webhooks],
        nothing="You have none.",
    )


def _webhook(one: WebhookNow, moment: datetime) -> list[Cell]:
    late = _late(moment, one.behind_since)
    behind = "switched off" if one.disabled else "not behind" if late is None else duration(late)
    its_page = f"/console/webhooks/{one.webhook_id}"
    return [
        Cell(one.url, its_page),
        Cell(behind, bad=late is not None),
        Cell(_count(one.pending), its_page, bad=one.pending > 0),
        Cell(_count(one.dead), its_page, bad=one.dead > 0),
    ]


def _yes(late: timedelta | None, otherwise: str) -> Cell:
    return Cell("yes") if late is None else Cell(f"no: {otherwise} {duration(late)}", bad=True)


def _late(moment: datetime, since: datetime | None) -> timedelta | None:
    """None for what is on its way."""
    return None if since is None or moment - since < LATE else moment - since


def _for(moment: datetime, since: datetime | None) -> str:
    return "-" if since is None else duration(max(moment - since, timedelta(0)))


def _count(number: int) -> str:
    return f"{number:,}{' or more' if number >= COUNTED else ''}"
