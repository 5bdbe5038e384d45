"""Ours against theirs: what counts as chance, what the verdict is, whose CPU is whose, and what is read."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from bench.against import (
    BLOCKS,
    CONCURRENCIES,
    FULL,
    OURS,
    OURS_AGAIN,
    QUICK,
    SIDES,
    THEIRS,
    Against,
    Wanted,
    blocks_of_start,
    cells,
    steps,
)
from bench.against_report import (
    Comparison,
    NothingToCompare,
    Spread,
    as_json,
    comparisons,
    tables,
    verdict,
)
from bench.blocks import AFTERWARDS_S, Cell, Measured
from bench.commits import Checkout
from bench.latency import Latencies
from bench.stacks import Node, families, family_by_port

# Ratios of ours to ours of a calm machine: a middle half of 0.99 to 1.01.
CALM = (0.98, 0.99, 1.0, 1.01, 1.02)
WILD = (0.8, 0.9, 1.0, 1.1, 1.2)


STACK_JSON = {
    "base_url": "http://127.0.0.1:20001",
    "metrics_urls": {
        "ingress": "http://127.0.0.1:20002/metrics",
        "relay": "http://127.0.0.1:20003/metrics",
        "statistics": "http://127.0.0.1:20004/metrics",
        "webhooks": "http://127.0.0.1:20005/metrics",
        "temporal": "http://127.0.0.1:20006/metrics",
    },
}


def measured(
    side: str, block: int, *, at: int = 16, cpu: dict[str, float] | None = None, p50: float = 10.0
) -> Measured:
    return Measured(
        cell=Cell(side, block, "closed", at, 1.0),
        rate=None,
        rounds=100,
        failures=1 if side == THEIRS else 0,
        unanswered=0,
        rounds_per_s=100.0,
        p50_ms=p50,
        p95_ms=p50,
        p99_ms=p50,
        cpu_s={"program": 0.005, "temporal": 0.010, "load": 0.5} if cpu is None else cpu,
        histogram=Latencies().text(),
        problems=(),
    )


def blocks_of(ours: list[float], again: list[float], theirs: list[float]) -> list[Measured]:
    """Each number is the CPU of a round in one block."""
    return [
        measured(side, block, cpu={"program": cpu, "load": 9.0})
        for side, costs in ((OURS, ours), (OURS_AGAIN, again), (THEIRS, theirs))
        for block, cpu in enumerate(costs)
    ]


def compared(ratio: float, chance: tuple[float, ...], title: str = "CPU at 16, all") -> Comparison:
    return Comparison(title, Spread((ratio,) * len(chance)), Spread(chance), lower_is_better=True)


def by_title(found: list[Comparison]) -> dict[str, Comparison]:
    return {each.title: each for each in found}


class TestCells:
    def test_every_side_plays_as_often_as_the_others_in_every_block(self) -> None:
        counted = Counter((cell.block, cell.variant, cell.connections) for cell in cells(range(4), FULL))
        assert set(counted.values()) == {1}
        assert len(counted) == 4 * len(SIDES) * len(CONCURRENCIES)

    def test_the_order_turns_so_that_each_side_is_in_each_place(self) -> None:
        orders = [
            [cell.variant for cell in cells(range(6), QUICK) if (cell.block, cell.connections) == (block, 16)]
            for block in range(6)
        ]
        for place in range(len(SIDES)):
            assert Counter(order[place] for order in orders) == dict.fromkeys(SIDES, 2)

    def test_a_default_run_measures_for_less_than_seven_minutes(self) -> None:
        planned = cells(range(BLOCKS), FULL)
        assert sum(cell.seconds + FULL.warm_up + AFTERWARDS_S for cell in planned) < 7 * 60

    def test_the_progress_bar_has_a_step_for_each_cell_start_and_warm_up(self) -> None:
        assert steps(Wanted(blocks=2, quick=True)) == 2 * 3 * 2 + 3 + 3 + 1
        assert steps(Wanted(blocks=2, quick=True, starts=4)) == 4 * (2 * 3 * 2 + 3 + 3 + 1)
        assert steps(Wanted(blocks=2, quick=True, ingresses=4)) == 2 * 3 * 2 + 3 + 2 * 4 * 3 + 1

    def test_blocks_of_several_starts_have_numbers_one_after_the_other(self) -> None:
        wanted = Wanted(blocks=2, quick=True, starts=3)
        assert [list(blocks_of_start(start, wanted)) for start in range(3)] == [[0, 1], [2, 3], [4, 5]]


class TestSpread:
    def test_is_shown_by_its_median_its_middle_half_and_its_ends(self) -> None:
        spread = Spread((1.5, 1.0, 1.2, 1.1, 1.3))
        assert (spread.median, spread.middle_half, spread.ends) == (1.2, (1.1, 1.3), (1.0, 1.5))

    def test_of_one_block_is_that_block(self) -> None:
        assert Spread((1.1,)).middle_half == (1.1, 1.1)

    def test_reaches_as_far_below_one_as_above(self) -> None:
        """Our second stack takes 1.25 times as long as the first, so the first takes 0.8 times as long."""
        assert Spread((1.25, 1.25, 1.25)).band == (0.8, 1.25)
        assert Spread((0.8, 0.8, 0.8)).band == (0.8, 1.25)


class TestComparisons:
    def test_take_the_mean_of_both_of_ours_within_each_block(self) -> None:
        """The second block ran on a machine that was ten times as slow, for all three."""
        found = by_title(comparisons(blocks_of([2.0, 20.0], [4.0, 40.0], [3.0, 30.0])))
        total = found["CPU at 16, all"]
        assert total.against.ratios == (1.0, 1.0)
        assert total.chance.ratios == (2.0, 2.0)

    def test_sum_up_all_processes_but_the_load_generator(self) -> None:
        cost = {"program": 1.0, "temporal": 2.0, "others": 1.0, "load": 50.0}
        sides = [measured(OURS, 0, cpu=cost), measured(OURS_AGAIN, 0, cpu=cost)]
        found = by_title(comparisons([*sides, measured(THEIRS, 0, cpu={"program": 2.0, "load": 1.0})]))
        assert found["CPU at 16, all"].against.ratios == (2.0,)
        assert found["CPU at 16, program"].against.ratios == (0.5,)

    def test_leave_out_a_family_that_one_side_has_not(self) -> None:
        cost = {"program": 1.0, "relay": 1.0}
        sides = [measured(OURS, 0, cpu=cost), measured(OURS_AGAIN, 0, cpu=cost)]
        found = by_title(comparisons([*sides, measured(THEIRS, 0, cpu={"program": 1.0})]))
        assert "CPU at 16, relay" not in found
        assert found["CPU at 16, all"].against.ratios == (2.0,)

    def test_leave_out_a_block_in_which_one_side_played_nothing(self) -> None:
        cells = blocks_of([1.0, 1.0], [1.0, 1.0], [1.0, 1.0])
        cells[-1] = measured(THEIRS, 1, cpu={})
        assert by_title(comparisons(cells))["CPU at 16, all"].against.ratios == (1.0,)

    def test_count_each_start_once_by_the_middle_one_of_its_blocks(self) -> None:
        """Our second stack of the first start is lucky throughout, and that of the second is not."""
        ours = [2.0] * 6
        again = [1.0, 1.0, 1.0, 4.0, 40.0, 4.0]
        found = by_title(comparisons(blocks_of(ours, again, [2.0] * 6), starts=2))
        assert found["CPU at 16, all"].against.ratios == (0.75, 1.5)
        assert found["CPU at 16, all"].chance.ratios == (0.5, 2.0)

    def test_tell_speed_at_one_from_speed_at_sixteen(self) -> None:
        alone = [measured(OURS, 0, at=1, p50=5.0), measured(OURS_AGAIN, 0, at=1, p50=5.0)]
        many = [measured(side, 0, p50=100.0) for side in SIDES]
        found = by_title(comparisons([*alone, measured(THEIRS, 0, at=1, p50=10.0), *many]))
        assert found["p50 at 1"].against.median == 0.5
        assert found["p50 at 16"].against.median == 1.0


class TestVerdict:
    @pytest.mark.parametrize(
        ("ratio", "chance", "met", "says"),
        [
            (0.7, CALM, True, "within the 1.03"),
            (1.03, CALM, True, "within the 1.03"),
            (1.04, CALM, False, "more than the 1.03 that is allowed"),
            (1.04, WILD, True, "not decided"),
            (1.2, WILD, False, "more than the 1.03 that is allowed"),
        ],
        ids=["cheaper", "at the limit", "dearer", "dearer, or chance", "dearer than chance makes"],
    )
    def test_asks_both_for_the_limit_and_for_what_chance_makes(
        self, ratio: float, chance: tuple[float, ...], met: bool, says: str
    ) -> None:
        decided = verdict([compared(ratio, chance)])
        assert decided.met is met
        assert says in decided.text
        assert f"{ratio:.3f} of theirs" in decided.text

    def test_looks_at_nothing_but_the_sum_at_sixteen(self) -> None:
        others = ("p50 at 16", "CPU at 1, all", "CPU at 16, temporal")
        worse = [compared(9.9, CALM, title) for title in others]
        assert verdict([*worse, compared(1.0, CALM)]).met

    def test_is_none_without_blocks_in_which_all_three_played(self) -> None:
        with pytest.raises(NothingToCompare, match="all three"):
            verdict(comparisons([measured(OURS, 0), measured(OURS_AGAIN, 0)]))

    def test_of_equal_sides_is_that_they_are(self) -> None:
        assert verdict(comparisons(blocks_of([1.0] * 3, [1.0] * 3, [1.0] * 3))).met


class TestFamilies:
    def test_are_known_by_the_ports_that_stack_json_names(self) -> None:
        expected = {20001: "program", 20003: "relay", 20004: "statistics"}
        assert family_by_port(STACK_JSON) == expected

    def test_are_known_without_metrics_too(self) -> None:
        assert family_by_port({"base_url": "http://127.0.0.1:20001"}) == {20001: "program"}

    def test_are_found_below_whatever_started_them(self) -> None:
        postgres = Node(10, "postgres", frozenset(), (Node(11, "postgres", frozenset()),))
        broker = Node(20, "beam.smp", frozenset(), (Node(21, "erl_child_setup", frozenset()),))
        programs = (
            Node(30, "python", frozenset({20001, 20002})),
            Node(31, "python", frozenset({20003})),
            Node(32, "python", frozenset({20004})),
            Node(33, "python", frozenset({20005})),
        )
        keeper = Node(2, "python", frozenset(), (postgres, Node(19, "epmd", frozenset()), broker, *programs))
        found = families((Node(1, "python", frozenset(), (keeper,)),), family_by_port(STACK_JSON))
        assert found == {
            "postgres": [10],
            "rabbitmq": [19, 20],
            "program": [30],
            "relay": [31],
            "statistics": [32],
            "others": [33],
        }

    def test_count_a_tree_of_nobody_known_once(self) -> None:
        unknown = Node(5, "java", frozenset({9999}), (Node(6, "helper", frozenset()),))
        program = Node(7, "python", frozenset({20001}), (Node(8, "python", frozenset()),))
        found = families((Node(1, "python", frozenset(), (unknown, program)),), family_by_port(STACK_JSON))
        assert found == {"others": [5], "program": [7]}

    def test_are_those_that_share_a_port_and_not_who_holds_it_for_them(self) -> None:
        programs = tuple(Node(pid, "python", frozenset({20001})) for pid in (30, 31))
        postgres = Node(10, "postgres", frozenset())
        keeper = Node(2, "python", frozenset({20001}), (postgres, *programs))
        found = families((Node(1, "python", frozenset(), (keeper,)),), family_by_port(STACK_JSON))
        assert found == {"postgres": [10], "program": [30, 31]}


class TestReport:
    RUN = Against(
        ours=Checkout(Path("here"), "a" * 40, changed=True),
        theirs=Checkout(Path("there"), "b" * 40),
        measured=tuple(
            measured(side, block, at=at) for block in range(3) for at in CONCURRENCIES for side in SIDES
        ),
        seconds=12.34,
    )

    def test_tables_name_both_commits_every_side_and_what_failed(self) -> None:
        found = comparisons(self.RUN.measured)
        console = Console(file=io.StringIO(), width=130, record=True)
        for table in tables(self.RUN, found):
            console.print(table)
        text = console.export_text()
        assert "ours is aaaaaaaaaa with changes, theirs bbbbbbbbbb" in text
        assert "…" not in text, "nothing is cut"
        rows = [line for line in text.splitlines() if "theirs" in line and "│" in line]
        assert len(rows) == 4
        assert rows[0].split("│")[-2].strip() == "3", "failures of three blocks"
        for each in found:
            assert sum(each.title in line for line in text.splitlines()) >= 1

    def test_the_json_holds_every_cell_and_the_verdict_and_can_be_read_again(self) -> None:
        found = comparisons(self.RUN.measured)
        read = json.loads(json.dumps(as_json(self.RUN, found, verdict(found))))
        assert len(read["cells"]) == 3 * 2 * 3
        assert (read["met"], read["seconds"], read["ours"]["changed"]) == (True, 12.3, True)
        total = next(each for each in read["comparisons"] if each["title"] == "CPU at 16, all")
        assert total["ours_theirs"]["ratios"] == [1.0, 1.0, 1.0]
        assert total["outside"] is False
