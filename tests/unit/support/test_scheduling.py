"""Which tests a worker takes next: those that need what it has, file by file or folder by folder, what takes
long first."""

from types import SimpleNamespace
from typing import Any, Final

import pytest
from xdist.remote import Producer

from runtime.settings import PROJECT_ROOT
from tests.support.scheduling import LONG, TOGETHER, ByNeed

E2E: Final = "tests/e2e/test_bets.py"
INTEGRATION: Final = "tests/integration/test_outbox.py"
UNIT: Final = "tests/unit/games/test_dice.py"
WORKFLOW: Final = "tests/workflow/test_a_round.py"
TESTS_OF_A_SCOPE: Final = 3


class Worker:
    """Remembers the scopes whose tests it was sent."""

    shutting_down = False

    def __init__(self, name: str, collection: list[str]) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.collection = collection
        self.sent: list[str] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        scopes = dict.fromkeys(self.collection[index].split("::")[0] for index in indices)
        self.sent += scopes

    def shutdown(self) -> None:
        self.shutting_down = True


def scheduled(scopes: list[str], workers: int = 2) -> tuple[Any, list[Worker]]:
    """A scheduler that has handed out the first work, and its workers; the last of them is kept free of the
    stack."""
    collection = [f"{scope}::test_{n}" for scope in scopes for n in range(TESTS_OF_A_SCOPE)]
    option = SimpleNamespace(loadscopereorder=False)
    config: Any = SimpleNamespace(option=option, getvalue=lambda name: ["popen"] * workers)
    scheduler = ByNeed(config, Producer("scheduling", enabled=False))
    made = [Worker(f"gw{n}", collection) for n in range(workers)]
    for worker in made:
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, collection)
    scheduler.schedule()
    return scheduler, made


def finish(scheduler: Any, worker: Worker, scope: str) -> None:
    for index, test in enumerate(worker.collection):
        if test.startswith(f"{scope}::"):
            scheduler.mark_test_complete(worker, index)


def test_the_last_worker_takes_what_needs_no_stack_and_the_others_take_what_does() -> None:
    _, (first, second, last) = scheduled([UNIT, WORKFLOW, E2E, INTEGRATION], workers=3)
    assert (first.sent, second.sent, last.sent) == ([E2E], [INTEGRATION], [UNIT])


def test_a_worker_that_is_done_takes_the_next_of_its_kind() -> None:
    scheduler, (first, last) = scheduled([UNIT, E2E, WORKFLOW, INTEGRATION])
    finish(scheduler, first, E2E)
    finish(scheduler, last, UNIT)
    assert (first.sent, last.sent) == ([E2E, INTEGRATION], [UNIT, WORKFLOW])


def test_what_takes_longest_begins_first() -> None:
    """Each worker's own kind all the same. At the end of a run the others would wait for it."""
    shorter, longer = "tests/drill/test_drill.py", "tests/upgrade/test_upgrades.py"
    page = "tests/browser/test_player.py"
    scheduler, (first, last) = scheduled([UNIT, E2E, shorter, page, longer])
    assert (first.sent, last.sent) == ([page], [longer])
    finish(scheduler, last, longer)
    finish(scheduler, first, page)
    assert (first.sent, last.sent) == ([page, E2E], [longer, shorter])


@pytest.mark.parametrize("long", LONG)
def test_what_takes_long_is_a_piece_of_work(long: str) -> None:
    assert long in TOGETHER or (PROJECT_ROOT / long).is_file()


@pytest.mark.parametrize("kind", ["stack", "no-stack"])
def test_a_worker_takes_what_is_left_when_nothing_of_its_kind_is(kind: str) -> None:
    """No worker is idle: the free one starts a stack in the end, if it must."""
    scopes = [E2E, UNIT, INTEGRATION] if kind == "stack" else [UNIT, E2E, WORKFLOW]
    scheduler, workers = scheduled(scopes)
    worker = workers[1 if kind == "stack" else 0]
    finish(scheduler, worker, worker.sent[0])
    assert worker.sent[1] == scopes[2]


@pytest.mark.parametrize("folder", TOGETHER)
def test_the_files_of_a_folder_that_shares_something_dear_are_one_piece_of_work(folder: str) -> None:
    assert (PROJECT_ROOT / folder).is_dir()
    scheduler, _ = scheduled([E2E])
    scopes = {scheduler._split_scope(f"{folder}{name}::test_it") for name in ("test_a.py", "test_b.py")}
    assert scopes == {folder}


def test_any_other_file_is_a_piece_of_work() -> None:
    scheduler, _ = scheduled([E2E])
    test = "tests/e2e/certification/test_bets_and_wins.py::TestIt::test_it"
    assert scheduler._split_scope(test) == "tests/e2e/certification/test_bets_and_wins.py"
