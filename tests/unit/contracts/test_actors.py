"""Names of those who act: bounded, on one line, and no two people's the same."""

import pytest

from contracts import actors
from contracts.actors import ACTOR_LIMIT


def test_a_key_and_a_person_are_named_by_their_ids() -> None:
    assert actors.by_key("0123456789abcdef") == "key:0123456789abcdef"
    assert actors.by_person("anna@casino.example") == "oidc:anna@casino.example"
    assert actors.by_person("auth0|5f7c") == "oidc:auth0|5f7c"


@pytest.mark.parametrize(
    "subject",
    ["x" * 96, "x" * 5_000, "a b", "a\nb", "a\u202eb", "\ud800", "", " ", "a\tb" * 50],
    ids=ascii,
)
def test_what_cannot_be_shown_whole_is_cut_and_stays_apart_from_others(subject: str) -> None:
    name = actors.by_person(subject)
    assert name.startswith("oidc:")
    assert name.isprintable()
    assert " " not in name
    assert len(name) <= ACTOR_LIMIT
    assert actors.by_person(f"{subject}!") != name
    name.encode()


def test_the_longest_that_fits_is_whole() -> None:
    assert actors.by_person("x" * 95) == "oidc:" + "x" * 95
