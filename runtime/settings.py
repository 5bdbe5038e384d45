"""The settings: one frozen object, built in main and handed down. Nothing is read at import.

A value comes from the environment (`CROUPIER_HTTP_PORT`), else from a TOML file (`http_port = 8080` in
`croupier.toml`, or in the file that CROUPIER_SETTINGS names), else from the defaults below. A secret may also
lie in a file that a variable names (`CROUPIER_AMQP_URL_FILE`), as secret stores hand them out.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from runtime.addresses import (
    check_framing,
    check_origin,
    collector,
    for_aiormq,
    for_asyncpg,
    launchable,
    with_scheme,
)
from runtime.listed import listed
from runtime.listening import is_loopback
from runtime.people_settings import MAY_BE_EMPTY, PROJECT_ROOT, PeopleSettings, Port, below_home

PREFIX = "CROUPIER_"
OF_A_FILE: Final = "_FILE"
# Variables that begin like settings and are none: where the settings are, what one command alone
# reads, and which commit an image was built from.
COMMIT_VARIABLE: Final = f"{PREFIX}COMMIT"
NO_SETTINGS: Final = frozenset({f"{PREFIX}SETTINGS", f"{PREFIX}WALLET_SECRET", COMMIT_VARIABLE})


class SettingsError(Exception):
    """The settings cannot be used. The text is one line with the key or file, never a secret."""


class Settings(PeopleSettings):
    """Everything that can be chosen from outside. Ports not given are chosen by the stack."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    http_host: str = Field(
        "127.0.0.1", description="The address the ingress listens on; `::` is every one of IPv4 and IPv6."
    )
    http_port: Port | None = Field(None, description="The ingress; a free one when not given.")
    http_fd: int | None = Field(
        None,
        ge=3,
        description="A socket that listens already, handed down by a supervisor: 3 in a systemd socket unit.",
    )
    drain_delay_s: float = Field(
        0,
        ge=0,
        le=30,
        description="From SIGTERM, when readiness ends, until the ingress takes no more: for load balancers.",
    )
    metrics_host: str = Field("127.0.0.1", description="The address the metrics listen on.")
    metrics_port: Port | None = Field(
        None, description="Prometheus metrics of the ingress; a free one when not given."
    )
    metrics_operators: int = Field(
        50,
        ge=0,
        description="Operators with figures of their own in the metrics, the oldest first; all others are"
        " `other`.",
    )

    database_url: SecretStr | None = Field(
        None, description="An outside PostgreSQL: postgresql://user:password@host/db"
    )
    owner_database_url: SecretStr | None = Field(
        None,
        description="Its owner, who makes the tables, when our programs shall connect as another role.",
    )
    amqp_url: SecretStr | None = Field(
        None, description="An outside RabbitMQ: amqp://user:password@host:port/vhost"
    )
    temporal_address: str | None = Field(None, description="An outside Temporal: host:port")
    temporal_namespace: str = "croupier"
    temporal_tls: bool = Field(
        False, description="TLS to Temporal; used in any case with a file, a name or a key given below."
    )
    temporal_tls_ca: Path | None = Field(
        None, description="The authority of its certificate, a PEM file; the system's when not given."
    )
    temporal_tls_cert: Path | None = Field(None, description="Our own certificate, for mutual TLS: PEM.")
    temporal_tls_key: Path | None = Field(None, description="And its private key.")
    temporal_tls_server_name: str | None = Field(
        None, description="The name in its certificate, where that is not the address's."
    )
    temporal_api_key: SecretStr | None = Field(
        None, description="For Temporal Cloud or an authorizer; travels over TLS alone."
    )
    task_queue: str = "croupier-rounds"

    postgres_port: Port | None = Field(None, description="The embedded PostgreSQL.")
    amqp_port: Port | None = Field(None, description="The embedded RabbitMQ.")
    temporal_port: Port | None = Field(None, description="The embedded Temporal.")
    temporal_ui_port: Port | None = Field(None, description="The web interface of the embedded Temporal.")

    keyring: Path = Field(Path("keyring.json"), description="Keys for tokens and payloads; relative to home.")
    keyring_json: SecretStr | None = Field(
        None, description="The keyring itself, as JSON, from a secret store; the file is then not read."
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    log_file_mib: int = Field(
        10, ge=1, le=1024, description="Of the embedded stack: a log that is larger is set aside."
    )
    log_files_kept: int = Field(
        3, ge=0, le=100, description="How many of those are kept of each program, beside its present log."
    )
    traces_endpoint: str | None = Field(
        None, description="Where traces are sent, as OTLP over HTTP: http://collector:4318/v1/traces"
    )
    traces_sample_ratio: float = Field(
        0.1, gt=0, le=1, description="The part of the requests that is traced, where traces are sent at all."
    )
    games: Annotated[tuple[str, ...], NoDecode] = Field(
        ("games.fruit_lines:GAME", "games.lucky_fruits:GAME", "games.dice:GAME"),
        description="Plug-ins as module:attribute; in the environment also separated by commas.",
    )
    game_processes: int = Field(
        2, ge=1, le=64, description="Processes for each game that does not come with Croupier."
    )
    game_answer_s: float = Field(
        1.5, gt=0, le=4, description="How long such a game may take for a step, by the clock."
    )
    game_processor_s: int = Field(1, ge=1, description="And of the processor, in whole seconds.")
    game_memory_mib: int = Field(512, ge=64, description="The most address space of one of its processes.")
    max_open_requests: int = Field(
        512, ge=1, description="Beyond it, the ingress answers 503 and Retry-After."
    )
    max_open_bets: int = Field(
        100,
        ge=1,
        description="Bets among them; beyond it, the ingress answers further bets with 503 and Retry-After.",
    )
    max_running_bets: int = Field(
        24, ge=1, description="Open bets that are worked on at once; the others wait for their turn."
    )
    max_sockets: int = Field(
        5_000, ge=1, description="WebSockets that one ingress holds; a further one is answered with 503."
    )
    max_sockets_per_session: int = Field(
        5, ge=1, description="WebSockets of one session at one ingress; a further one is closed with 4429."
    )
    socket_heartbeat_s: int = Field(
        20, ge=1, description="Seconds between pings; a peer that answers none for as long is cut."
    )
    commands_enabled: bool = Field(
        True, description="Whether the ingress takes rounds from the broker's queue too."
    )
    commands_prefetch: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None, description="Commands that are held from the queue; ten times max_running_bets when not given."
    )
    reconcile_every_s: int = Field(
        60, ge=1, description="How often ledger, Temporal, events and operators' wallets are compared."
    )
    webhooks_local: bool = Field(
        False, description="Webhooks may lead to this machine or network, and do without TLS."
    )
    webhook_retry_first_s: int = Field(
        5, ge=1, description="The first pause before an event is sent to its webhook again; it doubles."
    )
    webhook_retry_longest_s: int = Field(3600, ge=1, description="The longest of these pauses.")
    webhook_retry_for_s: int = Field(
        3 * 24 * 3600, ge=1, description="How long an event is sent again before it is dead."
    )
    session_lifetime_s: int = Field(12 * 3600, ge=60, description="How long a session's token may bet.")
    game_client_url: str | None = Field(
        None, description="Where launch URLs point; the ingress when not given."
    )
    game_client_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins whose pages may call the game API: https://games.example; when none is given,"
        " that of game_client_url.",
    )
    frame_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Of casinos' pages that show our game page in a frame: https://casino.example"
    )
    lobby_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Opens demo sessions at /lobby, on a loopback address alone; `up` makes one by itself.",
    )
    client_patience_ms: int = Field(
        10_000, ge=1, description="How long a request waits for its round before 202."
    )

    limit_session_per_s: float = Field(
        300, ge=0, description="Calls of one session a second, in the long run; 0: no limit."
    )
    limit_session_burst: int = Field(600, ge=1, description="And at once, after a pause.")
    limit_key_per_s: float = Field(2_000, ge=0, description="The same for an API key.")
    limit_key_burst: int = Field(4_000, ge=1)
    limit_address_per_s: float = Field(10_000, ge=0, description="The same for a client's address.")
    limit_address_burst: int = Field(20_000, ge=1)
    limit_failures_per_s: float = Field(
        20, ge=0, description="Failed authentications of an address a second; 0: no limit."
    )
    limit_failures_burst: int = Field(100, ge=1)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Networks of proxies of yours, whose X-Forwarded-For counts: 10.0.0.0/8,fd00::/8"
    )
    max_connections: int = Field(10_000, ge=1, description="Beyond it, connections are closed at once.")
    max_connections_per_address: int = Field(4_000, ge=1, description="From one that is no trusted proxy.")
    request_head_timeout_s: float = Field(10, gt=0, description="For a request's head to arrive.")
    request_body_timeout_s: float = Field(20, gt=0, description="For its body, and for an answer to be read.")

    @field_validator(*("games", "trusted_proxies", "game_client_origins", "frame_origins"), mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return listed(value) if isinstance(value, str) else value

    @field_validator("games")
    @classmethod
    def _games_are_references(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for reference in value:
            module, _, attribute = reference.partition(":")
            if not all(part.isidentifier() for part in (*module.split("."), attribute)):
                raise ValueError("each game is written module:attribute")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError("each proxy is an address or a network such as 10.0.0.0/8") from None
        return value

    @field_validator("lobby_key")
    @classmethod
    def _lobby_is_of_this_machine(cls, value: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        if value is not None and not is_loopback(others.data.get("http_host", "")):
            raise ValueError("opens sessions without an operator: it counts on a loopback http_host alone")
        return value

    @field_validator("game_client_origins", "frame_origins")
    @classmethod
    def _origins_are_exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            check_origin(origin)
        return value

    @field_validator("frame_origins")
    @classmethod
    def _policies_can_name_them(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            check_framing(origin)
        return value

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _database_is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        return for_asyncpg(with_scheme(value, "postgresql"))

    @field_validator("amqp_url")
    @classmethod
    def _queue_is_amqp(cls, value: SecretStr | None) -> SecretStr | None:
        return for_aiormq(with_scheme(value, "amqp", "amqps"))

    @field_validator("game_client_url")
    @classmethod
    def _game_client_can_be_launched(cls, value: str | None) -> str | None:
        return None if value is None else launchable(value)

    @field_validator("traces_endpoint")
    @classmethod
    def _traces_go_to_a_url(cls, value: str | None) -> str | None:
        return None if value is None else collector(value)

    @field_validator("temporal_address")
    @classmethod
    def _temporal_is_host_and_port(cls, value: str | None) -> str | None:
        host, _, port = (value or "").rpartition(":")
        if value is not None and (not host or not port.isdigit()):
            raise ValueError("must be host:port")
        return value

    @field_validator("keyring", "temporal_tls_ca", "temporal_tls_cert", "temporal_tls_key", mode="after")
    @classmethod
    def _file_is_absolute(cls, value: Path | None, others: ValidationInfo) -> Path | None:
        return below_home(value, others)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` hands over all values itself, so a Settings built in a test reads nothing else."""
        return (init_settings,)


SECRETS: Final = tuple(
    name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)
)
"""The settings that may lie in a file of their own."""


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment and the settings file. Raises SettingsError with one line that names what is
    wrong.
    """
    values: dict[str, Any] = {**_from_file(environment), **_from_environment(environment)}
    try:
        return Settings(**values)
    except ValidationError as problem:
        raise SettingsError(_one_line(problem)) from None


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that make `load` give an equal object in a child process; what is not set is left out. An
    empty value counts as not given: the files that our own variables name are read already."""
    variables = {f"{PREFIX}{name.upper()}{OF_A_FILE}": "" for name in SECRETS}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        variables[f"{PREFIX}{name.upper()}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    return variables


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that is not ours: no setting of ours concerns it, and some are secrets."""
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX)}


def settings_file(environment: Mapping[str, str]) -> Path | None:
    """The settings file: the one CROUPIER_SETTINGS names, else the project's croupier.toml if any."""
    if named := environment.get("CROUPIER_SETTINGS"):
        return Path(named).expanduser()
    usual = PROJECT_ROOT / "croupier.toml"
    return usual if usual.exists() else None


def _from_file(environment: Mapping[str, str]) -> dict[str, Any]:
    path = settings_file(environment)
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(f"settings file {path}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"settings file {path}: not valid TOML: {problem}") from None
    if unknown := sorted(set(values) - set(Settings.model_fields)):
        raise SettingsError(f"settings file {path}: unknown key {', '.join(unknown)}")
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An empty variable counts as not given, as `CROUPIER_AMQP_URL= ./croupier up` means."""
    fields = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    files = {f"{PREFIX}{name.upper()}{OF_A_FILE}": name for name in SECRETS}
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    _refuse_unknown(ours, [*fields, *files, *NO_SETTINGS])
    values = {fields[name]: value for name, value in ours.items() if name in fields and value != ""}
    for variable, name in files.items():
        if path := ours.get(variable):
            if name in values:
                raise SettingsError(
                    f"{variable.removesuffix(OF_A_FILE)} and {variable} are both set: keep one"
                )
            if text := _secret_in(path, variable, may_be_empty=name in MAY_BE_EMPTY):
                values[name] = text
    return values


def _refuse_unknown(given: Mapping[str, str], known: list[str]) -> None:
    """A mistyped variable would leave a default in force, a limit for instance, and nobody would know."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        closest = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0)
        raise SettingsError(f"variable {unknown[0]} is no setting: the closest is {closest[0]}")


def _secret_in(path: str, variable: str, *, may_be_empty: bool) -> str:
    """The text of a secret's file, without the line's end that editors and secret stores add."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise SettingsError(f"{variable} names {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable} names {path}: not a text") from None
    if not text and not may_be_empty:
        raise SettingsError(f"{variable} names {path}: the file is empty")
    return text


def _one_line(problem: ValidationError) -> str:
    """The first thing that is wrong, by its key; the value is left out because it may be a secret."""
    first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    message = first["msg"].removeprefix("Value error, ")
    return f"setting {key} ({PREFIX}{key.split('.')[0].upper()}): {message}"


__all__ = [
    "NO_SETTINGS",
    "OF_A_FILE",
    "PROJECT_ROOT",
    "SECRETS",
    "Settings",
    "SettingsError",
    "load",
    "settings_file",
    "to_environment",
    "without_ours",
]
