"""The keys of a program that opens payloads and does nothing else."""

from dataclasses import dataclass, field

from runtime.settings import Settings
from security.keyring import KeySection, read_private, section_of


@dataclass(frozen=True, slots=True)
class PayloadKeys:
    """All that a client of Temporal needs to open payloads."""

    payload: KeySection = field(repr=False)


def payload_keys(settings: Settings) -> KeySection:
    """The payload section of the keyring that the settings hold, else of the one in the file. What else is in
    it is not kept: no seed is opened with these keys, and no token made. Raises KeyringInvalid."""
    given = settings.keyring_json
    text = read_private(settings.keyring) if given is None else given.get_secret_value()
    return section_of(text, "payload")
