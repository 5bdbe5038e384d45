"""What happens to a player beside the ends of rounds is told too: each fact once, by the transaction that
makes it true, with the player's next sequence."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest

from contracts.events import RecordedEvent, ReportResult, ReportVerdict
from contracts.rounds import RoundState
from events.catalogue import DATA_SCHEMA, envelope, routing_key
from events.publisher import Publisher, Unroutable
from security.keyring import Keyring
from security.signatures import Signer
from storage import game_events, operator_wallets, outbox, sessions
from storage.database import Database
from tests.conftest import Services
from tests.support.conditions import until
from tests.support.databases import own_database
from tests.support.ledger import Seat, assert_hold, take_seat, waiting_for_a_lock
from verification.invariants.events import EVENTS_AGREE, MOVEMENTS_AGREE
from workers.relay import EVENTS_UNWANTED, sweep

AT = "2026-11-23T01:00:00.000000+00:00"


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    """One of its own: a sweep is of every event."""
    async with own_database(services, connections=40) as opened:
        yield opened


async def _told(seat: Seat) -> list[tuple[str, str]]:
    """Type and subject of each event, after a check that their sequences have no gap, that their data is as
    the catalogue says, and that consumers could be sent them."""
    events = await seat.every_event()
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    head = await seat.database.pool.fetchval(
        "SELECT sequence FROM players WHERE id = $1", seat.session.player_key
    )
    assert head == len(events)
    for event in events:
        schema = jsonschema_rs.validator_for(DATA_SCHEMA[event["type"]], validate_formats=True)
        assert [error.message for error in schema.iter_errors(event["data"])] == [], event["type"]
        assert event["data"]["player_id"] == seat.session.player_id
        found = await outbox.find(seat.database.pool, str(event["event_id"]))
        assert found is not None
        assert envelope(found[0])
        assert routing_key(found[0]).endswith(event["type"])
    return [(event["type"], event["subject"]) for event in events]


async def _data(seat: Seat, type_: str) -> dict[str, Any]:
    (event,) = [event for event in await seat.every_event() if event["type"] == type_]
    data: dict[str, Any] = event["data"]
    return data


def _money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


class TestMovements:
    async def test_a_deposit_and_a_withdrawal_are_told_once(self, database: Database) -> None:
        seat = await take_seat(database)
        for _ in range(2):
            await seat.deposit(1_000, "d")
            await seat.withdraw(300, "w")
        player_id = seat.session.player_id
        assert await _told(seat) == [
            ("session.opened", player_id),
            ("wallet.deposited", player_id),
            ("wallet.withdrawn", player_id),
        ]
        assert await _data(seat, "wallet.withdrawn") == {
            "player_id": player_id,
            "transaction_id": "w",
            "amount": _money(300),
            "balance": _money(700),
        }

    async def test_what_is_refused_is_not_told(self, database: Database) -> None:
        seat = await take_seat(database, balance=100)
        assert (await seat.withdraw(101))[0] == "insufficient-funds"
        await seat.withdraw(50, "w")
        assert (await seat.withdraw(51, "w"))[0] == "reused"
        assert (await seat.deposit(2**53 - 1))[0] == "too-much"
        assert [type_ for type_, _ in await _told(seat)] == [
            "session.opened",
            "wallet.deposited",
            "wallet.withdrawn",
        ]

    async def test_a_balance_beyond_what_clients_read_exactly_is_told_as_the_largest(
        self, database: Database
    ) -> None:
        """The ledger has it exactly; a client would read another number."""
        seat = await take_seat(database)
        assert await seat.deposit(2**52 - 1) == ("deposited", 2**52 - 1)
        assert (await seat.deposit(1))[0] == "too-much"
        bet = seat.bet()
        await seat.reserve(bet)
        assert (await seat.settle(bet, 2**53)).balance == 2**52 - 101 + 2**53
        assert (await _data(seat, "round.settled"))["balance"] == _money(2**53 - 1)
        assert await seat.withdraw(2**52, "w") == ("withdrawn", 2**53 - 101)
        assert (await _data(seat, "wallet.withdrawn"))["balance"] == _money(2**53 - 101)
        async with database.pool.acquire() as connection:
            await assert_hold(connection, (EVENTS_AGREE, MOVEMENTS_AGREE))

    async def test_all_at_once_leave_no_gap_and_no_second_event(self, database: Database) -> None:
        """Repeats of one deposit and one withdrawal, rounds, declines and a session's end wait for each
        other, whatever order they come in."""
        seat = await take_seat(database, balance=10_000)
        session = seat.session

        async def play() -> None:
            bet = seat.bet()
            if (await seat.reserve(bet)).state is RoundState.PENDING:
                await seat.settle(bet, 10)

        async def end() -> None:
            await sessions.end_session(
                database.pool, session_id=session.session_id, operator_id=session.operator_id
            )

        await asyncio.gather(
            *(seat.deposit(50, "same") for _ in range(5)),
            *(play() for _ in range(10)),
            *(seat.withdraw(50, "other") for _ in range(5)),
            *(end() for _ in range(5)),
            *(_tell(seat, _event("one")) for _ in range(5)),
        )
        counts = Counter(type_ for type_, _ in await _told(seat))
        assert counts.pop("round.settled", 0) + counts.pop("round.declined", 0) == 10
        assert counts == {
            "session.opened": 1,
            "session.ended": 1,
            "wallet.deposited": 2,
            "wallet.withdrawn": 1,
            "game.event": 1,
        }


class TestSessions:
    async def test_an_open_and_an_end_are_told(self, database: Database) -> None:
        seat = await take_seat(database)
        session = seat.session
        ends = [
            await sessions.end_session(
                database.pool, session_id=session.session_id, operator_id=session.operator_id
            )
            for _ in range(3)
        ]
        assert ends == [True] * 3
        assert [type_ for type_, _ in await _told(seat)] == ["session.opened", "session.ended"]
        common = {
            "player_id": session.player_id,
            "session_id": session.session_id,
            "game": {"id": "dice"},
            "currency": "EUR",
        }
        assert await _data(seat, "session.ended") == common
        opened = await _data(seat, "session.opened")
        assert datetime.fromisoformat(opened.pop("expires_at")) == session.expires_at
        assert opened == common

    async def test_nobody_else_ends_a_session(self, database: Database) -> None:
        seat, stranger = await take_seat(database), await take_seat(database)
        assert not await sessions.end_session(
            database.pool,
            session_id=seat.session.session_id,
            operator_id=stranger.session.operator_id,
        )
        assert [type_ for type_, _ in await _told(seat)] == ["session.opened"]

    async def test_an_end_waits_for_the_player_before_it_touches_the_session(
        self, database: Database
    ) -> None:
        """Whoever has the player's row may go on to the session's: an end that had the session's row already
        would wait for the player's, and the two for each other."""
        seat = await take_seat(database)
        session = seat.session
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM players WHERE id = $1 FOR UPDATE", session.player_key)
            ending = asyncio.create_task(
                sessions.end_session(
                    database.pool, session_id=session.session_id, operator_id=session.operator_id
                )
            )
            await until(lambda: _someone_waits(database))
            await connection.execute(
                "SELECT FROM sessions WHERE id = $1 FOR NO KEY UPDATE NOWAIT", session.session_id
            )
        assert await ending


async def _someone_waits(database: Database) -> bool:
    return await waiting_for_a_lock(database) > 0


class TestDeclines:
    async def test_a_declined_bet_is_told_once(self, database: Database) -> None:
        seat = await take_seat(database, balance=50)
        bet = seat.bet(stake=100)
        declined = [await seat.reserve(bet) for _ in range(3)][-1]
        assert (await _told(seat))[2:] == [("round.declined", bet.key.round_id)]
        event = (await seat.every_event())[-1]
        assert (declined.sequence, declined.event_id) == (3, str(event["event_id"]))
        data = await _data(seat, "round.declined")
        assert (data["failure"], data["balance"], data["win"]) == (
            {"code": "insufficient-funds"},
            _money(50),
            _money(0),
        )

    async def test_another_bet_of_the_same_id_is_told_of_nobody(self, database: Database) -> None:
        seat = await take_seat(database, balance=1_000)
        bet = seat.bet()
        await seat.reserve(bet)
        await seat.reserve(seat.bet(bet.key.round_id, stake=200))
        assert [type_ for type_, _ in await _told(seat)] == ["session.opened", "wallet.deposited"]

    async def test_what_an_operators_wallet_declines_is_told(self, database: Database) -> None:
        """Once, and with the balance only where the wallet told it."""
        seat, pool = await take_seat(database), database.pool
        told, silent = seat.bet(), seat.bet()
        for bet, balance in ((told, 40), (silent, None)):
            await operator_wallets.begin_bet(pool, bet, f"bet-{bet.key.round_id}")
            for _ in range(2):
                await operator_wallets.decline_bet(
                    pool, bet, failure_code="wallet-failed", failure_detail=None, balance=balance
                )
        subjects = [told.key.round_id, silent.key.round_id]
        assert (await _told(seat))[1:] == [("round.declined", subject) for subject in subjects]
        assert [event["data"]["balance"] for event in (await seat.every_event())[1:]] == [_money(40), None]


async def test_a_round_that_stays_open_for_a_choice_is_told(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    choices, decide_by = [{"action": "gamble"}, {"action": "collect"}], datetime.now(UTC) + timedelta(hours=1)
    for until_then in (decide_by, None):
        await database.pool.execute(
            "SELECT record_round_opened(r, $3, $4) FROM rounds r WHERE player_key = $1 AND round_id = $2",
            bet.key.player_key,
            bet.key.round_id,
            choices,
            until_then,
        )
    assert (await _told(seat))[2:] == [("round.opened", bet.key.round_id)] * 2
    first, second = (event["data"] for event in (await seat.every_event())[2:])
    assert (first["choices"], first["stake"]) == (choices, _money(100))
    assert datetime.fromisoformat(first["decide_by"]) == decide_by
    assert second["decide_by"] is None


def _event(event_id: str | None = None, **changes: Any) -> dict[str, Any]:
    event = {"event_id": event_id or uuid4().hex, "type": "ui.spin", "at": AT, "data": {"reel": 1}}
    return {**event, **changes}


async def _tell(seat: Seat, *events: dict[str, Any], limit: int = 100) -> ReportResult:
    session = seat.session
    return await game_events.record(
        seat.database.pool,
        operator_id=session.operator_id,
        player_key=session.player_key,
        session_id=session.session_id,
        events=events,
        limit=limit,
    )


class TestGameEvents:
    async def test_each_is_told_once_in_the_order_of_the_call(self, database: Database) -> None:
        seat = await take_seat(database)
        first, second = _event("b"), _event("a", data={})
        assert await _tell(seat, first, second) == ReportResult(ReportVerdict.RECORDED)
        assert await _tell(seat, second, first, first, _event("c")) == ReportResult(ReportVerdict.RECORDED)
        assert [type_ for type_, _ in await _told(seat)][1:] == ["game.event"] * 3
        data = [event["data"] for event in (await seat.every_event())[1:]]
        assert [told["event_id"] for told in data] == ["b", "a", "c"]
        assert data[0] == {
            "player_id": seat.session.player_id,
            "session_id": seat.session.session_id,
            "game": {"id": "dice"},
            **first,
        }

    async def test_twenty_tellings_at_once_record_one(self, database: Database) -> None:
        seat, event = await take_seat(database), _event()
        told = await asyncio.gather(*(_tell(seat, event, limit=1) for _ in range(20)))
        assert set(told) == {ReportResult(ReportVerdict.RECORDED)}, "a repeat is no further event"
        assert len(await _told(seat)) == 2

    async def test_of_two_with_one_id_at_once_one_is_refused(self, database: Database) -> None:
        seat = await take_seat(database)
        for number in range(10):
            event_id = f"e-{number}"
            told = await asyncio.gather(*(_tell(seat, _event(event_id, data={"n": n})) for n in range(2)))
            assert set(told) == {
                ReportResult(ReportVerdict.RECORDED),
                ReportResult(ReportVerdict.REUSED, event_id),
            }
        assert len(await _told(seat)) == 11

    @pytest.mark.parametrize(
        "change", [{"type": "ui.other"}, {"at": "2026-11-23T01:00:01.000000+00:00"}, {"data": {"reel": 2}}]
    )
    async def test_an_id_with_other_contents_is_refused_and_nothing_recorded(
        self, database: Database, change: dict[str, Any]
    ) -> None:
        seat, event = await take_seat(database), _event()
        other = {**event, **change}
        assert await _tell(seat, _event(), event, other) == ReportResult(
            ReportVerdict.REUSED, event["event_id"]
        )
        assert len(await _told(seat)) == 1
        assert await _tell(seat, event) == ReportResult(ReportVerdict.RECORDED)
        assert await _tell(seat, _event(), other) == ReportResult(ReportVerdict.REUSED, event["event_id"])
        assert len(await _told(seat)) == 2

    async def test_an_id_is_its_players_own(self, database: Database) -> None:
        one, other = await take_seat(database), await take_seat(database)
        assert await _tell(one, _event("same")) == ReportResult(ReportVerdict.RECORDED)
        assert await _tell(other, _event("same", type="else")) == ReportResult(ReportVerdict.RECORDED)

    async def test_a_session_tells_so_much_in_a_minute_and_no_more(self, database: Database) -> None:
        seat = await take_seat(database)
        events = [_event() for _ in range(4)]
        assert await _tell(seat, *events, limit=5) == ReportResult(ReportVerdict.RECORDED)
        assert await _tell(seat, _event(), _event(), limit=5) == ReportResult(ReportVerdict.TOO_MANY)
        assert await _tell(seat, *events, _event(), limit=5) == ReportResult(ReportVerdict.RECORDED)
        assert await _tell(seat, _event(), limit=5) == ReportResult(ReportVerdict.TOO_MANY)
        assert len(await _told(seat)) == 6
        await database.pool.execute(
            "UPDATE game_events SET created_at = created_at - interval '61 s' WHERE session_id = $1",
            seat.session.session_id,
        )
        assert await _tell(seat, *(_event() for _ in range(5)), limit=5) == ReportResult(
            ReportVerdict.RECORDED
        )

    async def test_two_calls_at_once_share_the_limit(self, database: Database) -> None:
        seat = await take_seat(database)
        told = await asyncio.gather(*(_tell(seat, _event(), _event(), limit=5) for _ in range(6)))
        assert Counter(one.verdict for one in told) == {ReportVerdict.RECORDED: 2, ReportVerdict.TOO_MANY: 4}

    async def test_nobody_tells_for_another_player(self, database: Database) -> None:
        one, other = await take_seat(database), await take_seat(database)
        told = await game_events.record(
            database.pool,
            operator_id=one.session.operator_id,
            player_key=one.session.player_key,
            session_id=other.session.session_id,
            events=[_event()],
        )
        assert told == ReportResult(ReportVerdict.UNKNOWN)


class _Returning(Publisher):
    """A publisher whose every message comes back."""

    async def publish(self, event: RecordedEvent, *, timeout_seconds: float) -> None:
        raise Unroutable(f"no queue takes {event.type}")


@pytest.fixture
async def returning() -> AsyncIterator[Publisher]:
    publisher = _Returning("amqp://127.0.0.1:9/", Signer(Keyring.generate().events))
    yield publisher
    await publisher.close()


async def test_what_nobody_wants_is_done_with_and_the_end_of_a_round_is_not(
    database: Database, returning: Publisher
) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, 10)
    before = EVENTS_UNWANTED.labels("wallet.deposited")._value.get()

    async def swept() -> bool:
        await sweep(database.pool, returning, older_than_s=0)
        waiting = [event["type"] for event in await seat.every_event() if event["published_at"] is None]
        return waiting == ["round.settled"]

    await until(swept)
    assert EVENTS_UNWANTED.labels("wallet.deposited")._value.get() > before


async def test_the_relay_leaves_the_end_of_a_round_to_its_workflow_for_a_while(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, 10)
    own = [str(event["event_id"]) for event in await seat.every_event()]
    waiting = await outbox.waiting(database.pool, older_than_s=3_600, limit=10_000)
    mine = [event.type for event in waiting if event.event_id in own]
    assert mine == ["session.opened", "wallet.deposited"]
