"""The codec server of the embedded Temporal: how its web interface reaches it, and what it is given.

The web interface sends no token over HTTP. What stands in its place: the server listens on loopback, at a
path that is made once and kept as passwords are, and answers the account that runs the stack alone.
"""

from __future__ import annotations

from typing import Final

from compose.ingresses import metrics_url
from compose.layout import Memory
from compose.programs import OwnProgram
from runtime.addresses import origin_of
from runtime.keys import payload_keys
from runtime.settings import PREFIX, Settings
from security.keyring import section_json

NAME: Final = "codec"
HOST: Final = "127.0.0.1"
# What it has no use for. An empty value counts as not given.
WITHHELD: Final = (
    *("DATABASE_URL", "OWNER_DATABASE_URL", "AMQP_URL", "TEMPORAL_API_KEY"),
    *("CODEC_TLS_CERT", "CODEC_TLS_KEY", "CONSOLE_OIDC_CLIENT_SECRET"),
)


class EmbeddedCodec:
    """Its address is known before it runs."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings = settings
        self._port = memory.port("codec", settings.codec_port)
        self._path = memory.secret("codec_path")

    @property
    def endpoint(self) -> str:
        """For the web interface and for tools. Whoever has it, of the accounts that count, needs no token."""
        return f"http://{HOST}:{self._port}/{self._path}"

    def program(self, environment: dict[str, str], *, ui: str) -> OwnProgram:
        """Ready to start for the web interface at `ui`, when there are keys. Raises KeyringInvalid."""
        settings = environment | self._own(ui)
        return OwnProgram(
            name=NAME, module="workers.codec", ready_url=metrics_url(settings), settings=settings
        )

    def _own(self, ui: str) -> dict[str, str]:
        """It gets the keys of payloads alone, and no address of a service."""
        pages = (origin_of(ui), origin_of(ui.replace(HOST, "localhost")))
        origins = (*pages, *self._settings.codec_origins)
        own = {
            "CODEC_HOST": HOST,
            "CODEC_PORT": str(self._port),
            "CODEC_PATH": self._path,
            "CODEC_ORIGINS": ",".join(origins),
            "KEYRING_JSON": section_json(payload_keys(self._settings)),
        }
        return {f"{PREFIX}{name}": value for name, value in (dict.fromkeys(WITHHELD, "") | own).items()}
