"""A run whose services do not start says so and ends, with workers or without."""

import pytest

pytest_plugins = ("pytester",)

TESTS = """
import pytest
from tests.support.ending import end_run

@pytest.fixture(scope="session")
def service(request):
    end_run(request.session, "the services of the tests do not start: no disk")

def test_needs_it(service): pass

@pytest.mark.parametrize("n", range(40))
def test_goes_without(n): pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in one process", "with two workers"])
def test_the_run_ends_with_the_reason(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(TESTS)
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider", *workers)
    assert run.ret != 0
    printed = run.stdout.str()
    assert "Interrupted: the services of the tests do not start: no disk !" in printed
    assert "INTERNALERROR" not in printed
