// Any game at all: what its outcome says, name by name.

import { el } from "../shared/dom.js";

export class FactsView {
  static verb = "Play";

  static shows() {
    return true;
  }

  constructor(game, stage) {
    this.stage = stage;
    this.rest();
  }

  wait() {}

  rest() {
    this.stage.replaceChildren();
  }

  async show(round, { wins }) {
    wins.replaceChildren();
    this.stage.replaceChildren(facts(round.outcome ?? {}));
  }
}

/** Names and values as a list. What is nested is shown as JSON. */
export function facts(outcome) {
  const pairs = Object.entries(outcome).flatMap(([name, value]) => [
    el("dt", {}, plain(name)),
    el("dd", {}, typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)),
  ]);
  return el("dl", { class: "facts" }, ...pairs);
}

/** "free_spins" as "Free spins". */
export function plain(name) {
  const words = String(name).replaceAll(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
