"""The issuer of people's tokens, as the settings name it, and how a program reaches it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.oidc.issuer import Issuer, fetched_by, issuer_client
from api.oidc.people import AccessTokens
from outbound.client import OutboundClient
from runtime.settings import Settings, SettingsError


@asynccontextmanager
async def opened_issuer(url: str) -> AsyncIterator[tuple[Issuer, OutboundClient]]:
    """Inside the block, and the client that asks it. It is read when the first token comes."""
    client = issuer_client()
    issuer = Issuer(url, fetched_by(client))
    try:
        yield issuer, client
    finally:
        await issuer.aclose()
        await client.aclose()


@asynccontextmanager
async def access_tokens(settings: Settings) -> AsyncIterator[AccessTokens | None]:
    """Those that the API takes, inside the block; None where no issuer is set. Raises SettingsError."""
    if check_issuer(settings) is None:
        yield None
        return
    assert settings.oidc_issuer
    async with opened_issuer(settings.oidc_issuer) as (issuer, _):
        yield tokens_of(issuer, settings)


def check_issuer(settings: Settings) -> str | None:
    """The issuer, if one is set. Raises SettingsError."""
    if (settings.oidc_issuer is None) != (settings.oidc_audience is None):
        raise SettingsError("settings oidc_issuer and oidc_audience come together: give both or none")
    return settings.oidc_issuer


def tokens_of(issuer: Issuer, settings: Settings) -> AccessTokens:
    assert settings.oidc_audience
    return AccessTokens(
        issuer,
        audience=settings.oidc_audience,
        operator_claim=settings.oidc_operator_claim,
        scope_claim=settings.oidc_scope_claim,
    )
