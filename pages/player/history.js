// The dialog with the player's rounds, newest first, each of which can be shown again.

import { Problem } from "../shared/client/calls.js";
import { byId, el, moment } from "../shared/dom.js";
import { inWords } from "../shared/problems.js";

const PAGE = 20;
const STATES = {
  pending: "Under way",
  awaiting_choice: "Waits for you",
  settling: "Being paid",
  settled: "Finished",
  declined: "Declined",
  void: "Void",
};

export class History {
  #client;
  #money;
  #locale;
  #onReplay;
  #cursor = null;

  /** `client` is asked for at each call, for its token changes. */
  constructor({ client, money, locale, onReplay }) {
    this.#client = client;
    this.#money = money;
    this.#locale = locale;
    this.#onReplay = onReplay;
    byId("history-more").addEventListener("click", () => void this.#more());
  }

  async open() {
    byId("history-rows").replaceChildren();
    byId("history-more").hidden = true;
    this.#cursor = null;
    byId("history").showModal();
    await this.#more();
  }

  async #more() {
    const status = byId("history-none");
    status.textContent = "Loading…";
    byId("history-more").disabled = true;
    try {
      const page = await this.#client().rounds(PAGE, this.#cursor);
      byId("history-rows").append(...page.items.map((round) => this.#row(round)));
      this.#cursor = page.next_cursor;
      byId("history-more").hidden = this.#cursor === null;
      status.textContent = byId("history-rows").childElementCount === 0 ? "You have not played yet." : "";
    } catch (error) {
      status.textContent = `${inWords(error instanceof Problem ? error.code : "unanswered").what} Open this again later.`;
    } finally {
      byId("history-more").disabled = false;
    }
  }

  #row(round) {
    const when = moment(round.created_at, this.#locale);
    const replay = () => {
      byId("history").close();
      this.#onReplay(round);
    };
    const button = el("button", { type: "button", "aria-label": `Show the round of ${when} again`, onclick: replay }, "Replay");
    return el(
      "tr",
      { "data-round": round.round_id },
      el("td", {}, round.outcome === null ? null : button),
      el("td", {}, when),
      el("td", {}, this.#money(round.stake)),
      el("td", {}, this.#money(round.win)),
      el("td", {}, `${STATES[round.state] ?? round.state}${round.demo ? ", demo" : ""}`),
    );
  }
}
