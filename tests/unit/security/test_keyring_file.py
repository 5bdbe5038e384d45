"""Changing the keyring file: one change at a time, whole or not at all, and by its owner alone."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.settings import PROJECT_ROOT
from security.keyring import SECTIONS, KeyInUse, Keyring, KeyringInvalid, SectionName, UnknownKey, change_file
from tests.support.conditions import HANG_S


def test_a_change_keeps_what_was_there_and_the_files_mode(file: Path) -> None:
    old = Keyring.load(file)
    before, after = change_file(file, lambda keyring: keyring.with_new_key("seeds"))
    assert before == old
    assert Keyring.load(file) == after
    assert after.seeds.key(old.seeds.active) == old.seeds.active_key
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in file.parent.iterdir()) == [".keyring.json.lock", "keyring.json"]
    assert (file.parent / ".keyring.json.lock").stat().st_mode & 0o777 == 0o600


def test_a_second_change_waits_for_the_first_and_keeps_its_key(file: Path) -> None:
    """The interleaving: both have read the file before either writes it. The later one would write over the
    earlier one's key."""
    first_has_read, go_on, second_has_read = threading.Event(), threading.Event(), threading.Event()

    def slowly(keyring: Keyring) -> Keyring:
        first_has_read.set()
        assert go_on.wait(HANG_S)
        return keyring.with_new_key("payload")

    def at_once(keyring: Keyring) -> Keyring:
        second_has_read.set()
        return keyring.with_new_key("payload")

    with ThreadPoolExecutor() as threads:
        first = threads.submit(change_file, file, slowly)
        assert first_has_read.wait(HANG_S)
        second = threads.submit(change_file, file, at_once)
        in_between = second_has_read.wait(0.3)
        go_on.set()
        (_, with_one), (_, with_two) = first.result(HANG_S), second.result(HANG_S)
    assert not in_between, "the second change has read the file while the first one was at work"
    assert set(with_one.payload.keys) < set(with_two.payload.keys) == set(Keyring.load(file).payload.keys)
    assert len(with_two.payload.keys) == 3


def test_rotations_by_several_processes_lose_no_key(file: Path) -> None:
    each = 25
    program = (
        "import sys; from pathlib import Path; from security.keyring import change_file\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"for _ in range({each}):\n"
        "    before, after = change_file(Path(sys.argv[1]), lambda ring: ring.with_new_key('tokens'))\n"
        "    print(*(set(after.tokens.keys) - set(before.tokens.keys)))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(file)],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # All are ready, so they run at the same time.
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    made = [key_id for process in processes for key_id in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(made) == 3 * each
    assert set(made) <= set(Keyring.load(file).tokens.keys)


def test_a_change_that_fails_leaves_the_file_as_it_was_and_the_lock_free(file: Path) -> None:
    content = file.read_bytes()
    with pytest.raises(UnknownKey):
        change_file(file, lambda keyring: keyring.with_active("events", "none"))
    assert file.read_bytes() == content
    change_file(file, lambda keyring: keyring.with_new_key("events"))


def test_a_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)
    _, after = change_file(link, lambda keyring: keyring.with_new_key("events"))
    assert link.is_symlink()
    assert Keyring.load(file) == after


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeyringInvalid, match="there is no keyring"):
        change_file(tmp_path / "keyring.json", lambda keyring: keyring)
    assert not list(tmp_path.iterdir())


def test_a_file_that_its_group_reads_is_not_taken_from_the_group(file: Path) -> None:
    file.chmod(0o640)
    content = file.read_bytes()
    with pytest.raises(KeyringInvalid, match="read by its group"):
        change_file(file, lambda keyring: keyring.with_new_key("events"))
    assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_of_another_user_is_not_taken_from_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("security.keyring.os.geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(KeyringInvalid, match="another user"):
        change_file(file, lambda keyring: keyring.with_new_key("events"))


@pytest.mark.parametrize("section", SECTIONS)
def test_removal_takes_one_old_key_and_never_the_active_one(section: SectionName) -> None:
    old = Keyring.generate()
    rotated = old.with_new_key(section)
    old_id, new_id = getattr(old, section).active, getattr(rotated, section).active
    removed = rotated.without_key(section, old_id)
    assert set(getattr(removed, section).keys) == {new_id}
    with pytest.raises(UnknownKey):
        getattr(removed, section).key(old_id)
    with pytest.raises(KeyInUse):
        rotated.without_key(section, new_id)
    with pytest.raises(UnknownKey):
        removed.without_key(section, old_id)
