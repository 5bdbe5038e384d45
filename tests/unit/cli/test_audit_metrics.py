"""The audit as a file of metrics, for a collector that reads it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.audit import run as command
from cli.main import app
from runtime.settings import Settings
from verification.audit import AuditReport, Wanted
from verification.findings import Finding


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = tuple(
        Finding(code="I1", name=name, title="a title", count=count, examples=("player of-nobody",) * count)
        for name, count in (("books-balance", 0), ("chains-hold", 3))
    )
    report = AuditReport(players=2, links=5, findings=findings, sums={}, replayed=None)

    async def examine(settings: Settings, wanted: Wanted) -> AuditReport:
        return report

    monkeypatch.setattr(command, "examine", examine)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "--json", *arguments])


def test_the_file_has_how_often_each_invariant_is_broken_and_when(tmp_path: Path) -> None:
    path = tmp_path / "audit.prom"
    assert run("--metrics-file", str(path)).exit_code == command.BROKEN
    text = path.read_text(encoding="utf-8")
    assert 'croupier_audit_broken{invariant="books-balance"} 0.0\n' in text
    assert 'croupier_audit_broken{invariant="chains-hold"} 3.0\n' in text
    assert "\ncroupier_audit_last_run_timestamp_seconds 1." in text
    assert "of-nobody" not in text, "examples name players"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "audit.prom"
    ended = run("--metrics-file", str(path))
    assert ended.exit_code == command.CANNOT_AUDIT
    assert f"croupier: --metrics-file {path}: No such file or directory" in ended.output


def test_a_part_of_an_audit_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.prom"
    ended = run("--chain", "--metrics-file", str(path))
    assert ended.exit_code == 2
    assert "--metrics-file takes the whole audit" in ended.output
    assert not path.exists()
