"""Latencies in an HDR histogram: microseconds, three digits, up to two minutes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hdrh.histogram import HdrHistogram

HIGHEST_US: Final = 120_000_000
DIGITS: Final = 3
US_PER_S: Final = 1_000_000
US_PER_MS: Final = 1_000


class Latencies:
    """Counts of latencies. `text` and `of` carry them between processes."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, HIGHEST_US, DIGITS)

    def record(self, seconds: float) -> None:
        self._histogram.record_value(min(max(int(seconds * US_PER_S), 1), HIGHEST_US))

    def percentile_ms(self, percent: float) -> float | None:
        """None when nothing was recorded."""
        return self._histogram.get_value_at_percentile(percent) / US_PER_MS if self.count else None

    @property
    def count(self) -> int:
        return int(self._histogram.get_total_count())

    def text(self) -> str:
        """Base64 of HdrHistogram's own compressed format, which other tools read too."""
        return str(self._histogram.encode().decode("ascii"))

    @classmethod
    def of(cls, texts: Iterable[str]) -> Latencies:
        """All of these together."""
        merged = cls()
        for text in texts:
            merged._histogram.decode_and_add(text.encode("ascii"))
        return merged
