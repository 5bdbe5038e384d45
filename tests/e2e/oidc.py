"""An ingress and a console of tests' own that take an issuer's people, and the issuer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from compose.stack import Stack
from tests.support.console import one_more_console
from tests.support.ingress import one_more_ingress
from tests.support.provider import API, CLIENT, Provider, served_provider

PERSON: Final = "anna@casino.example"


@dataclass(frozen=True, slots=True)
class House:
    """Where they are, and what they have logged."""

    provider: Provider
    api: str
    console: str
    logs: list[Path] = field(default_factory=list)

    def logged(self) -> str:
        return "".join(log.read_text() for log in self.logs)


def issuer_settings(provider: Provider) -> dict[str, Any]:
    return {"oidc_issuer": provider.url, "oidc_audience": API}


@asynccontextmanager
async def house(stack: Stack, name: str, *, host: str = "127.0.0.1", **settings: Any) -> AsyncIterator[House]:
    """`name` is no other test's; the issuer is at `host`."""
    async with served_provider(host) as provider:
        issuer = issuer_settings(provider) | {"log_level": "debug"} | settings
        async with one_more_ingress(stack, f"{name}-ingress", **issuer) as ingress:
            own = {
                "console_api_url": ingress.base_url,
                "console_oidc_client_id": CLIENT,
                "console_oidc_client_secret": provider.secret,
            }
            async with one_more_console(stack, f"{name}-console", **issuer | own) as console:
                provider.redirects.add(f"{console}/sign-in/done")
                logs = [ingress.log, stack.layout.log_of(f"{name}-console")]
                yield House(provider, ingress.base_url, console, logs)


def of(operator_id: str, scope: str = "operator", sub: str = PERSON) -> dict[str, Any]:
    """What the issuer says of a person."""
    return {"sub": sub, "croupier_operator": operator_id, "croupier_scope": scope}
