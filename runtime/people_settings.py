"""The settings of what people sign in to: the issuer of their tokens, the codec server and the console.

They are a part of `Settings`, in runtime/settings.py, which says where values come from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from runtime.addresses import check_origin, for_asyncpg, over_tls, with_scheme
from runtime.listed import listed

OPERATOR_CLAIM: Final = "croupier_operator"
SCOPE_CLAIM: Final = "croupier_scope"
# Where a deploy file names a secret's file in any case, an empty one counts as not given.
MAY_BE_EMPTY: Final = frozenset({"console_oidc_client_secret"})
PROJECT_ROOT = Path(__file__).resolve().parent.parent

Port = Annotated[int, Field(ge=1, le=65535)]


class PeopleSettings(BaseSettings):
    """What people sign in to, and the home, which files are relative to."""

    home: Path = Field(
        PROJECT_ROOT / ".local", description="Data, logs, pids and secrets of the embedded stack."
    )

    oidc_issuer: str | None = Field(
        None,
        description="Who signs the tokens of operators' people, for the API and the console: its URL, as"
        " `iss` has it.",
    )
    oidc_audience: str | None = Field(None, description="What `aud` of their access tokens must have.")
    oidc_operator_claim: str = Field(
        OPERATOR_CLAIM, min_length=1, description="The claim that names their operator by its id."
    )
    oidc_scope_claim: str = Field(
        SCOPE_CLAIM,
        min_length=1,
        description="The claim that has the word `game`, `operator` or `admin`.",
    )

    codec_host: str = Field(
        "127.0.0.1", description="The address the codec server listens on; any but loopback needs TLS."
    )
    codec_port: Port | None = Field(None, description="The codec server; a free one when not given.")
    codec_tls_cert: Path | None = Field(None, description="Its certificate: PEM.")
    codec_tls_key: Path | None = Field(None, description="And its private key.")
    codec_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Of Temporal's web interface, exactly: https://temporal.example"
    )
    codec_oidc_issuer: str | None = Field(
        None, description="Who signs people's tokens for the codec server: its URL, as `iss` has it."
    )
    codec_oidc_audience: str | None = Field(None, description="What `aud` of these tokens must have.")
    codec_oidc_claim: str = Field(
        "scope", min_length=1, description="Their claim that has the word `admin` or `support`."
    )
    codec_path: SecretStr | None = Field(
        None, description="A path that asks for no token, on 127.0.0.1 and of this account alone."
    )

    console_host: str = Field("127.0.0.1", description="The console's address; any but loopback needs TLS.")
    console_port: Port | None = Field(None, description="Its port; a free one when not given.")
    console_tls_cert: Path | None = Field(None, description="Its certificate: PEM.")
    console_tls_key: Path | None = Field(None, description="And its private key.")
    console_database_url: SecretStr | None = Field(None, description="The database as the console's role.")
    console_api_url: str | None = Field(None, description="Where it reaches an ingress: https://api.example")
    console_temporal_ui: str | None = Field(None, description="Temporal's web interface, for links.")
    console_url: str | None = Field(
        None, description="Its own origin, as browsers have it, for the issuer to lead back to."
    )
    console_oidc_client_id: str | None = Field(
        None, description="What the issuer knows the console as; people then sign in there too."
    )
    console_oidc_client_secret: SecretStr | None = Field(
        None, description="Its secret at the issuer; none for a public client."
    )
    console_oidc_scopes: str = Field(
        "openid", description="What it asks the issuer for, separated by spaces."
    )

    @field_validator("home", mode="after")
    @classmethod
    def _home_is_absolute(cls, value: Path) -> Path:
        return (PROJECT_ROOT / value.expanduser()).absolute()

    @field_validator("codec_origins", mode="before")
    @classmethod
    def _origins_are_listed(cls, value: object) -> object:
        return listed(value) if isinstance(value, str) else value

    @field_validator("codec_origins")
    @classmethod
    def _pages_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            check_origin(origin)
        return value

    @field_validator("codec_oidc_issuer", "oidc_issuer")
    @classmethod
    def _issuer_is_trusted(cls, value: str | None) -> str | None:
        return None if value is None else over_tls(value)

    @field_validator("console_api_url", "console_temporal_ui", "console_url")
    @classmethod
    def _console_calls_origins(cls, value: str | None) -> str | None:
        if value is not None:
            check_origin(value)
        return value

    @field_validator("console_oidc_scopes")
    @classmethod
    def _openid_is_asked_for(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("has no word openid, without which an issuer says nothing of who signed in")
        return value

    @field_validator("console_database_url")
    @classmethod
    def _console_reads_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        return for_asyncpg(with_scheme(value, "postgresql"))

    @field_validator(
        *("codec_tls_cert", "codec_tls_key", "console_tls_cert", "console_tls_key"), mode="after"
    )
    @classmethod
    def _certificate_is_absolute(cls, value: Path | None, others: ValidationInfo) -> Path | None:
        return below_home(value, others)


def below_home(value: Path | None, others: ValidationInfo) -> Path | None:
    """A file's path, which is relative to the home."""
    return None if value is None else Path(others.data.get("home", PROJECT_ROOT)) / value.expanduser()
