// Made from /openapi.json by clients/typescript/generate.py. Do not edit: run it again.

/**
 * A new key, shown this once. `replaces` is the key that it was rotated from, which ends at
 * `replaced_until`.
 */
export interface ApiKeyIssued {
  key_id: string;
  key: string;
  scope: "game" | "operator" | "admin";
  brand: string | null;
  expires_at: string | null;
  replaces: string | null;
  replaced_until: string | null;
}

/** A key without its secret. `active` is whether it opens anything now. */
export interface ApiKeyListed {
  key_id: string;
  name: string | null;
  scope: "game" | "operator" | "admin";
  brand: string | null;
  active: boolean;
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
}

export interface ApiKeyPage {
  items: ApiKeyListed[];
}

export interface BalanceOut {
  balance: Money;
}

/** What is not named stays as it is. */
export interface ChangeWebhook {
  url?: string | null;
  types?: (("game.event" | "round.declined" | "round.opened" | "round.settled" | "round.void" | "session.ended" | "session.opened" | "wallet.deposited" | "wallet.withdrawn")[]) | null;
  enabled?: boolean | null;
}

/** What the player may do, and what it costs: `params` has the values that are allowed for each name. */
export interface ChoiceOut {
  action: string;
  params: Record<string, (string | number | boolean)[]>;
  debit: Money;
}

/**
 * An event as the broker carries it: CloudEvents 1.0. `data` is as its type's own description says;
 * `sequence` is the player's, without gaps.
 */
export interface CloudEvent {
  specversion: "1.0";
  id: string;
  source: string;
  type: string;
  subject: string;
  time: string;
  datacontenttype: string;
  operator: string;
  sequence: number;
  data: Record<string, unknown>;
}

/** `types` are the events to send; all of them when not given. */
export interface CreateWebhook {
  url: string;
  types?: (("game.event" | "round.declined" | "round.opened" | "round.settled" | "round.void" | "session.ended" | "session.opened" | "wallet.deposited" | "wallet.withdrawn")[]) | null;
}

/** An event that was given up after so many attempts, and what the last one came to. */
export interface DeadEvent {
  event_id: string;
  type: string;
  subject: string;
  occurred_at: string;
  attempts: number;
  last_error: string;
  dead_at: string;
}

export interface DeadEventPage {
  items: DeadEvent[];
  next_cursor: string | null;
}

export interface Deposit {
  transaction_id: string;
  amount: MoneyIn;
}

export interface Deposited {
  transaction_id: string;
  balance: Money;
}

/** `published_at` is null until the broker has confirmed the event. */
export interface EventOut {
  id: string;
  type: string;
  published_at: string | null;
}

/** `next_cursor` is always there: after the last event it is where the next ones will follow. */
export interface EventPage {
  items: CloudEvent[];
  next_cursor: string;
}

/** How many events the call reported, those among them that were known before. */
export interface EventsAccepted {
  accepted: number;
}

export interface Failure {
  code: string;
}

export interface Fairness {
  server_seed_hash: string | null;
  client_seed: string | null;
  nonce: number | null;
}

/**
 * Something that a game client tells of itself. `event_id` is the player's own, for ever; `at` is RFC
 * 3339; `data` is at most 4096 bytes of JSON.
 */
export interface GameEventIn {
  event_id: string;
  type: string;
  at: string;
  data: Record<string, unknown>;
}

export interface GameList {
  items: GameSummary[];
}

/** A way to bet: `stakes`, in minor units, are the game's own times `stake_multiplier`. */
export interface GameMode {
  description: string;
  stake_multiplier: number;
  stakes: number[];
}

export interface GameName {
  id: string;
  version: string;
}

/** A game with its rules, in the game's own terms. */
export interface GameOut {
  id: string;
  version: string;
  title: string;
  modes: Record<string, GameMode>;
  stakes: number[];
  max_win: number;
  choice: Record<string, unknown> | null;
  rules: Record<string, unknown>;
}

/**
 * `stakes` in minor units; `max_win` in stakes; `choice` is the JSON Schema of a bet's choice, or null
 * when the game takes none.
 */
export interface GameSummary {
  id: string;
  version: string;
  title: string;
  modes: Record<string, GameMode>;
  stakes: number[];
  max_win: number;
  choice: Record<string, unknown> | null;
}

export interface GameSwitched {
  game_id: string;
  enabled: boolean;
}

export interface Health {
  status: "ok";
}

/**
 * What a person decided about the round. `actor` is `key:` and an API key's id, `oidc:` and an
 * issuer's id of a person, or `cli:` and a name.
 */
export interface InterventionOut {
  action: "retry-now" | "paid-outside" | "refunded-outside" | "void";
  reason: string;
  actor: string;
  verdict: "accepted" | "refused";
  at: string;
}

/**
 * Amounts in minor units of the session's currency. `stakes` are the only ones that may be bet.
 * `loss_limit` is of the session's net loss, the stake that is asked for included. `min_cycle_ms` is from
 * one round's start to the next one's.
 */
export interface Limits {
  max_stake?: number | null;
  stakes?: number[] | null;
  loss_limit?: number | null;
  max_session_s?: number | null;
  min_cycle_ms?: number | null;
}

/** `amount` in minor units of `currency`. */
export interface Money {
  amount: number;
  currency: string;
}

/** `amount` in minor units of `currency`. */
export interface MoneyIn {
  amount: number;
  currency: string;
}

/**
 * `expires_at` is when the key ends by itself; never when it is not given. Each session that the key
 * opens is of its `brand`, if it has one. `name` is for people: what the key is for, or whose it is.
 */
export interface NewApiKey {
  scope: "game" | "operator" | "admin";
  expires_at?: string | null;
  brand?: string | null;
  name?: string | null;
}

/**
 * `operator_id` is a part of workflow ids and a word of routing keys, and never changes. `name` is for
 * people; the id when it is not given.
 */
export interface NewOperator {
  operator_id: string;
  name?: string | null;
}

/**
 * `mode` is `demo` for demo money. `jurisdiction` names the profile whose rules hold as well; whichever
 * of its limits and `limits` is stricter does. `brand` is a label of the operator's that the session's
 * rounds and events carry; without it, that of the API key, if it has one.
 *
 * `lang` (BCP 47), `device`, `country` (ISO 3166-1) and the three URLs go into `launch_url`, for the game's
 * page alone: its language, and where it leads whoever leaves, pays in or asks for the operator's own
 * history. They change no rule.
 */
export interface OpenSession {
  player_id: string;
  game_id: string;
  currency: string;
  mode?: "real" | "demo";
  client_seed?: string | null;
  jurisdiction?: string | null;
  limits?: Limits | null;
  brand?: string | null;
  lang?: string | null;
  device?: ("desktop" | "mobile") | null;
  country?: string | null;
  lobby_url?: string | null;
  deposit_url?: string | null;
  history_url?: string | null;
}

/** `balance` is available; `held` is reserved by open rounds; `total` is both. All of our own ledger. */
export interface OperatorBalance {
  balance: Money;
  held: Money;
  total: Money;
}

/** `disabled_at` is null while the operator is enabled. */
export interface OperatorOut {
  operator_id: string;
  name: string;
  enabled: boolean;
  created_at: string;
  disabled_at: string | null;
}

export interface OperatorPage {
  items: OperatorOut[];
  next_cursor: string | null;
}

/** `brand` is the session's, null without one, and while nothing of a pending round is stored yet. */
export interface OperatorRound {
  round_id: string;
  state: "pending" | "awaiting_choice" | "settling" | "settled" | "declined" | "void";
  game: GameName;
  mode: string;
  stake: Money;
  win: Money;
  balance: Money | null;
  outcome: Record<string, unknown> | null;
  choices: ChoiceOut[];
  decide_by: string | null;
  actions: TakenAction[];
  fairness: Fairness;
  sequence: number | null;
  created_at: string | null;
  settled_at: string | null;
  failure: Failure | null;
  demo: boolean;
  player_id: string;
  session_id: string;
  brand: string | null;
  event_id: string | null;
  workflow_id: string;
}

export interface OperatorRoundPage {
  items: OperatorRound[];
  next_cursor: string | null;
}

/** A round with everything that is on record of it. `event` is null until the round has ended. */
export interface OperatorRoundRecord {
  round_id: string;
  state: "pending" | "awaiting_choice" | "settling" | "settled" | "declined" | "void";
  game: GameName;
  mode: string;
  stake: Money;
  win: Money;
  balance: Money | null;
  outcome: Record<string, unknown> | null;
  choices: ChoiceOut[];
  decide_by: string | null;
  actions: TakenAction[];
  fairness: Fairness;
  sequence: number | null;
  created_at: string | null;
  settled_at: string | null;
  failure: Failure | null;
  demo: boolean;
  player_id: string;
  session_id: string;
  brand: string | null;
  event_id: string | null;
  workflow_id: string;
  wallet_attempts: WalletAttempt[];
  interventions: InterventionOut[];
  event: EventOut | null;
}

/**
 * `state` is `expired` when the last token, or the longest time of the session, is over. `lost` is the
 * net loss so far, null where no loss limit has it counted.
 */
export interface OperatorSession {
  session_id: string;
  state: "open" | "expired" | "ended";
  player_id: string;
  game_id: string;
  currency: string;
  mode: "real" | "demo";
  jurisdiction: string | null;
  brand: string | null;
  limits: Limits;
  lost: Money | null;
  enabled: boolean;
  created_at: string;
  expires_at: string;
  ended_at: string | null;
}

/** `stake` in minor units of the session's currency; `choice` as the game's own description says. */
export interface PlaceBet {
  round_id: string;
  stake: number;
  mode?: string;
  choice?: Record<string, unknown> | null;
}

export interface PlayerName {
  id: string;
}

export interface PlayerSwitched {
  player_id: string;
  blocked: boolean;
}

/** RFC 9457. Clients switch on `code`; `detail` is for people. Further members as the case needs. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
  /** whole seconds, with a status of 429 or 503 */
  retry_after?: number;
  /** the round that was declined */
  round_id?: string;
  /** the round to finish first */
  open_round?: string | null;
  /** what is available */
  balance?: Money | null;
}

/**
 * `failing` names what does not answer; `degraded` means that rounds are played without it. A process
 * that stops is not ready, and `draining`.
 */
export interface Readiness {
  status: "ready" | "degraded" | "not ready";
  failing: string[];
}

/** Either the ids of dead events, or all of them. */
export interface ReplayEvents {
  event_ids?: string[] | null;
  all_dead?: boolean;
}

/** How many events were begun anew. */
export interface ReplayedEvents {
  replayed: number;
}

/**
 * `paid-outside`: the recorded win was paid by other means. `refunded-outside`: the stake was paid back
 * by other means. `retry-now`: the wallet is asked again at once. `void`: the stake goes back.
 */
export interface ResolveRound {
  action: "retry-now" | "paid-outside" | "refunded-outside" | "void";
  reason: string;
}

/** `server_seed` is 32 bytes as hex. `last_nonce` is null when no round was drawn from it. */
export interface RevealedSeed {
  server_seed: string;
  server_seed_hash: string;
  client_seed: string;
  last_nonce: number | null;
}

/** For how many seconds the old key still opens what it did; 0 ends it at once. */
export interface RotateApiKey {
  overlap_s: number;
}

/** `server_seed_hash` names the seed to reveal; without it, the session's current one is meant. */
export interface RotateSeed {
  client_seed: string;
  server_seed_hash?: string | null;
}

/**
 * `stake` is all that was staked, further debits included; `choices` is what the round waits for, until
 * `decide_by` (null: without end); `actions` is what was chosen before.
 */
export interface RoundOut {
  round_id: string;
  state: "pending" | "awaiting_choice" | "settling" | "settled" | "declined" | "void";
  game: GameName;
  mode: string;
  stake: Money;
  win: Money;
  balance: Money | null;
  outcome: Record<string, unknown> | null;
  choices: ChoiceOut[];
  decide_by: string | null;
  actions: TakenAction[];
  fairness: Fairness;
  sequence: number | null;
  created_at: string | null;
  settled_at: string | null;
  failure: Failure | null;
  demo: boolean;
}

export interface RoundPage {
  items: RoundOut[];
  next_cursor: string | null;
}

/**
 * A settled round, computed once more from its seed. `reproduced` is whether what came out is what is
 * recorded, and `why` says why not; `outcome` and `win` are what came out, null where nothing could be
 * computed.
 */
export interface RoundReplay {
  round_id: string;
  reproduced: boolean;
  why: string | null;
  outcome: Record<string, unknown> | null;
  win: Money | null;
}

/** The states of a round as api.md names them; the last three are final. */
export type RoundState = "pending" | "awaiting_choice" | "settling" | "settled" | "declined" | "void";

export interface SeedRotated {
  revealed: RevealedSeed;
  next: SessionCommitment;
}

export interface SessionCommitment {
  server_seed_hash: string;
  client_seed: string;
  next_nonce: number;
}

/** `enabled` is false while the operator has switched the game off: then no bet is taken. */
export interface SessionOpened {
  session_id: string;
  token: string;
  launch_url: string;
  expires_at: string;
  limits: Limits;
  enabled: boolean;
}

/**
 * `balance` is null while the operator's own wallet does not say it; GET /v1/game/balance asks again.
 * `limits` are those that hold, and leave out what is not limited. `enabled` is false while no bet is taken
 * because the operator has switched the game off.
 */
export interface SessionOut {
  session_id: string;
  player: PlayerName;
  game: Record<string, unknown>;
  currency: string;
  mode: string;
  balance: Money | null;
  limits: Limits;
  open_round: string | null;
  fairness: SessionCommitment;
  expires_at: string;
  jurisdiction: string | null;
  enabled: boolean;
}

export interface SessionRefreshed {
  token: string;
  expires_at: string;
}

/**
 * `amount` is negative when it left the player; `balance` is what was available right after.
 * `reference` is the round's id for a stake or a win, the transaction id otherwise. `position` counts the
 * player's postings in all currencies: 1, 2, 3, ...
 */
export interface StatementItem {
  position: number;
  kind: string;
  reference: string;
  amount: Money;
  balance: Money;
  at: string;
}

export interface StatementPage {
  items: StatementItem[];
  next_cursor: string | null;
}

export interface SwitchGame {
  enabled: boolean;
  reason?: string | null;
}

export interface SwitchOperator {
  enabled: boolean;
}

export interface SwitchPlayer {
  blocked: boolean;
  reason?: string | null;
}

/**
 * A decision in a round that waits for its player: one of its `choices`, with a value for each of that
 * one's `params`.
 */
export interface TakeAction {
  action_id: string;
  action: string;
  params?: Record<string, boolean | number | string>;
}

/** What was done. `by` is "timer" where the house decided for a player who stayed away. */
export interface TakenAction {
  action_id: string;
  action: string;
  params: Record<string, string | number | boolean>;
  debit: Money;
  by: "player" | "timer";
  at: string;
}

export interface TellEvents {
  events: GameEventIn[];
}

/** `server_seed_hash` is what must have been shown before play; `win` is in minor units. */
export interface VerifiedOutcome {
  server_seed_hash: string;
  outcome: Record<string, unknown>;
  win: number;
}

/** One of a round's `actions`, as far as its outcome depends on it. */
export interface VerifyAction {
  action: string;
  params?: Record<string, boolean | number | string>;
}

/**
 * A round as its player knows it, and the revealed server seed as hex. `stake` in minor units, the bet's
 * alone. `choices` is the choice that was made with the bet, or a list with that alone; `actions` is what
 * was chosen later, in its order.
 */
export interface VerifyOutcome {
  game: string;
  version: string;
  server_seed: string;
  client_seed: string;
  nonce: number;
  mode?: string;
  stake: number;
  choices?: Record<string, unknown> | Record<string, unknown>[] | null;
  actions?: VerifyAction[];
}

/** `reason` is kept for good, with the id of the key that was used. */
export interface VoidRound {
  reason: string;
}

/**
 * One call of the operator's own wallet. `amount` is null for a rollback; `sent` is false when not one
 * byte of the call left us.
 */
export interface WalletAttempt {
  call: "bet" | "win" | "rollback";
  at: string;
  transaction_id: string;
  amount: Money | null;
  verdict: "accepted" | "refused" | "unknown";
  code: string | null;
  sent: boolean;
  duplicate: boolean;
  took_ms: number;
  detail: string;
}

/** `secret` is `whsec_...`; it is shown once, here. */
export interface WebhookCreated {
  webhook_id: string;
  url: string;
  types: string[] | null;
  enabled: boolean;
  disabled: ("by-operator" | "gone") | null;
  pending: number;
  dead: number;
  last_success_at: string | null;
  last_error: string | null;
  last_error_at: string | null;
  created_at: string;
  updated_at: string;
  secret: string;
}

export interface WebhookList {
  items: WebhookOut[];
}

/**
 * `disabled` says why nothing is sent: `by-operator`, or `gone` when the endpoint answered 410. `pending`
 * events are being sent again, `dead` ones were given up. `last_error` is the latest failure, whatever came
 * of it.
 */
export interface WebhookOut {
  webhook_id: string;
  url: string;
  types: string[] | null;
  enabled: boolean;
  disabled: ("by-operator" | "gone") | null;
  pending: number;
  dead: number;
  last_success_at: string | null;
  last_error: string | null;
  last_error_at: string | null;
  created_at: string;
  updated_at: string;
}

/** Whether the endpoint took the test, and if not, why, in the words of `last_error`. */
export interface WebhookTested {
  event_id: string;
  delivered: boolean;
  error: string | null;
  took_ms: number;
}

export interface Withdrawal {
  transaction_id: string;
  amount: MoneyIn;
}

export interface Withdrawn {
  transaction_id: string;
  balance: Money;
}

export interface Operations {
  /**
   * GET /v1/games/{game_id}
   * One game with its rules.
   */
  game: {
    path: { game_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: GameOut;
    problem: "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/game/balance
   * What the player can bet: the balance less what open rounds hold. Where the operator's own wallet keeps
   * the money, what that says.
   */
  gameBalance: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: BalanceOut;
    problem: "unauthenticated" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "wallet-failed" | "overloaded";
  };
  /**
   * POST /v1/game/rounds
   * Plays a round. Send the same body again after any doubt: it is played once.
   */
  gamePlaceBet: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: PlaceBet;
    answer: RoundOut;
    problem: "unauthenticated" | "session-expired" | "insufficient-funds" | "limit-exceeded" | "game-disabled" | "player-blocked" | "round-open" | "round-closed" | "round-lost" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "currency-mismatch" | "stake-not-allowed" | "unknown-choice" | "too-many-requests" | "internal" | "wallet-failed" | "overloaded";
  };
  /**
   * POST /v1/game/session/refresh
   * A new token for the same session, with a later expiry: never past the longest time that the session may
   * last, and not for a session that has ended or a token that has expired.
   */
  gameRefreshSession: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: SessionRefreshed;
    problem: "unauthenticated" | "session-expired" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/game/seed
   * Reveals the server seed of the rounds so far, for checking them, and commits to the next one. Name the
   * seed to reveal by its `server_seed_hash`, and the same request may be sent again after any doubt. Unnamed,
   * a request is a repeat while the new seed is unused and has the same client seed.
   */
  gameRotateSeed: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: RotateSeed;
    answer: SeedRotated;
    problem: "unauthenticated" | "not-found" | "round-open" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/game/rounds/{round_id}
   * One of the player's own rounds.
   */
  gameRound: {
    path: { round_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: RoundOut;
    problem: "unauthenticated" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/game/rounds
   * The player's own history, newest first.
   */
  gameRounds: {
    path: Record<string, never>;
    query: { limit?: number; cursor?: string | null };
    body: undefined;
    answer: RoundPage;
    problem: "unauthenticated" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/game/session
   * The session: player, game, balance, an open round to resume, and the fairness commitment.
   */
  gameSession: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: SessionOut;
    problem: "unauthenticated" | "session-expired" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/game/rounds/{round_id}/actions
   * Decides in a round that waits for its player: one of its `choices`. Send the same body again after any
   * doubt: it is taken once. Also an expired session may go on with an open round, but not stake more.
   */
  gameTakeAction: {
    path: { round_id: string };
    query: Record<string, never>;
    body: TakeAction;
    answer: RoundOut;
    problem: "unauthenticated" | "session-expired" | "insufficient-funds" | "forbidden" | "game-disabled" | "not-found" | "round-closed" | "wrong-state" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "unknown-choice" | "too-many-requests" | "internal" | "wallet-failed" | "overloaded";
  };
  /**
   * POST /v1/game/events
   * Records what the game client tells of itself, for its operator: all of the call or nothing, and each
   * event once by its id. The same again is accepted and does nothing; an id with other contents is refused. A
   * session may report 300 events a minute.
   */
  gameTell: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: TellEvents;
    answer: EventsAccepted;
    problem: "unauthenticated" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/games
   * The games that can be played, each in its current version.
   */
  games: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: GameList;
    problem: "too-large" | "unsupported-media-type" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /healthz
   * The process is alive.
   */
  healthz: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: Health;
    problem: "too-large" | "unsupported-media-type" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/keys
   * Makes a key and shows it, this once. Asked again it makes another one: a key whose answer was lost is
   * in the list, and can be revoked.
   */
  operatorAddKey: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: NewApiKey;
    answer: ApiKeyIssued;
    problem: "unauthenticated" | "forbidden" | "limit-exceeded" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/players/{player_id}/balance
   * The player's balance in one currency, with what open rounds hold. Refused where the operator's own
   * wallet keeps the money: that is where to ask, for our ledger only mirrors the rounds under way.
   */
  operatorBalance: {
    path: { player_id: string };
    query: { currency: string };
    body: undefined;
    answer: OperatorBalance;
    problem: "unauthenticated" | "forbidden" | "not-found" | "wrong-state" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * PATCH /v1/operator/webhooks/{webhook_id}
   * Changes what is named and nothing else. While it is disabled its events wait, and are sent when it is
   * enabled again. `"types": null` is for all types.
   */
  operatorChange: {
    path: { webhook_id: string };
    query: Record<string, never>;
    body: ChangeWebhook;
    answer: WebhookOut;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/webhooks
   * Sends the operator's events to `url` from now on. The secret that signs them is shown here alone.
   */
  operatorCreate: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: CreateWebhook;
    answer: WebhookCreated;
    problem: "unauthenticated" | "forbidden" | "limit-exceeded" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/webhooks/{webhook_id}/dead
   * The events that were given up, in the order in which they first failed.
   */
  operatorDead: {
    path: { webhook_id: string };
    query: { limit?: number; cursor?: string | null };
    body: undefined;
    answer: DeadEventPage;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * DELETE /v1/operator/webhooks/{webhook_id}
   * Ends it, with all that has not been delivered. The events stay in the feed.
   */
  operatorDelete: {
    path: { webhook_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: undefined;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/players/{player_id}/deposits
   * Credits the player, once per transaction id. An id names one deposit or one withdrawal of the player,
   * for ever: what was used for the one is refused for the other. Refused where the operator's own wallet
   * keeps the money.
   */
  operatorDeposit: {
    path: { player_id: string };
    query: Record<string, never>;
    body: Deposit;
    answer: Deposited;
    problem: "unauthenticated" | "forbidden" | "limit-exceeded" | "wrong-state" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * DELETE /v1/operator/sessions/{session_id}
   * Ends a session: it takes no more bets, and rounds in flight finish.
   */
  operatorEndSession: {
    path: { session_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: undefined;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/events
   * The operator's events, oldest first, each as the broker carries it; from the first one without `after`.
   * A page may be short: go on with its next_cursor, at the end again and again. Incidents are no part of it:
   * they are no facts about a player.
   */
  operatorFeed: {
    path: Record<string, never>;
    query: { after?: string | null; limit?: number };
    body: undefined;
    answer: EventPage;
    problem: "unauthenticated" | "forbidden" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/keys
   * The operator's keys without their secrets: those that open something first, then newest first.
   */
  operatorKeys: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: ApiKeyPage;
    problem: "unauthenticated" | "forbidden" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/sessions
   * Opens a session; the player is made by the first one. The token goes to the game client.
   */
  operatorOpenSession: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: OpenSession;
    answer: SessionOpened;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "currency-mismatch" | "stake-not-allowed" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/webhooks/{webhook_id}/replay
   * Begins dead events anew: those that are named, or all. What is not dead is left as it is.
   */
  operatorReplay: {
    path: { webhook_id: string };
    query: Record<string, never>;
    body: ReplayEvents;
    answer: ReplayedEvents;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/rounds/{round_id}/replay
   * Computes a settled round once more, from its seed and by its version of the game, and compares. The
   * seed itself is not shown: it is revealed to the player when it is rotated.
   */
  operatorReplayRound: {
    path: { round_id: string };
    query: { player_id?: string | null; mode?: "real" | "demo" };
    body: undefined;
    answer: RoundReplay;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/rounds/{round_id}/resolve
   * Decides about an open round; docs/platform/settlement.md says when which action is right.
   */
  operatorResolve: {
    path: { round_id: string };
    query: { player_id?: string | null; mode?: "real" | "demo" };
    body: ResolveRound;
    answer: OperatorRoundRecord | OperatorRound;
    problem: "unauthenticated" | "forbidden" | "not-found" | "wrong-state" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * DELETE /v1/operator/keys/{key_id}
   * Ends a key for good, be it the one that asks: everywhere within 10 seconds.
   */
  operatorRevokeKey: {
    path: { key_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: undefined;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/keys/{key_id}/rotate
   * Makes a key of the same scope and shows it, this once; the old one ends after `overlap_s`, or when it
   * would have ended anyway. Asked again, it makes another one, and the old one lives no longer.
   */
  operatorRotateKey: {
    path: { key_id: string };
    query: Record<string, never>;
    body: RotateApiKey;
    answer: ApiKeyIssued;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/webhooks/{webhook_id}/rotate-secret
   * A new secret, shown here alone. For 24 hours the one before signs too, so that a receiver can change
   * over at any time between.
   */
  operatorRotateSecret: {
    path: { webhook_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: WebhookCreated;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/rounds/{round_id}
   * One round with every call of the operator's wallet, every decision of a person, and its event. A round
   * id is its player's own: where two players used the same one, say whose.
   */
  operatorRound: {
    path: { round_id: string };
    query: { player_id?: string | null; mode?: "real" | "demo" };
    body: undefined;
    answer: OperatorRoundRecord;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/rounds
   * The operator's rounds, newest first; those of demo money with `mode=demo`.
   */
  operatorRounds: {
    path: Record<string, never>;
    query: { player_id?: string | null; game_id?: string | null; state?: RoundState | null; mode?: "real" | "demo"; from?: string | null; to?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: OperatorRoundPage;
    problem: "unauthenticated" | "forbidden" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/webhooks/{webhook_id}/test
   * Sends one signed event of the type `webhook.test` to the URL, once, and says what came of it. A
   * disabled webhook is sent one too. The event is in no feed, and changes nothing about the webhook.
   */
  operatorSendTest: {
    path: { webhook_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: WebhookTested;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/sessions/{session_id}
   * One session: whether it takes bets, until when, and within which limits.
   */
  operatorSession: {
    path: { session_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: OperatorSession;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/players/{player_id}/statement
   * The postings on the player's accounts, newest first.
   */
  operatorStatement: {
    path: { player_id: string };
    query: { currency?: string | null; from?: string | null; to?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: StatementPage;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * PUT /v1/operator/games/{game_id}
   * Switches a game off, or on again, for this operator's players. Rounds under way finish; a new bet is
   * refused with `game-disabled`. The reason, if one is given, is kept with who did it.
   */
  operatorSwitchGame: {
    path: { game_id: string };
    query: Record<string, never>;
    body: SwitchGame;
    answer: GameSwitched;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * PUT /v1/operator/players/{player_id}
   * Blocks a player, or lets the player bet again, with real money and with demo money. Rounds under way
   * finish; a new bet is refused with `player-blocked`. The reason, if one is given, is kept with who did
   * it.
   */
  operatorSwitchPlayer: {
    path: { player_id: string };
    query: Record<string, never>;
    body: SwitchPlayer;
    answer: PlayerSwitched;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/rounds/{round_id}/void
   * Gives the stake of an open round back. At an operator's own wallet the round is void once the wallet
   * has taken the rollback; one that has taken the win says so, and then the round is settled.
   */
  operatorVoid: {
    path: { round_id: string };
    query: { player_id?: string | null; mode?: "real" | "demo" };
    body: VoidRound;
    answer: OperatorRoundRecord | OperatorRound;
    problem: "unauthenticated" | "forbidden" | "not-found" | "wrong-state" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/webhooks/{webhook_id}
   * One webhook, and how it fares.
   */
  operatorWebhook: {
    path: { webhook_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: WebhookOut;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/operator/webhooks
   * The operator's webhooks, and how each fares.
   */
  operatorWebhooks: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: WebhookList;
    problem: "unauthenticated" | "forbidden" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/operator/players/{player_id}/withdrawals
   * Pays out to the player, once per transaction id, and never out of what open rounds hold. An id names
   * one deposit or one withdrawal of the player, for ever. A refusal is not remembered: the same withdrawal
   * may come again when the balance covers it. Refused where the operator's own wallet keeps the money.
   */
  operatorWithdraw: {
    path: { player_id: string };
    query: Record<string, never>;
    body: Withdrawal;
    answer: Withdrawn;
    problem: "unauthenticated" | "insufficient-funds" | "forbidden" | "not-found" | "wrong-state" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/platform/operators
   * Adds an operator, which has no key yet: make its first one with the scope `admin`, and it makes the
   * others itself.
   */
  platformAddOperator: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: NewOperator;
    answer: OperatorOut;
    problem: "unauthenticated" | "forbidden" | "too-large" | "unsupported-media-type" | "invalid" | "id-reused" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * POST /v1/platform/operators/{operator_id}/keys
   * Makes a key of the operator and shows it, this once. Asked again it makes another one.
   */
  platformAddOperatorKey: {
    path: { operator_id: string };
    query: Record<string, never>;
    body: NewApiKey;
    answer: ApiKeyIssued;
    problem: "unauthenticated" | "forbidden" | "limit-exceeded" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/platform/operators/{operator_id}
   * One operator.
   */
  platformOperator: {
    path: { operator_id: string };
    query: Record<string, never>;
    body: undefined;
    answer: OperatorOut;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /v1/platform/operators
   * All operators by their ids, page after page.
   */
  platformOperators: {
    path: Record<string, never>;
    query: { limit?: number; cursor?: string | null };
    body: undefined;
    answer: OperatorPage;
    problem: "unauthenticated" | "forbidden" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * PUT /v1/platform/operators/{operator_id}
   * Disables an operator, or enables it again. While it is disabled, its keys only read, it opens no
   * session, and its sessions have ended; rounds under way finish. The ledger knows at once, each ingress
   * within 10 seconds.
   */
  platformSwitchOperator: {
    path: { operator_id: string };
    query: Record<string, never>;
    body: SwitchOperator;
    answer: OperatorOut;
    problem: "unauthenticated" | "forbidden" | "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "too-many-requests" | "internal" | "overloaded";
  };
  /**
   * GET /readyz
   * Rounds can be played: the database and Temporal answer. Without the broker they are played too, and the
   * process is degraded.
   */
  readyz: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: undefined;
    answer: Readiness;
    problem: "too-large" | "unsupported-media-type" | "too-many-requests" | "internal";
  };
  /**
   * POST /v1/fairness/verify
   * Computes the outcome of a round again, from its revealed seed and what its player knows. Nothing is
   * looked up and nothing is kept: anyone can do the same with a program of their own.
   */
  verify: {
    path: Record<string, never>;
    query: Record<string, never>;
    body: VerifyOutcome;
    answer: VerifiedOutcome;
    problem: "not-found" | "too-large" | "unsupported-media-type" | "invalid" | "stake-not-allowed" | "unknown-choice" | "too-many-requests" | "internal" | "overloaded";
  };
}

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
} as const satisfies Record<keyof Operations, { method: string; path: string }>;
