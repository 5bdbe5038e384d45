"""Which tests a run takes: all, the long ones too, or only those that need no service. A plugin of pytest."""

from typing import Final

import pytest

# A test that asks for one of these starts a server or a program.
SERVICES: Final = frozenset({"stack", "temporal_environment"})
# Their tests start programs or servers without a fixture's help.
FOLDERS: Final = (
    "tests/browser/",
    "tests/drill/",
    "tests/e2e/",
    "tests/faults/",
    "tests/integration/",
    "tests/upgrade/",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also the long runs")
    parser.addoption("--fast", action="store_true", help="only tests that need no service")
    parser.addoption("--screenshots", action="store_true", help="take the pictures of docs/ anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--fast"):
        return
    left_out = [item for item in items if _needs_a_service(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _needs_a_service(item)]


def _needs_a_service(item: pytest.Item) -> bool:
    assert isinstance(item, pytest.Function)
    return item.nodeid.startswith(FOLDERS) or not SERVICES.isdisjoint(item.fixturenames)
