"""`round list`, `round now`, `stuck` and `round resolve` about many, as people call them on a running
stack."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from cli.round import batch
from contracts.rounds import Bet, RoundState
from storage import outbox, rounds
from storage.database import Database
from tests.conftest import Services
from tests.support.commands import Ended, run
from tests.support.ledger import Seat, take_seat

REASON = ("--reason", "ticket 4711", "--by", "ops")


@pytest.fixture(autouse=True)
def rounds_are_never_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a minute to pass."""
    monkeypatch.setattr(batch, "YOUNG", timedelta(hours=-1))


@pytest.fixture
async def operator_id(database: Database) -> str:
    """One with two rounds that are open, and one that has settled."""
    name = f"batch-{uuid4().hex[:8]}"
    for _ in range(2):
        seat = await take_seat(database, operator_id=name, balance=1_000)
        await seat.reserve(seat.bet())
    settled = await take_seat(database, operator_id=name, balance=1_000)
    bet = settled.bet()
    await settled.reserve(bet)
    await settled.settle(bet, 50)
    await _publish(database, name)
    return name


async def _publish(database: Database, operator_id: str) -> None:
    """As the rounds' workflows would have."""
    waiting = "SELECT event_id::text FROM outbox WHERE operator_id = $1 AND published_at IS NULL"
    found = await database.pool.fetch(waiting, operator_id)
    await outbox.mark_published(database.pool, [row["event_id"] for row in found])


async def ids(database: Database, operator_id: str, state: RoundState) -> list[str]:
    rows = await database.pool.fetch(
        "SELECT round_id FROM rounds WHERE operator_id = $1 AND state = $2 ORDER BY id DESC",
        operator_id,
        state.value,
    )
    return [row["round_id"] for row in rows]


class TestList:
    async def test_shows_rounds_as_lines_and_as_json(
        self, services: Services, platform: dict[str, Any], database: Database, operator_id: str
    ) -> None:
        code, output, errors = await run(services, platform, "round", "list", "--operator", operator_id)
        assert (code, errors) == (0, "")
        header, *lines = output.splitlines()
        assert header == "times in UTC, amounts in minor units of the currency"
        assert ["stake 100 EUR, win 50 EUR" in line for line in lines] == [True, False, False]
        code, output, _ = await run(
            services, platform, "round", "list", "--operator", operator_id, "--state", "pending", "--json"
        )
        document = json.loads(output)
        assert [item["round_id"] for item in document["items"]] == await ids(
            database, operator_id, RoundState.PENDING
        )
        assert document["next_cursor"] is None

    async def test_goes_on_where_it_ended(
        self, services: Services, platform: dict[str, Any], operator_id: str
    ) -> None:
        options = ("round", "list", "--operator", operator_id, "--limit", "2")
        _, output, _ = await run(services, platform, *options)
        cursor = output.splitlines()[-1].rpartition("--cursor ")[2]
        _, output, _ = await run(services, platform, *options, "--cursor", cursor)
        assert len(output.splitlines()) == 2
        assert "--cursor" not in output

    async def test_refuses_what_there_is_not(
        self, services: Services, platform: dict[str, Any], operator_id: str
    ) -> None:
        for options, said in (
            (("--operator", "nobody-here"), "there is no operator nobody-here"),
            (
                ("--operator", operator_id, "--player", "x"),
                f"operator {operator_id} has no player x with real",
            ),
            (("--cursor", "made-up"), "--cursor is what an earlier list has printed"),
        ):
            code, output, errors = await run(services, platform, "round", "list", *options)
            assert (code, output) == (2, "")
            assert errors.startswith(f"croupier: {said}")
        for others in (("round", "now"), ("stuck",)):
            code, output, errors = await run(services, platform, *others, "--operator", "nobody-here")
            assert (code, output) == (2, "")
            assert errors.startswith("croupier: there is no operator nobody-here")

    async def test_now_counts_what_is_open(
        self, services: Services, platform: dict[str, Any], operator_id: str
    ) -> None:
        code, output, _ = await run(services, platform, "round", "now", "--operator", operator_id)
        assert code == 0
        assert output.startswith("2 rounds hold their stake, and have no result yet (pending)\n")
        assert "200 EUR" in output
        _, output, _ = await run(services, platform, "round", "now", "--operator", operator_id, "--json")
        (stage,) = json.loads(output)
        assert (stage["state"], stage["rounds"], stage["amount"]) == ("pending", 2, 200)
        assert stage["demo"] is False


class TestStuck:
    async def test_names_each_round_and_exits_with_1(
        self, services: Services, platform: dict[str, Any], database: Database, operator_id: str
    ) -> None:
        options = ("stuck", "--operator", operator_id, "--older-than", "0s")
        code, output, errors = await run(services, platform, *options)
        assert (code, errors) == (1, "")
        for round_id in await ids(database, operator_id, RoundState.PENDING):
            assert f"round {round_id} of " in output
        assert output.count("It waits for: Temporal has no workflow of it") == 2
        assert output.count("You may decide: retry-now, void (./croupier round resolve)") == 2
        code, output, _ = await run(services, platform, *options, "--json")
        document = json.loads(output)
        assert (code, document["unasked"], document["more"]) == (1, [], {})
        assert {one["kind"] for one in document["stuck"]} == {"round"}

    async def test_exits_with_0_when_nothing_is(self, services: Services, platform: dict[str, Any]) -> None:
        seat = await _nobody(services)
        options = ("stuck", "--operator", seat, "--older-than", "1d")
        assert await run(services, platform, *options) == (0, "nothing is stuck\n", "")

    async def test_says_that_the_database_is_away(self, services: Services, platform: dict[str, Any]) -> None:
        nowhere = {**platform, "reader_database_url": "postgresql://a:secret@127.0.0.1:1/c"}
        code, output, errors = await run(services, nowhere, "stuck")
        assert (code, output) == (2, "")
        assert errors.startswith("croupier: PostgreSQL (CROUPIER_DATABASE_URL) does not answer")
        assert "secret" not in errors


async def _nobody(services: Services) -> str:
    """An operator that has nothing."""
    return services.operator.operator_id


class TestResolve:
    async def test_shows_first_what_it_would_do(
        self, services: Services, platform: dict[str, Any], database: Database, operator_id: str
    ) -> None:
        code, output, errors = await self._void(services, platform, "--operator", operator_id)
        assert (code, errors) == (0, "")
        assert output.splitlines()[-2:] == [
            "void would be decided about 2 rounds; nothing was done yet",
            "to do it: the same with --confirm 2",
        ]
        assert len(await ids(database, operator_id, RoundState.PENDING)) == 2
        assert await self._decisions(database, operator_id) == []

    async def test_does_it_for_exactly_as_many_as_were_confirmed(
        self, services: Services, platform: dict[str, Any], database: Database, operator_id: str
    ) -> None:
        code, output, errors = await self._void(
            services, platform, "--operator", operator_id, "--confirm", "3"
        )
        assert (code, output) == (2, "")
        assert errors.startswith("croupier: 2 rounds would be decided about, and --confirm says 3")
        assert await self._decisions(database, operator_id) == []
        code, output, errors = await self._void(
            services, platform, "--operator", operator_id, "--confirm", "2"
        )
        assert (code, errors) == (0, "")
        assert output.splitlines()[-1] == "void: 2 of 2 decisions were accepted"
        assert [line.split()[0] for line in output.splitlines()[:2]] == ["accepted", "accepted"]
        assert len(await ids(database, operator_id, RoundState.VOID)) == 2
        recorded = await self._decisions(database, operator_id)
        assert [(row["actor"], row["reason"]) for row in recorded] == [("cli:ops", "ticket 4711")] * 2
        assert len({row["id"] for row in recorded}) == 2

    async def test_leaves_out_what_the_ledger_would_refuse(
        self, services: Services, platform: dict[str, Any], operator_id: str
    ) -> None:
        code, output, _ = await self._void(
            services, platform, "--operator", operator_id, "--json", action="paid-outside"
        )
        document = json.loads(output)
        assert (code, document["dry_run"], document["rounds"], document["decisions"]) == (0, True, [], [])
        assert len(document["in_another_state"]) == 2

    async def test_refuses_more_than_its_limit_and_a_reason_that_is_none(
        self, services: Services, platform: dict[str, Any], operator_id: str
    ) -> None:
        code, _, errors = await self._void(services, platform, "--operator", operator_id, "--limit", "1")
        assert code == 2
        assert errors.startswith("croupier: more than 1 rounds pass: narrow the filters, or raise --limit")
        empty = ("round", "resolve", "--operator", operator_id, "--action", "void", "--reason", " ")
        code, _, errors = await run(services, platform, *empty)
        assert (code, errors) == (2, "croupier: reason: 1 to 300 printable characters\n")

    async def test_leaves_young_rounds_alone(
        self,
        services: Services,
        platform: dict[str, Any],
        operator_id: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(batch, "YOUNG", timedelta(hours=1))
        code, output, _ = await self._void(services, platform, "--operator", operator_id)
        assert (code, output) == (0, "void would be decided about 0 rounds; nothing was done yet\n")

    async def test_of_one_round_is_json_too(
        self, services: Services, platform: dict[str, Any], database: Database
    ) -> None:
        seat, bet = await self._open(database)
        one = ("round", "resolve", bet.key.round_id, "--operator", seat.session.operator_id)
        code, output, _ = await run(services, platform, *one, "--action", "void", *REASON, "--json")
        document = json.loads(output)
        assert (code, document["verdict"], document["state"]) == (0, "accepted", "void")
        code, output, _ = await run(services, platform, *one, "--action", "void", *REASON, "--json")
        assert (code, json.loads(output)["verdict"]) == (1, "refused")
        view = await rounds.find(database.pool, bet.key)
        assert view is not None
        assert view.state is RoundState.VOID

    async def _open(self, database: Database) -> tuple[Seat, Bet]:
        seat = await take_seat(database, balance=1_000)
        bet = seat.bet()
        await seat.reserve(bet)
        return seat, bet

    async def _void(
        self, services: Services, platform: dict[str, Any], *options: str, action: str = "void"
    ) -> Ended:
        return await run(services, platform, "round", "resolve", "--action", action, *REASON, *options)

    async def _decisions(self, database: Database, operator_id: str) -> list[Any]:
        return list(
            await database.pool.fetch("SELECT * FROM interventions WHERE operator_id = $1", operator_id)
        )
