"""What the files of storage/functions/ make, one object at a time: functions, views, triggers, and rights."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PIECE: Final = re.compile(
    r"""
    ^CREATE\ FUNCTION\ (?P<function>\w+).*?^(?:END\ )?\$\$[^\n]*;
    | ^CREATE\ VIEW\ (?P<view>\w+).*?;$
    | ^CREATE\ TRIGGER\ (?P<trigger>\w+).*?\ ON\ (?P<table>\w+).*?;$
    | ^DO\ \$\$.*?^END\ \$\$;
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
VERSIONED: Final = re.compile(r"function \w+_v\d+")
# The order in which they can be dropped.
DROPPED_AS: Final = ("trigger", "function", "view")


@dataclass(frozen=True, slots=True)
class MadeObject:
    """`key` names it in the database: `function NAME`, `view NAME`, `trigger NAME ON TABLE`, or `rights`."""

    key: str
    text: str

    @property
    def kind(self) -> str:
        return self.key.partition(" ")[0]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statement(self) -> str:
        """Makes it, or puts it in the place of the one before: whoever uses that one is not disturbed."""
        return re.sub(r"\ACREATE ", "CREATE OR REPLACE ", self.text)


def read(folder: Path) -> list[MadeObject]:
    """All of them, in the order of the files. Raises ValueError for a statement of another kind."""
    return [made for path in sorted(folder.glob("*.sql")) for made in _of_file(path)]


def _of_file(path: Path) -> Iterator[MadeObject]:
    text = path.read_text()
    for line in PIECE.sub("", text).splitlines():
        if line.strip() and not line.startswith("--"):
            raise ValueError(f"{path}: {line!r} is in no function, view, trigger or block of rights")
    for found in PIECE.finditer(text):
        yield MadeObject(_key(found), found[0])


def _key(found: re.Match[str]) -> str:
    if found["trigger"]:
        return f"trigger {found['trigger']} ON {found['table']}"
    return next((f"{kind} {found[kind]}" for kind in ("function", "view") if found[kind]), "rights")


def is_versioned(key: str) -> bool:
    """Whether programs call it."""
    return VERSIONED.fullmatch(key) is not None


def in_order_of_dropping(keys: list[str]) -> list[str]:
    return sorted(keys, key=lambda key: (DROPPED_AS.index(key.partition(" ")[0]), key))
