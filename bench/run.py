"""One whole run: the house, the blocks, the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.client import Client

from bench.blocks import CONCURRENCIES, OPEN_CONNECTIONS, QUICK, Runner, Timing, plan
from bench.house import bench_settings, open_house
from bench.report import Report, report_of
from bench.variants import Variant, chosen, known
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

    def chosen(self) -> list[Variant]:
        """Raises UnknownVariant."""
        return chosen(self.variants, known())


def steps(wanted: Wanted) -> int:
    """How often `tell` is called, for a progress bar: the house, then warm-up, one round, idle, cells."""
    names = [variant.name for variant in wanted.chosen()]
    house = 3 + sum(variant.peer is not None for variant in wanted.chosen())
    return house + 2 * len(names) + 1 + len(plan(names, blocks=wanted.blocks, timing=wanted.timing))


async def run(settings: Settings, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """`tell` hears what comes next. Raises UnknownVariant, StackProblem, LoadFailed."""
    began = time.monotonic()
    variants = wanted.chosen()
    players = max(*CONCURRENCIES, OPEN_CONNECTIONS)
    own = bench_settings(settings)
    async with open_house(own, variants, players=players, tell=tell) as house:
        addresses = house.stack.addresses
        temporal = await Client.connect(addresses.temporal_address, namespace=addresses.temporal_namespace)
        results = await Runner(house, variants, wanted.timing, tell).run(wanted.blocks, temporal)
    control.reset(own)  # after a failure it stays, for its logs
    return report_of(results, seconds=time.monotonic() - began)
