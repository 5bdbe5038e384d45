"""What an archive of WAL holds: when the transactions of a segment were committed."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from compose.postgres import programs

SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
COMMIT: Final = re.compile(r"desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


def run(program: str, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's own programs. A password goes by the environment, never by the arguments."""
    return subprocess.run(
        [str(programs() / "bin" / program), *arguments],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def commits(segment: Path, *arguments: str) -> list[datetime]:
    """When the transactions of a segment were committed, in their order."""
    # It ends with an error where the segment's last record goes on in the next one: what it read counts.
    said = run("pg_waldump", "--rmgr=Transaction", *arguments, str(segment)).stdout
    return [datetime.fromisoformat(found).replace(tzinfo=UTC) for found in COMMIT.findall(said)]


def number(name: str) -> int:
    """Of a segment of 16 MiB, counted from the first, whatever its timeline."""
    return int(name[8:16], 16) * 256 + int(name[16:], 16)


def named(timeline: int, at: int) -> str:
    """The segment of this timeline and number."""
    return f"{timeline:08X}{at // 256:08X}{at % 256:08X}"
