"""`croupier operator-wallet`: the reference wallet in the foreground, its book in the home of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operator_wallet.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.settings import Settings


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Runs until a signal. Returns 0, or 1 or 2 when it cannot start. `arguments` come after the default, so
    that a --database of theirs wins."""
    settings.home.mkdir(parents=True, exist_ok=True)
    database = settings.home / "operator-wallet.sqlite3"
    return main(["--database", str(database), *arguments], program="./croupier operator-wallet")
