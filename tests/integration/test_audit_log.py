"""The audit log: an act and its entry are one, whoever acts, and nobody changes what is written."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import pytest

from api.operator.service import OperatorKeys, Switches, TooManyKeys
from api.webhook.service import WebhookService
from contracts.audit import AuditEntry, By, Kind
from contracts.interventions import Action, InterveneRequest, Intervention
from contracts.webhooks import Webhook, WebhookChanges
from security.keyring import Keyring
from security.webhook_secrets import WebhookVault
from storage import audit, interventions, players, webhooks
from storage.database import Database, open_database
from storage.feed import Feed
from storage.webhooks import Failure
from tests.conftest import Services
from tests.support.conditions import HANG_S, until
from tests.support.databases import as_application, migrated_database
from tests.support.ledger import Seat, take_seat

PERSON: Final = By("key:0123456789abcdef", "ticket 4711")
# What acts change, as one text. Of events only that there are some: they follow from the rest.
STATE: Final = """
    SELECT json_build_array(
        (SELECT json_agg(p ORDER BY p.id) FROM players p WHERE operator_id = $1),
        (SELECT json_agg(a ORDER BY a.id) FROM accounts a WHERE operator_id = $1),
        (SELECT json_agg(g ORDER BY g.game_id) FROM game_switches g WHERE operator_id = $1),
        (SELECT json_agg(k ORDER BY k.id) FROM api_keys k WHERE operator_id = $1),
        (SELECT json_agg(w ORDER BY w.id) FROM webhooks w WHERE operator_id = $1),
        (SELECT json_agg(d ORDER BY d.id) FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
         WHERE w.operator_id = $1))::text
"""
WAITING: Final = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@dataclass(frozen=True, slots=True)
class Acting:
    """An operator with something of each kind, as programs act on it."""

    seat: Seat
    pool: asyncpg.Pool
    webhook: Webhook
    key_id: str
    dead_event: str

    @property
    def operator_id(self) -> str:
        return self.seat.session.operator_id

    @property
    def keys(self) -> OperatorKeys:
        return OperatorKeys(self.pool)

    @property
    def webhooks(self) -> WebhookService:
        return webhook_service(self.pool)

    def moved(self, transaction_id: str, amount: int) -> dict[str, Any]:
        return {
            "operator_id": self.operator_id,
            "player_id": self.seat.session.player_id,
            "player_key": self.seat.session.player_key,
            "transaction_id": transaction_id,
            "amount": amount,
            "currency": "EUR",
            "by": PERSON,
        }

    async def entries(self) -> list[AuditEntry]:
        found = await audit.listed(self.pool, operator_id=self.operator_id, limit=100)
        return [one for one in found if one.actor == PERSON.actor]

    async def state(self) -> str:
        return str(await self.seat.database.pool.fetchval(STATE, self.operator_id))


KEYRING: Final = Keyring.generate()


def webhook_service(pool: asyncpg.Pool) -> WebhookService:
    return WebhookService(pool, Feed(pool, patience_s=HANG_S), WebhookVault(KEYRING), local=True)


@pytest.fixture(scope="module")
async def own_url(services: Services) -> AsyncIterator[str]:
    async with migrated_database(services) as url:
        yield url


@pytest.fixture(scope="module")
async def own(own_url: str) -> AsyncIterator[Database]:
    opened = await open_database(own_url, connections=6)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def application(services: Services, own_url: str) -> AsyncIterator[Database]:
    """With the rights that programs have."""
    opened = await open_database(as_application(services, own_url), connections=6)
    yield opened
    await opened.close()


@pytest.fixture
async def acting(own: Database, application: Database) -> Acting:
    seat = await take_seat(own, balance=1_000)
    operator_id, setting_up = seat.session.operator_id, By("cli:set-up")
    made = await webhook_service(own.pool).create(
        operator_id=operator_id, url="http://127.0.0.1:9/", types=None, by=setting_up
    )
    bet = seat.bet(stake=1)
    await seat.reserve(bet)
    await seat.settle(bet, win=0)
    event_id = str((await seat.events())[-1]["event_id"])
    webhook = made.status.webhook
    failure = Failure(event_id=event_id, error="timeout: no answer")
    assert await webhooks.move(own.pool, webhook, to=webhook.cursor + 1, delivered=False, failures=[failure])
    (delivery,) = [
        found for found in await webhooks.to_hand_over(own.pool, limit=1_000) if found.key == webhook.key
    ]
    assert await webhooks.dead_letter(own.pool, delivery)
    key = await OperatorKeys(own.pool).issue(operator_id=operator_id, scope="game", by=setting_up)
    assert key is not None
    return Acting(seat, application.pool, webhook, key.key_id, event_id)


Act = Callable[[Acting], Coroutine[Any, Any, object]]


def player(blocked: bool) -> Act:
    return lambda acting: Switches(acting.pool).player(
        operator_id=acting.operator_id, player_id=acting.seat.session.player_id, blocked=blocked, by=PERSON
    )


def game(enabled: bool) -> Act:
    return lambda acting: Switches(acting.pool).game(
        operator_id=acting.operator_id, game_id="dice", enabled=enabled, by=PERSON
    )


def deposit(transaction_id: str, amount: int = 100) -> Act:
    return lambda acting: players.deposit(
        acting.pool,
        account_id=acting.seat.session.account_id,
        **acting.moved(transaction_id, amount),
    )


def withdrawal(transaction_id: str, amount: int = 100) -> Act:
    return lambda acting: players.withdraw(acting.pool, **acting.moved(transaction_id, amount))


def new_webhook(acting: Acting) -> Coroutine[Any, Any, object]:
    return acting.webhooks.create(
        operator_id=acting.operator_id, url="http://127.0.0.1:9/new", types=["round.void"], by=PERSON
    )


def new_key(acting: Acting) -> Coroutine[Any, Any, object]:
    return acting.keys.issue(operator_id=acting.operator_id, scope="operator", name="of a test", by=PERSON)


ACTS: Final[dict[Kind, Act]] = {
    Kind.PLAYER_BLOCKED: player(True),
    Kind.PLAYER_UNBLOCKED: player(False),
    Kind.GAME_ENABLED: game(True),
    Kind.GAME_DISABLED: game(False),
    Kind.DEPOSIT: deposit("d-1"),
    Kind.WITHDRAWAL: withdrawal("w-1"),
    Kind.WEBHOOK_CREATED: new_webhook,
    Kind.WEBHOOK_CHANGED: lambda acting: acting.webhooks.change(
        acting.webhook.key, WebhookChanges(enabled=False), by=PERSON
    ),
    Kind.WEBHOOK_SECRET_ROTATED: lambda acting: acting.webhooks.rotate_secret(acting.webhook.key, by=PERSON),
    Kind.WEBHOOK_DELETED: lambda acting: acting.webhooks.delete(acting.webhook.key, by=PERSON),
    Kind.WEBHOOK_REPLAYED: lambda acting: acting.webhooks.replay(acting.webhook.key, None, by=PERSON),
    Kind.KEY_CREATED: new_key,
    Kind.KEY_ROTATED: lambda acting: acting.keys.rotate(
        operator_id=acting.operator_id, key_id=acting.key_id, overlap_s=60, by=PERSON
    ),
    Kind.KEY_REVOKED: lambda acting: acting.keys.revoke(
        operator_id=acting.operator_id, key_id=acting.key_id, by=PERSON
    ),
}
ROUNDS: Final = {Kind(action.value) for action in Action}


def test_each_kind_of_act_is_tried_here() -> None:
    assert set(ACTS) | ROUNDS | {Kind.WEBHOOK_TESTED} == set(Kind)


@pytest.mark.parametrize("kind", ACTS, ids=lambda kind: kind.value)
async def test_an_act_and_its_entry_are_there_together(acting: Acting, kind: Kind) -> None:
    before = await acting.state()
    await ACTS[kind](acting)
    assert (await acting.state() == before) is (kind is Kind.PLAYER_UNBLOCKED)  # nobody was blocked
    (found,) = await acting.entries()
    assert (found.kind, found.actor, found.verdict) == (kind.value, PERSON.actor, "accepted")
    assert found.reason == PERSON.reason
    assert found.subject


@pytest.mark.parametrize("kind", ACTS, ids=lambda kind: kind.value)
async def test_an_act_is_not_done_when_its_entry_cannot_be_written(
    acting: Acting, own: Database, kind: Kind
) -> None:
    """The interleaving: the act is committed, and then there is no entry to be had."""
    before = await acting.state()
    await own.pool.execute(
        "ALTER TABLE audit_log ADD CONSTRAINT full_up CHECK (actor <> 'key:0123456789abcdef') NOT VALID"
    )
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await ACTS[kind](acting)
    finally:
        await own.pool.execute("ALTER TABLE audit_log DROP CONSTRAINT full_up")
    assert await acting.state() == before
    assert await acting.entries() == []


async def test_what_is_not_done_leaves_no_entry(acting: Acting) -> None:
    """The other interleaving: an entry of what then was refused, or was done before."""
    nobody, other = (
        replace(acting.webhook.key, webhook_id="nobody"),
        replace(acting.webhook.key, operator_id="rival"),
    )
    assert not await Switches(acting.pool).player(
        operator_id=acting.operator_id, player_id="nobody", blocked=True, by=PERSON
    )
    for key in (nobody, other):
        assert await acting.webhooks.change(key, WebhookChanges(enabled=False), by=PERSON) is None
        assert await acting.webhooks.rotate_secret(key, by=PERSON) is None
        assert not await acting.webhooks.delete(key, by=PERSON)
        assert not await acting.webhooks.replay(key, None, by=PERSON)
    assert not await acting.webhooks.replay(acting.webhook.key, [str(uuid4())], by=PERSON)
    assert not await acting.keys.revoke(operator_id="rival", key_id=acting.key_id, by=PERSON)
    assert await acting.keys.rotate(operator_id="rival", key_id=acting.key_id, overlap_s=1, by=PERSON) is None
    assert await acting.keys.issue(operator_id="nobody", scope="game", by=PERSON) is None
    await withdrawal("w-1", amount=100_000)(acting)
    await deposit("w-1", amount=2**52)(acting)
    assert await acting.entries() == []
    for _ in range(2):
        await deposit("d-1")(acting)  # the second is answered as the first was
        await deposit("d-1", amount=7)(acting)
    assert [one.detail["amount"] for one in await acting.entries()] == [100]


async def test_more_keys_than_there_may_be_leave_no_entry(
    acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.operators.KEYS_LIMIT", 1)
    with pytest.raises(TooManyKeys):
        await new_key(acting)
    assert await acting.entries() == []


async def test_a_connection_that_dies_in_the_act_leaves_neither(acting: Acting, own: Database) -> None:
    """The act waits for the player's row when its server process is ended."""
    before = await acting.state()
    async with own.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        key = acting.seat.session.player_key
        await connection.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", key)
        running = asyncio.create_task(ACTS[Kind.PLAYER_BLOCKED](acting))

        async def waits() -> bool:
            return bool(await own.pool.fetchval(f"SELECT count(*) {WAITING}"))

        await until(waits)
        await own.pool.execute(f"SELECT pg_terminate_backend(pid) {WAITING}")
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError)):
            await running
        await transaction.rollback()
    assert await acting.state() == before
    assert await acting.entries() == []


async def test_entries_have_no_secret(acting: Acting) -> None:
    made = await acting.webhooks.rotate_secret(acting.webhook.key, by=PERSON)
    key = await acting.keys.issue(operator_id=acting.operator_id, scope="game", by=PERSON)
    assert made is not None
    assert key is not None
    text = json.dumps([one.detail for one in await acting.entries()])
    assert made.secret not in text
    assert key.text not in text
    assert "whsec_" not in text


async def test_nobody_changes_or_removes_an_entry(acting: Acting, own: Database) -> None:
    await ACTS[Kind.KEY_CREATED](acting)
    for statement in (
        "UPDATE audit_log SET actor = 'key:x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO audit_log (operator_id, actor, kind, subject, detail, created_at)"
        " VALUES ('a', 'b', 'c', 'd', '{}', '2020-01-01')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await acting.pool.execute(statement)
    for statement in ("UPDATE audit_log SET actor = 'key:x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await own.pool.execute(statement)


async def test_the_list_has_decisions_and_acts_of_one_operator_page_by_page(
    acting: Acting, own: Database
) -> None:
    rival = await take_seat(own, balance=1_000)
    for seat in (acting.seat, rival):
        for n in range(3):
            bet = seat.bet()
            await seat.reserve(bet)
            decision = Intervention(
                intervention_id=str(uuid4()), action=Action.VOID, reason=f"void {n}", actor=PERSON.actor
            )
            await interventions.intervene(own.pool, InterveneRequest(bet=bet, intervention=decision))
    for enabled in (True, False) * 3:
        await game(enabled)(acting)
        await Switches(acting.pool).game(
            operator_id=rival.session.operator_id, game_id="rivals", enabled=enabled, by=PERSON
        )
    whole = await audit.listed(acting.pool, operator_id=acting.operator_id, limit=100)
    assert [one.created_at for one in whole] == sorted((one.created_at for one in whole), reverse=True)
    of_person = [one for one in whole if one.actor == PERSON.actor]
    assert [one.kind for one in of_person] == ["game-disabled", "game-enabled"] * 3 + ["void"] * 3
    assert len(whole) == len(of_person) + 3  # the deposit, webhook and key of the setting up
    assert of_person[-1].player_id == acting.seat.session.player_id
    assert of_person[-1].state_before == "pending"
    assert "rivals" not in {one.subject for one in whole}
    for chosen, wanted in (
        ({}, whole),
        ({"actor": PERSON.actor}, of_person),
        ({"kinds": [Kind.VOID]}, [one for one in whole if one.kind == "void"]),
        (
            {"kinds": [Kind.VOID, Kind.GAME_ENABLED], "actor": PERSON.actor},
            [one for one in of_person if one.kind in ("void", "game-enabled")],
        ),
        ({"actor": "key:nobody"}, []),
    ):
        assert await _paged(acting, **chosen) == wanted
    theirs = await audit.listed(acting.pool, operator_id=rival.session.operator_id, limit=1)
    foreign = UUID(theirs[0].entry_id)
    assert await audit.listed(acting.pool, operator_id=acting.operator_id, before=foreign, limit=9) == []


async def _paged(acting: Acting, **chosen: object) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    while True:
        before = UUID(found[-1].entry_id) if found else None
        page = await audit.listed(
            acting.pool,
            operator_id=acting.operator_id,
            before=before,
            limit=2,
            **chosen,  # type: ignore[arg-type]
        )
        found += page
        if len(page) < 2:
            return found


MANY: Final = """
    INSERT INTO audit_log (operator_id, actor, kind, subject, detail)
    SELECT $1, 'key:' || n % 3, 'deposit', 'p-' || n, '{}' FROM generate_series(1, 20000) n
"""


async def test_a_rare_kind_and_an_old_place_are_found_without_reading_the_rest(
    acting: Acting, own: Database
) -> None:
    await game(True)(acting)
    await own.pool.execute(MANY, acting.operator_id)
    await own.pool.execute("ANALYZE audit_log")
    everything = [kind.value for kind in Kind]
    oldest = await own.pool.fetchval(
        "SELECT id FROM audit_log WHERE operator_id = $1 ORDER BY created_at LIMIT 1 OFFSET 200",
        acting.operator_id,
    )
    for statement, arguments in (
        (audit.LISTED, (acting.operator_id, everything, None, 51)),
        (audit.LISTED, (acting.operator_id, everything, oldest, 51)),
        (audit.LISTED, (acting.operator_id, ["game-enabled"], None, 51)),
        (audit.LISTED_OF_ACTOR, (acting.operator_id, everything, None, 51, "key:1")),
        (audit.LISTED_OF_ACTOR, (acting.operator_id, everything, None, 51, PERSON.actor)),
    ):
        plan = await own.pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
        (found,) = plan if isinstance(plan, list) else json.loads(plan)
        assert _read(found["Plan"]) < 51 * 3, arguments


def _read(node: dict[str, Any]) -> float:
    """How many rows of tables a plan has read, those that it left out too."""
    own = 0.0
    if "Relation Name" in node:
        own = node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return own + sum(_read(inner) for inner in node.get("Plans", []))
