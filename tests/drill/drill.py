"""A fault as it is drilled: a metric moves, something names it, the steps of a runbook end it; and whether
its alert would have called somebody."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from runtime.settings import PROJECT_ROOT
from tests.drill import alerts
from tests.drill.alerts import Alert, Case
from tests.drill.casino import Casino, as_typed
from tests.drill.recorder import Of, Recorder
from tests.support.conditions import until

# More than the minute that some alerts ask for, with all else that goes on meanwhile.
LIMIT_S: Final = 240.0
# A look takes half a second of a processor.
LOOK_EVERY_S: Final = 0.5
# As the table shows them.
ORDER: Final = (
    *("wallet down", "wallet slow", "broker down", "broker blocked by its alarm", "Temporal down"),
    *("database frozen", "long transaction in another database", "poison message", "lost key"),
    *("stuck settlement", "reconciler dead", "bad game plug-in"),
)
MINUTE_S: Final = 60
STARTED_AGAIN: Final = "supervisor starts it again"

Change = Callable[[float, float], bool]
"""Whether a value has moved, by what it was before and what it is now."""


def rises(before: float, now: float) -> bool:
    return now > before


def rises_by(more: float) -> Change:
    return lambda before, now: now - before > more


def stays(before: float, now: float) -> bool:
    return now == before


def above(limit: float) -> Change:
    return lambda _before, now: now > limit


def comes_to(value: float) -> Change:
    return lambda _before, now: now == value


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of a fault."""

    fault: str
    metric: str
    alert: str
    named_by: str
    took: str
    ended_by: str

    def __str__(self) -> str:
        widths = ((self.fault, 36), (self.metric, 86), (self.alert, 24), (self.named_by, 10))
        return "  ".join([*(f"{text:<{width}}" for text, width in widths), f"{self.took:>6}", self.ended_by])


@dataclass
class Drill:
    """`rows` is its table, and `cases` what promtool has to say of it. Only a `full` one waits for the minute
    that some alerts ask for."""

    casino: Casino
    full: bool
    rows: list[Row] = field(default_factory=list)
    cases: list[tuple[Alert, Case]] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=alerts.alerts)

    def fault(self, name: str, alert: str, /, **labels: str) -> "Fault":
        """The block in which a fault is drilled. `labels` are some that the alert has then."""
        return Fault(self, name, self.alerts[alert], labels)

    def assert_alerts(self, folder: Path, program: Path) -> None:
        """By promtool, on what was recorded: each alert is quiet before its fault, fires in it, and is quiet
        afterwards."""
        alerts.assert_said(self.cases, self.casino.recorder, folder, program)

    def table(self) -> str:
        head = Row("fault", "metric that moves", "alert that fires", "named by", "took", "ended by")
        return "\n".join(map(str, [head, *sorted(self.rows, key=lambda row: ORDER.index(row.fault))]))


class Fault:
    """Inside the block the fault comes, is seen and ends; whatever of that is left out fails at its end."""

    def __init__(self, drill: Drill, name: str, alert: Alert, labels: dict[str, str]) -> None:
        self._drill, self._name, self._alert, self._labels = drill, name, alert, labels
        self._page = (PROJECT_ROOT / alert.runbook).read_text(encoding="utf-8")
        self._began_at, self._tick = time.monotonic(), 0
        self._metric, self._named_by, self._over, self._fires = "", "", False, False
        self._steps: list[str] = []

    async def __aenter__(self) -> Self:
        self._tick = await self._recorder.next()
        self._case(alerts.before)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        assert self._metric, f"{self._name}: no metric moved"
        assert self._named_by, f"{self._name}: nothing named it"
        assert self._steps, f"{self._name}: no step of the runbook was taken"
        assert self._over, f"{self._name}: nobody saw that it is over"
        took = f"{time.monotonic() - self._began_at:.1f} s"
        steps = "; ".join(dict.fromkeys(self._steps))
        alert = self._alert.name if self._fires else f"{self._alert.name} (--full)"
        self._drill.rows.append(Row(self._name, self._metric, alert, self._named_by, took, steps))

    @property
    def _casino(self) -> Casino:
        return self._drill.casino

    @property
    def _recorder(self) -> Recorder:
        return self._casino.recorder

    def _case(self, make: Callable[[Alert, dict[str, str], int], Case]) -> None:
        self._drill.cases.append((self._alert, make(self._alert, self._labels, self._recorder.tick)))

    # The metric

    async def moves(self, name: str, change: Change, /, of: Of = sum, **labels: str) -> None:
        """Waits until the metric has moved: from then on the alert's expression holds."""
        await self._moves(name, change, of, labels)
        self._case(alerts.during)
        self._fires = True

    async def lasts_a_minute(self, name: str, /, of: Of = max, **labels: str) -> None:
        """The same of an age, which the expression compares with a minute."""
        if self._drill.full:
            await self.moves(name, above(MINUTE_S), of, **labels)
        else:
            await self._moves(name, above(0), of, labels)

    async def _moves(self, name: str, change: Change, of: Of, labels: dict[str, str]) -> None:
        before = self._recorder.at(self._tick, name, of, labels) or 0.0
        now = await self._until(before, name, change, of, labels)
        only = ",".join(f'{label}="{value}"' for label, value in labels.items())
        self._metric = f"{name}{{{only}}}" if only else name
        self._metric += f" {before:g} -> {now:.4g}"

    def now(self, name: str, /, of: Of = sum, **labels: str) -> float:
        """By the last scrape; no series is 0."""
        return self._recorder.at(self._recorder.tick, name, of, labels) or 0.0

    async def sees(self, name: str, change: Change, /, of: Of = sum, **labels: str) -> None:
        """Waits for another metric."""
        await self._until(self.now(name, of, **labels), name, change, of, labels)

    async def is_over(self, name: str, change: Change, /, of: Of = sum, **labels: str) -> None:
        """Waits until the metric is as it should be: the alert is quiet, once its windows have passed."""
        await self._recorder.next()  # what has come before the last step is no news
        await self.sees(name, change, of, **labels)
        self._case(alerts.afterwards)
        self._over = True

    async def _until(self, before: float, name: str, change: Change, of: Of, labels: dict[str, str]) -> float:
        """The value for which it is so. No series is 0, where every target answers."""
        recorder = self._recorder
        try:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    now = recorder.at(recorder.tick, name, of, labels)
                    if now is None and recorder.at(recorder.tick, "up", min, {}) == 1:
                        now = 0.0
                    if now is not None and change(before, now):
                        return now
                    await recorder.next()
        except TimeoutError:
            raise AssertionError(f"{self._name}: {name}{labels} was {before} and is {now}") from None

    # Who names it

    async def is_named_by_stuck(self, kind: str, *words: str) -> None:
        """`./croupier stuck` has an entry of this kind with all of the words."""

        found: list[str] = []

        async def named() -> bool:
            code, output, errors = await self._look("stuck", "--json", "--older-than", "1s")
            assert code in (0, 1), errors
            found[:] = [json.dumps(one) for one in json.loads(output)["stuck"] if one["kind"] == kind]
            return any(all(word in one for word in words) for one in found)

        await self._until_named(named, "stuck", (kind, *words), found)

    async def keeps_stuck_from_asking(self, *words: str) -> None:
        """`./croupier stuck` says what it cannot ask."""
        code, _, errors = await self._casino.croupier("stuck", "--json")
        assert code == 2, errors
        assert all(word in errors for word in words), errors
        self._named_by = "stuck"

    async def is_named_by_show(self, round_id: str, *patterns: str) -> None:
        """`./croupier round show` has all of the regular expressions, each within a line."""

        found: list[str] = []

        async def named() -> bool:
            code, output, errors = await self._look("round", "show", round_id)
            found[:] = [output, errors]
            return code == 0 and all(re.search(pattern, output) for pattern in patterns)

        await self._until_named(named, "round show", patterns, found)

    async def _until_named(
        self, named: Callable[[], Awaitable[bool]], by: str, words: Collection[str], found: list[str]
    ) -> None:
        try:
            await until(named, within_s=LIMIT_S)
        except TimeoutError:
            raise AssertionError(f"{self._name}: {by} does not say {words}, but: {found}") from None
        self._named_by = by

    async def _look(self, *words: str) -> tuple[int, str, str]:
        await asyncio.sleep(LOOK_EVERY_S)
        return await self._casino.croupier(*words)

    # What ends it

    async def step(
        self, template: str, /, codes: Collection[int] = (0,), again: Collection[int] = (), **names: str
    ) -> str:
        """A command of the runbook, which has it with these placeholders, typed again while it exits with one
        of `again`. Returns what it printed."""
        self._of_the_page(f"./croupier {template}")
        code, output, errors = await self._casino.croupier(*as_typed(template, names))
        while code in again:
            code, output, errors = await self._casino.croupier(*as_typed(template, names))
        assert code in codes, f"{template}: {code}: {output}{errors}"
        return output

    def taken(self, words: str) -> None:
        """A step of the runbook that is no command of ours. Call it once it was taken."""
        self._of_the_page(words)

    async def is_started_again(self, component: str) -> None:
        """As its supervisor does."""
        self._of_the_page(STARTED_AGAIN)
        await self._casino.stack.start(component)

    def _of_the_page(self, words: str) -> None:
        assert words in self._page, f"{self._alert.runbook} does not say: {words}"
        self._steps.append(words)
