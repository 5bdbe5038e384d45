// A bet is remembered before it is sent, and sent again with the same ids until it is answered: nothing is lost or doubled.

import { Problem, Unanswered, isUnderWay, newId, pause } from "../shared/client/calls.js";

const POLL_MS = 500;

export class Rounds {
  #seat;
  #store;
  #sessionId;

  constructor(seat, store, sessionId) {
    this.#seat = seat;
    this.#store = store;
    this.#sessionId = sessionId;
  }

  /** What was sent, or was about to be, and has no answer yet. */
  get pending() {
    const pending = this.#store.get("pending");
    return pending?.session === this.#sessionId ? pending : null;
  }

  /** A new bet, or `pending` again. Rejects with Problem when it is certain that there is no such round. */
  async bet(stake, choice, mode) {
    return this.again(this.#remembered({ kind: "bet", round: newId(), stake, choice: choice ?? undefined, mode }));
  }

  /** One of an open round's choices. Rejects with Problem when it is certain that it was not taken. */
  async act(round, action, params) {
    return this.again(this.#remembered({ kind: "action", round, id: newId(), action, params }));
  }

  /** Sends what is pending, as often as it takes. */
  async again(pending) {
    const { round, kind } = pending;
    const send =
      kind === "bet"
        ? () => this.#seat.client.bet(pending.stake, pending.choice, { mode: pending.mode, roundId: round })
        : () => this.#seat.client.act(round, pending.action, pending.params, pending.id);
    try {
      return await this.#certain(send);
    } catch (error) {
      // An earlier try may have been taken, and what is refused now is only the repeat. A refusal is on record too.
      const found = error instanceof Problem ? await this.find(round) : null;
      const taken = kind === "bet" ? found?.state !== "declined" : found?.actions.some(({ action_id: id }) => id === pending.id);
      if (found === null || !taken) throw error;
      return found;
    } finally {
      this.#store.remove("pending");
    }
  }

  /** A round as it stands when it is final or the player's turn; null when there is none. */
  async find(roundId) {
    for (;;) {
      try {
        const round = await this.#certain(() => this.#seat.client.round(roundId));
        if (!isUnderWay(round)) return round;
      } catch (error) {
        if (error instanceof Problem) return null;
        throw error;
      }
      await pause(POLL_MS);
    }
  }

  #remembered(pending) {
    const kept = { ...pending, session: this.#sessionId };
    this.#store.set("pending", kept);
    return kept;
  }

  async #certain(send) {
    for (;;) {
      try {
        return await send();
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
      }
    }
  }
}
