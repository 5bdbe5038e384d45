"""`croupier audit` names what a superuser has changed past every trigger: a link, a posting, a result."""

# ruff: noqa: S608 - the statements are put together from the constants of this file

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from api.session.service import SessionService
from cli import main
from cli.audit import run as audit
from contracts.views import RoundView
from games.checks import play_round
from games.dice import GAME
from games.draws import HmacDraws
from games.protocol import Wager
from runtime.settings import Settings, to_environment
from security.keyring import Keyring
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from storage import operators, rounds
from storage.database import Database
from tests.conftest import Services
from tests.support.databases import own_database, owner_url
from tests.support.ledger import Seat
from verification.audit import AuditReport, Wanted

OPERATOR: Final = "casino"
CHOICE: Final = {"direction": "over", "target": 4_999}
ROUNDS: Final = 6  # of each player at least, and at least one of them won and one lost
# No broker takes the events of these books.
ALL: Final = Wanted(overdue_after_s=3_600)
ALICE: Final = "(SELECT id FROM players WHERE player_id = 'alice')"
LINK: Final = f"player_key = {ALICE} AND position = %d"


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    return Keyring.generate()


@pytest.fixture(scope="module")
async def books(services: Services, keyring: Keyring) -> AsyncIterator[Database]:
    """A database of its own, in which Alice and Bob have played and nothing is wrong."""
    async with own_database(services, connections=2) as database:
        await _play_all(database, keyring)
        yield database


async def _play_all(database: Database, keyring: Keyring) -> None:
    await operators.ensure_operator(database.pool, operator_id=OPERATOR, name="Casino")
    vault = SeedVault(keyring)
    sessions = SessionService(database.pool, vault, TokenIssuer(keyring), lifetime_s=3600)
    for player_id in ("alice", "bob"):
        session, _ = await sessions.open(
            operator_id=OPERATOR, player_id=player_id, game_id="dice", currency="EUR", client_seed="client"
        )
        seat = Seat(database, session)
        await seat.deposit(10_000, "first")
        won: list[bool] = []
        while len(won) < ROUNDS or len(set(won)) < 2:
            won.append((await _play(seat, vault, f"{player_id}-{len(won)}")).win > 0)
        await seat.withdraw(7, "last")


async def _play(seat: Seat, vault: SeedVault, round_id: str) -> RoundView:
    """A round as the steps play it."""
    bet = seat.bet(round_id, choice=CHOICE, game_version=GAME.version)
    view = await seat.reserve(bet)
    assert view.seed_id is not None
    seed = vault.open(view.seed_id, view.sealed_server_seed or "")
    draws = HmacDraws(server_seed=seed, client_seed=view.client_seed or "", nonce=view.nonce or 0)
    step = play_round(GAME, Wager(stake=bet.stake, mode=bet.mode, choice=CHOICE), draws)
    return (await rounds.settle(seat.database.pool, bet.key, dict(step.outcome or {}), step.win)).view


@pytest.fixture
async def given(services: Services, books: Database, keyring: Keyring, tmp_path: Path) -> Settings:
    """The settings of somebody who audits a database without a stack."""
    keyring.save(tmp_path / "keyring.json")
    return Settings(home=tmp_path, database_url=SecretStr(await owner_url(services, books)))


@pytest.fixture
async def tampered(services: Services, books: Database) -> AsyncIterator[Any]:
    """Makes changes as a superuser; they are undone by the copies that were kept."""
    connection = await asyncpg.connect(await owner_url(services, books))
    tables = ("players", "transfers", "postings", "rounds", "accounts")
    await connection.execute("SET session_replication_role = replica")
    for table in tables:
        await connection.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
    yield connection
    for table in reversed(tables):
        await connection.execute(f"DELETE FROM {table}")
    for table in tables:
        identity = "" if table == "postings" else "OVERRIDING SYSTEM VALUE"
        await connection.execute(f"INSERT INTO {table} {identity} SELECT * FROM kept_{table}")
    await connection.close()


async def test_sound_books_hold(given: Settings, books: Database) -> None:
    found = await audit.examine(given, ALL)
    assert [finding.name for finding in found.findings if not finding.holds] == []
    assert found.holds
    assert (found.players, found.sums) == (2, {"EUR": 0})
    assert found.replayed is not None
    played = await books.pool.fetchval("SELECT count(*) FROM rounds")
    assert (found.replayed.rounds, found.replayed.skipped) == (played, 0)
    assert {"transfers-balance", "chains-hold", "outcomes-replay"} <= {each.name for each in found.findings}


WON: Final = f"(SELECT min(id) FROM rounds WHERE player_key = {ALICE} AND win > 0)"
LOST: Final = f"(SELECT min(id) FROM rounds WHERE player_key = {ALICE} AND win = 0)"


@pytest.mark.parametrize(
    ("change", "link", "says"),
    [
        (f"UPDATE transfers SET amount = amount + 1 WHERE {LINK % 3}", 3, "not what its hash says"),
        (f"UPDATE transfers SET reference = 'x' WHERE {LINK % 4}", 4, "not what its hash says"),
        (f"DELETE FROM transfers WHERE {LINK % 5}", 5, "missing"),
        (f"DELETE FROM transfers WHERE player_key = {ALICE} AND position > 4", 5, "missing"),
        (f"DELETE FROM transfers WHERE player_key = {ALICE}", 1, "missing"),
        (
            f"""UPDATE transfers SET position = -position WHERE player_key = {ALICE} AND position IN (3, 4);
                UPDATE transfers SET position = 7 + position WHERE player_key = {ALICE} AND position < 0""",
            3,
            "does not follow",
        ),
        (f"UPDATE transfers SET hash = sha256('x') WHERE {LINK % 2}", 2, "not what its hash says"),
        (f"UPDATE transfers SET previous_hash = sha256('x') WHERE {LINK % 2}", 2, "does not follow"),
        (
            f"""UPDATE postings SET amount = amount * 2
                WHERE transfer_id = (SELECT id FROM transfers WHERE {LINK % 2})""",
            2,
            "postings",
        ),
        (
            f"DELETE FROM postings WHERE transfer_id = (SELECT id FROM transfers WHERE {LINK % 1})",
            1,
            "postings",
        ),
        (f"UPDATE players SET chain_head = sha256('x') WHERE id = {ALICE}", None, "another head"),
        (f"UPDATE players SET chain_length = chain_length + 1 WHERE id = {ALICE}", None, "missing"),
        (f"UPDATE players SET chain_length = chain_length - 1 WHERE id = {ALICE}", None, "beyond"),
        (f"UPDATE rounds SET win = win + 1 WHERE id = {WON}", None, "says something else"),
        (f"UPDATE rounds SET win = 5 WHERE id = {LOST}", None, "says something else"),
        (f"UPDATE rounds SET stake = 1 WHERE id = {LOST}", None, "says something else"),
        (f"UPDATE rounds SET state = 'void' WHERE id = {LOST}", None, "says something else"),
        (f"DELETE FROM rounds WHERE id = {LOST}", None, "says something else"),
    ],
)
async def test_the_first_broken_link_is_named(
    given: Settings, tampered: Any, change: str, link: int | None, says: str
) -> None:
    await tampered.execute(change)
    broken = _broken(await audit.examine(given, Wanted(chain=True)))
    (example,) = broken["chains-hold"]
    assert example.startswith("player alice of operator casino: link ")
    assert says in example
    if link is not None:
        assert f": link {link}" in example


async def test_a_whole_chain_that_was_written_anew_is_noticed_by_the_rounds(
    given: Settings, tampered: Any
) -> None:
    """Somebody who knows how the hashes are made: a sound chain with another stake in it."""
    await tampered.execute(
        f"""
        DO $$
        DECLARE t transfers; head bytea := '';
        BEGIN
            UPDATE transfers SET amount = 1 WHERE {LINK % 2};
            UPDATE postings SET amount = sign(amount)
            WHERE transfer_id = (SELECT id FROM transfers WHERE {LINK % 2});
            FOR t IN SELECT * FROM transfers WHERE player_key = {ALICE} ORDER BY position LOOP
                UPDATE transfers SET previous_hash = head, hash = transfer_digest(
                    head, t.player_key, t.position, t.kind, t.reference, t.step, t.debit_account,
                    t.credit_account, t.amount, t.currency, t.created_at) WHERE id = t.id
                RETURNING hash INTO head;
            END LOOP;
            UPDATE players SET chain_head = head WHERE id = {ALICE};
        END $$
        """
    )
    broken = _broken(await audit.examine(given, Wanted(chain=True)))
    assert "link 2: round alice-0 says something else" in broken["chains-hold"][0]


async def test_an_outcome_that_was_changed_does_not_replay(given: Settings, tampered: Any) -> None:
    await tampered.execute(
        "UPDATE rounds SET outcome = jsonb_set(outcome, '{roll}', to_jsonb((outcome ->> 'roll')::int + 1))"
        f" WHERE id = {LOST}"
    )
    broken = _broken(await audit.examine(given, Wanted(chain=True)))
    assert list(broken) == ["outcomes-replay"]
    assert "round alice-" in broken["outcomes-replay"][0]


async def test_the_invariants_are_named_too(given: Settings, tampered: Any) -> None:
    await tampered.execute(f"UPDATE accounts SET balance = balance + 1 WHERE player_key = {ALICE}")
    assert list(_broken(await audit.examine(given, ALL))) == ["balances-are-postings"]
    assert _broken(await audit.examine(given, Wanted(chain=True))) == {}


async def test_one_players_chain_can_be_asked_for(given: Settings, tampered: Any) -> None:
    await tampered.execute(f"UPDATE transfers SET amount = amount + 1 WHERE {LINK % 3}")
    assert _broken(await audit.examine(given, Wanted(chain=True, player_id="bob"))) == {}
    assert _broken(await audit.examine(given, Wanted(chain=True, player_id="alice")))


async def test_the_command_exits_1_and_says_what_is_broken(
    given: Settings, tampered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output, _ = await _command(given, monkeypatch, "--chain")
    assert code == 0
    assert "✓ I6" in output
    await tampered.execute(f"UPDATE transfers SET amount = amount + 1 WHERE {LINK % 3}")
    code, output, _ = await _command(given, monkeypatch, "--chain")
    assert code == 1
    assert "player alice of operator casino: link 3 is not what its hash says" in output
    code, output, _ = await _command(given, monkeypatch, "--json")
    document = json.loads(output)
    assert (code, document["ok"]) == (1, False)
    broken = {each["name"]: each["examples"] for each in document["invariants"] if not each["holds"]}
    assert "link 3" in broken["chains-hold"][0]
    assert "transfers-balance" in broken


async def test_what_cannot_be_audited_exits_2_with_one_line(
    given: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, errors = await _command(given, monkeypatch, "--chain", "--player", "nobody")
    assert (code, errors.count("\n")) == (2, 1)
    gone = given.model_copy(update={"database_url": SecretStr("postgresql://a:hunter2@127.0.0.1:1/c")})
    code, _, errors = await _command(gone, monkeypatch)
    assert (code, errors.count("\n")) == (2, 1)
    assert "hunter2" not in errors
    down = given.model_copy(update={"database_url": None})
    code, _, errors = await _command(down, monkeypatch)
    assert (code, errors.count("\n")) == (2, 1)
    assert "./croupier up" in errors


async def _command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    for name, value in to_environment(settings).items():
        monkeypatch.setenv(name, value)
    if settings.database_url is None:
        monkeypatch.delenv("CROUPIER_DATABASE_URL", raising=False)
    # The command has a loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, main.app, ["audit", *arguments])
    return result.exit_code, result.stdout, result.stderr


def _broken(found: AuditReport) -> dict[str, tuple[str, ...]]:
    return {finding.name: finding.examples for finding in found.findings if not finding.holds}


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
