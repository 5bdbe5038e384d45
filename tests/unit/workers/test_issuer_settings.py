"""Settings of an issuer that would let nobody in, or lead people nowhere, stop a program with one line."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from runtime.settings import Settings, SettingsError
from workers import console
from workers.issuers import access_tokens, check_issuer

CONSOLE: dict[str, Any] = {
    "console_api_url": "http://127.0.0.1:8080",
    "console_oidc_client_id": "croupier-console",
    "console_oidc_client_secret": SecretStr("hunter2"),
}
ISSUER: dict[str, Any] = {"oidc_issuer": "https://login.example/casino", "oidc_audience": "croupier-api"}


@pytest.mark.parametrize("half", [{"oidc_issuer": ISSUER["oidc_issuer"]}, {"oidc_audience": "x"}], ids=str)
async def test_an_issuer_and_its_audience_come_together(half: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="oidc_issuer and oidc_audience come together"):
        check_issuer(Settings(**half))
    with pytest.raises(SettingsError, match="come together"):
        async with access_tokens(Settings(**half)):
            pass


async def test_without_one_no_token_counts() -> None:
    async with access_tokens(Settings()) as tokens:
        assert tokens is None
    async with access_tokens(Settings(**ISSUER)) as tokens:
        assert tokens is not None


def test_a_client_of_no_issuer_stops_the_console() -> None:
    console.check(Settings(**CONSOLE, **ISSUER))
    with pytest.raises(SettingsError, match="console_oidc_client_id is of an issuer") as caught:
        console.check(Settings(**CONSOLE))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"oidc_issuer": "http://login.example"}, "must begin with https"),
        ({"console_oidc_scopes": "profile email"}, "no word openid"),
        ({"console_url": "https://console.example/console"}, "a scheme, a host and a port"),
        ({"oidc_operator_claim": ""}, "at least 1 character"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(**bad)
