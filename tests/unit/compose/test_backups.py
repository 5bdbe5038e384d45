"""Backups as files: what counts as one, which moments they reach, and an archive that loses no WAL."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.backup import run as command
from compose import backups as module
from compose import wal
from compose.backups import BackupProblem, Backups
from compose.postgres import ARCHIVE
from runtime.settings import Settings

SEGMENT = "000000010000000000000002"


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    made = Backups(tmp_path)
    made.folder.mkdir()
    made.wal.mkdir()
    return made


def put(backups: Backups, name: str, wal: str = SEGMENT, **changes: Any) -> None:
    """A backup that came to its end."""
    folder = backups.folder / name
    folder.mkdir()
    at = datetime.strptime(name, module.NAME).replace(tzinfo=UTC)
    document = {
        "name": name,
        "began_at": at.isoformat(),
        "ended_at": at.isoformat(),
        "server": "18",
        "wal": wal,
        "bytes": 1,
        "epoch": 1,
        "canaries": {},
        **changes,
    }
    (folder / module.MANIFEST).write_text(json.dumps(document))


def segments(backups: Backups, *names: str) -> None:
    for name in names:
        (backups.wal / name).write_bytes(b"")


def test_what_has_no_manifest_is_no_backup(backups: Backups) -> None:
    put(backups, "20261127T100000Z")
    for name in ("20261127T110000Z", ".20261127T120000Z"):
        (backups.folder / name / "base").mkdir(parents=True)
    assert [backup.name for backup in backups.listed()] == ["20261127T100000Z"]
    assert {path.name for path in backups.unfinished()} == {"20261127T110000Z", ".20261127T120000Z"}
    with pytest.raises(BackupProblem, match="20261127T120000Z was never finished"):
        backups.find("20261127T120000Z", None)
    with pytest.raises(BackupProblem, match="there is no backup 20261127T130000Z"):
        backups.find("20261127T130000Z", None)


def test_a_manifest_that_was_cut_is_no_backup(backups: Backups) -> None:
    put(backups, "20261127T100000Z")
    manifest = backups.folder / "20261127T100000Z" / module.MANIFEST
    manifest.write_text(manifest.read_text()[:40])
    assert backups.listed() == []


def test_a_moment_is_reached_by_the_latest_backup_before_it(backups: Backups) -> None:
    for hour in (10, 11, 12):
        put(backups, f"20261127T{hour}0000Z")
    assert backups.find(None, None).name == "20261127T120000Z"
    assert backups.find(None, datetime(2026, 11, 27, 11, 30, tzinfo=UTC)).name == "20261127T110000Z"
    with pytest.raises(
        BackupProblem, match="reaches that moment: the first reaches from 2026-11-27T10:00:00"
    ):
        backups.find(None, datetime(2026, 11, 27, 9, tzinfo=UTC))


def test_a_gap_in_the_archive_is_named(backups: Backups) -> None:
    put(backups, "20261127T100000Z", wal="0000000100000000000000FE")
    backup = backups.find(None, None)
    segments(backups, "0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000001")
    assert backups.missing(backup) == ["000000010000000100000000"]
    segments(backups, "000000010000000100000000", "000000020000000100000001")
    assert backups.missing(backup) == []


def committed(backups: Backups, monkeypatch: pytest.MonkeyPatch, **times: str) -> None:
    """Segments with one transaction each; a time is that of 27 November 2026."""
    segments(backups, *(name.lstrip("s") for name in times))
    known = {name.lstrip("s"): datetime.fromisoformat(f"2026-11-27T{at}+00:00") for name, at in times.items()}
    monkeypatch.setattr(module, "commits", lambda path, *rest: [known[path.name]])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-27T{text}+00:00")


def test_a_gap_stops_only_what_lies_beyond_it(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    put(backups, "20261127T100000Z")
    backup = backups.find(None, None)
    committed(
        backups,
        monkeypatch,
        s000000010000000000000002="10:01:00",
        s000000010000000000000003="10:05:00.250000",
        s000000010000000000000005="10:09:00",
    )
    backups.check_reach(backup, moment("10:05:00"))
    beyond = "lacks WAL .* 000000010000000000000004: the last moment .* is --to 2026-11-27T10:05:00Z"
    for at in (moment("10:05:00.250000"), moment("10:06:00"), None):
        with pytest.raises(BackupProblem, match=beyond):
            backups.check_reach(backup, at)
    (backups.wal / SEGMENT).unlink()
    with pytest.raises(BackupProblem, match="it reaches no moment"):
        backups.check_reach(backup, moment("10:05:00"))
    segments(backups, SEGMENT, "000000010000000000000004")
    backups.check_reach(backup, None)


def left(backups: Backups, timeline: int, *before: str) -> None:
    """The history of a timeline: by `1 0/7649D50` the first one was left there."""
    lines = [f"{line.replace(' ', chr(9))}\tno recovery target specified\n" for line in before]
    (backups.wal / f"{timeline:08X}.history").write_text("\n".join(lines))


def test_a_gap_is_found_on_each_timeline_that_leads_to_the_newest(backups: Backups) -> None:
    put(backups, "20261127T100000Z", wal="000000010000000000000006")
    backup = backups.find(None, None)
    left(backups, 2, "1 0/7649D50")
    first, second = ("00000001000000000000000{}".format, "00000002000000000000000{}".format)
    segments(backups, first(6), first(7), second(7), second(8), second("A"))
    assert backups.missing(backup) == [second(9)]
    assert backups.missing(backup, timeline=1) == []
    with pytest.raises(BackupProblem, match=second(9)):
        backups.check_reach(backup, None)
    segments(backups, second(9))
    assert backups.missing(backup) == []
    (backups.wal / second(7)).unlink()
    assert backups.missing(backup) == [second(7)], "the first one's ends where it was left"


def test_wal_up_to_where_a_timeline_began_must_have_been(backups: Backups) -> None:
    put(backups, "20261127T100000Z", wal="000000010000000000000002")
    segments(backups, "000000010000000000000002")
    left(backups, 2, "1 0/4000000")
    assert backups.missing(backups.find(None, None)) == ["000000010000000000000003"]


def test_a_timeline_that_went_back_beyond_its_parent(backups: Backups) -> None:
    """The third began after the copy, and the fourth left it at a place before that."""
    put(backups, "20261127T100000Z", wal="000000020000000000000009")
    backup = backups.find(None, None)
    left(backups, 2, "1 0/7649D50")
    left(backups, 3, "1 0/7649D50", "2 0/D000000")
    left(backups, 4, "1 0/7649D50", "2 0/D000000", "3 0/7649F00")
    assert [backups.leads_to(backup, timeline) for timeline in (1, 2, 3, 4)] == [False, True, True, False]
    assert backups.newest_of(backup) == 3


def test_a_backup_is_chosen_of_those_that_lead_to_the_timeline(backups: Backups) -> None:
    put(backups, "20261127T100000Z", wal="000000010000000000000006")
    put(backups, "20261127T110000Z", wal="000000020000000000000009")
    left(backups, 2, "1 0/7649D50")
    assert backups.find(None, None).name == "20261127T110000Z"
    assert backups.find(None, None, 1).name == "20261127T100000Z"
    with pytest.raises(BackupProblem, match="does not lead to timeline 1: take another, or --timeline 2"):
        backups.find("20261127T110000Z", None, 1)
    with pytest.raises(BackupProblem, match=r"there is no timeline 7 in .*: it has 1, 2"):
        backups.find(None, None, 7)
    left(backups, 3, "1 0/7742B60")
    assert backups.find(None, None).name == "20261127T100000Z", "the newest timeline left the first one too"
    assert backups.newest_of(backups.find("20261127T110000Z", None)) == 2
    with pytest.raises(BackupProblem, match="reaches that moment on timeline 3: the first reaches from"):
        backups.find(None, moment("09:00:00"))


def test_the_moments_that_are_shown_can_be_typed(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL finds a moment by the first transaction after it, and none before the copy's end."""
    put(backups, "20261127T100000Z", ended_at="2026-11-27T10:00:09.501211+00:00")
    backup = backups.find(None, None)
    assert backup.shown_from == "2026-11-27T10:00:10Z"
    assert backups.reaches_to(backup) is None
    committed(backups, monkeypatch, s000000010000000000000002="10:00:07")
    assert backups.reaches_to(backup) is None, "it is of before the copy's end"
    committed(
        backups, monkeypatch, s000000010000000000000002="10:00:07", s000000010000000000000003="10:05:00"
    )
    assert backups.reaches_to(backup) == moment("10:04:59")


def test_the_list_shows_moments_as_they_are_typed(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(backups, "20261127T100000Z", ended_at="2026-11-27T10:00:09.501211+00:00")
    committed(backups, monkeypatch, s000000010000000000000002="10:05:00.250000")
    assert command.show(Settings(home=backups.folder.parent), as_json=True) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["reaches_from"], shown["reaches_to"]) == ("2026-11-27T10:00:10Z", "2026-11-27T10:05:00Z")
    assert shown["timeline"] == 1


def test_a_moment_that_another_timeline_has(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeline 1 was left for a moment, and the second was written to two minutes later."""
    text = "1\t0/7649D50\tbefore 2026-11-27 06:38:36.020079+00\n"
    (backups.wal / "00000002.history").write_text(text)
    (backups.wal / "00000003.history").write_text(f"{text}\n2\t0/D000000\tno recovery target specified\n")
    own: dict[str, list[datetime]] = {
        "000000020000000000000007": [],
        "000000020000000000000008": [moment("06:40:38")],
    }
    segments(backups, *own)
    asked: list[tuple[str, ...]] = []

    def commits(path: Path, *arguments: str) -> list[datetime]:
        asked.append((path.name, *arguments))
        return own[path.name]

    monkeypatch.setattr(wal, "commits", commits)
    for timeline in (2, 3):
        leg = backups.left_before(moment("06:38:40"), timeline)
        assert leg is not None
        assert (leg.timeline, leg.left) == (1, moment("06:38:36.020079"))
        assert backups.left_before(moment("06:38:36"), timeline) is None, "before it was left"
        assert backups.left_before(moment("06:40:38"), timeline) is None, "the second one's own"
    assert backups.left_before(moment("06:38:40"), 1) is None
    assert asked[:2] == [
        ("000000020000000000000007", "--start=0/7649D50"),
        ("000000020000000000000008",),
    ]


def test_a_disk_that_is_full_leaves_nothing_of_a_backup(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, target: Path) -> None:
        target.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "copy_server", full)
    with pytest.raises(BackupProblem, match="was not made: No space left on device"):
        backups.make("postgresql://x@h/d", canaries={}, epoch=1, say=lambda text: None)
    assert sorted(path.name for path in backups.folder.iterdir()) == [".lock", "wal"]


def programs_say(monkeypatch: pytest.MonkeyPatch, database: int, errors: str) -> list[str]:
    """psql tells the size, and pg_basebackup these errors. Returns the programs that will have run."""
    ran: list[str] = []

    def run(program: str, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
        ran.append(program)
        if program == "psql":
            return subprocess.CompletedProcess(arguments, 0, f"{database}\n", "")
        return subprocess.CompletedProcess(arguments, 1, "", errors)

    monkeypatch.setattr(module, "run", run)
    return ran


def test_a_copy_that_has_no_room_is_not_begun(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = programs_say(monkeypatch, 2**60, "")
    with pytest.raises(BackupProblem, match=r"MiB free, and a copy of the database takes 1,099,511,627,776:"):
        backups.make("postgresql://x:y@h:1/d", canaries={}, epoch=1, say=lambda text: None)
    assert ran == ["psql"]
    assert sorted(path.name for path in backups.folder.iterdir()) == [".lock", "wal"]


def test_the_reason_is_the_error_and_not_the_cleaning_up(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = (
        "pg_basebackup: error: could not write to file: No space left on device\n"
        'pg_basebackup: removing data directory "/b"\n'
    )
    programs_say(monkeypatch, 1, errors)
    with pytest.raises(BackupProblem, match=r"was not copied: pg_basebackup: error: .* No space left"):
        backups.make("postgresql://x:y@h:1/d", canaries={}, epoch=1, say=lambda text: None)
    assert module.reason("FATAL: too many clients\n\n") == "FATAL: too many clients"
    assert module.reason("") == "it said nothing"


def test_two_backups_at_once_are_one(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    """The later one would remove the first one's copy, which has no manifest yet."""

    def meanwhile(url: str, target: Path) -> None:
        backups.make(url, canaries={}, epoch=1, say=lambda text: None)

    monkeypatch.setattr(module, "copy_server", meanwhile)
    with pytest.raises(BackupProblem, match="another backup is being made"):
        backups.make("postgresql://x@h/d", canaries={}, epoch=1, say=lambda text: None)


def archive(tmp_path: Path, folder: Path, content: bytes, *, blocks: int | None = None) -> tuple[int, str]:
    """Runs what PostgreSQL runs for each segment; files of more than `blocks` KiB cannot be written."""
    program, segment = tmp_path / "archive.sh", tmp_path / "segment"
    program.write_text(ARCHIVE)
    segment.write_bytes(content)
    limit = "" if blocks is None else f"ulimit -f {blocks}; trap '' XFSZ; "
    done = subprocess.run(
        ["bash", "-c", f'{limit}sh "$@"', "-", str(program), str(folder), str(segment), SEGMENT],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_segment_is_archived_once_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "wal"
    assert archive(tmp_path, folder, b"first") == (0, ""), "before the first backup nothing is kept"
    assert not folder.exists()
    folder.mkdir()
    assert archive(tmp_path, folder, b"first") == (0, "")
    assert archive(tmp_path, folder, b"first") == (0, ""), "a repeat after a crash"
    code, said = archive(tmp_path, folder, b"other")
    assert (code, "with other contents" in said) == (1, True)
    assert (folder / SEGMENT).read_bytes() == b"first"


def test_a_full_disk_keeps_the_segment_with_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "wal"
    folder.mkdir()
    large = b"x" * 64 * 1024
    code, said = archive(tmp_path, folder, large, blocks=16)
    assert (code, list(folder.iterdir())) == (1, [])
    assert said.splitlines()[-1].startswith(f"croupier: {folder} takes no WAL: make room there.")
    assert archive(tmp_path, folder, large) == (0, "")
    assert (folder / SEGMENT).read_bytes() == large
