"""`python -m compose.provision`: brings the tables up to date, makes the keys and the demo operator, and
prints the operator's id and key as JSON. It is a process of its own, so that the supervisor does not hold
what it imports.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from runtime import provision, settings
from runtime.services import Unreachable
from runtime.settings import SettingsError
from security.keyring import KeyringInvalid
from storage import migrate
from storage.release import CannotMigrate

# Shorter than the time that the stack has for all of this, so that it hears whose lock was in the way.
PATIENCE_S: Final = 90.0


def main() -> None:
    """Reads the settings from the environment; needs the database and nothing else."""
    chosen = settings.load()
    assert chosen.database_url is not None, "the stack hands over the database it has started"
    try:
        migrate.upgrade(chosen.database_url.get_secret_value(), say=_say, patience_s=PATIENCE_S)
        made = provision.ensure(chosen)
    except (CannotMigrate, Unreachable, SettingsError, KeyringInvalid) as problem:
        sys.exit(str(problem))
    sys.stdout.write(json.dumps({"operator_id": made.operator_id, "operator_key": made.operator_key}))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
