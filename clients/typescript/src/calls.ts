// One call of the API: typed by what the description says, and repeated until its answer is certain.

import { OPERATIONS } from "./api.ts";
import type { Operations } from "./api.ts";

export type Name = keyof Operations;
export type Answer<N extends Name> = Operations[N]["answer"];

export interface Patience {
  /** For how long a call is repeated before it is given up, counted in pauses. */
  totalMs: number;
  /** The first pause; each is twice the one before. */
  firstPauseMs: number;
}

export interface Options {
  baseUrl: string;
  /** A session's token, or an operator's API key. */
  bearer?: string;
  patience?: Patience;
  /** How long one answer is waited for. */
  timeoutMs?: number;
  fetch?: typeof fetch;
}

export interface Operation {
  method: string;
  path: string;
}

export interface Request {
  path?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
  /** Whether sending it twice does no more than sending it once. It is so where ids are given. */
  repeatable?: boolean;
}

export interface Arguments<N extends Name> extends Request {
  path?: Operations[N]["path"];
  query?: Operations[N]["query"];
  body?: Operations[N]["body"];
}

/** The casino refused. `members` holds what the case adds, such as `open_round` or `balance`. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string;
  readonly members: Record<string, unknown>;

  constructor(status: number, document: Record<string, unknown>) {
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
 * last answer, if there was any.
 */
export class Unanswered extends Error {
  readonly ids: Record<string, string>;

  constructor(what: string, body: unknown = null, cause?: Problem) {
    const sent = asObject(body);
    const ids = Object.fromEntries(IDS.filter((name) => name in sent).map((name) => [name, String(sent[name])]));
    const named = Object.entries(ids).map(([name, value]) => `${name} ${value}`).join(", ");
    super(`${what}: no certain answer; the same call${named && ` with ${named}`} is safe later`, { cause });
    this.name = "Unanswered";
    this.ids = ids;
  }
}

// What says nothing about the request itself: the same one may well be answered in a moment.
const TRY_AGAIN = new Set([429, 500, 502, 503, 504]);
const PAUSE_MAX_MS = 5_000;
const RETRY_AFTER_MAX_S = 60;
const PATIENCE: Patience = { totalMs: 60_000, firstPauseMs: 100 };

interface Received {
  status: number;
  isProblem: boolean;
  retryAfterMs: number;
  body: unknown;
}

export class Caller {
  readonly #options: Options;
  readonly #patience: Patience;

  constructor(options: Options) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
  }

  /** Rejects with Problem when the casino refuses, with Unanswered when the patience ends first. */
  call<N extends Name>(name: N, args: Arguments<N> = {}): Promise<Answer<N>> {
    return this.request<Answer<N>>(OPERATIONS[name], args);
  }

  /** The same for any address. */
  async request<A>(operation: Operation, args: Request = {}): Promise<A> {
    let pauseMs = this.#patience.firstPauseMs;
    for (let waitedMs = 0; ; ) {
      const received = await this.#send(operation, args);
      if (received !== null && isConclusive(operation, received)) {
        if (received.isProblem || received.status >= 300) {
          throw new Problem(received.status, asObject(received.body));
        }
        return received.body as A;
      }
      if (args.repeatable === false || waitedMs >= this.#patience.totalMs) {
        const last = received?.isProblem ? new Problem(received.status, asObject(received.body)) : undefined;
        if (last !== undefined && args.repeatable === false) throw last;
        throw new Unanswered(`${operation.method} ${operation.path}`, args.body, last);
      }
      // Half of it is chance: clients that were cut off together shall not come back together.
      const waitMs = Math.max(pauseMs * (0.5 + Math.random() / 2), received?.retryAfterMs ?? 0);
      await pause(waitMs);
      waitedMs += waitMs;
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
  }

  /** The answer to one request; null when the connection gave none. */
  async #send({ method, path }: Operation, args: Request): Promise<Received | null> {
    const url = new URL(filled(path, args.path ?? {}), this.#options.baseUrl);
    for (const [key, value] of Object.entries(args.query ?? {})) {
      if (value !== undefined && value !== null) url.searchParams.set(key, String(value));
    }
    const headers: Record<string, string> = {};
    if (this.#options.bearer !== undefined) headers["Authorization"] = `Bearer ${this.#options.bearer}`;
    if (args.body !== undefined) headers["Content-Type"] = "application/json";
    try {
      const response = await (this.#options.fetch ?? fetch)(url, {
        method,
        headers,
        signal: AbortSignal.timeout(this.#options.timeoutMs ?? 15_000),
        ...(args.body === undefined ? {} : { body: JSON.stringify(args.body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        isProblem: (response.headers.get("content-type") ?? "").startsWith("application/problem+json"),
        retryAfterMs: retryAfterMs(response.headers.get("retry-after")),
        body: text === "" ? undefined : JSON.parse(text),
      };
    } catch {
      return null; // the network, the timeout, or half an answer: none of them says what was done
    }
  }
}

function isConclusive(operation: Operation, received: Received): boolean {
  // 202 to a bet says that the round is pending. The same bet once more waits for its end.
  if (received.status === 202) return !operation.path.startsWith("/v1/game/rounds");
  if (!TRY_AGAIN.has(received.status)) return true;
  // A bet that was declined for its wallet's sake is on record, and stays so: its round is named.
  return received.isProblem && received.status === 502 && "round_id" in asObject(received.body);
}

function filled(path: string, values: Record<string, unknown>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function retryAfterMs(header: string | null): number {
  return header !== null && /^\d+$/.test(header) ? Math.min(Number(header), RETRY_AFTER_MAX_S) * 1_000 : 0;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** An idempotency key: 32 characters that nobody had before. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
