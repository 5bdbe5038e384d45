"""The check and the demonstration when services are away: they say so, in words that hold no secret."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from cli.stack import check, demonstration
from security.keyring import Keyring


@pytest.fixture
def nobody_there() -> str:
    """host:port where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def stack(tmp_path: Path, nobody_there: str) -> dict[str, Any]:
    Keyring.generate().save(tmp_path / "keyring.json")
    return {
        "base_url": f"http://{nobody_there}",
        "operator_id": "demo",
        "operator_key": "crk_secret",
        "database_url": f"postgresql://croupier:dbsecret@{nobody_there}/croupier",
        "amqp_url": f"amqp://croupier:mqsecret@{nobody_there}/",
        "temporal_address": nobody_there,
        "temporal_namespace": "croupier",
        "temporal_ui": None,
        "keyring": str(tmp_path / "keyring.json"),
    }


def test_a_check_without_a_database_is_not_ok_and_says_why(stack: dict[str, Any]) -> None:
    report = check.run(stack, 1)
    assert not report.ok
    assert [finding.name for finding in report.findings] == ["check-finished"]
    text = json.dumps(report.as_dict())
    assert "reaching PostgreSQL: " in text
    assert "secret" not in text


def test_a_check_without_its_keys_is_not_ok_and_says_why(stack: dict[str, Any]) -> None:
    report = check.run(stack | {"keyring": "/nowhere/keyring.json"}, 1)
    assert "KeyringInvalid" in report.findings[0].examples[0]


def test_a_demonstration_without_an_ingress_is_one_line(
    stack: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    demonstration.play(stack)
    output = capsys.readouterr().out
    assert "the demonstration ended early" in output
    assert "secret" not in output
