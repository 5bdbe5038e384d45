"""A codec server whose settings would let everybody in, or nobody, does not start: one line says why."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from runtime.settings import Settings, SettingsError
from workers import codec

LETS_IN = {"database_url": SecretStr("postgresql://h/d")}
TLS = {"codec_tls_cert": Path("cert.pem"), "codec_tls_key": Path("key.pem")}
PEOPLE = {"codec_oidc_issuer": "https://login.example", "codec_oidc_audience": "croupier-codec"}
PATH = {"codec_path": SecretStr("a-path")}


@pytest.mark.parametrize(
    "good",
    [
        LETS_IN,
        PEOPLE,
        PATH,
        {**LETS_IN, **PEOPLE, **PATH},
        {**PEOPLE, "codec_host": "::1"},
        {**PEOPLE, "codec_host": "localhost"},
        {**PEOPLE, **TLS, "codec_host": "0.0.0.0"},  # noqa: S104
        {**PEOPLE, **TLS, "codec_host": "10.1.2.3"},
    ],
    ids=lambda good: " ".join(good),
)
def test_these_start(good: dict[str, Any]) -> None:
    codec.check(Settings(**good))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({}, "nobody could have a payload opened"),
        ({**PEOPLE, "codec_host": "0.0.0.0"}, "is not loopback.* set codec_tls_cert and codec_tls_key"),  # noqa: S104
        ({**PEOPLE, "codec_host": "::"}, "is not loopback"),
        ({**PEOPLE, "codec_host": "codec.example"}, "is not loopback"),
        ({**PEOPLE, "codec_host": "::ffff:10.0.0.1"}, "is not loopback"),
        ({**PEOPLE, "codec_tls_cert": Path("cert.pem")}, "codec_tls_cert and codec_tls_key come together"),
        ({"codec_oidc_issuer": "https://login.example"}, "codec_oidc_audience come together"),
        ({**PATH, **TLS, "codec_host": "0.0.0.0"}, "codec_path lets in without a token"),  # noqa: S104
        ({**PATH, "codec_host": "::1"}, "codec_path lets in without a token"),
    ],
)
def test_these_do_not(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why) as caught:
        codec.check(Settings(**bad))
    assert "a-path" not in str(caught.value)


@pytest.mark.parametrize(
    "origin",
    ["*", "https://*", "temporal.example", "https://temporal.example/", "https://a/b", "ftp://a", "", "null"],
)
def test_an_origin_is_exact(origin: str) -> None:
    with pytest.raises(ValidationError, match="each origin is a scheme, a host and a port"):
        Settings(codec_origins=[origin])


@pytest.mark.parametrize(
    "issuer",
    ["http://login.example", "login.example", "https://", "https://a?b=c", "https://u:p@login.example"],
)
def test_an_issuer_is_asked_over_tls_alone(issuer: str) -> None:
    with pytest.raises(ValidationError, match="must b"):
        Settings(codec_oidc_issuer=issuer)


def test_an_issuer_on_this_machine_may_do_without() -> None:
    assert Settings(codec_oidc_issuer="http://127.0.0.1:8080/realms/x").codec_oidc_issuer
