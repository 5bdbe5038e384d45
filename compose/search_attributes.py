"""`python -m compose.search_attributes`: makes what rounds are found by known to a namespace of Temporal.

It changes nothing where they are known, and leaves all others alone.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from contracts import search
from contracts.failures import one_line
from runtime import settings
from runtime.leaving import leave
from runtime.settings import Settings, SettingsError

if TYPE_CHECKING:
    from temporalio.client import Client


async def make(client: Client) -> list[str]:
    """Returns those that were missing, and are made now; a frontend may take seconds to know them. Raises
    RPCError."""
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest

    operator, namespace = client.operator_service, client.namespace
    found = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    missing = [name for name in search.ATTRIBUTES if name not in found.custom_attributes]
    if missing:
        keywords = dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD)
        await operator.add_search_attributes(
            AddSearchAttributesRequest(namespace=namespace, search_attributes=keywords)
        )
    return missing


async def _make(chosen: Settings) -> list[str]:
    from temporalio.client import Client

    from runtime.temporal import access

    granted = access(chosen)
    client = await Client.connect(
        str(chosen.temporal_address),
        namespace=chosen.temporal_namespace,
        tls=granted.tls,
        api_key=granted.api_key,
    )
    return await make(client)


def main() -> int:
    """Reads the settings from the environment, and needs Temporal alone. Returns 1 where that refuses."""
    from temporalio.service import RPCError

    try:
        chosen = settings.load()
        if chosen.temporal_address is None:
            raise SettingsError("setting temporal_address (CROUPIER_TEMPORAL_ADDRESS) is missing")
        made = asyncio.run(_make(chosen))
    except SettingsError as problem:
        sys.stderr.write(f"croupier: {problem}\n")
        return 1
    except (RPCError, RuntimeError) as problem:
        sys.stderr.write(one_line(f"croupier: Temporal (CROUPIER_TEMPORAL_ADDRESS): {problem}") + "\n")
        return 1
    sys.stdout.write(f"made: {', '.join(made)}\n" if made else "nothing to do: all are known\n")
    return 0


if __name__ == "__main__":
    leave(main())
