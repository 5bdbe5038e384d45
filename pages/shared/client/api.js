// Made by pages/make_shared.py of clients/typescript/src/api.ts. Do not edit.

// Made from /openapi.json by clients/typescript/generate.py. Do not edit: run it again.

/**
 * A new key, shown this once. `replaces` is the key that it was rotated from, which ends at
 * `replaced_until`.
 */

/** A key without its secret. `active` is whether it opens anything now. */

/** What is not named stays as it is. */

/** What the player may do, and what it costs: `params` has the values that are allowed for each name. */

/**
 * An event as the broker carries it: CloudEvents 1.0. `data` is as its type's own description says;
 * `sequence` is the player's, without gaps.
 */

/** `types` are the events to send; all of them when not given. */

/** An event that was given up after so many attempts, and what the last one came to. */

/** `published_at` is null until the broker has confirmed the event. */

/** `next_cursor` is always there: after the last event it is where the next ones will follow. */

/** How many events the call reported, those among them that were known before. */

/**
 * Something that a game client tells of itself. `event_id` is the player's own, for ever; `at` is RFC
 * 3339; `data` is at most 4096 bytes of JSON.
 */

/** A way to bet: `stakes`, in minor units, are the game's own times `stake_multiplier`. */

/** A game with its rules, in the game's own terms. */

/**
 * `stakes` in minor units; `max_win` in stakes; `choice` is the JSON Schema of a bet's choice, or null
 * when the game takes none.
 */

/**
 * What a person decided about the round. `actor` is `key:` and an API key's id, `oidc:` and an
 * issuer's id of a person, or `cli:` and a name.
 */

/**
 * Amounts in minor units of the session's currency. `stakes` are the only ones that may be bet.
 * `loss_limit` is of the session's net loss, the stake that is asked for included. `min_cycle_ms` is from
 * one round's start to the next one's.
 */

/** `amount` in minor units of `currency`. */

/** `amount` in minor units of `currency`. */

/**
 * `expires_at` is when the key ends by itself; never when it is not given. Each session that the key
 * opens is of its `brand`, if it has one. `name` is for people: what the key is for, or whose it is.
 */

/**
 * `operator_id` is a part of workflow ids and a word of routing keys, and never changes. `name` is for
 * people; the id when it is not given.
 */

/**
 * `mode` is `demo` for demo money. `jurisdiction` names the profile whose rules hold as well; whichever
 * of its limits and `limits` is stricter does. `brand` is a label of the operator's that the session's
 * rounds and events carry; without it, that of the API key, if it has one.
 *
 * `lang` (BCP 47), `device`, `country` (ISO 3166-1) and the three URLs go into `launch_url`, for the game's
 * page alone: its language, and where it leads whoever leaves, pays in or asks for the operator's own
 * history. They change no rule.
 */

/** `balance` is available; `held` is reserved by open rounds; `total` is both. All of our own ledger. */

/** `disabled_at` is null while the operator is enabled. */

/** `brand` is the session's, null without one, and while nothing of a pending round is stored yet. */

/** A round with everything that is on record of it. `event` is null until the round has ended. */

/**
 * `state` is `expired` when the last token, or the longest time of the session, is over. `lost` is the
 * net loss so far, null where no loss limit has it counted.
 */

/** `stake` in minor units of the session's currency; `choice` as the game's own description says. */

/** RFC 9457. Clients switch on `code`; `detail` is for people. Further members as the case needs. */

/**
 * `failing` names what does not answer; `degraded` means that rounds are played without it. A process
 * that stops is not ready, and `draining`.
 */

/** Either the ids of dead events, or all of them. */

/** How many events were begun anew. */

/**
 * `paid-outside`: the recorded win was paid by other means. `refunded-outside`: the stake was paid back
 * by other means. `retry-now`: the wallet is asked again at once. `void`: the stake goes back.
 */

/** `server_seed` is 32 bytes as hex. `last_nonce` is null when no round was drawn from it. */

/** For how many seconds the old key still opens what it did; 0 ends it at once. */

/** `server_seed_hash` names the seed to reveal; without it, the session's current one is meant. */

/**
 * `stake` is all that was staked, further debits included; `choices` is what the round waits for, until
 * `decide_by` (null: without end); `actions` is what was chosen before.
 */

/**
 * A settled round, computed once more from its seed. `reproduced` is whether what came out is what is
 * recorded, and `why` says why not; `outcome` and `win` are what came out, null where nothing could be
 * computed.
 */

/** The states of a round as api.md names them; the last three are final. */

/** `enabled` is false while the operator has switched the game off: then no bet is taken. */

/**
 * `balance` is null while the operator's own wallet does not say it; GET /v1/game/balance asks again.
 * `limits` are those that hold, and leave out what is not limited. `enabled` is false while no bet is taken
 * because the operator has switched the game off.
 */

/**
 * `amount` is negative when it left the player; `balance` is what was available right after.
 * `reference` is the round's id for a stake or a win, the transaction id otherwise. `position` counts the
 * player's postings in all currencies: 1, 2, 3, ...
 */

/**
 * A decision in a round that waits for its player: one of its `choices`, with a value for each of that
 * one's `params`.
 */

/** What was done. `by` is "timer" where the house decided for a player who stayed away. */

/** `server_seed_hash` is what must have been shown before play; `win` is in minor units. */

/** One of a round's `actions`, as far as its outcome depends on it. */

/**
 * A round as its player knows it, and the revealed server seed as hex. `stake` in minor units, the bet's
 * alone. `choices` is the choice that was made with the bet, or a list with that alone; `actions` is what
 * was chosen later, in its order.
 */

/** `reason` is kept for good, with the id of the key that was used. */

/**
 * One call of the operator's own wallet. `amount` is null for a rollback; `sent` is false when not one
 * byte of the call left us.
 */

/** `secret` is `whsec_...`; it is shown once, here. */

/**
 * `disabled` says why nothing is sent: `by-operator`, or `gone` when the endpoint answered 410. `pending`
 * events are being sent again, `dead` ones were given up. `last_error` is the latest failure, whatever came
 * of it.
 */

/** Whether the endpoint took the test, and if not, why, in the words of `last_error`. */

export const OPERATIONS = {
  game: { method: "GET", path: "/v1/games/{game_id}" },
  gameBalance: { method: "GET", path: "/v1/game/balance" },
  gamePlaceBet: { method: "POST", path: "/v1/game/rounds" },
  gameRefreshSession: { method: "POST", path: "/v1/game/session/refresh" },
  gameRotateSeed: { method: "POST", path: "/v1/game/seed" },
  gameRound: { method: "GET", path: "/v1/game/rounds/{round_id}" },
  gameRounds: { method: "GET", path: "/v1/game/rounds" },
  gameSession: { method: "GET", path: "/v1/game/session" },
  gameTakeAction: { method: "POST", path: "/v1/game/rounds/{round_id}/actions" },
  gameTell: { method: "POST", path: "/v1/game/events" },
  games: { method: "GET", path: "/v1/games" },
  healthz: { method: "GET", path: "/healthz" },
  operatorAddKey: { method: "POST", path: "/v1/operator/keys" },
  operatorBalance: { method: "GET", path: "/v1/operator/players/{player_id}/balance" },
  operatorChange: { method: "PATCH", path: "/v1/operator/webhooks/{webhook_id}" },
  operatorCreate: { method: "POST", path: "/v1/operator/webhooks" },
  operatorDead: { method: "GET", path: "/v1/operator/webhooks/{webhook_id}/dead" },
  operatorDelete: { method: "DELETE", path: "/v1/operator/webhooks/{webhook_id}" },
  operatorDeposit: { method: "POST", path: "/v1/operator/players/{player_id}/deposits" },
  operatorEndSession: { method: "DELETE", path: "/v1/operator/sessions/{session_id}" },
  operatorFeed: { method: "GET", path: "/v1/operator/events" },
  operatorKeys: { method: "GET", path: "/v1/operator/keys" },
  operatorOpenSession: { method: "POST", path: "/v1/operator/sessions" },
  operatorReplay: { method: "POST", path: "/v1/operator/webhooks/{webhook_id}/replay" },
  operatorReplayRound: { method: "GET", path: "/v1/operator/rounds/{round_id}/replay" },
  operatorResolve: { method: "POST", path: "/v1/operator/rounds/{round_id}/resolve" },
  operatorRevokeKey: { method: "DELETE", path: "/v1/operator/keys/{key_id}" },
  operatorRotateKey: { method: "POST", path: "/v1/operator/keys/{key_id}/rotate" },
  operatorRotateSecret: { method: "POST", path: "/v1/operator/webhooks/{webhook_id}/rotate-secret" },
  operatorRound: { method: "GET", path: "/v1/operator/rounds/{round_id}" },
  operatorRounds: { method: "GET", path: "/v1/operator/rounds" },
  operatorSendTest: { method: "POST", path: "/v1/operator/webhooks/{webhook_id}/test" },
  operatorSession: { method: "GET", path: "/v1/operator/sessions/{session_id}" },
  operatorStatement: { method: "GET", path: "/v1/operator/players/{player_id}/statement" },
  operatorSwitchGame: { method: "PUT", path: "/v1/operator/games/{game_id}" },
  operatorSwitchPlayer: { method: "PUT", path: "/v1/operator/players/{player_id}" },
  operatorVoid: { method: "POST", path: "/v1/operator/rounds/{round_id}/void" },
  operatorWebhook: { method: "GET", path: "/v1/operator/webhooks/{webhook_id}" },
  operatorWebhooks: { method: "GET", path: "/v1/operator/webhooks" },
  operatorWithdraw: { method: "POST", path: "/v1/operator/players/{player_id}/withdrawals" },
  platformAddOperator: { method: "POST", path: "/v1/platform/operators" },
  platformAddOperatorKey: { method: "POST", path: "/v1/platform/operators/{operator_id}/keys" },
  platformOperator: { method: "GET", path: "/v1/platform/operators/{operator_id}" },
  platformOperators: { method: "GET", path: "/v1/platform/operators" },
  platformSwitchOperator: { method: "PUT", path: "/v1/platform/operators/{operator_id}" },
  readyz: { method: "GET", path: "/readyz" },
  verify: { method: "POST", path: "/v1/fairness/verify" },
}                                                                              ;
