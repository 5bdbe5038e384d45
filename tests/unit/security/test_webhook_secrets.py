"""The secrets of webhooks: sealed to their row, and rotated with an overlap."""

from collections.abc import Sequence

import pytest

from security.keyring import Keyring, UnknownKey
from security.sealing import SealBroken
from security.webhook_secrets import (
    OLDER_LIMIT,
    WebhookSecret,
    WebhookVault,
    new_secret,
    rotated,
    signing_keys,
)

DAY = 24 * 3600


@pytest.fixture
def vault() -> WebhookVault:
    return WebhookVault(Keyring.generate())


def test_sealed_secrets_open_for_their_webhook_and_no_other(vault: WebhookVault) -> None:
    secrets = rotated([new_secret()], new_secret(), now=1_000, overlap_s=DAY)
    sealed = vault.seal(secrets, operator_id="a", webhook_id="w")
    assert vault.open(sealed, operator_id="a", webhook_id="w") == secrets
    for operator_id, webhook_id in (("b", "w"), ("a", "x")):
        with pytest.raises(SealBroken):
            vault.open(sealed, operator_id=operator_id, webhook_id=webhook_id)


@pytest.mark.parametrize("text", ["", "v1", "v2.x.AAAA", "v1.key", "plain"])
def test_what_was_never_sealed_does_not_open(vault: WebhookVault, text: str) -> None:
    with pytest.raises((SealBroken, UnknownKey)) as refused:
        vault.open(text, operator_id="a", webhook_id="w")
    assert "whsec_" not in str(refused.value)


def test_no_secret_shows_in_a_repr_or_in_what_is_sealed(vault: WebhookVault) -> None:
    secret = new_secret()
    sealed = vault.seal([secret], operator_id="a", webhook_id="w")
    assert secret.text not in repr(secret)
    assert secret.text not in sealed
    assert secret.text.startswith("whsec_")


def test_the_secret_before_signs_until_its_overlap_is_over() -> None:
    first, second = new_secret(), new_secret()
    known = rotated([first], second, now=1_000, overlap_s=DAY)
    assert len(signing_keys(known, now=1_000 + DAY - 1)) == 2
    (current,) = signing_keys(known, now=1_000 + DAY)
    assert current.sign(b"x") == signing_keys([second], now=0)[0].sign(b"x")


def test_a_second_rotation_does_not_prolong_the_first_one() -> None:
    known = rotated([new_secret()], new_secret(), now=1_000, overlap_s=DAY)
    known = rotated(known, new_secret(), now=1_000 + DAY // 2, overlap_s=DAY)
    assert [secret.until for secret in known] == [None, 1_000 + DAY // 2 + DAY, 1_000 + DAY]
    assert len(signing_keys(known, now=1_000 + DAY)) == 2


def test_however_often_it_is_rotated_few_secrets_sign() -> None:
    known: Sequence[WebhookSecret] = [new_secret()]
    for second in range(20):
        known = rotated(known, new_secret(), now=second, overlap_s=DAY)
    assert len(known) == 1 + OLDER_LIMIT
    assert known[0].until is None
    assert [secret.until for secret in known[1:]] == [19 + DAY, 18 + DAY]
