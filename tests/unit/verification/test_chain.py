"""The one verifier of hash chains: where a chain breaks first, and what it says of it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from verification.chain import GENESIS, Break, Link, Walk, digest

LENGTH = 4


def chain() -> list[Link]:
    """Four links that hold."""
    links: list[Link] = []
    for position in range(1, LENGTH + 1):
        previous = links[-1].hash if links else GENESIS
        link = Link(
            player_key=7,
            position=position,
            kind="stake",
            reference=f"r-{position}",
            step=0,
            debit_account=12,
            credit_account=2,
            amount=100,
            currency="EUR",
            created_at=datetime(2026, 1, 1, 0, 0, position, tzinfo=UTC),
            previous_hash=previous,
            hash=b"",
        )
        links.append(replace(link, hash=digest(previous, link)))
    return links


def broken(links: list[Link], *, length: int = LENGTH, head: bytes | None = None) -> Break | None:
    walk = Walk()
    for link in links:
        walk.follow(link)
    walk.end(length=length, head=chain()[-1].hash if head is None else head)
    return walk.broken


def test_a_sound_chain_holds() -> None:
    assert broken(chain()) is None
    assert broken([], length=0, head=GENESIS) is None


@pytest.mark.parametrize(
    ("position", "changes", "what"),
    [
        (2, {"amount": 101}, "link 2 is not what its hash says"),
        (3, {"hash": b"other"}, "link 3 is not what its hash says"),
        (1, {"previous_hash": b"other"}, "link 1 does not follow from the one before it"),
        (4, {"position": 5}, "link 4 is missing"),
    ],
)
def test_the_first_link_that_was_changed_is_named(
    position: int, changes: dict[str, object], what: str
) -> None:
    links = chain()
    links[position - 1] = replace(links[position - 1], **changes)  # type: ignore[arg-type]  # one of each kind
    assert broken(links) == Break(position, what)


def test_a_link_that_is_gone_is_missed_where_it_stood() -> None:
    links = chain()
    del links[1]
    assert broken(links) == Break(2, "link 2 is missing")


def test_a_link_that_was_made_anew_breaks_the_next_one() -> None:
    links = chain()
    changed = replace(links[1], amount=1)
    links[1] = replace(changed, hash=digest(links[0].hash, changed))
    assert broken(links) == Break(3, "link 3 does not follow from the one before it")


@pytest.mark.parametrize(
    ("kept", "length", "head", "position", "what"),
    [
        (3, 4, None, 4, "link 4 is missing, and so is all after it"),
        (0, 4, None, 1, "link 1 is missing, and so is all after it"),
        (4, 3, None, 5, "link 4 is beyond the length that the player's row says"),
        (4, 4, b"other", 5, "link 4: the player's row says another head"),
    ],
)
def test_a_chain_ends_where_its_players_row_says(
    kept: int, length: int, head: bytes | None, position: int, what: str
) -> None:
    assert broken(chain()[:kept], length=length, head=head) == Break(position, what)
