"""What a round's workflow starts with, by what its Temporal and its database are ready for."""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from contracts import search
from contracts.rounds import Bet
from contracts.steps import NAMED_STEPS, NAMED_STEPS_SCHEMA
from runtime import round_start
from runtime.round_start import RoundStart
from runtime.round_workflows import OutcomeUncertain, RoundWorkflows
from security.keyring import Keyring
from security.player_ids import PlayerIds
from tests.unit.contracts.test_search import BET

KEYRING = Keyring.generate()
OLDER = "0020"


@dataclass
class Surroundings:
    """A Temporal and a database. `known` is whether the first has the attributes, by its starts and by its
    queries."""

    known: bool = True
    serves_from: str = NAMED_STEPS_SCHEMA
    away: RPCStatusCode | None = None
    namespace: str = "croupier"
    queries: list[str] = field(default_factory=list)
    started: list[tuple[Bet, dict[str, Any]]] = field(default_factory=list)

    async def count_workflows(self, query: str, *, rpc_timeout: timedelta) -> None:
        self.queries.append(query)
        if self.away is not None:
            raise RPCError("away", self.away, b"")
        if not self.known:
            raise RPCError("no such attribute", RPCStatusCode.INVALID_ARGUMENT, b"")

    async def start_workflow(self, workflow: str, bet: Bet, **options: Any) -> object:
        if "search_attributes" in options and not self.known:
            raise RPCError("no such attribute", RPCStatusCode.INVALID_ARGUMENT, b"")
        if self.away is not None:
            raise RPCError("away", self.away, b"")
        self.started.append((bet, options))
        return object()

    async def fetchval(self, statement: str) -> str:
        return self.serves_from

    def start(self) -> RoundStart:
        return RoundStart(cast(Client, self), KEYRING, cast(asyncpg.Pool, self))

    def workflows(self, begins: RoundStart) -> RoundWorkflows:
        return RoundWorkflows(cast(Client, self), task_queue="rounds", begins=begins)


def attributes(options: dict[str, Any]) -> dict[str, object] | None:
    found: TypedSearchAttributes | None = options.get("search_attributes")
    return None if found is None else {pair.key.name: pair.value for pair in found}


async def test_a_round_starts_with_what_it_is_found_by_a_summary_and_the_newest_version() -> None:
    around = Surroundings()
    begins = around.start()
    await begins.look()
    await around.workflows(begins).start(BET)
    ((bet, options),) = around.started
    assert attributes(options) == {
        search.OPERATOR: "acme",
        search.GAME: "dice",
        search.PLAYER: PlayerIds(KEYRING).id_of("acme", "alice"),
        search.MODE: "base",
        search.STAKE: "EUR 100-199",
        search.KIND: "real",
    }
    assert options["static_summary"] == "125 EUR at dice 1.0.0, base"
    assert bet.version == NAMED_STEPS


async def test_until_it_has_looked_it_takes_nothing_for_granted() -> None:
    around = Surroundings()
    await around.workflows(around.start()).start(BET)
    ((bet, options),) = around.started
    assert (bet.version, attributes(options)) == (1, None)


async def test_while_older_programs_may_come_back_a_round_has_the_version_that_they_know() -> None:
    around = Surroundings(serves_from=OLDER)
    begins = around.start()
    await begins.look()
    assert begins.bet(BET) is BET


async def test_a_temporal_without_attributes_fails_no_bet_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_start, "LOOK_EVERY_S", 0.0)
    around = Surroundings(known=False)
    begins = around.start()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await begins.look()
            await around.workflows(begins).start(BET)
    assert [attributes(options) for _, options in around.started] == [None] * 3
    (warning,) = caplog.messages
    assert "run python -m compose.search_attributes" in warning
    assert all(name in warning for name in search.ATTRIBUTES)


async def test_it_notices_when_they_are_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_start, "LOOK_EVERY_S", 0.0)
    around = Surroundings(known=False, serves_from=OLDER)
    begins = around.start()
    await begins.look()
    around.known, around.serves_from = True, NAMED_STEPS_SCHEMA
    with caplog.at_level(logging.INFO):
        await begins.look()
    await around.workflows(begins).start(BET)
    ((bet, options),) = around.started
    assert attributes(options) is not None
    assert bet.version == NAMED_STEPS
    assert caplog.messages[-1] == "rounds can be searched in Temporal from now on"


async def test_it_asks_rarely_and_no_more_when_all_is_there() -> None:
    around = Surroundings(known=False)
    begins = around.start()
    for _ in range(3):
        await begins.look()
    assert len(around.queries) == 1, "within a minute it does not ask again"
    ready = Surroundings()
    begins = ready.start()
    for _ in range(3):
        await begins.look()
    assert ready.queries == [search.KNOWN]


async def test_an_attribute_that_goes_fails_no_bet_either(caplog: pytest.LogCaptureFixture) -> None:
    around = Surroundings()
    begins = around.start()
    await begins.look()
    around.known = False
    workflows = around.workflows(begins)
    for _ in range(2):
        await workflows.start(BET)
    assert [options.keys() & {"search_attributes"} for _, options in around.started] == [set(), set()]
    assert len(caplog.messages) == 1


async def test_what_is_wrong_with_the_start_itself_is_not_put_on_the_attributes() -> None:
    around = Surroundings()
    begins = around.start()
    await begins.look()
    around.away = RPCStatusCode.INVALID_ARGUMENT
    workflows = around.workflows(begins)
    with pytest.raises(OutcomeUncertain):
        await workflows.start(BET)
    around.away = None
    await workflows.start(BET)
    assert attributes(around.started[-1][1]) is not None


async def test_a_temporal_that_does_not_answer_leaves_all_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    around = Surroundings(away=RPCStatusCode.UNAVAILABLE)
    begins = around.start()
    await begins.look()
    assert "search_attributes" not in begins.options(BET)
    assert caplog.messages == []


async def test_whoever_starts_a_round_again_looks_first() -> None:
    around = Surroundings()
    await around.workflows(around.start()).restart(BET)
    ((bet, options),) = around.started
    assert attributes(options) is not None
    assert bet.version == NAMED_STEPS
