"""The record of what died: in the home, for `status`, also when the stack has stopped because of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from compose.layout import Layout, read_json, write_json
from compose.problems import Died

KEPT: Final = 20
LINE_LIMIT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """`at` is RFC 3339, UTC; `how` the signal or the exit code; `last_line` what its log ends with.
    `restart_in_s` is None where everything stops instead."""

    name: str
    at: str
    how: str
    last_line: str
    restart_in_s: float | None

    @classmethod
    def of(cls, died: Died, *, restart_in_s: float | None) -> Death:
        """A component that has just died."""
        lines = died.tail.splitlines()
        return cls(
            name=died.name,
            at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            how=died.how,
            last_line=lines[-1][:LINE_LIMIT] if lines else "",
            restart_in_s=restart_in_s,
        )


class DeathRecord:
    """The last deaths of a home's stack, those of its present or latest run."""

    def __init__(self, layout: Layout) -> None:
        self._file: Path = layout.logs / "deaths.json"

    def clear(self) -> None:
        """A new run begins."""
        self._file.unlink(missing_ok=True)

    def add(self, death: Death) -> None:
        """Records one."""
        write_json(self._file, {"deaths": [*self.list(), asdict(death)][-KEPT:]})

    def list(self) -> list[dict[str, Any]]:
        """The fields of each Death, oldest first."""
        found = (read_json(self._file) or {}).get("deaths", [])
        return found if isinstance(found, list) else []
