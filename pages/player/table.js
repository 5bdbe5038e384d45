// The game at the table: what is under way, what the player may do now, and what every answer makes of the page.

import { Problem } from "../shared/client/calls.js";
import { isFinal } from "../shared/client/game.js";
import { byId, el, moment } from "../shared/dom.js";
import { inWords, whyNot } from "../shared/problems.js";
import { BetForm } from "./bet-form.js";
import { fillOffers } from "./offers.js";
import { viewFor } from "./views.js";

const BETS_END = new Set(["unauthenticated", "session-expired", "player-blocked"]);
const STAYS_OPEN = new Set(["round-closed", "wrong-state", "unknown-choice", "not-found"]);

export class Table {
  #seat;
  #rounds;
  #game;
  #frame;
  #locale;
  #view;
  #form;
  /** idle, betting, showing, choosing or replaying. */
  #phase = "idle";
  #round = null;
  #own = new Set();
  #paused = false;
  #over = false;
  #off = false;
  #cooling = 0;
  #stale = false;
  #skip = new AbortController();
  #cycleMs;

  constructor({ seat, rounds, session, game, frame, locale, money, calm }) {
    Object.assign(this, { money, calm });
    this.#seat = seat;
    this.#rounds = rounds;
    this.#game = game;
    this.#frame = frame;
    this.#locale = locale;
    this.#cycleMs = session.limits.min_cycle_ms ?? 0;
    const amount = (minor) => money({ amount: minor, currency: session.currency });
    this.#view = viewFor(game, byId("stage"), { money: amount, calm });
    this.#form = new BetForm(game, session.limits, amount);
    byId("bet").addEventListener("submit", (event) => (event.preventDefault(), this.press()));
    byId("spin").addEventListener("click", (event) => this.#clicked(event));
    byId("replay-end").addEventListener("click", () => void this.#endReplay());
    this.#setBalance(session.balance);
    this.#switch(session.enabled);
  }

  /** Goes on where the player was: with a bet that has no answer, an open round, or the last one that ended. */
  async resume(session) {
    const pending = this.#rounds.pending;
    if (pending !== null) {
      this.#say("Asking for the result of your bet…");
      return this.#play(this.#rounds.again(pending), pending.round);
    }
    if (session.open_round !== null) return this.#adopt(session.open_round);
    this.#update();
    this.#frame.idle();
    if (session.balance === null) void this.refreshBalance();
    return this.#showLast();
  }

  /** The one button, and the space bar: a bet; or the end of what is being shown. */
  press() {
    if (this.#phase === "showing") this.#skip.abort();
    else if (this.#mayBet()) this.#bet();
  }

  /** A double click is one bet: the second may fall on a button that takes the next one already. */
  #clicked(event) {
    if (event.detail > 1 && this.#phase !== "showing") event.preventDefault();
  }

  pause() {
    this.#paused = true;
    this.#update();
    if (!this.#isBusy()) this.#frame.idle();
  }

  unpause() {
    this.#paused = false;
    this.#update();
    if (!this.#isBusy()) this.#frame.idle();
  }

  async refreshBalance() {
    this.#stale = false;
    try {
      this.#setBalance(await this.#seat.client.balance());
    } catch {
      // what is shown stays, and the next answer says it anew
    }
  }

  /** A round of the player reached a state, here or in another tab. */
  heard(round) {
    if (this.#own.has(round.round_id) && this.#round?.round_id !== round.round_id) return;
    const isShown = this.#round?.round_id === round.round_id;
    if (isShown && this.#phase === "choosing" && this.#isNews(round)) void this.#present(round);
    else if (!isShown && this.#phase === "idle" && this.#isOpenHere(round)) void this.#adopt(round.round_id);
    else if (!isShown && isFinal(round) && this.#phase === "idle") void this.refreshBalance();
    else if (!isShown) this.#stale = true; // what is under way goes on, and the balance is asked for after it
  }

  /** Something may have happened that nobody told. */
  async resync() {
    if (this.#phase === "choosing") {
      const round = await this.#rounds.find(this.#round.round_id);
      if (round !== null && this.#phase === "choosing" && this.#isNews(round)) await this.#present(round);
    } else if (this.#phase === "idle") await this.refreshBalance();
  }

  sessionOver() {
    this.#note(inWords("session-expired"));
  }

  isOnLine(line) {
    const lost = !line && this.#phase === "betting";
    if (byId("line").hidden !== lost) return;
    const words = inWords("unanswered");
    byId("line").textContent = lost ? `${words.what} ${words.then}` : "";
    byId("line").hidden = !lost;
    if (lost) this.#frame.error({ code: words.code, message: byId("line").textContent, fatal: false });
  }

  /** A round of before, as it was shown then; `note` says more of it when it is known. */
  async replay(round, note) {
    if (this.#phase !== "idle" && this.#phase !== "choosing") return;
    this.#phase = "replaying";
    byId("replay-of").textContent = `This is your round of ${moment(round.created_at, this.#locale)}.`;
    byId("replay").hidden = false;
    this.#update();
    byId("replay-end").focus();
    const signal = this.#skipping();
    await this.#view.show(round, { signal, say: (text) => this.#say(text), wins: byId("wins"), again: true });
    if (signal.aborted) return;
    this.#sayResult(round);
    byId("replay-of").append(` ${await note}`);
  }

  async #endReplay() {
    this.#skip.abort();
    byId("replay").hidden = true;
    this.#phase = "idle";
    if (this.#round === null) {
      byId("wins").replaceChildren();
      this.#say("");
      this.#update();
    } else await this.#present(this.#round, { quiet: true });
    byId("spin").focus();
  }

  #mayBet() {
    return this.#phase === "idle" && !this.#paused && !this.#over && !this.#off && !this.#cooling && this.#form.stake > 0;
  }

  #bet() {
    const choice = this.#form.choice;
    if (choice === null) return;
    this.#note(null);
    const answer = this.#rounds.bet(this.#form.stake, choice, this.#form.mode);
    this.#say("");
    byId("win").textContent = "–";
    void this.#play(answer, this.#rounds.pending.round);
  }

  #choose(offer, params) {
    this.#note(null);
    const { round_id } = this.#round;
    byId("spin").focus({ preventScroll: true }); // the buttons of the choice go away
    void this.#play(this.#rounds.act(round_id, offer.action, params), round_id);
  }

  /** Waits for an answer that is certain, and shows it. */
  async #play(answer, roundId) {
    this.#own.add(roundId);
    this.#phase = "betting";
    byId("choices").hidden = true;
    byId("wins").replaceChildren();
    this.#view.wait();
    this.#update();
    this.#frame.busy(roundId);
    try {
      const round = await answer;
      this.isOnLine(true);
      await this.#present(round);
    } catch (error) {
      this.#view.rest();
      if (!(error instanceof Problem)) throw error;
      await this.#refused(error, roundId);
    }
  }

  /** Nothing came of it, for certain. An open round, this one or another, is shown as it stands. */
  async #refused(problem, roundId) {
    this.#phase = "idle";
    this.#note(inWords(problem.code, problem.members), problem.requestId);
    if (problem.members.balance) this.#setBalance(problem.members.balance);
    const open = problem.code === "round-open" ? problem.members.open_round : null;
    const before = this.#round?.round_id === roundId && !isFinal(this.#round) ? this.#round : null;
    if (open) return this.#adopt(open);
    if (before !== null && !STAYS_OPEN.has(problem.code)) return this.#present(before, { quiet: true });
    if (before !== null) return this.#adopt(roundId);
    if (problem.code === "game-disabled") this.#switch(false);
    this.#say("");
    this.#update();
    this.#frame.idle();
  }

  /** A round that began elsewhere, or before. */
  async #adopt(roundId) {
    this.#own.add(roundId);
    this.#phase = "betting";
    this.#view.wait();
    this.#update();
    this.#frame.busy(roundId);
    const round = await this.#rounds.find(roundId);
    this.isOnLine(true);
    if (round !== null) return this.#present(round);
    this.#view.rest();
    this.#phase = "idle";
    this.#update();
    this.#frame.idle();
  }

  async #showLast() {
    try {
      const { items } = await this.#seat.client.rounds(20);
      const last = items.find((round) => round.game.id === this.#game.id && round.outcome !== null && isFinal(round));
      if (this.#phase !== "idle" || this.#round !== null) return;
      this.#say(last === undefined ? "" : "This is your last round.");
      if (last === undefined) return;
      this.#form.set({ stake: last.stake.amount, mode: last.mode });
      byId("win").textContent = this.money(last.win);
      await this.#view.show(last, { signal: AbortSignal.abort(), say: () => undefined, wins: byId("wins") });
    } catch {
      this.#say(""); // it is only what was: the game goes on without
    }
  }

  /** Shows a round, then what follows from it. `quiet`: it was shown before, and reported. */
  async #present(round, { quiet = false } = {}) {
    this.#round = round;
    this.#phase = "showing";
    byId("choices").hidden = true;
    this.#update();
    const signal = quiet ? AbortSignal.abort() : this.#skipping();
    if (round.outcome !== null) {
      await this.#view.show(round, { signal, say: (text) => this.#say(text), wins: byId("wins") });
    } else this.#view.rest();
    if (round.balance !== null) this.#setBalance(round.balance);
    if (round.state === "awaiting_choice") return this.#offer(round);
    this.#sayResult(round);
    byId("win").textContent = this.money(round.win);
    this.#phase = "idle";
    this.#coolDown();
    this.#update();
    if (quiet) return;
    if (round.state === "settled" && round.win.amount > 0) {
      this.#frame.win({ round: round.round_id, stake: round.stake, win: round.win });
    }
    this.#frame.idle();
    if (round.balance === null || this.#stale) await this.refreshBalance();
  }

  #offer(round) {
    this.#phase = "choosing";
    this.#say(round.win.amount > 0 ? `You have ${this.money(round.win)} so far. Choose how to go on.` : "Choose how to go on.");
    byId("decide-by").textContent = round.decide_by === null
      ? ""
      : `Without your choice, the game decides after ${moment(round.decide_by, this.#locale)}.`;
    fillOffers(byId("offers"), round.choices, this.money, (offer, params) => this.#choose(offer, params));
    byId("choices").hidden = false;
    this.#update();
    byId("offers").querySelector("button")?.focus({ preventScroll: true });
  }

  #sayResult(round) {
    byId("result").classList.toggle("won", round.win.amount > 0);
    if (round.state !== "settled") this.#say(whyNot(round));
    else this.#say(round.win.amount > 0 ? `You won ${this.money(round.win)}.` : "No win this time.", round.win.amount > 0);
  }

  #say(text, won = false) {
    byId("result").textContent = text;
    byId("result").classList.toggle("won", won);
  }

  /** A problem in words, with its next step; null takes the last one away. */
  #note(words, reference = "") {
    if (words === null) {
      byId("alerts").replaceChildren();
      return;
    }
    this.#over ||= words.fatal || BETS_END.has(words.code);
    const more = reference ? ` (Reference: ${reference})` : "";
    const again = words.code === "game-disabled"
      ? el("button", { type: "button", onclick: () => void this.#askAgain() }, "Ask again")
      : null;
    byId("alerts").replaceChildren(el("div", { class: "notice" }, el("p", {}, `${words.what} ${words.then}${more}`), again));
    this.#frame.error({ code: words.code, message: `${words.what} ${words.then}`, fatal: words.fatal });
    this.#update();
  }

  /** Whether the casino has the game switched on. */
  #switch(on) {
    this.#off = !on;
    if (!on && byId("alerts").childElementCount === 0) this.#note(inWords("game-disabled"));
  }

  async #askAgain() {
    try {
      const session = await this.#seat.client.session();
      if (session.enabled) this.#note(null);
      this.#switch(session.enabled);
      this.#update();
    } catch (error) {
      this.#note(inWords(error instanceof Problem ? error.code : "unanswered"));
    }
  }

  #coolDown() {
    clearTimeout(this.#cooling);
    this.#cooling = this.#cycleMs && setTimeout(() => ((this.#cooling = 0), this.#update()), this.#cycleMs);
  }

  #setBalance(balance) {
    byId("balance").textContent = this.money(balance);
    this.#frame.balance(balance);
  }

  #isBusy() {
    return this.#phase !== "idle" && !(this.#phase === "replaying" && (this.#round === null || isFinal(this.#round)));
  }

  #isNews(round) {
    return isFinal(round) || (round.state === "awaiting_choice" && round.actions.length > this.#round.actions.length);
  }

  #isOpenHere(round) {
    return round.state === "awaiting_choice" && round.game.id === this.#game.id;
  }

  #skipping() {
    this.#skip.abort();
    this.#skip = new AbortController();
    return this.#skip.signal;
  }

  /** What the player may do now, in every control. */
  #update() {
    const showing = this.#phase === "showing";
    byId("spin").setAttribute("aria-disabled", String(!showing && !this.#mayBet()));
    byId("spin").textContent = this.#label();
    this.#form.disable(this.#phase !== "idle");
    document.body.dataset.phase = this.#phase;
    const free = this.#phase === "idle" || this.#phase === "choosing";
    for (const id of ["open-history", "open-fairness"]) byId(id).disabled = !free;
  }

  #label() {
    if (this.#phase === "betting") return "Waiting for the result…";
    if (this.#phase === "showing") return "Show the result";
    if (this.#phase === "choosing") return "Your choice comes first";
    if (this.#phase === "replaying") return "A replay is shown";
    if (this.#paused) return "Paused by the casino";
    if (this.#cooling) return "In a moment…";
    return this.#view.constructor.verb;
  }
}
