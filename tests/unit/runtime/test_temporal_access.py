"""What a connection to Temporal needs beside its address, from the settings; no secret in what is printed."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.service import TLSConfig

from runtime.settings import Settings, SettingsError
from runtime.temporal import NO_TLS, access

PEM = b"-----BEGIN CERTIFICATE-----\n"
SECRET = "hunter2"


def made(folder: Path, **given: Any) -> Settings:
    return Settings(home=folder, **given)


def pem(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(PEM + name.encode())
    return path


def test_nothing_set_is_no_tls(tmp_path: Path) -> None:
    assert access(made(tmp_path)) == NO_TLS


@pytest.mark.parametrize(
    "given", [{"temporal_tls": True}, {"temporal_tls_server_name": "t"}, {"temporal_api_key": SECRET}]
)
def test_each_of_the_settings_turns_tls_on(tmp_path: Path, given: dict[str, Any]) -> None:
    """An API key above all: without TLS everybody on the way could read it."""
    assert isinstance(access(made(tmp_path, **given)).tls, TLSConfig)


def test_files_are_read_relative_to_the_home(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        pem(tmp_path, name)
    tls = access(made(tmp_path, temporal_tls_ca="ca", temporal_tls_cert="cert", temporal_tls_key="key")).tls
    assert tls == TLSConfig(
        server_root_ca_cert=PEM + b"ca", client_cert=PEM + b"cert", client_private_key=PEM + b"key"
    )


@pytest.mark.parametrize("alone", ["temporal_tls_cert", "temporal_tls_key"])
def test_a_certificate_without_its_key_is_refused(tmp_path: Path, alone: str) -> None:
    with pytest.raises(SettingsError, match="temporal_tls_cert and temporal_tls_key come together"):
        access(made(tmp_path, **{alone: pem(tmp_path, "one")}))


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (SECRET, "not a PEM file")])
def test_a_file_that_is_no_certificate_is_one_line(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        access(made(tmp_path, temporal_tls_ca=path))
    assert str(caught.value).startswith(f"setting temporal_tls_ca (CROUPIER_TEMPORAL_TLS_CA): {path}: {why}")
    assert SECRET not in str(caught.value)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(PEM + SECRET.encode())
    found = access(
        made(tmp_path, temporal_tls_cert=pem(tmp_path, "c"), temporal_tls_key=key, temporal_api_key=SECRET)
    )
    assert found.api_key == SECRET
    assert SECRET not in repr(found)
