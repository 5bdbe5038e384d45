"""Corruptions of a sound ledger, one for each thing that an invariant must notice."""

# ruff: noqa: S608 - the statements are put together from the constants of this file

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Corruption:
    """`broken` is the name of the invariant that must notice `sql`."""

    broken: str
    what: str
    sql: str


# The rows that corruptions aim at, by what they are.
ALICE = "(SELECT id FROM players WHERE player_id = 'alice')"
BOB = "(SELECT id FROM players WHERE player_id = 'bob')"
ACCOUNT = f"(SELECT id FROM accounts WHERE player_key = {ALICE})"
HOUSE = "(SELECT id FROM accounts WHERE kind = 'house')"
WALLET = "(SELECT id FROM accounts WHERE kind = 'wallet')"
WIN_EVENT = "(SELECT event_id FROM rounds WHERE round_id = 'won')"
VOID_EVENT = "(SELECT event_id FROM rounds WHERE round_id = 'void')"
WON_STAKE = "(SELECT id FROM transfers WHERE kind = 'stake' AND reference = 'won')"
ADD_TO_BALANCE = f"UPDATE accounts SET balance = balance + (%d) WHERE id = {ACCOUNT}"


def transfer(kind: str, reference: str, debit: str, credit: str, amount: int) -> str:
    """A transfer that is sound in itself: its postings, its link of the chain, the balance."""
    gained = amount if credit == ACCOUNT else -amount
    return (
        f"SELECT post_transfer({ALICE}, '{kind}', '{reference}', {debit}, {credit}, {amount}, 'EUR', 0);"
        + ADD_TO_BALANCE % gained
    )


CORRUPTIONS: Final = (
    Corruption(
        "transfers-balance",
        "a posting of another amount",
        f"UPDATE postings SET amount = amount + 1 WHERE transfer_id = {WON_STAKE} AND account_id = {HOUSE}",
    ),
    Corruption(
        "transfers-balance",
        "a posting is missing",
        f"DELETE FROM postings WHERE transfer_id = {WON_STAKE} AND account_id = {HOUSE}",
    ),
    Corruption(
        "transfers-balance",
        "postings of no transfer",
        f"INSERT INTO postings VALUES (0, {HOUSE}, 5, 'EUR'), (0, 0, -5, 'EUR')",
    ),
    Corruption(
        "transfers-balance",
        "postings in another currency",
        f"UPDATE postings SET currency = 'USD' WHERE transfer_id = {WON_STAKE}",
    ),
    Corruption("balances-are-postings", "a balance was raised", ADD_TO_BALANCE % 1),
    Corruption(
        "never-overdrawn",
        "more is held than there is",
        f"""ALTER TABLE accounts DROP CONSTRAINT never_overdrawn;
            UPDATE rounds SET stake = 1000000000 WHERE round_id = 'open';
            UPDATE accounts SET held = 1000000000 WHERE id = {ACCOUNT}""",
    ),
    Corruption(
        "holds-are-open-stakes",
        "a hold of no round",
        f"UPDATE accounts SET held = held + 1 WHERE id = {ACCOUNT}",
    ),
    Corruption(
        "no-hold-overdue",
        "a round that stays open",
        "UPDATE rounds SET created_at = now() - interval '1 hour' WHERE round_id = 'open'",
    ),
    Corruption(
        "one-terminal", "a declined round took money", transfer("stake", "declined", ACCOUNT, HOUSE, 5)
    ),
    Corruption(
        "no-hold-overdue",
        "a stake that was asked for and never answered",
        f"""INSERT INTO wallet_bets (player_key, round_id, game_id, stake, currency, transaction_id, asked_at)
            VALUES ({ALICE}, 'asked', 'fruit-lines', 100, 'EUR', 't', now() - interval '1 hour')""",
    ),
    Corruption(
        "no-hold-overdue",
        "an action that was asked for and never answered",
        f"""INSERT INTO wallet_action_bets (player_key, round_id, action_id, action, params, amount, taken_by,
                                            request_id, transaction_id, asked_at)
            VALUES ({BOB}, 'waiting', 'asked', 'double', '{{}}', 100, 'player', 'r', 't',
                    now() - interval '1 hour')""",
    ),
    Corruption(
        "wallets-are-square",
        "a wallet paid in for no bet",
        transfer("collected", "ghost", WALLET, ACCOUNT, 5),
    ),
    Corruption(
        "wallets-are-square", "a wallet got a stake back", transfer("returned", "taken", ACCOUNT, WALLET, 100)
    ),
    Corruption("wallets-are-square", "a wallet got a win", transfer("paid", "returned", ACCOUNT, WALLET, 5)),
    Corruption(
        "wallets-are-square",
        "a bet of another amount",
        "UPDATE wallet_bets SET stake = stake + 1 WHERE round_id = 'refused'",
    ),
    Corruption(
        "wallet-bets-are-resolved",
        "a bet whose round has ended",
        "UPDATE wallet_bets SET resolved_at = NULL WHERE round_id = 'taken'",
    ),
    Corruption(
        "wallet-bets-are-resolved",
        "a settled round that was released",
        "UPDATE wallet_bets SET releasing = true WHERE round_id = 'taken'",
    ),
    Corruption(
        "wallet-actions-agree",
        "an action that the wallet was never asked for",
        "DELETE FROM wallet_action_bets WHERE outcome = 'taken'",
    ),
    Corruption(
        "wallet-actions-agree",
        "a bet of another amount",
        "UPDATE wallet_action_bets SET amount = amount + 1 WHERE outcome = 'taken'",
    ),
    Corruption(
        "wallet-actions-agree",
        "an action that the wallet declined and that is on record",
        """UPDATE wallet_action_bets SET outcome = 'declined', refusal = 'wallet-failed'
           WHERE outcome = 'taken'""",
    ),
    Corruption(
        "wallet-actions-agree",
        "a bet of an action that is open though its round has ended",
        """UPDATE wallet_action_bets SET outcome = NULL, refusal = NULL, resolved_at = NULL
           WHERE outcome = 'declined'""",
    ),
    Corruption("one-terminal", "a void round paid", transfer("win", "void", HOUSE, ACCOUNT, 5)),
    Corruption("one-terminal", "a lost round paid", transfer("win", "lost", HOUSE, ACCOUNT, 5)),
    Corruption("one-terminal", "a stake of no round", transfer("stake", "ghost", ACCOUNT, HOUSE, 5)),
    Corruption(
        "rounds-are-complete",
        "a settled round without its outcome",
        "UPDATE rounds SET outcome = NULL WHERE round_id = 'won'",
    ),
    Corruption(
        "rounds-are-complete",
        "a state that nobody knows",
        f"""UPDATE rounds SET state = 'lost', sequence = NULL, event_id = NULL WHERE round_id = 'poor';
            DELETE FROM outbox WHERE player_key = {BOB} AND type = 'round.declined';
            UPDATE players SET sequence = sequence - 1 WHERE id = {BOB}""",
    ),
    Corruption(
        "actions-are-counted",
        "an action of no round",
        f"INSERT INTO round_actions VALUES ({ALICE}, 'ghost', 1, 'a', 'go', '{{}}', 0, 'player', 'r', now())",
    ),
    Corruption(
        "actions-are-counted",
        "an action that is gone",
        "DELETE FROM round_actions WHERE round_id = 'chosen'",
    ),
    Corruption(
        "rounds-are-complete",
        "a round that waits and offers nothing",
        "UPDATE rounds SET offer = NULL WHERE round_id = 'waiting'",
    ),
    Corruption(
        "no-hold-overdue",
        "a round that waits for longer than its player may",
        "UPDATE rounds SET decide_by = now() - interval '1 hour' WHERE round_id = 'waiting'",
    ),
    Corruption(
        "one-event",
        "an event of a declined round",
        f"""UPDATE players SET sequence = sequence + 1 WHERE id = {ALICE};
            INSERT INTO outbox (event_id, type, operator_id, player_key, game_id, subject, sequence, data,
                                occurred_at, published_at)
            SELECT gen_random_uuid(), 'round.settled', operator_id, id, 'dice', 'declined', sequence, '{{}}',
                   now(), now() FROM players WHERE id = {ALICE}""",
    ),
    Corruption(
        "one-event",
        "a void round without its event",
        f"""DELETE FROM inbox WHERE event_id = {VOID_EVENT};
            UPDATE game_statistics SET voids = voids - 1;
            DELETE FROM outbox WHERE event_id = {VOID_EVENT};
            UPDATE players SET sequence = sequence - 1 WHERE id = {ALICE}""",
    ),
    Corruption(
        "one-event",
        "a choice in a round that is not there",
        f"UPDATE outbox SET type = 'round.opened' WHERE player_key = {ALICE} AND type = 'session.opened'",
    ),
    Corruption(
        "movements-agree",
        "an event of another amount",
        f"""UPDATE outbox SET data = jsonb_set(data, '{{amount,amount}}', '1')
            WHERE player_key = {ALICE} AND type = 'wallet.deposited'""",
    ),
    Corruption(
        "movements-agree",
        "an event of a withdrawal that nobody made",
        f"UPDATE outbox SET type = 'wallet.withdrawn' WHERE player_key = {BOB} AND type = 'wallet.deposited'",
    ),
    Corruption(
        "sessions-agree",
        "an end of a session that goes on",
        f"UPDATE outbox SET type = 'session.ended' WHERE player_key = {ALICE} AND type = 'session.opened'",
    ),
    Corruption(
        "sessions-agree",
        "a session of another player's",
        f"""UPDATE outbox SET data = jsonb_set(data, '{{session_id}}', '"session-bob"')
            WHERE player_key = {ALICE} AND type = 'session.opened'""",
    ),
    Corruption(
        "events-published",
        "an event that never left",
        f"""UPDATE outbox SET published_at = NULL, occurred_at = now() - interval '1 hour'
            WHERE event_id = {WIN_EVENT}""",
    ),
    Corruption(
        "events-applied",
        "an event that the consumer lost",
        f"""DELETE FROM inbox WHERE event_id = {WIN_EVENT};
            UPDATE game_statistics SET rounds = rounds - 1, stake = stake - 100, win = win - 198;
            UPDATE outbox SET published_at = now() - interval '1 hour' WHERE event_id = {WIN_EVENT}""",
    ),
    Corruption(
        "no-invented-event",
        "an event from nowhere",
        "INSERT INTO inbox (consumer, event_id) VALUES ('statistics', gen_random_uuid())",
    ),
    Corruption(
        "statistics-are-rounds", "an event counted twice", "UPDATE game_statistics SET win = win + 198"
    ),
    Corruption(
        "statistics-are-rounds", "statistics that are gone", "DELETE FROM game_statistics WHERE rounds > 0"
    ),
    Corruption(
        "sequences-gapless", "a gap", f"UPDATE players SET sequence = sequence + 1 WHERE id = {ALICE}"
    ),
    Corruption(
        "sequences-gapless",
        "a sequence that goes back",
        f"""UPDATE outbox SET sequence = -sequence WHERE player_key = {ALICE} AND sequence <= 2;
            UPDATE outbox SET sequence = 3 + sequence WHERE player_key = {ALICE} AND sequence < 0;
            UPDATE rounds SET sequence = 3 - sequence WHERE player_key = {ALICE} AND sequence <= 2""",
    ),
    Corruption(
        "nonces-used-once",
        "a draw that was thrown away",
        f"UPDATE seeds SET next_nonce = next_nonce + 1 WHERE player_key = {ALICE}",
    ),
    Corruption(
        "nonces-used-once",
        "a draw out of order",
        "UPDATE rounds SET nonce = 99 WHERE round_id = 'won'",
    ),
    Corruption("guards-in-place", "a trigger is off", "ALTER TABLE rounds DISABLE TRIGGER final_is_final"),
    Corruption("guards-in-place", "a trigger is gone", "DROP TRIGGER append_only ON postings"),
    Corruption("guards-in-place", "an account may begin with money", "DROP TRIGGER begins_empty ON accounts"),
    Corruption(
        "chains-hold",
        "a transfer was edited",
        f"UPDATE transfers SET created_at = created_at + interval '1 second' WHERE id = {WON_STAKE}",
    ),
    Corruption(
        "chains-hold",
        "a head that is not the last transfer's",
        f"UPDATE players SET chain_head = sha256('x') WHERE id = {ALICE}",
    ),
    Corruption(
        "events-agree",
        "an event with another win",
        f"""UPDATE outbox SET data = jsonb_set(data, '{{win,amount}}', '1') WHERE event_id = {WIN_EVENT}""",
    ),
    Corruption(
        "events-agree",
        "an event of another game",
        f"UPDATE outbox SET game_id = 'fruit-lines' WHERE event_id = {WIN_EVENT}",
    ),
    Corruption(
        "rows-belong-together",
        "a round of another player's session",
        f"""UPDATE rounds SET session_id = (SELECT id FROM sessions WHERE player_key = {BOB})
            WHERE round_id = 'open'""",
    ),
    Corruption(
        "rows-belong-together",
        "a seed of another player",
        f"UPDATE seeds SET player_key = {BOB} WHERE player_key = {ALICE}",
    ),
    Corruption(
        "transfers-stay-home",
        "a house of another operator",
        f"UPDATE accounts SET operator_id = 'other' WHERE id = {HOUSE}",
    ),
    Corruption(
        "play-money-apart",
        "play money was staked against the house",
        """DROP INDEX one_shared_account_per_kind;
           UPDATE accounts SET kind = 'house' WHERE kind = 'play'""",
    ),
    Corruption(
        "play-money-apart",
        "a round of real money is said to be of play money",
        "UPDATE rounds SET demo = true WHERE round_id = 'declined'",
    ),
    Corruption(
        "play-money-apart",
        "a session lets a player of real money play with play money",
        "UPDATE sessions SET mode = 'demo' WHERE id = 'session-alice'",
    ),
    Corruption(
        "secrets-sealed",
        "a seed in the clear",
        f"UPDATE seeds SET sealed_server_seed = '{'ab' * 32}' WHERE player_key = {ALICE}",
    ),
    Corruption(
        "secrets-sealed",
        "a wallet's secret in the clear",
        "INSERT INTO operator_wallets VALUES ('other', 'https://w.example', 'croupier', 'whsec_c2VjcmV0')",
    ),
    Corruption("secrets-sealed", "an API key in the clear", "UPDATE api_keys SET secret_hash = 'crk_secret'"),
)
