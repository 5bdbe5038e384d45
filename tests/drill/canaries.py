"""Canaries: tokens, keys, seeds, players and sessions of the whole drill, and everything that others read, in
which none of them may be."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest

from security.keyring import Keyring
from security.seeds import SeedVault
from tests.drill.casino import PLANTED, Casino
from tests.support.secrets import every_form, secret_half


async def canaries(casino: Casino) -> dict[str, list[bytes]]:
    """By their kind."""
    secrets = casino.gateway.secrets
    rows = await casino.database.pool.fetch("SELECT id FROM sessions")
    keys = [secret for secret in secrets if secret.startswith("crk_")]
    tokens = [secret for secret in secrets if not secret.startswith("crk_")]
    wallets = [wallet.secret.removeprefix("whsec_").encode() for wallet in casino.wallets.values()]
    passwords = [value.encode() for value in _texts(casino.stack.layout.memory_file) if len(value) > 16]
    return {
        "token": [*map(str.encode, tokens), *(secret_half(token).encode() for token in tokens)],
        "key": [*map(str.encode, keys), *(secret_half(key).encode() for key in keys), *wallets, *passwords],
        "seed": every_form([seed async for seed in _seeds(casino)]),
        "player": [PLANTED.encode()],
        "session": [row["id"].encode() for row in rows],
    }


async def _seeds(casino: Casino) -> AsyncIterator[bytes]:
    """Server seeds in the clear, whichever key sealed them, and the keys themselves."""
    keyring = Keyring.load(casino.stack.settings.keyring)
    vault = SeedVault(keyring)
    for row in await casino.database.pool.fetch("SELECT id, sealed_server_seed FROM seeds"):
        if row["sealed_server_seed"].split(".")[1] in keyring.seeds.keys:
            yield vault.open(row["id"], row["sealed_server_seed"])
    for name in ("payload", "seeds", "tokens", "events"):
        for key in getattr(keyring, name).keys.values():
            yield key


def _texts(path: Path) -> list[str]:
    """Every text of a JSON document."""
    return [value for value in json.loads(path.read_text()).values() if isinstance(value, str)]


def logs(casino: Casino) -> dict[str, bytes]:
    """By the files' names, those that were set aside too."""
    files = [path for path in casino.stack.layout.logs.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in files}


def metrics(casino: Casino) -> bytes:
    """Every series that was ever on a page, with its labels."""
    return "\n".join(sorted(casino.recorder.lines)).encode()


async def histories(casino: Casino) -> dict[str, bytes]:
    """By workflow id: the raw bytes of its listing, search attributes among them, and of its history."""
    client, found = casino.gateway.temporal, {}
    async for execution in client.list_workflows():
        where = WorkflowExecution(workflow_id=execution.id, run_id=execution.run_id)
        request = GetWorkflowExecutionHistoryRequest(namespace=client.namespace, execution=where)
        history = await client.workflow_service.get_workflow_execution_history(request)
        listed: Any = execution.raw_info
        found[execution.id] = listed.SerializeToString() + history.SerializeToString()
    return found
