"""Where a command finds its services: all of one installation."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli import services
from cli.services import CannotShow, where
from compose import control
from runtime.settings import Settings

STACK: dict[str, Any] = {
    "database_url": "postgresql://croupier:a@127.0.0.1:5433/croupier",
    "temporal_address": "127.0.0.1:7233",
    "temporal_namespace": "croupier",
    "temporal_ui": "http://127.0.0.1:8233",
}


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "stack_info", lambda _layout: STACK)


def settings(home: Path, **given: Any) -> Settings:
    return Settings(home=home, **given)


def test_the_stack_that_runs_is_meant_where_nothing_is_set(tmp_path: Path) -> None:
    found, ui = where(settings(tmp_path))
    assert found.database_url is not None
    assert found.database_url.get_secret_value() == STACK["database_url"]
    assert (found.temporal_address, ui) == (STACK["temporal_address"], STACK["temporal_ui"])


def test_an_address_may_be_the_stacks_own(tmp_path: Path) -> None:
    """As for a stack on a database of somebody's, by another of its users."""
    own = SecretStr("postgresql://app:b@127.0.0.1:5433/croupier")
    found, _ = where(settings(tmp_path, database_url=own))
    assert found.temporal_address == STACK["temporal_address"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (
            {"database_url": SecretStr("postgresql://a:b@db.example:5432/croupier")},
            "CROUPIER_TEMPORAL_ADDRESS",
        ),
        ({"temporal_address": "temporal.example:7233"}, "CROUPIER_DATABASE_URL"),
    ],
    ids=["database", "temporal"],
)
def test_one_address_of_another_installation_is_refused(
    tmp_path: Path, given: dict[str, Any], missing: str
) -> None:
    """Or a decision about a round of the one would be made in the other."""
    with pytest.raises(CannotShow, match=missing):
        where(settings(tmp_path, **given))


def test_services_that_are_both_set_need_no_stack(tmp_path: Path) -> None:
    given = settings(
        tmp_path,
        database_url=SecretStr("postgresql://a:b@db.example:5432/croupier"),
        temporal_address="temporal.example:7233",
    )
    assert services.where(given) == (given, None)
