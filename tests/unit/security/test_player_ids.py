"""A player's id that everybody may see: opaque, stable, and found again after a rotation."""

import dataclasses
import secrets

from security.keyring import Keyring
from security.player_ids import PlayerIds

KEYRING = Keyring.generate()
IDS = PlayerIds(KEYRING)


def rotated() -> Keyring:
    section = KEYRING.payload
    keys = {**section.keys, "newer": secrets.token_bytes(32)}
    return dataclasses.replace(KEYRING, payload=dataclasses.replace(section, active="newer", keys=keys))


def test_is_the_same_for_a_player_and_another_for_everybody_else() -> None:
    alice = IDS.id_of("acme", "alice")
    assert alice == PlayerIds(KEYRING).id_of("acme", "alice")
    others = {IDS.id_of("acme", "bob"), IDS.id_of("zenith", "alice"), IDS.id_of("ac", "mealice")}
    assert len({alice, *others}) == 4


def test_says_nothing_of_the_player() -> None:
    assert len(IDS.id_of("acme", "alice")) == 32
    assert int(IDS.id_of("acme", "alice"), 16) >= 0
    assert PlayerIds(Keyring.generate()).id_of("acme", "alice") != IDS.id_of("acme", "alice")


def test_after_a_rotation_a_search_asks_for_the_ids_under_every_key() -> None:
    later = PlayerIds(rotated())
    assert later.ids_of("acme", "alice") == [later.id_of("acme", "alice"), IDS.id_of("acme", "alice")]
    assert later.id_of("acme", "alice") != IDS.id_of("acme", "alice")
