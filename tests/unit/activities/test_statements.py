"""Whose statement is compared next: a wallet with much to catch up on holds up no other."""

from activities.statements import _Turns


def turns(spans: dict[str, int], cursor: str | None = None) -> list[str]:
    """The operators in the order of their turns, each until its `spans` are compared."""
    left, order = dict(spans), []
    while (whose := _Turns.read(cursor).next_of(spans)) is not None:
        order.append(whose)
        left[whose] -= 1
        cursor = str(_Turns.read(cursor).after(whose, more=left[whose] > 0))
    return order


def test_each_wallet_has_a_turn_before_any_has_its_second() -> None:
    assert turns({"a": 4, "b": 1, "c": 2}) == ["a", "b", "c", "a", "c", "a", "a"]


def test_without_a_wallet_nobody_has_a_turn() -> None:
    assert turns({}) == []


def test_a_wallet_that_was_unset_meanwhile_loses_its_turns() -> None:
    assert turns({"b": 1}, cursor="b|a,b") == ["b"]
