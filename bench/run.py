"""One whole run: the testbed, the blocks, the overload, the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.client import Client

from bench import overload
from bench.blocks import CONCURRENCIES, OPEN_CONNECTIONS, QUICK, Runner, Timing, plan
from bench.report import Report, report_of
from bench.testbed import bench_settings, open_testbed
from bench.variants import PRODUCT, Variant, chosen, known
from compose import control
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run: names of variants (all when empty), blocks of each, and whether in short."""

    variants: tuple[str, ...]
    blocks: int
    quick: bool

    @property
    def timing(self) -> Timing:
        return QUICK if self.quick else Timing()

    @property
    def with_overload(self) -> bool:
        """Whether the product is one of those asked for, and not only there to be compared with."""
        return not self.variants or PRODUCT in self.variants

    @property
    def spans(self) -> overload.Spans:
        return overload.QUICK_SPANS if self.quick else overload.Spans()

    def chosen(self) -> list[Variant]:
        """Raises UnknownVariant."""
        return chosen(self.variants, known())


def steps(wanted: Wanted) -> int:
    """How often `announce` is called, for a progress bar: the testbed, then warm-up, one round, idle, cells,
    overload.
    """
    names = [variant.name for variant in wanted.chosen()]
    testbed = 3 + sum(variant.peer is not None for variant in wanted.chosen())
    blocks = 2 * len(names) + 1 + len(plan(names, blocks=wanted.blocks, timing=wanted.timing))
    return testbed + blocks + (overload.STEPS if wanted.with_overload else 0)


async def run(settings: Settings, wanted: Wanted, announce: Callable[[str], None]) -> Report:
    """`announce` gets the name of each part as it begins. Raises UnknownVariant, StackProblem, LoadFailed."""
    began = time.monotonic()
    variants = wanted.chosen()
    players = max(*CONCURRENCIES, OPEN_CONNECTIONS, overload.FLOOD_PLAYERS if wanted.with_overload else 0)
    own = bench_settings(settings)
    async with open_testbed(own, variants, players=players, announce=announce) as testbed:
        addresses = testbed.stack.addresses
        temporal = await Client.connect(addresses.temporal_address, namespace=addresses.temporal_namespace)
        results = await Runner(testbed, variants, wanted.timing, announce).run(wanted.blocks, temporal)
        flooded = None
        if wanted.with_overload:
            flooded = await overload.measure(testbed, known()[PRODUCT], wanted.spans, announce)
    control.reset(own)  # after a failure it stays, for its logs
    return report_of(results, flooded, seconds=time.monotonic() - began)
