// Made by pages/make_shared.py of clients/typescript/src/socket.ts. Do not edit.

// The WebSocket: the same calls on one connection, answers by id, and what the server tells by itself. A lost
// connection is made again, what was under way is sent again with the same ids, and missed rounds are told.

import { Problem, Unanswered, asObject, below, isRefusal, isUnderWay, newId, parsed, pause } from "./calls.js";

export class SessionEnded extends Error {
  constructor(why        ) {
    super(why);
    this.name = "SessionEnded";
  }
}

// What the server closes a socket with when connecting again would not help.
const REFUSED                         = {
  4400: "the first message was refused",
  4401: "the token is not valid",
  4410: "the session is over",
};
const POLL_MS = 500;
const PAUSE_MAX_MS = 5_000;
// Pushes may overtake each other. What came within this time before a connection was lost may have overtaken
// something that never came, so the next connection is asked to tell from before it.
const OVERTAKING_MS = 10_000;
const PATIENCE           = { totalMs: 60_000, firstPauseMs: 100 };

export class GameSocket {
           #options               ;
           #patience          ;
           #asked = new Map               ();
  #socket                   = null;
  #greeted = false;
  #ended               = null;
  #pauseMs        ;
  // The sequence up to which nothing is missing, and what was told since.
  #toldUntil                = null;
  #toldLately                                     = [];
  /** How often a connection was made. */
  connections = 0;

  constructor(options               ) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
    this.#pauseMs = this.#patience.firstPauseMs;
    this.#connect();
  }

  async session()                      {
    return (await this.#ask("session"))["session"]              ;
  }

  async balance()                 {
    return (await this.#ask("balance"))["balance"]         ;
  }

  async round(roundId        )                    {
    return this.#seen((await this.#ask("round", { round_id: roundId }))["round"]);
  }

  /** Resolves when the server has answered. */
  async ping()                {
    await this.#ask("ping");
  }

  /** Plays a round; `stake` in minor units. The round is final, or awaits a choice. */
  bet(
    stake        ,
    choice                          ,
    { mode = "base", roundId = newId() }                                      = {},
  )                    {
    const body = { round_id: roundId, stake, mode, ...(choice === undefined ? {} : { choice }) };
    return this.#untilCertain("bet", body);
  }

  /** Makes one of an open round's choices. */
  act(
    roundId        ,
    action        ,
    params                          ,
    actionId         = newId(),
  )                    {
    const body = { round_id: roundId, action_id: actionId, action, ...(params === undefined ? {} : { params }) };
    return this.#untilCertain("action", body);
  }

  /** Ends the connection for good. */
  close()       {
    this.#end("the socket was closed by its own program", false);
    this.#socket?.close();
  }

  async #untilCertain(type        , body         )                    {
    const deadline = Date.now() + this.#patience.totalMs;
    for (let round                      ; ; ) {
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
    type        ,
    body          = {},
    deadline         = Date.now() + this.#patience.totalMs,
    unfinished           ,
  )                   {
    for (;;) {
      const answer = await this.#askOnce({ type, id: newId(), ...body }, deadline, unfinished);
      if (answer["type"] !== "problem") return answer;
      const document = answer["problem"]           ;
      const refused = new Problem(Number(document["status"]), document);
      const waitMs = Number(refused.members["retry_after"] ?? 1) * 1_000;
      if (isRefusal(refused.status, document)) throw refused;
      if (Date.now() + waitMs > deadline) throw new Unanswered(type, body, refused, unfinished);
      await pause(waitMs);
    }
  }

  #askOnce(message         , deadline        , unfinished           )                   {
    const id = String(message["id"]);
    return new Promise         ((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const timer = setTimeout(
        () => (done(), reject(new Unanswered(String(message["type"]), message, undefined, unfinished))),
        Math.max(deadline - Date.now(), 0),
      );
      const done = ()       => {
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

  #connect()       {
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

  #closed(code        )       {
    this.#greeted = false;
    const why = REFUSED[code];
    if (why !== undefined) this.#end(why, true);
    if (this.#ended !== null) return;
    setTimeout(() => this.#ended === null && this.#connect(), this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS);
  }

  #take(message         )       {
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
        this.#hear(message["round"]            );
        break;
      case "balance":
        this.#options.onBalance?.(message["balance"]         );
        break;
      case "resync":
        this.#options.onResync?.();
        break;
      case "session-ended":
        this.#end("the operator has ended the session", true);
        break;
    }
  }

  #welcome(sequence        )       {
    this.#toldUntil ??= sequence;
    this.connections += 1;
    this.#greeted = true;
    this.#pauseMs = this.#patience.firstPauseMs;
    for (const asked of this.#asked.values()) this.#socket?.send(JSON.stringify(asked.message));
  }

  #seen(body         )           {
    const round = body            ;
    if (round.sequence !== null) {
      this.#settle();
      this.#toldLately.push({ at: Date.now(), sequence: round.sequence });
    }
    return round;
  }

  #hear(round          )       {
    if (this.#toldLately.some(({ sequence }) => sequence === round.sequence)) return;
    this.#options.onRound?.(this.#seen(round));
  }

  /** The sequence up to which nothing can be missing any more. */
  #settle()         {
    let toldUntil = this.#toldUntil ?? 0;
    while (this.#toldLately.length > 0 && this.#toldLately[0] .at < Date.now() - OVERTAKING_MS) {
      toldUntil = Math.max(toldUntil, this.#toldLately.shift() .sequence);
    }
    this.#toldUntil = toldUntil;
    return toldUntil;
  }

  #end(why        , tell         )       {
    if (this.#ended !== null) return;
    this.#ended = new SessionEnded(why);
    for (const asked of [...this.#asked.values()]) asked.reject(this.#ended);
    if (tell) this.#options.onSessionEnded?.(why);
  }
}
