"""One operator's trouble is its own: limits, the breaker, cancelled calls and changed configurations."""

import asyncio
import json
import time
from dataclasses import replace

import httpx
import pytest

from contracts.wallet import WalletRequest, WalletVerdict
from tests.integration.wallet.client.scripted import (
    BET,
    DIALECTS,
    LIMITS,
    HandClock,
    answer,
    arrived,
    check_unknown,
    config,
    says,
    wallet,
)
from tests.support.conditions import HANG_S, until
from wallet.operator_http import OperatorWallets


async def test_a_dead_wallet_does_not_delay_another(wallets: OperatorWallets) -> None:
    """All calls to the other one end before any to the dead one does."""
    async with wallet(says(b"", pause_s=600)) as dead, wallet(says(answer())) as alive:
        hanging = [
            asyncio.create_task(wallets.call(config(dead.url, operator_id="dead"), BET)) for _ in range(50)
        ]
        await until(lambda: arrived(dead, LIMITS.calls))
        async with asyncio.timeout(HANG_S / 2):
            for _ in range(20):
                assert (await wallets.call(config(alive.url), BET)).verdict is WalletVerdict.ACCEPTED
        assert not any(task.done() for task in hanging)
        assert dead.connections == LIMITS.calls
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_calls_to_a_dead_wallet_end_by_its_limits(wallets: OperatorWallets) -> None:
    """Those that have no place give up first, with seconds to spare."""
    limits = replace(LIMITS, wait_s=0.2, total_s=5)
    async with wallet(says(b"", pause_s=600)) as dead:
        dead_config = config(dead.url, limits=limits)
        async with asyncio.timeout(HANG_S / 2):
            found = await asyncio.gather(*(wallets.call(dead_config, BET) for _ in range(50)))
        codes = [each.code for each in found]
        assert dead.connections == limits.calls
        assert codes.count("timeout") == limits.calls
        assert codes.count("wallet-busy") == 50 - limits.calls


class Counts:
    """A Watch that keeps what it heard."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.took_s: list[float] = []
        self.changes: list[int] = []
        self.open: dict[str, bool] = {}

    def asked(self, request: WalletRequest, verdict: WalletVerdict, *, took_s: float) -> None:
        self.outcomes.append(f"{request.operator_id} {request.call} {verdict}")
        self.took_s.append(took_s)

    def not_asked(self, request: WalletRequest) -> None:
        self.outcomes.append(f"{request.operator_id} {request.call} not-asked")

    def waiting(self, operator_id: str, change: int) -> None:
        self.changes.append(change)

    def breaker(self, operator_id: str, *, is_open: bool) -> None:
        self.open[operator_id] = is_open


async def test_every_call_is_counted_with_its_outcome_and_the_breaker_shown() -> None:
    counts, clock = Counts(), HandClock()
    wallets = OperatorWallets(DIALECTS, watch=counts, clock=clock)
    refusal = answer(json.dumps({"code": "player-blocked"}).encode(), "403 Forbidden")
    async with wallet(says(answer())) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=2))
        await wallets.call(small, BET)
        assert counts.open == {"acme": False}
        served.say = says(refusal)
        await wallets.call(small, BET)
        served.say = says(answer(b"", "503 Service Unavailable"))
        for _ in range(3):
            await wallets.call(small, BET)
        assert counts.open == {"acme": True}
        served.say = says(answer())
        clock.passed_s += LIMITS.pause_s
        await wallets.call(small, BET)
        assert counts.open == {"acme": False}
    verdicts = [outcome.removeprefix("acme bet ") for outcome in counts.outcomes]
    assert verdicts == ["accepted", "refused", "unknown", "unknown", "not-asked", "accepted"]
    assert len(counts.took_s) == 5
    assert (set(counts.changes), sum(counts.changes)) == ({1, -1}, 0)
    await wallets.aclose()


async def test_a_call_that_nobody_waits_for_any_more_is_counted_as_unknown() -> None:
    counts = Counts()
    wallets = OperatorWallets(DIALECTS, watch=counts)
    async with wallet(says(b"", pause_s=600)) as served:
        began = time.perf_counter()
        call = asyncio.create_task(wallets.call(config(served.url), BET))
        await until(lambda: arrived(served, 1))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        ended = time.perf_counter()
    assert counts.outcomes == ["acme bet unknown"]
    assert 0.05 < counts.took_s[0] < ended - began
    await wallets.aclose()


async def test_the_breaker_opens_and_lets_the_wallet_recover() -> None:
    clock = HandClock()
    wallets = OperatorWallets(DIALECTS, clock=clock)
    broken = answer(b"", "503 Service Unavailable")
    async with wallet(says(broken)) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=3))
        for _ in range(3):
            check_unknown(await wallets.call(small, BET), "status-503")
        for _ in range(20):
            check_unknown(await wallets.call(small, BET), "wallet-away", sent=False)
        assert len(served.requests) == 3
        clock.passed_s += LIMITS.pause_s
        check_unknown(await wallets.call(small, BET), "status-503")
        check_unknown(await wallets.call(small, BET), "wallet-away", sent=False)
        served.say = says(answer())
        clock.passed_s += LIMITS.pause_s
        for _ in range(3):
            assert (await wallets.call(small, BET)).verdict is WalletVerdict.ACCEPTED
    await wallets.aclose()


async def test_refusals_do_not_open_the_breaker(wallets: OperatorWallets) -> None:
    refused = answer(b'{"code": "player-blocked"}', "403 Forbidden")
    async with wallet(says(refused)) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=2))
        for _ in range(10):
            assert (await wallets.call(small, BET)).verdict is WalletVerdict.REFUSED


MALFORMED = {
    "another currency": answer(b'{"balance": 1, "currency": "USD"}'),
    "a fraction": answer(b'{"balance": 1.5, "currency": "EUR"}'),
    "no code": answer(b"{}", "409 Conflict"),
    "no JSON": answer(b"<html>"),
    "packed": answer(b"x", "200 OK", "Content-Encoding: gzip"),
    "too much": answer(b" " * 70_000),
    "a status of its own": answer(b"", "500 Internal Server Error"),
}


@pytest.mark.parametrize("said", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_answers_for_one_player_do_not_open_the_breaker_for_others(
    wallets: OperatorWallets, said: bytes
) -> None:
    async with wallet(says(said)) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=2))
        for _ in range(10):
            found = await wallets.call(small, BET)
            assert (found.verdict, found.sent) == (WalletVerdict.UNKNOWN, True)
        served.say = says(answer())
        others = replace(BET, player_id="another")
        assert (await wallets.call(small, others)).verdict is WalletVerdict.ACCEPTED


async def test_malformed_answers_for_everybody_open_the_breaker(wallets: OperatorWallets) -> None:
    async with wallet(says(answer(b"<html>"))) as served:
        small = config(served.url, limits=replace(LIMITS, unknowns=2))
        for player in ("anna", "ben"):
            check_unknown(await wallets.call(small, replace(BET, player_id=player)), "not-json")
        check_unknown(await wallets.call(small, replace(BET, player_id="carl")), "wallet-away", sent=False)


async def test_calls_that_are_cancelled_give_back_all_that_they_held(wallets: OperatorWallets) -> None:
    async with wallet(says(b"", pause_s=600)) as served:
        patient = config(served.url)
        for _ in range(3):
            before = len(served.requests)
            calls = [asyncio.create_task(wallets.call(patient, BET)) for _ in range(LIMITS.calls)]
            await until(lambda before=before: arrived(served, before + LIMITS.calls))  # type: ignore[misc]
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        served.say = says(answer())
        found = await asyncio.gather(*(wallets.call(patient, BET) for _ in range(LIMITS.calls)))
        assert {each.verdict for each in found} == {WalletVerdict.ACCEPTED}


async def test_a_changed_config_gets_a_new_client_and_the_old_one_ends_its_calls(
    wallets: OperatorWallets,
) -> None:
    new_one_was_asked = asyncio.Event()

    async def say_late(writer: asyncio.StreamWriter) -> None:
        await new_one_was_asked.wait()
        writer.write(answer())

    async with wallet(say_late) as old, wallet(says(answer())) as new:
        under_way = asyncio.create_task(wallets.call(config(old.url), BET))
        await until(lambda: arrived(old, 1))
        assert (await wallets.call(config(new.url), BET)).verdict is WalletVerdict.ACCEPTED
        new_one_was_asked.set()
        assert (await under_way).verdict is WalletVerdict.ACCEPTED
        await wallets.call(config(new.url), BET)
        assert (old.connections, new.connections) == (1, 1)
        await asyncio.wait_for(old.ended.wait(), HANG_S)


async def test_closing_waits_for_the_calls_under_way_and_ends_their_connections(
    wallets: OperatorWallets,
) -> None:
    closed, others_were_answered, ended = OperatorWallets(DIALECTS), asyncio.Event(), list[str]()

    async def say_late(writer: asyncio.StreamWriter) -> None:
        await others_were_answered.wait()
        writer.write(answer())

    async with wallet(say_late) as late, wallet(says(answer())) as prompt:
        under_way = asyncio.create_task(closed.call(config(late.url), BET))
        under_way.add_done_callback(lambda _: ended.append("answered"))
        await until(lambda: arrived(late, 1))
        closing = asyncio.create_task(closed.aclose())
        closing.add_done_callback(lambda _: ended.append("closed"))
        assert (await wallets.call(config(prompt.url), BET)).verdict is WalletVerdict.ACCEPTED
        others_were_answered.set()
        assert (await under_way).verdict is WalletVerdict.ACCEPTED
        await asyncio.wait_for(closing, HANG_S)
        assert ended == ["answered", "closed"]
        await asyncio.wait_for(late.ended.wait(), HANG_S)


async def test_a_config_without_a_dialect_or_a_key_is_refused(wallets: OperatorWallets) -> None:
    with pytest.raises(ValueError, match="no dialect"):
        await wallets.call(config("https://wallet.example", dialect="klingon"), BET)
    with pytest.raises(ValueError, match="no key"):
        await wallets.call(config("https://wallet.example", dialect="rgs_micro"), BET)


async def test_what_the_http_stack_never_raised_before_is_unknown_too(
    wallets: OperatorWallets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise LookupError("with a text that may quote anything")

    monkeypatch.setattr(httpx.AsyncClient, "stream", surprise)
    found = await wallets.call(config("https://wallet.example"), BET)
    check_unknown(found, "unexpected", sent=False)
    assert found.detail == "LookupError"
