"""The reference wallet as a process: its start, its end and its book in between."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from runtime.settings import PROJECT_ROOT
from security.standard_webhooks import SharedSecret
from tests.integration.operator_wallet.calls import FUNDS
from tests.support.commands import invoke
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.operator_wallet import bet, running_wallet, win


async def test_it_ends_in_order_and_finds_its_book_again() -> None:
    async with running_wallet("--new-players", "10000") as wallet:
        await wallet.set_faults(script=[{"kind": "slow"}, {"kind": "processed-then-timeout"}], slow_s=1)
        stake = bet(100)
        slow = asyncio.create_task(wallet.call("bet", stake))

        async def under_way() -> bool:
            return bool((await wallet.faults())["under_way"])

        await until(under_way)
        silent = asyncio.create_task(wallet.call("bet", bet(100)))
        await wallet.until_fired("processed-then-timeout")
        assert await wallet.stop() == 0
        assert (await slow).json()["currency"] == "EUR"
        with pytest.raises(httpx.TransportError):
            await silent
        await wallet.start()
        assert (await wallet.call("bet", stake)).json()["duplicate"]
        assert wallet.balance() == FUNDS - 200


async def test_what_it_answered_survives_a_kill() -> None:
    async with running_wallet("--new-players", "10000") as wallet:
        stake = bet(100)
        await wallet.call("bet", stake)
        await wallet.kill()
        await wallet.start()
        assert (await wallet.call("bet", stake)).json()["duplicate"]


async def test_a_repeat_may_have_the_stored_balance() -> None:
    async with running_wallet("--new-players", "1000", "--repeat-balance", "stored") as wallet:
        stake = bet(100)
        await wallet.call("bet", stake)
        await wallet.call("win", win(stake, 500))
        assert (await wallet.call("bet", stake)).json()["balance"] == 900


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        (sys.executable, "-m", *arguments),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        cwd=PROJECT_ROOT,
        env=environment,
    )


def test_a_start_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failures = {
            ("--port", port): (1, "cannot be used"),
            ("--database", str(tmp_path / "no" / "folder")): (1, "cannot be used"),
            ("--secret", "whsec_short"): (2, "secret"),
            ("--new-players", "1.5"): (2, "integer"),
        }
        for arguments, (code, why) in failures.items():
            ended = run("operator_wallet", *arguments)
            assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
            assert why in ended.stderr.splitlines()[-1]
            assert "Traceback" not in ended.stderr
            assert "whsec_short" not in ended.stderr


def test_the_command_lists_its_options(tmp_path: Path) -> None:
    code, output, _ = invoke({"CROUPIER_HOME": str(tmp_path)}, "operator-wallet", "--help")
    assert code == 0
    assert "--control-token" in output


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_command_makes_a_secret_and_shows_it_once(tmp_path: Path, as_json: bool) -> None:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "operator-wallet", "--port", "0", *(["--json"] if as_json else [])),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CROUPIER_HOME": str(tmp_path / "home")},
        cwd=PROJECT_ROOT,
    )
    try:
        assert running.stdout is not None
        line = (await asyncio.wait_for(running.stdout.readline(), HANG_S)).decode()
        if as_json:
            url, secret = json.loads(line)["url"], json.loads(line)["secret"]
        else:
            _, url, _, secret = line.split()
        content = json.dumps(bet()).encode()
        assert SharedSecret.parse(secret)
        async with http_client(timeout=HANG_S) as client:
            assert (await client.post(f"{url}/bet", content=content)).status_code == 401
            assert (await client.get(f"{url}/control/faults")).status_code == 404
    finally:
        running.terminate()
        rest, errors = await running.communicate()
    assert (running.returncode, rest, errors) == (0, b"", b"")
    assert (tmp_path / "home" / "operator-wallet.sqlite3").exists()
