// A roll on a scale, of which a part wins: games whose rules have `rolls`.

import { el, svg } from "../shared/dom.js";
import { facts } from "./view-facts.js";

export class DiceView {
  static verb = "Roll";
  #rolls;

  static shows({ rules }) {
    return Number.isInteger(rules.rolls) && rules.rolls > 0;
  }

  constructor(game, stage) {
    this.stage = stage;
    this.#rolls = game.rules.rolls;
    this.rest();
  }

  wait() {
    this.stage.classList.add("spinning");
  }

  rest() {
    this.stage.classList.remove("spinning");
    if (this.stage.childElementCount === 0) this.#draw("?", null, []);
  }

  async show({ outcome }, { wins }) {
    this.stage.classList.remove("spinning");
    wins.replaceChildren();
    const { roll, direction, target } = outcome ?? {};
    if (![roll, target].every(Number.isInteger)) {
      this.stage.replaceChildren(facts(outcome ?? {}));
      return;
    }
    const winning = direction === "over" ? [target + 1, this.#rolls] : [0, target];
    this.#draw(String(roll), roll, winning);
    wins.append(el("li", {}, `${roll} was rolled; you said ${direction} ${target}.`));
  }

  #draw(text, roll, [from = 0, to = 0]) {
    const at = (value) => (1000 * value) / this.#rolls;
    const x = roll === null ? null : at(roll);
    const drawing = svg(
      "svg",
      { viewBox: "0 0 1000 40", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "all", y: 16, width: 1000, height: 12 }),
      svg("rect", { class: "winning", x: at(from), y: 12, width: Math.max(at(to) - at(from), 0), height: 20 }),
      x === null ? null : svg("rect", { class: "mark", x: Math.min(Math.max(x - 4, 0), 992), width: 8, height: 40 }),
    );
    this.stage.replaceChildren(el("div", { class: "scale" }, el("p", { class: "roll" }, text), drawing));
  }
}
