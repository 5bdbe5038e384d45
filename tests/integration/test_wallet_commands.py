"""`operator wallet set|test|show|unset`: the wallet's answer is said, and no money stays behind there."""

import functools
import json
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from activities.reconciliation import Patience
from activities.statements import StatementChecks
from contracts.reconciliation import Page
from contracts.rounds import ReleaseRequest, Resolution, RoundState, SettleRequest
from outbound.client import tls_context
from storage import operator_wallets, operators
from storage.database import Database
from tests.conftest import Services
from tests.support import commands
from tests.support.ledger import OUTCOME, take_seat
from tests.support.operator_wallet import PLAYER, RunningWallet, new_secret, running_wallet
from verification.invariants.rounds import ROUNDS_ARE_COMPLETE
from wallet import dialect
from wallet.directory import WalletDirectory, WalletVault
from wallet.ledger import LedgerSteps
from wallet.operator_http import OperatorWallets

DIALECTS = dialect.load()


async def compare(application: Database, services: Services, operator_id: str) -> None:
    """Compares the wallet's statement with our books, up to now."""
    at_once = Patience(recorded=timedelta(0))
    vault, tls = WalletVault(services.keyring), functools.cache(tls_context)
    checks = StatementChecks(application.pool, vault, DIALECTS, tls, at_once)
    compared = await checks.statements(Page(cursor=f"~|{operator_id}"))
    assert (compared.opened, compared.problems) == (0, ())


@pytest.fixture
async def operator_id(database: Database) -> str:
    name = f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=name, name="a test's")
    return name


@pytest.fixture
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet("--new-players", "1234") as running:
        yield running


# As patient as a wallet may be: a machine may stand still for longer than a dialect waits.
PATIENT: Final = ("--connect-ms", "6900", "--read-ms", "6900", "--total-ms", "6900")


class Commands:
    """The wallet's commands for one operator."""

    def __init__(self, services: Services, platform: dict[str, Any], operator_id: str, folder: Path) -> None:
        self._services, self._platform = services, platform
        self._operator_id, self._folder = operator_id, folder

    async def __call__(self, verb: str, *arguments: str) -> commands.Ended:
        words = ("operator", "wallet", verb, self._operator_id, *arguments)
        return await commands.run(self._services, self._platform, *words)

    async def set(
        self, url: str, secret: str, *options: str, limits: tuple[str, ...] = PATIENT
    ) -> commands.Ended:
        file = self._folder / "secret"
        file.write_text(secret)
        return await self("set", "--url", url, "--local", "--secret-file", str(file), *limits, *options)

    async def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads((await self("show", "--json"))[1])
        return shown

    async def switched(self, verb: str) -> None:
        ended = await commands.run(self._services, self._platform, "operator", verb, self._operator_id)
        assert ended[0] == 0, ended


@pytest.fixture
def run(services: Services, platform: dict[str, Any], operator_id: str, tmp_path: Path) -> Commands:
    return Commands(services, platform, operator_id, tmp_path)


class TestSet:
    async def test_says_what_the_wallet_answers(self, run: Commands, wallet: RunningWallet) -> None:
        code, output, errors = await run.set(wallet.url, wallet.secret)
        assert (code, errors) == (0, "")
        assert "answers: croupier-test has 1234 minor units of EUR" in output

    async def test_says_that_nobody_is_there_and_keeps_what_was_set(
        self, run: Commands, database: Database, operator_id: str
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{free.getsockname()[1]}"
        code, output, errors = await run.set(dead, new_secret())
        assert code == 0
        assert "is set" in output
        assert "does not answer as its dialect does: not-reached" in errors
        assert await operator_wallets.find(database.pool, operator_id) is not None

    async def test_says_that_the_secret_is_another_one(self, run: Commands, wallet: RunningWallet) -> None:
        code, _, errors = await run.set(wallet.url, secret := new_secret())
        assert code == 0
        assert "refuses our signature" in errors
        assert secret not in errors

    async def test_a_rotated_secret_keeps_how_many_bets_a_round_the_wallet_takes(
        self, run: Commands, wallet: RunningWallet
    ) -> None:
        """A wallet that tells bets apart by round answers an action's bet as a repeat, and takes nothing for
        it."""
        both = f"{wallet.secret}\n{new_secret()}\n"
        told = []
        for options in ([], ["--one-bet"], [], ["--several-bets"], []):
            assert (await run.set(wallet.url, both, *options))[0] == 0
            told.append((await run.shown())["several_bets"])
        assert told == [True, False, False, True, True], "a new wallet takes several"


class TestTest:
    async def test_asks_for_whom_it_is_told(self, run: Commands, wallet: RunningWallet) -> None:
        await run.set(wallet.url, wallet.secret)
        code, output, errors = await run("test", "--player", "somebody")
        assert (code, errors) == (0, "")
        assert "answers: somebody has 1234 minor units of EUR" in output
        code, output, errors = await run("test", "--player", "somebody", "--currency", "USD")
        assert (code, errors) == (0, ""), "a refusal is an answer"
        assert "answers: it refuses the balance of somebody with currency-mismatch" in output
        await wallet.set_faults(rates={"html": 1}, only=["balance"])
        code, output, errors = await run("test")
        assert (code, output) == (1, "")
        assert "does not answer as its dialect does: " in errors

    @pytest.mark.parametrize("verb", ["test", "show", "unset"])
    async def test_an_operator_without_a_wallet_has_none(
        self, run: Commands, operator_id: str, verb: str
    ) -> None:
        code, output, errors = await run(verb)
        assert (code, output) == (1, "")
        assert f"{operator_id} has no wallet of its own" in errors


class TestShow:
    async def test_shows_what_holds_and_no_secret(
        self, run: Commands, wallet: RunningWallet, database: Database, operator_id: str
    ) -> None:
        await run.set(wallet.url, f"{wallet.secret}\n{new_secret()}\n", limits=())
        stored = await operator_wallets.find(database.pool, operator_id)
        assert stored is not None
        code, output, _ = await run("show", "--json")
        assert code == 0
        shown = json.loads(output)
        assert (shown["url"], shown["dialect"], shown["secrets"]) == (wallet.url, "croupier", 2)
        assert shown["total_ms"] == round(DIALECTS["croupier"].limits.total_s * 1000)
        output += (await run("show"))[1]
        assert wallet.secret not in output
        assert stored.sealed_secrets not in output


class TestUnset:
    async def test_waits_for_the_rounds_under_way_and_then_our_ledger_keeps_the_money(
        self,
        run: Commands,
        wallet: RunningWallet,
        services: Services,
        database: Database,
        application: Database,
        operator_id: str,
    ) -> None:
        """The interleaving: the wallet has taken a bet, and is forgotten before its round ends."""
        await run.set(wallet.url, wallet.secret)
        directory = WalletDirectory(
            application.pool, WalletVault(services.keyring), DIALECTS, OperatorWallets(DIALECTS)
        )
        async with directory.kept_fresh():
            seat = await take_seat(database, operator_id=operator_id, player_id=PLAYER)
            steps = directory.wallets[operator_id]
            bet = seat.bet()
            assert (await steps.reserve(bet)).state is RoundState.PENDING
            assert "first ./croupier operator disable" in (await run("unset"))[2]
            await run.switched("disable")
            assert "rounds are under way at the wallet" in (await run("unset"))[2]
            later = await steps.reserve(seat.bet())
            assert (later.state, later.failure_code) == (RoundState.DECLINED, "session-expired")
            lost = SettleRequest(bet=bet, resolution=Resolution(outcome=OUTCOME, win=0))
            assert (await steps.settle(lost)).view.state is RoundState.SETTLED

            assert "was not compared to its end yet" in (await run("unset"))[2]
            await compare(application, services, operator_id)
            code, output, errors = await run("unset")
            assert (code, errors) == (0, "")
            assert f"our ledger keeps the money of {operator_id}'s players" in output
            assert 0 < output.index(f"operator enable {operator_id}") < output.index("deposit")
            await directory.refresh()
            assert not directory.keeps_money_of(operator_id)
            assert (await run("unset"))[0] == 1
        broken = await database.pool.fetch(ROUNDS_ARE_COMPLETE.broken)
        assert not [row for row in broken if row["subject"].endswith(f"player {seat.session.player_key}")]

        await run.set(wallet.url, wallet.secret)
        assert await operator_wallets.find(database.pool, operator_id) is not None

    async def test_a_program_that_does_not_know_it_yet_bets_from_our_ledger(
        self,
        run: Commands,
        wallet: RunningWallet,
        services: Services,
        database: Database,
        application: Database,
        operator_id: str,
    ) -> None:
        """The interleaving: the operator is enabled again, and a bet comes, before the program has read its
        wallets again. The wallet has the bet and gives no answer, and then nobody asks it any more."""
        await run.set(wallet.url, wallet.secret)
        directory = WalletDirectory(
            application.pool, WalletVault(services.keyring), DIALECTS, OperatorWallets(DIALECTS)
        )
        async with directory.kept_fresh():
            behind = directory.wallets[operator_id]
        await run.switched("disable")
        assert (await run("unset", "--uncompared"))[0] == 0
        await run.switched("enable")
        seat = await take_seat(database, operator_id=operator_id, player_id=PLAYER, balance=250)
        for end in (behind, LedgerSteps(application.pool)):
            void, lost = seat.bet(), seat.bet()
            assert (await behind.reserve(void)).state is RoundState.PENDING
            release = ReleaseRequest(bet=void, failure_code="resolve-failed", failure_detail="for a test")
            assert (await end.release(release)).state is RoundState.VOID
            assert (await behind.reserve(lost)).state is RoundState.PENDING
            settle = SettleRequest(bet=lost, resolution=Resolution(outcome=OUTCOME, win=0))
            assert (await end.settle(settle)).view.state is RoundState.SETTLED
        poor = await behind.reserve(seat.bet())
        assert (poor.state, poor.failure_code) == (RoundState.DECLINED, "insufficient-funds")
        asked = "SELECT count(*) FROM wallet_bets WHERE player_key = $1"
        assert await database.pool.fetchval(asked, seat.session.player_key) == 0
        assert await seat.money() == (50, 0)

    async def test_waits_for_the_sessions_whose_bets_may_be_on_their_way(
        self, run: Commands, wallet: RunningWallet, database: Database, operator_id: str
    ) -> None:
        """An operator that is marked as disabled, by one whose loop over its sessions was interrupted."""
        await run.set(wallet.url, wallet.secret)
        await take_seat(database, operator_id=operator_id)
        await operators.switch(database.pool, operator_id=operator_id, enabled=False)
        assert "sessions are open yet" in (await run("unset"))[2]
        await run.switched("disable")
        assert (await run("unset", "--uncompared"))[0] == 0
