"""What `up` shows: keys and addresses in one line each, so that they can be copied and piped."""

import pytest
from rich.console import Console

from cli.stack import up
from cli.stack.up import Choices
from security.api_keys import new_api_key


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_key_and_each_address_is_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    info = {
        "base_url": "http://127.0.0.1:8080",
        "operator_id": "demo",
        "operator_key": new_api_key().text,
        "lobby_url": "http://127.0.0.1:8080/lobby#key=a-secret-of-the-stack-with-32-characters",
        "temporal_ui": "http://127.0.0.1:28233/namespaces/croupier/workflows",
        "temporal_address": "127.0.0.1:27233",
        "temporal_namespace": "croupier",
        "home": "/a/home/with/a/rather/long/name/for/its/folder/that/does/not/fit/80/columns/.local",
    }
    choices = Choices(detach=True, check=False, rounds=0, as_json=False, services_only=False)
    up._show(info, choices, Console(stderr=True))
    lines = capsys.readouterr().out.splitlines()
    for whole in (
        info["base_url"],
        f"{info['base_url']}/openapi.json",
        f"{info['base_url']}/docs",
        info["operator_key"],
        info["lobby_url"],
        info["temporal_ui"],
        f"{info['home']}/stack.json",
    ):
        assert any(line.endswith(f" {whole}") for line in lines), whole


@pytest.mark.parametrize(("restart_in_s", "then"), [(0.5, "it starts again"), (None, "everything stops")])
def test_a_death_is_one_line_that_says_what_follows(
    capsys: pytest.CaptureFixture[str], restart_in_s: float | None, then: str
) -> None:
    death = {
        "event": "died",
        "name": "temporal",
        "how": "was killed by SIGKILL",
        "restart_in_s": restart_in_s,
    }
    outcome = up.Outcome()
    up._print_event(death, Console(stderr=True, width=200), outcome)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split() == f"died Temporal was killed by SIGKILL; {then}".split()
    assert outcome.code == 0
