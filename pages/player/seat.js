// The player's place at the casino: the token and its refreshes, the calls, and the socket that tells of what happens elsewhere.

import { Caller, Problem } from "../shared/client/calls.js";
import { GameClient } from "../shared/client/game.js";
import { GameSocket } from "../shared/client/socket.js";

const PATIENCE = { totalMs: 10_000, firstPauseMs: 200 };
const REFRESH_BEFORE_MS = 120_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Seat {
  #token;
  #socket = null;
  #timer = 0;
  #end = 0;
  #expiresAt = 0;
  #heard;
  #remember;

  /** `heard` has onLine(boolean), onRound, onBalance, onResync and onSessionEnded; `remember` keeps a new token. */
  constructor(baseUrl, token, heard, remember) {
    this.baseUrl = baseUrl;
    this.#token = token;
    this.#heard = heard;
    this.#remember = remember;
    this.#take(token);
  }

  #take(token) {
    this.#token = token;
    const options = { baseUrl: this.baseUrl, bearer: token, patience: PATIENCE, fetch: this.#fetch };
    this.client = new GameClient(options);
    this.caller = new Caller(options);
  }

  /** Tells whether the casino answers, long before a call is given up. */
  #fetch = async (url, init) => {
    try {
      const response = await fetch(url, init);
      this.#heard.onLine(response.status < 500);
      return response;
    } catch (error) {
      this.#heard.onLine(false);
      throw error;
    }
  };

  /** Listens from now on, and keeps the token fresh until the session may last no longer. */
  open(session) {
    this.#expiresAt = Date.parse(session.expires_at);
    this.#listen();
    this.#plan();
  }

  close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    this.#socket?.close();
  }

  #listen() {
    this.#socket?.close();
    const { onRound, onBalance, onResync, onSessionEnded } = this.#heard;
    const options = { baseUrl: this.baseUrl, token: this.#token, onRound, onBalance, onResync, onSessionEnded };
    this.#socket = new GameSocket(options);
  }

  #plan() {
    const leftMs = this.#expiresAt - Date.now();
    const inMs = Math.max(leftMs - REFRESH_BEFORE_MS, leftMs / 2);
    clearTimeout(this.#timer);
    this.#planEnd(leftMs);
    if (inMs > 0) this.#timer = setTimeout(() => void this.#refresh(), Math.min(inMs, LONGEST_TIMER_MS));
  }

  #planEnd(leftMs) {
    clearTimeout(this.#end);
    const over = () => this.#heard.onSessionEnded("its time is up");
    if (leftMs < LONGEST_TIMER_MS) this.#end = setTimeout(over, Math.max(leftMs, 0));
  }

  async #refresh() {
    try {
      const { token, expires_at } = await this.caller.call("gameRefreshSession");
      const until = Date.parse(expires_at);
      const isLater = until > this.#expiresAt;
      this.#expiresAt = until;
      this.#take(token);
      this.#remember(token);
      if (isLater) {
        this.#listen();
        this.#plan();
        this.#heard.onResync(); // between one socket and the next, nobody listened
      }
    } catch (error) {
      if (error instanceof Problem) return; // the next bet says so too, and rounds can be read all the same
      this.#plan();
    }
  }
}
