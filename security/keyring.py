"""Every secret key of an installation in one place: four sections, each with an active key and older ones."""

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# An AES-256 key and an Ed25519 seed are both 32 random bytes, so one section type serves all four.
KEY_BYTES: Final = 32
KEY_ID_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
KEY_ID_LIMIT: Final = 64

SectionName = Literal["payload", "seeds", "tokens", "events"]
SECTIONS: Final[tuple[SectionName, ...]] = ("payload", "seeds", "tokens", "events")


class KeyringInvalid(Exception):
    """The keyring cannot be used. The text says where and why, and never quotes the file's content."""


class UnknownKey(Exception):
    """Something names a key id that this keyring does not hold. Refuse it: never guess another key."""


class KeyInUse(Exception):
    """The key is its section's active one, so it cannot be removed."""


@dataclass(frozen=True, slots=True, repr=False)
class KeySection:
    """The keys of one purpose by their ids, 32 bytes each; new things are made with the `active` one."""

    name: SectionName
    active: str
    keys: Mapping[str, bytes]

    def __post_init__(self) -> None:
        _check_section(self)
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))

    def __repr__(self) -> str:
        return f"KeySection({self.name!r}, active={self.active!r}, key_ids={sorted(self.keys)!r})"

    @property
    def active_key(self) -> bytes:
        return self.keys[self.active]

    def key(self, key_id: str) -> bytes:
        """The key with this id. Raises UnknownKey."""
        try:
            return self.keys[key_id]
        except KeyError:
            raise self.unknown(key_id) from None

    def unknown(self, key_id: str) -> UnknownKey:
        """The error for an id that is not here. The id may come from outside, so it is cut."""
        return UnknownKey(f"the keyring's {self.name} section has no key {key_id[:KEY_ID_LIMIT]!r}")

    def signing_key(self) -> Ed25519PrivateKey:
        """The active key as an Ed25519 key."""
        return Ed25519PrivateKey.from_private_bytes(self.active_key)

    def public_keys(self) -> dict[str, Ed25519PublicKey]:
        """The public halves of all keys, old ones too: all that a verifier needs and may hold."""
        return {
            key_id: Ed25519PrivateKey.from_private_bytes(key).public_key()
            for key_id, key in self.keys.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys of an installation. Immutable: rotation makes a new keyring.

    payload: AES-256, for what Temporal stores. seeds: AES-256, for server seeds at rest.
    tokens: Ed25519, for session tokens. events: Ed25519, for published events.
    """

    payload: KeySection
    seeds: KeySection
    tokens: KeySection
    events: KeySection

    @classmethod
    def generate(cls) -> Self:
        """A new keyring with one fresh key in each section."""
        return cls(**{name: _fresh_section(name) for name in SECTIONS})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote, as a secret store or an environment variable hands it over.

        Raises KeyringInvalid.
        """
        document = _document(text)
        if set(document) != set(SECTIONS):
            raise KeyringInvalid(f"the keyring must have exactly the sections {', '.join(SECTIONS)}")
        return cls(**{name: _parse_section(name, document[name]) for name in SECTIONS})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a keyring file. Raises KeyringInvalid; also when others could read or change the file.

        Refusing beats a warning: a warning scrolls by, and keys that others could read must be replaced.
        The group may read, because that is how a mounted Kubernetes secret reaches a non-root process.
        """
        return cls.from_json(read_private(path))

    def to_json(self) -> str:
        """The keyring with all its secrets, as JSON."""
        return (
            json.dumps({name: _section_document(getattr(self, name)) for name in SECTIONS}, indent=2) + "\n"
        )

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes the file with mode 0600, whole or not at all.

        Raises FileExistsError unless `overwrite`: of two processes that both generate a keyring at first
        start, only one may win, or half of what is encrypted could never be read again.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                draft.replace(path)
            else:
                os.link(draft, path)  # unlike a rename, a link refuses an existing name
            _sync_directory(path.parent)
        finally:
            draft.unlink(missing_ok=True)

    def with_new_key(self, section: SectionName, *, activate: bool = True) -> Self:
        """This keyring with one more key in `section`; every older key stays, so old data still opens.

        Where several processes run, add with `activate=False` everywhere first and call `with_active`
        once all of them know the key: otherwise one seals what another cannot open yet.
        """
        old: KeySection = getattr(self, section)
        key_id = _fresh_key_id(section)
        keys = {**old.keys, key_id: secrets.token_bytes(KEY_BYTES)}
        return self._with(replace(old, active=key_id if activate else old.active, keys=keys))

    def with_active(self, section: SectionName, key_id: str) -> Self:
        """This keyring with `key_id`, which it already holds, as the active key. Raises UnknownKey."""
        old: KeySection = getattr(self, section)
        old.key(key_id)
        return self._with(replace(old, active=key_id))

    def merged(self, other: "Keyring") -> Self:
        """This keyring with the keys of another one that it lacks; its own stay active. Raises KeyringInvalid
        where both have a key of one id and not the same: then one of them is not of this installation."""
        sections: dict[str, KeySection] = {}
        for name in SECTIONS:
            own: KeySection = getattr(self, name)
            added: KeySection = getattr(other, name)
            differing = [key_id for key_id, key in added.keys.items() if own.keys.get(key_id, key) != key]
            if differing:
                raise KeyringInvalid(
                    f"both keyrings have a key {differing[0]!r} in the {name} section, and not the same one:"
                    " they are of two installations"
                )
            sections[name] = replace(own, keys={**added.keys, **own.keys})
        return type(self)(**sections)

    def without_key(self, section: SectionName, key_id: str) -> Self:
        """This keyring without a key: nothing that it sealed opens again. Raises UnknownKey, or KeyInUse for
        the active key.
        """
        old: KeySection = getattr(self, section)
        old.key(key_id)
        if key_id == old.active:
            raise KeyInUse(f"{key_id} is the active key of the {section} section: activate another one first")
        keys = {name: key for name, key in old.keys.items() if name != key_id}
        return self._with(replace(old, keys=keys))

    def _with(self, section: KeySection) -> Self:
        sections: dict[str, KeySection] = {name: getattr(self, name) for name in SECTIONS}
        return type(self)(**{**sections, section.name: section})


def section_of(text: str, name: SectionName) -> KeySection:
    """One section of a keyring's JSON, for a program that needs no other. The text may have all of them, or
    this one alone. Raises KeyringInvalid."""
    document = _document(text)
    if name not in document:
        raise KeyringInvalid(f"the keyring has no section {name}")
    return _parse_section(name, document[name])


def section_json(section: KeySection) -> str:
    """A keyring with this section alone, and its secrets, as JSON: `section_of` reads it."""
    return json.dumps({section.name: _section_document(section)})


def read_private(path: Path) -> str:
    """The text of a keyring's file. Raises KeyringInvalid as Keyring.load does."""
    try:
        with path.open("rb") as file:
            # The mode of the open file, not of the path: nothing can be swapped in between.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise KeyringInvalid(f"the keyring {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise KeyringInvalid(f"the keyring {path} is open to others (mode {mode:04o}): chmod 600, and rotate")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise KeyringInvalid("the keyring is not UTF-8") from None


def _missing(path: Path) -> KeyringInvalid:
    return KeyringInvalid(f"there is no keyring {path} (CROUPIER_KEYRING says where this installation's is)")


def change_file(path: Path, change: Callable[[Keyring], Keyring]) -> tuple[Keyring, Keyring]:
    """Replaces a keyring file by what `change` makes of it, and returns the keyring before and after.

    One change at a time: of two processes that read the same file, the later would write over the
    earlier one's key, and what that key has sealed by then could never be opened again. Raises
    KeyringInvalid, what `change` raises, or OSError when the place cannot be written; the file is then as
    it was.
    """
    # A link stays a link, and two names of one file have one lock.
    file = path.resolve()
    with _locked(file):
        before = Keyring.load(file)
        _check_replaceable(file)
        after = change(before)
        after.save(file, overwrite=True)
    return before, after


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock beside the file, not on it: a change puts another file in its place. It is never deleted, or one
    process could hold the deleted lock while another takes the next one.
    """
    if not path.exists():
        raise _missing(path)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_replaceable(path: Path) -> None:
    """The file that replaces it has its writer as owner and mode 0600: who reads the old one must be able to
    read that one too.
    """
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise KeyringInvalid(f"the keyring {path} belongs to another user: change it as its owner")
    if status.st_mode & stat.S_IRGRP:
        raise KeyringInvalid(
            f"the keyring {path} is read by its group, which could not read a changed one (mode 0600):"
            " change the original that it was copied from"
        )


def _fresh_key_id(name: SectionName) -> str:
    """The day is in it, for a keyring says nothing else of a key's age."""
    return f"{name}-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


def _fresh_section(name: SectionName) -> KeySection:
    key_id = _fresh_key_id(name)
    return KeySection(name, key_id, {key_id: secrets.token_bytes(KEY_BYTES)})


def _check_section(section: KeySection) -> None:
    for key_id, key in section.keys.items():
        if not 0 < len(key_id) <= KEY_ID_LIMIT or not KEY_ID_CHARACTERS.issuperset(key_id):
            raise KeyringInvalid(f"a key id in the {section.name} section is not 1-64 of A-Z a-z 0-9 _ -")
        if len(key) != KEY_BYTES:
            raise KeyringInvalid(f"key {key_id!r} of the {section.name} section is not {KEY_BYTES} bytes")
    if section.active not in section.keys:
        raise KeyringInvalid(f"the active key of the {section.name} section is not among its keys")


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        # json's own error carries the whole document, so it must not become the cause.
        raise KeyringInvalid("the keyring is not JSON") from None
    if not isinstance(document, dict):
        raise KeyringInvalid(f"the keyring must have exactly the sections {', '.join(SECTIONS)}")
    return document


def _section_document(section: KeySection) -> dict[str, Any]:
    keys = {key_id: base64.b64encode(key).decode() for key_id, key in section.keys.items()}
    return {"active": section.active, "keys": keys}


def _parse_section(name: SectionName, document: Any) -> KeySection:
    match document:
        case {"active": str(active), "keys": dict(keys), **rest} if not rest:
            return KeySection(name, active, {key_id: _parse_key(name, key) for key_id, key in keys.items()})
    raise KeyringInvalid(f'the keyring\'s {name} section is not {{"active": id, "keys": {{id: base64}}}}')


def _parse_key(name: SectionName, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise KeyringInvalid(f"a key of the {name} section is not base64") from None


def _sync_directory(directory: Path) -> None:
    """Makes the new name itself durable, not only the file's content."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
