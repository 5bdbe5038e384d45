"""The reference wallet takes only what is signed, for the call that was signed."""

import base64
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.standard_webhooks import PrivateKey, SharedSecret, signed_headers
from tests.integration.operator_wallet.calls import FUNDS, post, refused, said
from tests.support.operator_wallet import RunningWallet, bet, new_secret, running_wallet, subject, win

# Who is asking


async def test_a_signature_that_does_not_fit_is_refused_whatever_the_body(
    wallet: RunningWallet, player: str
) -> None:
    content = json.dumps(bet(player_id=player)).encode()
    good = wallet.signed(content)
    stranger = signed_headers(
        [SharedSecret.parse(new_secret())], message_id="m", timestamp=1, body=content
    ) | {"webhook-timestamp": good["webhook-timestamp"]}
    cases: dict[str, tuple[bytes, dict[str, str]]] = {
        "no headers": (content, {}),
        "a tampered byte": (content.replace(b"100", b"900"), good),
        "a space more": (content + b" ", good),
        "another id": (content, {**good, "webhook-id": "other"}),
        "another time": (content, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}),
        "too old": (content, wallet.signed(content, age_s=301)),
        "too new": (content, wallet.signed(content, age_s=-900)),
        "another key": (content, stranger),
        "no base64": (content, {**good, "webhook-signature": "v1,???"}),
        "another version": (
            content,
            {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        ),
        "nonsense, unsigned": (b"{", {}),
    }
    for name, (body, headers) in cases.items():
        assert await post(wallet, "bet", body, headers) == (401, refused("bad-signature")), name
    assert wallet.balance(player) == FUNDS
    assert (await post(wallet, "bet", content, wallet.signed(content, age_s=200)))[0] == 200


async def test_one_of_several_signatures_is_enough(wallet: RunningWallet, player: str) -> None:
    content = json.dumps(bet(player_id=player)).encode()
    good = wallet.signed(content)
    good["webhook-signature"] = f"v1,{base64.b64encode(bytes(32)).decode()} {good['webhook-signature']}"
    assert (await post(wallet, "bet", content, good))[0] == 200


async def test_croupier_may_sign_with_a_key_of_its_own() -> None:
    key = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    async with running_wallet("--public-key", public, "--new-players", "500") as wallet:
        content = json.dumps(bet()).encode()
        now = int(wallet.signed(content)["webhook-timestamp"])
        headers = signed_headers([PrivateKey(key)], message_id="m", timestamp=now, body=content)
        status, body = await post(wallet, "bet", content, headers)
        assert (status, body["balance"]) == (200, 400)


# Which call was signed


async def test_a_signed_win_that_is_sent_as_a_rollback_or_a_bet_moves_nothing(
    wallet: RunningWallet, player: str
) -> None:
    """The interleaving: somebody on the way holds a genuine win up, and sends its very bytes elsewhere."""
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    captured = win(stake, 5_000)
    content = json.dumps(captured).encode()
    headers = wallet.signed(content, message_id=captured["transaction_id"])
    for call in ("rollback", "bet", "authenticate", "balance"):
        assert await post(wallet, call, content, headers) == (422, refused("invalid")), call
    assert wallet.balance(player) == FUNDS - 100
    assert await post(wallet, "win", content, headers) == (
        200,
        {
            "balance": FUNDS + 4_900,
            "currency": "EUR",
            "transaction_id": str(wallet.book.statement(transaction_id=captured["transaction_id"])[0].number),
            "duplicate": False,
        },
    )


async def test_a_body_that_does_not_say_its_call_is_refused(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    for said_call in ("win", "", None, "BET", ["bet"]):
        wrong = {**stake, "call": said_call}
        assert said(await wallet.call("bet", wrong)) == (422, refused("invalid")), said_call
    silent = json.dumps({name: value for name, value in stake.items() if name != "call"}).encode()
    assert await post(wallet, "bet", silent, wallet.signed(silent)) == (422, refused("invalid"))
    asked = json.dumps({"call": "balance", **subject(player_id=player)}).encode()
    assert await post(wallet, "authenticate", asked, wallet.signed(asked)) == (422, refused("invalid"))
    assert wallet.balance(player) == FUNDS
