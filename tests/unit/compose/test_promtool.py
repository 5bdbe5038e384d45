"""promtool: the system's, or the one program of Debian's package, or a sentence that says how to get it."""

import shutil
from pathlib import Path

import pytest

from compose import apt, promtool
from compose.problems import Unavailable


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(promtool, "SHARED_LIBRARY", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return tmp_path


def unpacked(*programs: str) -> object:
    def unpack(package: str, target: Path) -> None:
        assert package == "prometheus"
        (target / "usr" / "bin").mkdir(parents=True)
        for name in programs:
            (target / "usr" / "bin" / name).write_text(name)

    return unpack


def test_the_systems_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert promtool.find_or_fetch(lambda text: None) == Path("/usr/bin/promtool")


def test_it_is_fetched_once_and_the_rest_of_its_package_is_left(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(apt, "unpack_alone", unpacked("prometheus", "promtool"))
    found = promtool.find_or_fetch(said.append)
    assert found.read_text() == "promtool"
    assert promtool.find_or_fetch(said.append) == found
    assert said == ["downloading promtool through apt-get (about 20 MB, once)"]
    assert {path.name for path in library.iterdir()} == {found.name, f"{found.name}.lock"}


def test_a_package_without_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "unpack_alone", unpacked("prometheus"))
    with pytest.raises(Unavailable, match="this distribution's package prometheus has none"):
        promtool.find_or_fetch(lambda text: None)


def test_who_cannot_have_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(package: str, target: Path) -> None:
        raise Unavailable("this system has no apt-get")

    monkeypatch.setattr(apt, "unpack_alone", unpack)
    with pytest.raises(Unavailable, match="no apt-get; install it as root with: apt-get install prometheus"):
        promtool.find_or_fetch(lambda text: None)
