"""`certify` against the reference wallet, which passes, and against wallets with one seeded defect each."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from certification import caller, run
from certification.cases import table as cases
from certification.cases import transaction_id
from certification.cases.statement import NOT_OFFERED
from certification.run import CannotRun
from cli.wallet import certify as command
from cli.wallet.certify import Choices
from contracts.wallet import WalletRequest
from operator_wallet import server
from operator_wallet.book import Book
from operator_wallet.connections import Delivery, Request, Response, Server
from operator_wallet.entries import Policy, Taken
from operator_wallet.server import Wallet, WalletSettings
from tests.integration.broken_wallets import (
    ENDED,
    KEY,
    MANY,
    SECRET,
    BetsInAuthenticatedSessions,
    BillsForLooking,
    ChecksThenActs,
    CreditsAgain,
    DebitsAgain,
    EndsTwiceInARace,
    ForgetsRollbacks,
    HidesRollbacks,
    OneBetARound,
    OneSpaceOfIds,
    PaysRollbackAfterWin,
    PaysRollbacksAgain,
    PaysWinAfterRollback,
    PaysWinsWithoutBets,
    RefundsInARace,
    RefusesWinsOfEndedSessions,
    SaysAnotherBalance,
    TakesAnotherAmount,
    TakesAnyCurrency,
    TakesBetsOnEndedSessions,
    UndoesTheWholeRound,
    book_of_yesterday,
    make_positive,
    nothing,
    pass_over_the_call,
    resign,
    resign_old,
    sign_for_the_content,
)
from tests.support import commands
from tests.support.conditions import HANG_S
from tests.support.operator_wallet import OPERATOR, new_secret, running_wallet


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a wallet that is sound must not look like one that does not answer."""
    monkeypatch.setattr(caller, "CALL_LIMIT_S", HANG_S)


# The defects


@dataclass(frozen=True)
class Defect:
    """`must` fail; `may` fail as well, when chance has it so."""

    must: set[int]
    book: Callable[..., Book] = Book
    receive: Callable[[Request], None] = nothing
    delivery: Delivery = Delivery.WHOLE
    may: frozenset[int] = frozenset()
    threads: int = 1


@asynccontextmanager
async def broken(defect: Defect) -> AsyncIterator[str]:
    """The reference server with the defect in it, and a book that nobody keeps; returns its address."""
    policy = Policy(new_players=100_000, survives_power_cuts=False)
    settings = WalletSettings(host="127.0.0.1", port=0, database="", checks=[KEY], policy=policy)
    book = defect.book(":memory:", policy)
    book.end_session(OPERATOR, ENDED)
    with ThreadPoolExecutor(defect.threads) as threads:
        wallet = Wallet(settings, book, threads)

        async def handle(request: Request) -> Response:
            if request.method == "POST":
                defect.receive(request)
            return replace(await wallet.handle(request), delivery=defect.delivery)

        listening = Server(handle)
        try:
            yield await listening.listen("127.0.0.1", 0)
        finally:
            await listening.stop(patience_s=server.LAST_ANSWERS_S)
            await wallet.stop()
            book.close()


def choices(url: str, **others: Any) -> Choices:
    return Choices(
        url=url, operator_id=OPERATOR, currency="EUR", game_id="dice", ended_session_id=ENDED, **others
    )


DEFECTS = {
    "repeated bet debits twice": Defect({10, 14, 43}, DebitsAgain),
    "repeated win credits twice": Defect({11, 14, 26}, CreditsAgain),
    "same id with another amount is taken": Defect({12}, TakesAnotherAmount),
    "no tombstone": Defect({20, 44}, ForgetsRollbacks, may=frozenset({25})),
    "second rollback pays": Defect({19}, PaysRollbacksAgain),
    "rollback after win pays": Defect({9, 21}, PaysRollbackAfterWin, may=frozenset({22})),
    "win after rollback pays": Defect({22, 44}, PaysWinAfterRollback),
    "win without a bet pays": Defect({23}, PaysWinsWithoutBets),
    "signature not checked": Defect({1, 2}, receive=resign),
    "stale time accepted": Defect({1}, receive=resign_old),
    "signature over the content": Defect({2}, receive=sign_for_the_content),
    "one bet a round": Defect({43, 44}, OneBetARound),
    "a rollback undoes the round": Defect({44}, UndoesTheWholeRound),
    "ids over all players": Defect({15, 34}, OneSpaceOfIds),
    "win refused for its session": Defect({24}, RefusesWinsOfEndedSessions),
    "bet on an ended session taken": Defect({24}, TakesBetsOnEndedSessions),
    "call not compared": Defect({42}, receive=pass_over_the_call),
    "each answer written twice": Defect({45}, delivery=Delivery.TWICE),
    "an empty line after each answer": Defect({45}, delivery=Delivery.WITH_EMPTY_LINE),
    "negative amount accepted": Defect({8}, receive=make_positive),
    "wrong balance without funds": Defect({7}, SaysAnotherBalance),
    "any currency": Defect({31}, TakesAnyCurrency),
    "rollbacks not in the statement": Defect({46}, HidesRollbacks),
    "clock of yesterday": Defect({46}, book_of_yesterday),
    "check, then debit": Defect({14}, ChecksThenActs, threads=MANY),
    "check, then refund": Defect({14, 19}, RefundsInARace, threads=MANY),
    "check, then pay": Defect({22}, EndsTwiceInARace, threads=MANY),
}


@pytest.mark.parametrize("name", DEFECTS)
async def test_each_defect_is_found_by_the_cases_that_are_made_for_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defect = DEFECTS[name]
    monkeypatch.setenv(command.SECRET_VARIABLE, SECRET)
    # So many are under way at once, and what comes after them has nobody to race with: it would only repeat
    # what these have shown. The wallets that are sound are asked the whole number, below.
    monkeypatch.setattr(transaction_id, "REPEATS", caller.CALLS_AT_ONCE)
    async with broken(defect) as url:
        code = await asyncio.to_thread(command.run, choices(url, as_json=True))
    said = json.loads(capsys.readouterr().out)
    assert code == command.FAILED
    assert defect.must <= set(said["failed"]) <= defect.must | defect.may, said["verdict"]
    findings = [finding for case in said["cases"] for finding in case["findings"]]
    assert all(finding["expected"] and finding["came"] and finding["next"] for finding in findings)
    assert all(max(len(text) for text in finding.values()) <= 1000 for finding in findings)


async def test_a_balance_call_that_costs_is_found() -> None:
    """By every case that compares balances, and first of all by its own."""
    async with broken(Defect(set(), BillsForLooking)) as url:
        report = await run.certify(choices(url, only="3,4"), SECRET)
    assert report.failed == (3, 4)


async def test_a_wallet_that_bets_in_authenticated_sessions_alone_passes_every_case() -> None:
    async with broken(Defect(set(), BetsInAuthenticatedSessions)) as url:
        report = await run.certify(choices(url), SECRET)
    assert (report.failed, report.not_asked) == ((), ())


async def test_the_reference_wallet_passes_every_case(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    async with running_wallet("--new-players", "100000") as wallet:
        wallet.book.end_session(OPERATOR, ENDED)
        arguments = ("--wallet", wallet.url, "--ended-session", ENDED, "--json", "--html", str(page))
        environment = {command.SECRET_VARIABLE: wallet.secret}
        code, output, errors = await asyncio.to_thread(commands.invoke, environment, "certify", *arguments)
    said = json.loads(output)
    assert (code, said["failed"], said["not_asked"]) == (0, [], []), output
    assert [case["number"] for case in said["cases"]] == [case.number for case in cases.CASES]
    assert [case["notes"] for case in said["cases"] if case["notes"]] == []
    assert {case.number for case in cases.CASES} | cases.ELSEWHERE.keys() == set(range(1, 47))
    assert wallet.secret not in output + errors + page.read_text()


async def test_a_wallet_without_a_statement_passes_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(wallet: Wallet, request: Request) -> Response:
        return server.NOT_FOUND

    monkeypatch.setattr(Wallet, "_statement", none)
    async with broken(Defect(set())) as url:
        report = await run.certify(choices(url, only="46"), SECRET)
    assert report.ok
    assert [result.notes for result in report.results] == [(NOT_OFFERED,)]


async def test_a_known_player_is_enough_for_all_but_the_cases_of_two() -> None:
    async with broken(Defect(set())) as url:
        report = await run.certify(choices(url, player_id="anna", only="4,15,34"), SECRET)
    assert (report.ok, report.failed, report.not_asked) == (True, (), (15, 34))


async def test_a_wallet_that_takes_one_bet_a_round_is_not_asked_for_several() -> None:
    async with broken(Defect(set(), OneBetARound)) as url:
        report = await run.certify(choices(url, several_bets=False, only="4,43,44"), SECRET)
    assert (report.ok, report.failed, report.not_asked) == (True, (), (43, 44))


async def test_a_wallet_that_answers_with_the_secret_does_not_get_it_into_the_report() -> None:
    class Talkative(Book):
        def bet(self, request: WalletRequest) -> Taken:
            return replace(super().bet(request), currency=f"EUR {SECRET}")

    async with broken(Defect(set(), Talkative)) as url:
        report = await run.certify(choices(url, only="4"), SECRET)
    assert report.failed == (4,)
    assert SECRET not in report.as_json()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": "ftp://wallet.example"}, "http"),
        ({"url": "https://user:pass@wallet.example"}, "no user"),
        ({"url": "http://127.0.0.1:9"}, "balance of player"),
        ({"only": "40"}, "two calls"),
        ({"only": "99"}, "no such case"),
        ({"currency": "JPY"}, "currency-mismatch"),
    ],
)
async def test_what_cannot_run_says_why(changed: dict[str, str], said: str) -> None:
    async with broken(Defect(set())) as url:
        with pytest.raises(CannotRun, match=said):
            await run.certify(replace(choices(url), **changed), SECRET)  # type: ignore[arg-type]  # all texts


async def test_a_wrong_secret_cannot_run() -> None:
    async with broken(Defect(set())) as url:
        with pytest.raises(CannotRun, match="bad-signature"):
            await run.certify(choices(url), new_secret())


async def test_a_player_without_money_cannot_run() -> None:
    class Poor(Book):
        def balance(self, request: WalletRequest) -> Taken:
            return replace(super().balance(request), balance=cases.MONEY_NEEDED - 1)

    async with broken(Defect(set(), Poor)) as url:
        with pytest.raises(CannotRun, match="minor units"):
            await run.certify(choices(url), SECRET)


def test_without_a_secret_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv(command.SECRET_VARIABLE, raising=False)
    for file in (None, tmp_path / "missing"):
        with pytest.raises(CannotRun, match="secret"):
            command.secret(file)
    assert command.run(choices("http://127.0.0.1:9")) == command.COULD_NOT_RUN
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
