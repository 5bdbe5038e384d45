"""A scraper that keeps what it reads: the series of a run, as `promtool test rules` takes them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.conditions import HANG_S
from tests.support.http import http_client

EVERY_S: Final = 1.0
# A page that takes longer is a target that is down.
PAGE_LIMIT_S: Final = 5.0
UP: Final = "up"
# promtool's clock begins with the epoch; a moment is told from the beginning of the run.
MOMENT: Final = "_timestamp_seconds"

Labels = tuple[tuple[str, str], ...]
Of = Callable[[Iterable[float]], float]
"""One value of several series."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric with its labels, those of its target among them."""

    name: str
    labels: Labels

    def has(self, wanted: Mapping[str, str]) -> bool:
        return wanted.items() <= dict(self.labels).items()

    def __str__(self) -> str:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"


@dataclass(frozen=True, slots=True)
class Target:
    """`job` is the program or service, whichever of its processes this is."""

    job: str
    url: str

    @property
    def labels(self) -> dict[str, str]:
        address = httpx.URL(self.url)
        return {"job": self.job, "instance": f"{address.host}:{address.port}"}


@dataclass
class Recorder:
    """Reads every target once a tick. Of the series it keeps those of `names`; of everything it has `lines`,
    what stood before a value."""

    targets: Collection[Target]
    names: Collection[str]
    tick: int = -1
    lines: set[str] = field(default_factory=set)
    _values: dict[Series, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    _ticks: set[int] = field(default_factory=set)
    _began_at: float = 0.0
    _scraped: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Scrapes inside the block, from its beginning on."""
        self._began_at = time.time()
        async with http_client(timeout=PAGE_LIMIT_S) as http:
            await self._scrape(http, 0)
            scraping = asyncio.create_task(self._keep_scraping(http))
            try:
                yield
            finally:
                scraping.cancel()
                await asyncio.wait([scraping])

    async def _keep_scraping(self, http: httpx.AsyncClient) -> None:
        while True:
            tick = int((time.time() - self._began_at) / EVERY_S) + 1
            await asyncio.sleep(self._began_at + tick * EVERY_S - time.time())
            await self._scrape(http, tick)

    async def _scrape(self, http: httpx.AsyncClient, tick: int) -> None:
        for target, page in zip(
            self.targets,
            await asyncio.gather(*(_page(http, target.url) for target in self.targets)),
            strict=True,
        ):
            self._keep(Series(UP, _sorted(target.labels)), tick, float(page is not None))
            self._read(target, page or "", tick)
        self.tick = tick
        self._ticks.add(tick)
        self._scraped.set()
        self._scraped = asyncio.Event()

    def _read(self, target: Target, page: str, tick: int) -> None:
        lines = [line for line in page.splitlines() if line and not line.startswith("#")]
        self.lines.update(line.rpartition(" ")[0] for line in lines)
        wanted = "\n".join(line for line in lines if _name(line) in self.names) + "\n"
        for metric in text_string_to_metric_families(wanted):
            for sample in metric.samples:
                labels = _sorted({**sample.labels, **target.labels})
                self._keep(Series(sample.name, labels), tick, sample.value)

    def _keep(self, series: Series, tick: int, value: float) -> None:
        since = self._began_at if series.name.endswith(MOMENT) else 0.0
        self._values[series][tick] = value - since

    # What is so

    async def next(self) -> int:
        """Waits for the next scrape, and returns its tick."""
        async with asyncio.timeout(HANG_S):
            await self._scraped.wait()
        return self.tick

    def at(self, tick: int, name: str, of: Of, labels: Mapping[str, str]) -> float | None:
        """One value of all these series, by the scrape of this tick; None when there is none."""
        found = [
            values[tick]
            for series, values in self._values.items()
            if series.name == name and tick in values and series.has(labels)
        ]
        return of(found) if found else None

    # What was recorded

    def recorded(self, names: Collection[str], *, until: int, held_s: float) -> list[dict[str, str]]:
        """The series of these names, as promtool's `input_series`, up to this tick; the last value of each,
        or that there is none any more, is held for so long."""
        held = int(held_s / EVERY_S)
        return [
            {"series": str(series), "values": _notation(values, self._ticks, until, held)}
            for series, values in self._values.items()
            if series.name in names and min(values) <= until
        ]


def _notation(values: Mapping[int, float], ticks: Collection[int], until: int, held: int) -> str:
    """A value a tick. A series that a scrape no longer finds is stale, as Prometheus marks it; of a tick
    without a scrape nothing is known."""
    words, there = [], False
    for tick in range(until + 1):
        value = values.get(tick)
        gone = value is None and there and tick in ticks
        words.append("stale" if gone else "_" if value is None else f"{value:.17g}")
        there = value is not None or (there and not gone)
    last = values[max(tick for tick in values if tick <= until)]
    words.append(f"{last:.17g}+0x{held}" if there else f"_x{held}")
    return " ".join(words)


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def _page(http: httpx.AsyncClient, url: str) -> str | None:
    """None when the target does not answer."""
    try:
        answer = await http.get(url)
    except httpx.TransportError:
        return None
    return answer.text if answer.status_code == 200 else None
