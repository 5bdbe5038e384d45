"""What a workflow says of itself to people."""

from collections.abc import Generator

import pytest
from temporalio import workflow

from workflows import words


@pytest.fixture
def details(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the current details had, the present one last."""
    said = [""]
    monkeypatch.setattr(workflow, "get_current_details", lambda: said[-1])
    monkeypatch.setattr(workflow, "set_current_details", said.append)
    return said


def _waiting(line: str) -> Generator[None, None, None]:
    with words.waiting(line):
        yield


def test_a_line_is_there_while_its_block_lasts(details: list[str]) -> None:
    with words.waiting("for a wallet"), words.waiting("for a player"):
        assert details[-1] == "for a wallet\nfor a player"
    assert details[-1] == ""


def test_a_line_goes_when_its_block_fails(details: list[str]) -> None:
    with pytest.raises(ValueError, match="its end"), words.waiting("for a wallet"):
        raise ValueError("its end")
    assert details[-1] == ""


def test_a_workflow_that_leaves_the_memory_touches_no_details(details: list[str]) -> None:
    """Python closes its coroutines wherever it is: perhaps while another workflow runs."""
    left = _waiting("for a wallet")
    next(left)
    before = [*details]
    left.close()
    assert details == before
