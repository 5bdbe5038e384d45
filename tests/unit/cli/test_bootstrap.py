"""The environment is made although a registry is away for a moment."""

import sys
from pathlib import Path

import pytest

from cli import bootstrap

# Fails as often as the file beside it says, then writes down what it was asked to install.
PIP = """
import pathlib, sys
left = pathlib.Path(__file__).with_name("left")
times = int(left.read_text())
left.write_text(str(times - 1))
if times > 0:
    sys.exit("ERROR: No matching distribution found for aio-pika")
pathlib.Path(__file__).with_name("installed").write_text(sys.argv[-1])
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "pip.py").write_text(PIP)
    (tmp_path / "some.lock").write_text("aio-pika==10.2.1\n")
    monkeypatch.setattr(bootstrap, "PAUSE_S", 0.0)
    return tmp_path


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_pip_is_tried_again(environment: Path, failures: int) -> None:
    (environment / "left").write_text(str(failures))
    bootstrap.install(environment, environment / "some.lock", [str(environment / "pip.py")])
    assert (environment / "installed").read_text() == str(environment / "some.lock")


def test_a_registry_that_stays_away_ends_in_one_line(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (environment / "left").write_text(str(bootstrap.TRIES))
    with pytest.raises(bootstrap.BootstrapError, match="pip could not install some"):
        bootstrap.install(environment, environment / "some.lock", [str(environment / "pip.py")])
    said = capsys.readouterr().err
    assert said.count("No matching distribution") == bootstrap.TRIES
    assert not (environment / "installed").exists()
