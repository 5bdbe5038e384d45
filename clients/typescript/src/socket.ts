// The WebSocket: the same calls on one connection, answers by id, and what the server tells by itself. A lost
// connection is made again, what was under way is sent again with the same ids, and missed rounds are told.

import type { Money, RoundOut, SessionOut } from "./api.ts";
import { Problem, Unanswered, asObject, below, isRefusal, isUnderWay, newId, parsed, pause } from "./calls.ts";
import type { Patience } from "./calls.ts";

type Message = Record<string, unknown>;

export interface SocketOptions {
  baseUrl: string;
  token: string;
  patience?: Patience;
  /** A round of the player reached a state, here or anywhere else. */
  onRound?: (round: RoundOut) => void;
  onBalance?: (balance: Money) => void;
  /** Rounds may have closed that were not told: `rounds` over HTTP has them all. */
  onResync?: () => void;
  /** No connection will be taken any more: a new socket needs a new token. */
  onSessionEnded?: (why: string) => void;
}

export class SessionEnded extends Error {
  constructor(why: string) {
    super(why);
    this.name = "SessionEnded";
  }
}

interface Asked {
  message: Message;
  resolve: (answer: Message) => void;
  reject: (error: Error) => void;
}

// What the server closes a socket with when connecting again would not help.
const REFUSED: Record<number, string> = {
  4400: "the first message was refused",
  4401: "the token is not valid",
  4410: "the session is over",
};
const POLL_MS = 500;
const PAUSE_MAX_MS = 5_000;
// Pushes may overtake each other. What came within this time before a connection was lost may have overtaken
// something that never came, so the next connection is asked to tell from before it.
const OVERTAKING_MS = 10_000;
const PATIENCE: Patience = { totalMs: 60_000, firstPauseMs: 100 };

export class GameSocket {
  readonly #options: SocketOptions;
  readonly #patience: Patience;
  readonly #asked = new Map<string, Asked>();
  #socket: WebSocket | null = null;
  #greeted = false;
  #ended: Error | null = null;
  #pauseMs: number;
  // The sequence up to which nothing is missing, and what was told since.
  #toldUntil: number | null = null;
  #toldLately: { at: number; sequence: number }[] = [];
  /** How often a connection was made. */
  connections = 0;

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
    this.#pauseMs = this.#patience.firstPauseMs;
    this.#connect();
  }

  async session(): Promise<SessionOut> {
    return (await this.#ask("session"))["session"] as SessionOut;
  }

  async balance(): Promise<Money> {
    return (await this.#ask("balance"))["balance"] as Money;
  }

  async round(roundId: string): Promise<RoundOut> {
    return this.#seen((await this.#ask("round", { round_id: roundId }))["round"]);
  }

  /** Resolves when the server has answered. */
  async ping(): Promise<void> {
    await this.#ask("ping");
  }

  /** Plays a round; `stake` in minor units. The round is final, or awaits a choice. */
  bet(
    stake: number,
    choice?: Record<string, unknown>,
    { mode = "base", roundId = newId() }: { mode?: string; roundId?: string } = {},
  ): Promise<RoundOut> {
    const body = { round_id: roundId, stake, mode, ...(choice === undefined ? {} : { choice }) };
    return this.#untilCertain("bet", body);
  }

  /** Makes one of an open round's choices. */
  act(
    roundId: string,
    action: string,
    params?: Record<string, unknown>,
    actionId: string = newId(),
  ): Promise<RoundOut> {
    const body = { round_id: roundId, action_id: actionId, action, ...(params === undefined ? {} : { params }) };
    return this.#untilCertain("action", body);
  }

  /** Ends the connection for good. */
  close(): void {
    this.#end("the socket was closed by its own program", false);
    this.#socket?.close();
  }

  async #untilCertain(type: string, body: Message): Promise<RoundOut> {
    const deadline = Date.now() + this.#patience.totalMs;
    for (let round: RoundOut | undefined; ; ) {
      round = this.#seen((await this.#ask(type, body, deadline, round))["round"]);
      if (!isUnderWay(round)) return round;
      if (Date.now() + POLL_MS > deadline) throw new Unanswered(type, body, undefined, round);
      await pause(POLL_MS);
    }
  }

  /**
   * The answer to a message, which is sent again, with the same ids, on every new connection and after what
   * says nothing about the message itself.
   */
  async #ask(
    type: string,
    body: Message = {},
    deadline: number = Date.now() + this.#patience.totalMs,
    unfinished?: RoundOut,
  ): Promise<Message> {
    for (;;) {
      const answer = await this.#askOnce({ type, id: newId(), ...body }, deadline, unfinished);
      if (answer["type"] !== "problem") return answer;
      const document = answer["problem"] as Message;
      const refused = new Problem(Number(document["status"]), document);
      const waitMs = Number(refused.members["retry_after"] ?? 1) * 1_000;
      if (isRefusal(refused.status, document)) throw refused;
      if (Date.now() + waitMs > deadline) throw new Unanswered(type, body, refused, unfinished);
      await pause(waitMs);
    }
  }

  #askOnce(message: Message, deadline: number, unfinished?: RoundOut): Promise<Message> {
    const id = String(message["id"]);
    return new Promise<Message>((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const timer = setTimeout(
        () => (done(), reject(new Unanswered(String(message["type"]), message, undefined, unfinished))),
        Math.max(deadline - Date.now(), 0),
      );
      const done = (): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
      };
      this.#asked.set(id, {
        message,
        resolve: (answer) => (done(), resolve(answer)),
        reject: (error) => (done(), reject(error)),
      });
      if (this.#greeted) this.#socket?.send(JSON.stringify(message));
    });
  }

  #connect(): void {
    const url = below(this.#options.baseUrl, "/v1/game/ws");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => {
      const last = this.#toldUntil === null ? {} : { last_sequence: this.#settle() };
      socket.send(JSON.stringify({ type: "hello", token: this.#options.token, ...last }));
    };
    socket.onmessage = (event) => {
      const message = asObject(parsed(String(event.data)));
      if ("type" in message) this.#take(message);
      else socket.close(); // what speaks here is not the casino: another connection may lead there
    };
    socket.onclose = (event) => this.#closed(event.code);
    socket.onerror = () => undefined; // a close follows, which says more
  }

  #closed(code: number): void {
    this.#greeted = false;
    const why = REFUSED[code];
    if (why !== undefined) this.#end(why, true);
    if (this.#ended !== null) return;
    setTimeout(() => this.#ended === null && this.#connect(), this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS);
  }

  #take(message: Message): void {
    const asked = typeof message["id"] === "string" ? this.#asked.get(message["id"]) : undefined;
    if (asked !== undefined) {
      asked.resolve(message);
      return;
    }
    switch (message["type"]) {
      case "hello":
        this.#welcome(Number(message["sequence"]));
        break;
      case "round":
        this.#hear(message["round"] as RoundOut);
        break;
      case "balance":
        this.#options.onBalance?.(message["balance"] as Money);
        break;
      case "resync":
        this.#options.onResync?.();
        break;
      case "session-ended":
        this.#end("the operator has ended the session", true);
        break;
    }
  }

  #welcome(sequence: number): void {
    this.#toldUntil ??= sequence;
    this.connections += 1;
    this.#greeted = true;
    this.#pauseMs = this.#patience.firstPauseMs;
    for (const asked of this.#asked.values()) this.#socket?.send(JSON.stringify(asked.message));
  }

  #seen(body: unknown): RoundOut {
    const round = body as RoundOut;
    if (round.sequence !== null) {
      this.#settle();
      this.#toldLately.push({ at: Date.now(), sequence: round.sequence });
    }
    return round;
  }

  #hear(round: RoundOut): void {
    if (this.#toldLately.some(({ sequence }) => sequence === round.sequence)) return;
    this.#options.onRound?.(this.#seen(round));
  }

  /** The sequence up to which nothing can be missing any more. */
  #settle(): number {
    let toldUntil = this.#toldUntil ?? 0;
    while (this.#toldLately.length > 0 && this.#toldLately[0]!.at < Date.now() - OVERTAKING_MS) {
      toldUntil = Math.max(toldUntil, this.#toldLately.shift()!.sequence);
    }
    this.#toldUntil = toldUntil;
    return toldUntil;
  }

  #end(why: string, tell: boolean): void {
    if (this.#ended !== null) return;
    this.#ended = new SessionEnded(why);
    for (const asked of [...this.#asked.values()]) asked.reject(this.#ended);
    if (tell) this.#options.onSessionEnded?.(why);
  }
}
