"""What each dialect sends, and what is made of anything that a wallet may answer."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import DETAIL_LIMIT
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from wallet.amounts import NotExpressible
from wallet.codec import EXCERPT_LENGTH, decode, encode, excerpt
from wallet.dialect import load

DIALECTS = load()
CROUPIER, DECIMAL, MICRO = (DIALECTS[name] for name in ("croupier", "decimal_aggregator", "rgs_micro"))
BET_ID = "5f0c2f5e-6d2b-5b0e-9f59-0c5a1d3b7e11"
WIN_ID = "8a4f1b6c-2f6d-5d8e-8b7a-1e2d3c4b5a69"

BALANCE = WalletRequest(
    call=WalletCall.BALANCE, operator_id="acme", player_id="p1", session_id="s1", currency="EUR"
)
BET = replace(BALANCE, call=WalletCall.BET, round_id="r1", game_id="dice", transaction_id=BET_ID, amount=150)
WIN = replace(BET, call=WalletCall.WIN, transaction_id=WIN_ID, bet_transaction_id=BET_ID, amount=300)
ROLLBACK = replace(WIN, call=WalletCall.ROLLBACK, amount=None)
FINE = {"balance": 9900, "currency": "EUR", "transaction_id": "w1", "duplicate": False}


def said(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def ours(answer: Any, *, status: int = 200, request: WalletRequest = BET) -> WalletAnswer:
    return decode(status, said(answer), request, CROUPIER)


# What is sent


def test_ours_is_sent_as_its_page_says() -> None:
    message = encode(WIN, CROUPIER)
    assert (message.path, message.message_id) == ("/win", WIN_ID)
    assert json.loads(message.body) == {
        "call": "win",
        "operator_id": "acme",
        "player_id": "p1",
        "session_id": "s1",
        "currency": "EUR",
        "transaction_id": WIN_ID,
        "round_id": "r1",
        "game_id": "dice",
        "amount": 300,
        "bet_transaction_id": BET_ID,
    }


def test_ours_says_in_its_body_which_call_it_is_for_the_path_is_not_signed() -> None:
    for request in (replace(BALANCE, call=WalletCall.AUTHENTICATE), BALANCE, BET, WIN, ROLLBACK):
        assert json.loads(encode(request, CROUPIER).body)["call"] == request.call.value


def test_a_dialect_without_a_place_for_the_call_does_not_say_it() -> None:
    for dialect in (DECIMAL, MICRO):
        assert b"call" not in encode(WIN, dialect).body


def test_decimal_strings_and_ids_without_dashes() -> None:
    message = encode(WIN, DECIMAL)
    body = json.loads(message.body)
    assert (message.path, message.message_id) == ("/transaction/win", WIN_ID.replace("-", ""))
    assert body["amount"] == "3.00"
    assert body["transaction_uuid"] == WIN_ID.replace("-", "")
    assert body["reference_transaction_uuid"] == BET_ID.replace("-", "")


def test_a_round_that_was_lost_is_told_as_a_win_of_nothing() -> None:
    lost = replace(WIN, amount=0)
    assert json.loads(encode(lost, CROUPIER).body)["amount"] == 0
    assert json.loads(encode(lost, DECIMAL).body)["amount"] == "0.00"


def test_what_is_not_ascii_is_sent_as_it_is() -> None:
    assert "é".encode() in encode(replace(WIN, game_id="é"), CROUPIER).body


def test_millionths_beside_their_currency() -> None:
    message = encode(WIN, MICRO)
    body = json.loads(message.body)
    assert message.path == "/wallet/end-round"
    assert body["money"] == {"amount": 3_000_000, "currency": "EUR"}
    assert body["transaction"] == {"id": WIN_ID, "play": BET_ID}
    assert body["player"] == {"id": "p1", "session": "s1"}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_a_repeat_is_the_same_to_the_byte(dialect: Any) -> None:
    for request in (BALANCE, BET, WIN, ROLLBACK):
        assert encode(request, dialect) == encode(replace(request), dialect)


def test_a_call_that_moves_nothing_says_no_more_than_who() -> None:
    assert set(json.loads(encode(BALANCE, CROUPIER).body)) == {
        "call",
        "operator_id",
        "player_id",
        "session_id",
        "currency",
    }
    assert encode(BALANCE, CROUPIER).message_id is None


def test_a_win_by_promotion_has_no_bet() -> None:
    promotion = replace(WIN, bet_transaction_id=None)
    assert json.loads(encode(promotion, CROUPIER).body)["bet_transaction_id"] is None


def test_a_round_id_that_is_too_long_becomes_an_id_that_derives_from_it() -> None:
    long, other = (replace(BET, round_id=last.rjust(64, "r")) for last in "ab")
    assert json.loads(encode(long, CROUPIER).body)["round_id"] == long.round_id
    short = json.loads(encode(long, DECIMAL).body)["round"]
    assert len(short) == 32
    assert short == json.loads(encode(long, DECIMAL).body)["round"]
    assert short != json.loads(encode(other, DECIMAL).body)["round"]


@pytest.mark.parametrize(
    "request_",
    [
        replace(BET, amount=None),
        replace(BET, amount=-1),
        replace(BET, amount=True),
        replace(BET, transaction_id=None),
        replace(BET, transaction_id="r1-bet"),
        replace(BET, round_id=None),
        replace(ROLLBACK, bet_transaction_id=None),
    ],
)
def test_a_request_that_lacks_what_its_call_needs_is_the_callers_mistake(request_: WalletRequest) -> None:
    with pytest.raises(ValueError, match=r"needs|amount|UUID") as mistake:
        encode(request_, CROUPIER)
    assert not isinstance(mistake.value, NotExpressible)


@pytest.mark.parametrize("request_", [BALANCE, BET])
def test_no_call_is_made_in_a_currency_that_the_dialect_cannot_write(request_: WalletRequest) -> None:
    with pytest.raises(NotExpressible):
        encode(replace(request_, currency="BTC"), MICRO)


# What is read


def test_an_answer_of_ours() -> None:
    assert ours(FINE) == WalletAnswer(
        verdict=WalletVerdict.ACCEPTED, balance=9900, wallet_transaction_id="w1", duplicate=False
    )
    repeated = ours({**FINE, "duplicate": True})
    assert (repeated.duplicate, repeated.balance_stored) == (True, False)


def test_what_may_be_left_out_or_null() -> None:
    least = ours({"balance": 1, "currency": "EUR"})
    assert (least.verdict, least.duplicate) == (WalletVerdict.ACCEPTED, False)
    assert ours({**FINE, "transaction_id": "w" * 128}).wallet_transaction_id == "w" * 128
    assert ours({**FINE, "transaction_id": None}).wallet_transaction_id is None
    assert ours({**FINE, "transaction_id": 17}).wallet_transaction_id == "17"
    assert ours({**FINE, "rtp": 0.96, "more": {"x": None}}).verdict is WalletVerdict.ACCEPTED


def test_a_refusal_of_ours_may_carry_the_balance() -> None:
    refused = ours({"code": "insufficient-funds", "balance": 10}, status=402)
    assert (refused.verdict, refused.code, refused.balance) == (
        WalletVerdict.REFUSED,
        WalletRefusal.INSUFFICIENT_FUNDS,
        10,
    )
    assert ours({"code": "player-blocked"}, status=403).balance is None


def test_the_balance_beside_another_currency_is_none_of_this_one() -> None:
    for balance in (10, 0.5):
        fields = {"code": "currency-mismatch", "balance": balance, "currency": "USD"}
        refused = ours(fields, status=422)
        assert (refused.verdict, refused.code) == (WalletVerdict.REFUSED, "currency-mismatch")
        assert refused.balance is None


def test_the_decimal_dialect() -> None:
    def answer(fields: dict[str, Any], request: WalletRequest = BET) -> WalletAnswer:
        return decode(200, said(fields), request, DECIMAL)

    fine = answer({"status": "OK", "balance": "98.50", "currency": "EUR", "platform_transaction": "w"})
    assert (fine.verdict, fine.balance, fine.wallet_transaction_id) == (WalletVerdict.ACCEPTED, 9850, "w")
    repeated = answer({"status": "ERROR_DUPLICATE_TRANSACTION"})
    assert (repeated.verdict, repeated.duplicate, repeated.balance) == (WalletVerdict.ACCEPTED, True, None)
    declined = answer({"status": "ERROR_NOT_ENOUGH_MONEY", "balance": "0.10", "currency": "EUR"})
    assert (declined.verdict, declined.code, declined.balance) == (
        WalletVerdict.REFUSED,
        "insufficient-funds",
        10,
    )
    missing = {"status": "ERROR_TRANSACTION_DOES_NOT_EXIST"}
    assert answer(missing, WIN).code == "unknown-transaction"
    assert answer(missing, ROLLBACK).verdict is WalletVerdict.ACCEPTED
    assert answer({"status": "OK", "balance": 98.5, "currency": "EUR"}).code == "bad-amount"
    assert answer({"balance": "98.50", "currency": "EUR"}).code == "unknown-code"


def test_the_dialect_of_millionths() -> None:
    fields = {
        "balance": {"amount": 98_500_000, "currency": "EUR"},
        "transaction": {"id": "w", "replayed": True},
    }
    repeated = decode(200, said(fields), BET, MICRO)
    assert (repeated.verdict, repeated.balance) == (WalletVerdict.ACCEPTED, 9850)
    assert (repeated.duplicate, repeated.balance_stored) == (True, True)
    declined = decode(400, said({"error": "ERR_IPB", "message": "no"}), BET, MICRO)
    assert (declined.verdict, declined.code) == (WalletVerdict.REFUSED, "insufficient-funds")
    assert decode(200, said({"balance": 1}), BET, MICRO).code == "missing-field"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", "empty"),
        (200, b"<html><body>It works!</body></html>", "not-json"),
        (200, b"\xff\xfe\x00", "not-json"),
        (200, b"\xef\xbb\xbf{}", "not-json"),
        (200, b'{"balance": 1, "balance": 2, "currency": "EUR"}', "not-json"),
        (200, b'{"balance": NaN, "currency": "EUR"}', "not-json"),
        (200, b'{"balance": Infinity, "currency": "EUR"}', "not-json"),
        (200, b'{"balance": 1, "currency": "EUR"} {}', "not-json"),
        (200, b"[" * 60_000, "not-json"),
        (200, b'{"a":' * 10_000, "not-json"),
        (200, b'{"balance": ' + b"9" * 5000 + b', "currency": "EUR"}', "not-json"),
        (200, b'{"balance": 1e99999999999999999999, "currency": "EUR"}', "not-json"),
        (200, b"null", "not-json"),
        (200, b"[]", "not-json"),
        (200, b'"balance"', "not-json"),
        (200, {"currency": "EUR"}, "missing-field"),
        (200, {"balance": 1}, "missing-field"),
        (200, {"balance": None, "currency": "EUR"}, "missing-field"),
        (200, {**FINE, "balance": 99.0}, "bad-amount"),
        (200, {**FINE, "balance": "9900"}, "bad-amount"),
        (200, {**FINE, "balance": True}, "bad-amount"),
        (200, {**FINE, "in_reply_to": WIN_ID}, "other-request"),
        (200, {**FINE, "in_reply_to": BET_ID.replace("-", "")}, "other-request"),
        (200, {**FINE, "in_reply_to": 7}, "other-request"),
        (402, {"code": "insufficient-funds", "in_reply_to": WIN_ID}, "other-request"),
        (200, b'{"balance": 1e2, "currency": "EUR"}', "bad-amount"),
        (200, {**FINE, "currency": "USD"}, "other-currency"),
        (200, {**FINE, "currency": "eur"}, "other-currency"),
        (200, {**FINE, "currency": ["EUR"]}, "other-currency"),
        (200, {**FINE, "duplicate": "no"}, "bad-field"),
        (200, {**FINE, "duplicate": 0}, "bad-field"),
        (200, {**FINE, "transaction_id": ["w"]}, "bad-field"),
        (200, {**FINE, "transaction_id": "w" * 129}, "bad-field"),
        (200, {**FINE, "transaction_id": "w\x00"}, "bad-field"),
        (200, {**FINE, "transaction_id": "\ud800"}, "bad-field"),
        (200, {**FINE, "code": 7}, "bad-field"),
        (200, {**FINE, "code": "insufficient-funds"}, "unknown-code"),
        (402, {"code": "player-blocked"}, "unknown-code"),
        (402, {}, "unknown-code"),
        (402, {"code": "insufficient-funds", "balance": 0.5}, "bad-amount"),
        (402, {"code": "insufficient-funds", "balance": 5, "currency": "USD"}, "other-currency"),
        (404, b"<html>nginx</html>", "not-json"),
        (201, FINE, "status-201"),
        (204, b"", "status-204"),
        (302, b"", "status-302"),
        (500, FINE, "status-500"),
        (503, b"<html>busy</html>", "status-503"),
    ],
)
def test_all_else_is_unknown(status: int, body: Any, code: str) -> None:
    answer = ours(body, status=status)
    assert (answer.verdict, answer.code, answer.balance) == (WalletVerdict.UNKNOWN, code, None)
    assert 0 < len(answer.detail) <= DETAIL_LIMIT
    assert answer.detail.isprintable()


def test_what_cannot_be_read_is_told_with_what_was_said() -> None:
    assert ours(b"").detail == "the body is empty"
    assert ours(b"<html>busy</html>").detail.endswith("; it said: <html>busy</html>")


# A player may owe, and a wallet may count further or finer than a client can be shown. None of it says
# anything about the call.
BALANCES = [
    (-50, -50),
    (-(2**53) + 1, -(2**53) + 1),
    (-(2**53), None),
    (2**53 - 1, 2**53 - 1),
    (2**53, None),
    (2**63, None),
    (10**400, None),
]


@pytest.mark.parametrize(("balance", "shown"), BALANCES, ids=lambda value: repr(value)[:20])
def test_the_verdict_counts_whatever_the_player_has(balance: int, shown: int | None) -> None:
    for request in (BALANCE, BET, WIN, ROLLBACK):
        taken = ours({**FINE, "balance": balance}, request=request)
        assert (taken.verdict, taken.code, taken.balance) == (WalletVerdict.ACCEPTED, None, shown)
    refused = ours({"code": "insufficient-funds", "balance": balance}, status=402)
    assert (refused.verdict, refused.code, refused.balance) == (
        WalletVerdict.REFUSED,
        "insufficient-funds",
        shown,
    )


@pytest.mark.parametrize(
    ("balance", "shown"),
    [("-0.50", -50), ("-0", 0), ("1.005", None), ("90071992547409.92", None), ("9" * 100, None)],
    ids=lambda value: repr(value)[:20],
)
def test_the_verdict_counts_in_decimals_too(balance: str, shown: int | None) -> None:
    for code, verdict in (("OK", "accepted"), ("ERROR_NOT_ENOUGH_MONEY", "refused")):
        found = decode(200, said({"status": code, "balance": balance, "currency": "EUR"}), BET, DECIMAL)
        assert (found.verdict, found.balance) == (verdict, shown)


@pytest.mark.parametrize(
    ("balance", "shown"), [(-500_000, -50), (1_005_000, None), (10_000, 1), (2**53 * 10_000, None)]
)
def test_the_verdict_counts_in_millionths_too(balance: int, shown: int | None) -> None:
    taken = decode(200, said({"balance": {"amount": balance, "currency": "EUR"}}), BET, MICRO)
    refused = decode(400, said({"error": "ERR_IPB", "balance": {"amount": balance}}), BET, MICRO)
    assert (taken.verdict, taken.balance) == (WalletVerdict.ACCEPTED, shown)
    assert (refused.verdict, refused.balance) == (WalletVerdict.REFUSED, shown)


def test_a_balance_that_is_not_shown_stays_on_record() -> None:
    assert str(2**53) in ours({**FINE, "balance": 2**53}).detail


def test_an_answer_that_names_its_request_is_taken_for_that_one() -> None:
    for request in (BET, WIN, ROLLBACK):
        named = ours({**FINE, "in_reply_to": request.transaction_id}, request=request)
        assert named.verdict is WalletVerdict.ACCEPTED
    assert ours({**FINE, "in_reply_to": None}).verdict is WalletVerdict.ACCEPTED
    assert ours({**FINE, "in_reply_to": "w"}, request=BALANCE).verdict is WalletVerdict.ACCEPTED
    named = decode(
        200,
        said({"status": "OK", "balance": "1.00", "currency": "EUR", "transaction_uuid": UUID(BET_ID).hex}),
        BET,
        DECIMAL,
    )
    assert named.verdict is WalletVerdict.ACCEPTED


@given(status=st.sampled_from([200, 400, 402, 409, 500]), body=st.binary(max_size=200))
def test_no_bytes_make_it_raise(status: int, body: bytes) -> None:
    for dialect in DIALECTS.values():
        answer = decode(status, body, BET, dialect)
        assert answer.detail.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["balance", "currency", "code", "amount", "status", "transaction_id", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(status=st.sampled_from([200, 400, 402]), answer=JSON)
def test_no_json_makes_it_raise_or_become_a_fraction(status: int, answer: Any) -> None:
    for dialect in DIALECTS.values():
        found = decode(status, json.dumps(answer).encode(), BET, dialect)
        assert found.balance is None or type(found.balance) is int


def test_an_excerpt_is_cut_only_when_it_is_longer() -> None:
    assert excerpt(b"x" * EXCERPT_LENGTH) == "x" * EXCERPT_LENGTH
    assert excerpt(b"x" * (EXCERPT_LENGTH + 1)) == "x" * EXCERPT_LENGTH + "…"


def test_an_excerpt_is_one_short_printable_line() -> None:
    assert excerpt(b"<html>\r\n\t<b>no</b>\x00\x1b[31m") == "<html> <b>no</b> [31m"
    assert len(excerpt(b"x" * 10_000)) <= 121
    assert excerpt(b"\xff\xfe").isprintable()
