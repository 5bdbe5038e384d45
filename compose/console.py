"""The console of a stack: what it is given, and where a browser opens it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from compose.addresses import Addresses
from compose.ingresses import metrics_url
from compose.layout import Memory
from compose.programs import OwnProgram
from runtime.keys import payload_keys
from runtime.listening import url_host
from runtime.settings import PREFIX, Settings
from security.keyring import section_json

NAME: Final = "console"
PATH: Final = "/console"
# What it has no use for. An empty value counts as not given.
WITHHELD: Final = ("DATABASE_URL", "OWNER_DATABASE_URL", "AMQP_URL", "CODEC_PATH", "LOBBY_KEY")


def program(
    settings: Settings, memory: Memory, addresses: Addresses, environment: dict[str, str], *, api_url: str
) -> OwnProgram | None:
    """Ready to start, when there are keys; None where the database is one of your own, and
    `console_database_url` does not say as whom to read it. Raises KeyringInvalid."""
    if addresses.console_database_url is None:
        return None
    own = {
        "CONSOLE_PORT": str(memory.port(NAME, settings.console_port)),
        "CONSOLE_DATABASE_URL": addresses.console_database_url,
        "CONSOLE_API_URL": settings.console_api_url or api_url,
        "CONSOLE_TEMPORAL_UI": settings.console_temporal_ui or addresses.temporal_ui or "",
        "KEYRING_JSON": section_json(payload_keys(settings)),
    }
    given = {f"{PREFIX}{name}": value for name, value in (dict.fromkeys(WITHHELD, "") | own).items()}
    variables = environment | given
    return OwnProgram(
        name=NAME, module="workers.console", ready_url=metrics_url(variables), settings=variables
    )


def url(running: Mapping[str, OwnProgram]) -> dict[str, str]:
    """Where a browser opens it, for stack.json; nothing where it does not run."""
    if NAME not in running:
        return {}
    variables = running[NAME].settings
    scheme = "https" if variables.get(f"{PREFIX}CONSOLE_TLS_CERT") else "http"
    host = url_host(variables[f"{PREFIX}CONSOLE_HOST"])
    return {"console_url": f"{scheme}://{host}:{variables[f'{PREFIX}CONSOLE_PORT']}{PATH}"}
