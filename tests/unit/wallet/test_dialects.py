"""Dialects are data: three are shipped, and data that cannot be used is refused by name and key."""

from pathlib import Path

import pytest

from contracts.wallet import WalletCall, WalletRefusal
from wallet.dialect import CONTENT, FOLDER, NEEDED, ROUND_ID_LENGTH, Dialect, DialectError, load

CROUPIER = (FOLDER / "croupier.toml").read_text(encoding="utf-8")
GUIDE = (Path(__file__).parents[3] / "docs" / "platform" / "wallet.md").read_text(encoding="utf-8")


def test_three_are_shipped() -> None:
    assert set(load()) == {"croupier", "decimal_aggregator", "rgs_micro"}


@pytest.mark.parametrize("dialect", load().values(), ids=lambda dialect: dialect.name)
def test_each_can_say_all_that_a_wallet_may_refuse(dialect: Dialect) -> None:
    said = {meaning for codes in dialect.meanings.values() for meaning in codes.values()}
    assert said >= set(WalletRefusal) | {"accepted"}


def test_ours_says_what_its_page_says() -> None:
    ours = load()["croupier"]
    refusals = [
        (status, code)
        for status, codes in ours.meanings.items()
        for code, meaning in codes.items()
        if meaning == code
    ]
    assert {str(code) for _, code in refusals} == {str(refusal) for refusal in WalletRefusal}
    for status, code in refusals:
        assert f"| {status} | `{code}` |" in GUIDE
    assert {str(path) for path in ours.paths.values()} == {f"/{call}" for call in WalletCall}
    assert all(place == (source,) for source, place in ours.fields.items())


def test_what_calls_say_is_what_must_have_a_place() -> None:
    assert {source for content in CONTENT.values() for source in content} >= NEEDED


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("signatures =", "signatures", "not valid TOML"),
        ('signatures = ["v1", "v1a"]', "signatures = []", "signatures"),
        ('"v1a"]', '"v2"]', "signatures"),
        ('amounts = "minor"', 'amounts = "float"', "amounts"),
        ('amounts = "minor"', "", "amounts: Field required"),
        ('repeat_balance = "live"', 'repeat_balance = "old"', "repeat_balance"),
        ("[ids]", "pace = 3\n[ids]", "pace"),
        ("max_length = 64", "max_length = 35", "max_length is below"),
        ("max_length = 64", "max_length = 65", "ids.max_length"),
        ('win = "/win"\n', "", "paths leaves out win"),
        ('win = "/win"', 'win = "win"', "paths.win"),
        ('win = "/win"', 'win = "/../win"', "paths.win"),
        ('win = "/win"', 'win = "//elsewhere/win"', "paths.win"),
        ('amount = "amount"\n', "", "fields leaves out amount"),
        ('amount = "amount"', 'amount = "currency.amount"', "sit on each other"),
        ('amount = "amount"', 'amount = "currency"', "sit on each other"),
        ('session_id = "session_id"', 'session_id = "player_id"', "sit on each other"),
        ('amount = "amount"', 'amount = "a..b"', "a place is written"),
        ('"" = "accepted"', '"" = "fine"', "meanings.200"),
        ('"" = "accepted"', '"" = "invalid"', "never says accepted"),
        ('duplicate = "duplicate"\n', "", "a repeat is recognised"),
        ("[meanings.401]", "[meanings.four]", "meanings.four"),
        ("[meanings.401]", "[meanings.99]", "meanings.99"),
        ("[ids]", '[headers]\nhost = "elsewhere"\n[ids]', "may not be named"),
        ("[ids]", '[headers]\n"webhook-id" = "x"\n[ids]', "may not be named"),
        ("[ids]", '[headers]\nx-a = "a\\r\\nx-b: c"\n[ids]', "not plain text"),
        ("[ids]", "[limits]\ntotal_s = 0\n[ids]", "limits.total_s"),
        ("[ids]", "[limits]\ntotal_s = inf\n[ids]", "limits.total_s"),
        ("[ids]", "[limits]\ncalls = 0\n[ids]", "limits.calls"),
        ('path = "/statement"', 'path = "statement"', "statement.path"),
        ('times = "rfc3339"', 'times = "seconds"', "statement.times"),
        ('to = "to"\n', "", "query leaves out to"),
        ('to = "to"', 'to = "from"', "query has a name twice"),
        ('to = "to"', 'to = "a&b"', "statement.query.to"),
        ('moved = "moved"\n', "", "item leaves out moved"),
        ('win = "win"\n', "", "calls leaves out win"),
        ('win = "win"', 'win = "won"', "statement.calls.win"),
    ],
)
def test_what_cannot_be_used_is_told(before: str, after: str, told: str) -> None:
    assert before in CROUPIER
    with pytest.raises(DialectError) as refused:
        Dialect.parse("mine", CROUPIER.replace(before, after, 1))
    assert str(refused.value).startswith("dialect mine: ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_statement_that_cannot_tell_a_shortened_round_is_refused() -> None:
    short = CROUPIER.replace("max_length = 64", "max_length = 40")
    assert Dialect.parse("mine", short).ids.max_length == 40
    with pytest.raises(DialectError, match="bet_transaction_id"):
        Dialect.parse("mine", _without_bets(short))
    assert Dialect.parse("mine", _without_bets(CROUPIER)).ids.max_length == ROUND_ID_LENGTH


def _without_bets(text: str) -> str:
    """The same, but that an entry of the statement does not name its bet."""
    head, heading, statement = text.partition("[statement.item]")
    return head + heading + statement.replace('bet_transaction_id = "bet_transaction_id"\n', "")


def test_headers_of_a_wallet_are_kept() -> None:
    text = CROUPIER.replace("[ids]", '[headers]\nx-brand = "north"\n[ids]')
    assert Dialect.parse("mine", text).headers == {"x-brand": "north"}


def test_a_folder_of_ones_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CROUPIER, encoding="utf-8")
    assert load(tmp_path)["mine"].name == "mine"
