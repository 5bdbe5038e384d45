"""Debian packages are fetched although a mirror is away for a moment."""

import re
from pathlib import Path

import pytest

from compose import apt
from compose.problems import Unavailable

# Fails as often at what needs the mirror as the file beside it says.
APT_GET = """#!/bin/sh
here=$(dirname "$0")
case "$*" in *" update"*|*" download "*)
    left=$(cat "$here/left"); echo $((left - 1)) > "$here/left"
    if [ "$left" -gt 0 ]; then echo "E: Failed to fetch" >&2; exit 100; fi;;
esac
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in {"apt-get": APT_GET, "dpkg": "#!/bin/sh\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(apt, "PAUSE_S", 0.0)
    return folder


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_mirror_is_tried_again(tools: Path, tmp_path: Path, failures: int) -> None:
    (tools / "left").write_text(str(failures))
    apt.unpack("rabbitmq-server", tmp_path / "target", always=re.compile("erlang.*"))
    assert (tmp_path / "target").is_dir()


def test_a_mirror_that_stays_away_is_named_with_what_it_said(tools: Path, tmp_path: Path) -> None:
    (tools / "left").write_text("100")
    with pytest.raises(Unavailable, match="apt-get update failed: E: Failed to fetch"):
        apt.unpack("rabbitmq-server", tmp_path / "target", always=re.compile("erlang.*"))
