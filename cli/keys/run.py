"""`croupier keys`: what the keyring holds, and its rotation. No key's bytes are ever shown."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import typer

from cli.options import told
from runtime.services import load_keyring
from security.keyring import (
    SECTIONS,
    KeyInUse,
    Keyring,
    KeyringInvalid,
    KeySection,
    SectionName,
    UnknownKey,
    change_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.settings import Settings

PURPOSES: Final[dict[SectionName, str]] = {
    "payload": "seals what Temporal stores, and the secrets of operators' wallets and webhooks",
    "seeds": "seals server seeds",
    "tokens": "signs session tokens",
    "events": "signs events, webhooks, and calls of operators' wallets",
}
# Whoever checks what these sign holds the public halves.
SIGNING: Final = frozenset({"tokens", "events"})
LOST: Final[dict[SectionName, str]] = {
    "payload": "Histories that it sealed are never read again, and a round under way stops where it is, with"
    " its stake held. Wallets of operators whose secrets it sealed are not asked until they are set again,"
    " and webhooks wait until theirs are rotated.",
    "seeds": "Server seeds that it sealed are never shown again: their sessions play no further round, and no"
    " outcome of theirs can be computed again.",
    "tokens": "Session tokens that it signed are refused: their players need a new session.",
    "events": "Events that it signed and nobody has taken yet go to the dead letters.",
}
RESTART: Final = (
    "Programs read the keyring when they start, so restart all of them now: on one machine ./croupier down"
    " and ./croupier up, elsewhere each under its supervisor."
)
_FAILURES: Final = (KeyringInvalid, UnknownKey, KeyInUse)


def show(settings: Settings, *, as_json: bool) -> int:
    """Prints the ids. Returns 0, or 1 when there is no usable keyring."""
    try:
        keyring = load_keyring(settings)
    except KeyringInvalid as problem:
        return _fail(problem)
    if as_json:
        sys.stdout.write(json.dumps(as_document(keyring), indent=2) + "\n")
        return 0
    for name in SECTIONS:
        typer.echo(f"{name}: {PURPOSES[name]}")
        for key in _keys_of(getattr(keyring, name)):
            public = f"  public {key['public']}" if "public" in key else ""
            typer.echo(f"  {key['key_id']}{'  active' if key['active'] else ''}{public}")
    return 0


def as_document(keyring: Keyring) -> dict[str, list[dict[str, Any]]]:
    """Sections with their keys, oldest first: `key_id`, `active`, and `public` (base64 of 32 raw bytes) for
    keys that sign."""
    return {name: _keys_of(getattr(keyring, name)) for name in SECTIONS}


def rotate(
    settings: Settings, section: SectionName, *, stage: bool, activate: str | None, as_json: bool = False
) -> int:
    """Adds a key, active unless `stage`; or makes `activate` the active one. Returns 0, or 1 when the file is
    as it was."""

    def change(keyring: Keyring) -> Keyring:
        if activate is not None:
            return keyring.with_active(section, activate)
        return keyring.with_new_key(section, activate=not stage)

    changed = _change(settings, change)
    if changed is None:
        return 1
    before, after = (getattr(keyring, section) for keyring in changed)
    added = sorted(after.keys.keys() - before.keys.keys())
    document = {"section": section, "added": added, "active": after.active}
    told(document, *_rotated(section, before, after, added), as_json=as_json)
    return 0


def _rotated(section: SectionName, before: KeySection, after: KeySection, added: list[str]) -> Iterator[str]:
    if after == before:
        yield f"{section}: {after.active} is active already"
        return
    yield from (f"{section}: added {key_id}" for key_id in added)
    if after.active != before.active:
        yield f"{section}: {after.active} is active; {before.active} stays, for what it made"
    else:
        yield f"{section}: {after.active} stays active; next, with the new key's id, when all know it:"
        yield f"  ./croupier keys rotate {section} --activate KEY_ID"
    yield RESTART


def merge(settings: Settings, file: Path, *, as_json: bool = False) -> int:
    """Adds the keys of another keyring file. Returns 0, or 1 when the file is as it was."""
    try:
        other = Keyring.load(file)
    except KeyringInvalid as problem:
        return _fail(problem)
    changed = _change(settings, lambda keyring: keyring.merged(other))
    if changed is None:
        return 1
    before, after = changed
    new = {
        name: sorted(getattr(after, name).keys.keys() - getattr(before, name).keys.keys())
        for name in SECTIONS
    }
    added = [f"{name}: added {key_id}" for name, key_ids in new.items() for key_id in key_ids]
    lines = [*sorted(added), RESTART] if added else ["it has all of those keys already"]
    told({"added": new}, *lines, as_json=as_json)
    return 0


def remove(settings: Settings, section: SectionName, key_id: str, *, yes: bool, as_json: bool = False) -> int:
    """Removes a key that is not the active one. Returns 0, or 1 when the file is as it was."""
    try:
        load_keyring(settings).without_key(section, key_id)
    except _FAILURES as problem:
        return _fail(problem)
    typer.echo(f"{section} {key_id}: {LOST[section]}", err=True)
    if not yes:
        typer.echo("croupier: nothing was removed; repeat it with --yes", err=True)
        return 1
    if _change(settings, lambda keyring: keyring.without_key(section, key_id)) is None:
        return 1
    told({"section": section, "removed": key_id}, f"{section}: removed {key_id}", RESTART, as_json=as_json)
    return 0


def _change(settings: Settings, change: Callable[[Keyring], Keyring]) -> tuple[Keyring, Keyring] | None:
    """The keyring before and after, or None when it could not be changed and the reader was told why."""
    if settings.keyring_json is not None:
        _fail(
            "the keyring comes from CROUPIER_KEYRING_JSON: write it to a file of mode 0600, change"
            " that file with CROUPIER_KEYRING naming it and CROUPIER_KEYRING_JSON empty, and put it"
            " back where it came from"
        )
        return None
    try:
        return change_file(settings.keyring, change)
    except _FAILURES as problem:
        _fail(problem)
    except OSError as error:
        _fail(f"the keyring {settings.keyring} cannot be changed: {error.strerror}")
    return None


def _keys_of(section: KeySection) -> list[dict[str, Any]]:
    public = section.public_keys() if section.name in SIGNING else {}
    return [
        {"key_id": key_id, "active": key_id == section.active}
        | ({"public": base64.b64encode(public[key_id].public_bytes_raw()).decode()} if public else {})
        for key_id in section.keys
    ]


def _fail(problem: Exception | str) -> int:
    typer.echo(f"croupier: {problem}", err=True)
    return 1
