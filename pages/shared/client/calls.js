// Made by pages/make_shared.py of clients/typescript/src/calls.ts. Do not edit.

// One call of the API: typed by what the description says, and repeated until its answer is certain.

import { OPERATIONS } from "./api.js";

/** The casino refused. `members` holds what the case adds, such as `open_round` or `balance`. */
export class Problem extends Error {
           status        ;
           code        ;
           detail        ;
           requestId        ;
           members                         ;

  constructor(status        , document                         ) {
    const { type: _, title: __, status: ___, detail, code, request_id, ...members } = document;
    super(`${String(code)}: ${String(detail)}`);
    this.name = "Problem";
    this.status = status;
    this.code = String(code ?? "unknown");
    this.detail = String(detail ?? "");
    this.requestId = String(request_id ?? "");
    this.members = members;
  }
}

const IDS = ["round_id", "action_id", "transaction_id"];

/**
 * Nobody answered with certainty for as long as the patience lasted. What was sent may be done: the same call with
 * the same `ids` is safe later and gets the first answer; without them it would be a second one. `cause` is the
 * last answer, if there was any. `unfinished` is what was seen last of a round that is still pending or settling.
 */
export class Unanswered extends Error {
           ids                        ;
           unfinished         ;

  constructor(what        , body          = null, cause          , unfinished          ) {
    const sent = asObject(body);
    const ids = Object.fromEntries(IDS.filter((name) => name in sent).map((name) => [name, String(sent[name])]));
    const named = Object.entries(ids).map(([name, value]) => `${name} ${value}`).join(", ");
    super(`${what}: no certain answer; the same call${named && ` with ${named}`} is safe later`, { cause });
    this.name = "Unanswered";
    this.ids = ids;
    this.unfinished = unfinished;
  }
}

// Statuses of a client's error that say nothing about the request itself.
const NOT_YET = new Set([408, 425, 429]);
const UNDER_WAY = new Set         (["pending", "settling"]);
const PAUSE_MAX_MS = 5_000;
const RETRY_AFTER_MAX_S = 60;
const PATIENCE           = { totalMs: 60_000, firstPauseMs: 100 };

/**
 * Whether a problem document says for certain that the request was refused, by whatever transport it came. The same
 * request may well be taken in a moment otherwise.
 */
export function isRefusal(status        , document                         )          {
  // A bet that was declined for its wallet's sake is on record, and stays so: its round is named.
  if (status === 502) return "round_id" in document;
  return status >= 400 && status < 500 && !NOT_YET.has(status);
}

/** Whether the casino is still at a round: it is neither final nor the player's turn. */
export function isUnderWay(round                   )          {
  return UNDER_WAY.has(round.state);
}

export class Caller {
           #options         ;
           #patience          ;

  constructor(options         ) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
  }

  /** Rejects with Problem when the casino refuses, with Unanswered when the patience ends first. */
  call                (name   , args               = {})                     {
    return this.request           (OPERATIONS[name], args);
  }

  /** The same for any address. */
  async request   (operation           , args          = {})             {
    let pauseMs = this.#patience.firstPauseMs;
    let unfinished         ;
    for (let waitedMs = 0; ; ) {
      const received = await this.#send(operation, args);
      const document = problemOf(received);
      if (received !== null && document !== null && isRefusal(received.status, document)) {
        throw new Problem(received.status, document);
      }
      if (received !== null && isAnswer(received)) {
        if (!args.unfinished?.(received.body)) return received.body     ;
        unfinished = received.body;
      }
      if (args.repeatable === false && received !== null && document !== null) {
        throw new Problem(received.status, document);
      }
      if (args.repeatable === false || waitedMs >= this.#patience.totalMs) {
        throw new Unanswered(`${operation.method} ${operation.path}`, args.body, lastOf(received), unfinished);
      }
      // Half of it is chance: clients that were cut off together shall not come back together.
      const chosenMs = Math.max(pauseMs * (0.5 + Math.random() / 2), received?.retryAfterMs ?? 0);
      const waitMs = Math.min(chosenMs, this.#patience.totalMs - waitedMs);
      await pause(waitMs);
      waitedMs += waitMs;
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
  }

  /** The answer to one request; null when the connection gave none. */
  async #send({ method, path }           , args         )                           {
    const url = below(this.#options.baseUrl, filled(path, args.path ?? {}));
    for (const [key, value] of Object.entries(args.query ?? {})) {
      if (value !== undefined && value !== null) url.searchParams.set(key, String(value));
    }
    const headers                         = {};
    if (this.#options.bearer !== undefined) headers["Authorization"] = `Bearer ${this.#options.bearer}`;
    if (args.body !== undefined) headers["Content-Type"] = "application/json";
    try {
      const response = await (this.#options.fetch ?? fetch)(url, {
        method,
        headers,
        redirect: "manual", // a bet that follows one may become a GET
        signal: AbortSignal.timeout(this.#options.timeoutMs ?? 15_000),
        ...(args.body === undefined ? {} : { body: JSON.stringify(args.body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        contentType: response.headers.get("content-type") ?? "",
        retryAfterMs: retryAfterMs(response.headers.get("retry-after")),
        body: parsed(text),
      };
    } catch {
      return null; // the network, the timeout, or half an answer: none of them says what was done
    }
  }
}

/** The problem document of the casino, if it is one. */
function problemOf(received                 )                                 {
  if (received === null || !received.contentType.startsWith("application/problem+json")) return null;
  const document = asObject(received.body);
  return typeof document["code"] === "string" ? document : null;
}

/** Whether it says what was asked for: a page of somebody on the way does not. */
function isAnswer(received          )          {
  if (received.status === 204) return true;
  const isJson = typeof received.body === "object" && received.body !== null;
  return received.status >= 200 && received.status < 300 && isJson && problemOf(received) === null;
}

function lastOf(received                 )                      {
  if (received === null) return undefined;
  const what = `${received.status} with ${received.contentType || "no content type"} is no certain answer`;
  return new Problem(received.status, problemOf(received) ?? { code: "unknown", detail: what });
}

/** A path of the API below an address, which may have a path of its own. */
export function below(baseUrl        , path        )      {
  const base = new URL(baseUrl);
  return new URL(base.pathname.replace(/\/+$/, "") + path, base.origin);
}

/** Undefined for what is no JSON. */
export function parsed(text        )          {
  try {
    return JSON.parse(text)           ;
  } catch {
    return undefined;
  }
}

function filled(path        , values                         )         {
  return path.replace(/\{(\w+)\}/g, (_, name        ) => encodeURIComponent(String(values[name])));
}

export function asObject(value         )                          {
  return typeof value === "object" && value !== null ? (value                           ) : {};
}

function retryAfterMs(header               )         {
  return header !== null && /^\d+$/.test(header) ? Math.min(Number(header), RETRY_AFTER_MAX_S) * 1_000 : 0;
}

export function pause(ms        )                {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** An idempotency key: 32 characters that nobody had before. */
export function newId()         {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
