"""The running API under requests made from its own description, right and wrong ones, with every check.

So there is no 5xx and no answer that is not described, and the server takes what the description takes, no
more and no less."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from runtime.settings import PROJECT_ROOT
from tests.e2e.parties import Gateway
from tests.support.conditions import HANG_S
from tests.support.receiver import receiving

# Credentials come from the environment: neither a command line nor a file shows them.
CONFIG = """
hooks = "tests.e2e.schemathesis_hooks"

[auth.openapi.sessionToken]
bearer = "${SESSION_TOKEN}"

[auth.openapi.operatorKey]
bearer = "${OPERATOR_KEY}"

[auth.openapi.platformKey]
bearer = "${PLATFORM_KEY}"

[generation]
allow-x00 = false

[checks.positive_data_acceptance]
# 402 and 422 depend on what was sent before; a check of our own looks closer at 422. No schema says how many
# bytes a body may have.
expected-statuses = ["2xx", 401, 402, 403, 404, 409, 413, 422]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422]

[[operations]]
# 503 is a right answer of this one while a service takes longer than a second, as on a busy machine.
include-path = "/readyz"
checks.not_a_server_error.enabled = false
checks.positive_data_acceptance.enabled = false
"""


async def test_requests_made_from_the_description_are_answered_as_it_says(
    gateway: Gateway, tmp_path: Path, full: bool
) -> None:
    operator = await gateway.new_operator()
    alice = await operator.open_session("alice", balance=10_000_000)
    await alice.played(round_id="r-1001")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config),
        "run", str(gateway.http.base_url.join("/openapi.json")),
        "--checks", "all", "--mode", "all", "--seed", "1", "--no-color", "--generation-database", "none",
        "--max-examples", "100" if full else "3",
        # A busy machine is slow, and no description says how long an answer takes.
        "--suppress-health-check", "too_slow", "--request-timeout", str(HANG_S),
        "--max-response-time", str(HANG_S),
    ]  # fmt: skip
    environment = os.environ | {
        "SESSION_TOKEN": alice.token,
        "OPERATOR_KEY": await gateway.new_key(operator.operator_id, scope="admin"),
        "PLATFORM_KEY": await gateway.platform_key(),
        "SPARE_OPERATOR": (await gateway.new_operator()).operator_id,
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    async with receiving() as receiver:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env=environment | {"RECEIVER": receiver.url},
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        await operator.forget_webhooks()
    report = output.decode()
    assert process.returncode == 0, report
    assert receiver.received, "no event went to a webhook"
    counted = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", report)
    assert counted is not None
    assert len({*counted.groups()}) == 1, "some operation was left out"
    switched_off = await gateway.database.pool.fetchval(
        "SELECT count(*) FROM operators WHERE id = ANY($1) AND disabled_at IS NOT NULL",
        [operator.operator_id, "demo"],
    )
    assert switched_off == 0, "what all tests share stays as it was"
