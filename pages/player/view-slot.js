// Reels, lines, scatters and free spins: games whose rules have `reels`, `rows` and `lines`.

import { el, svg } from "../shared/dom.js";
import { facts, plain } from "./view-facts.js";

const DRAWN = new Set(["cherry", "lemon", "orange", "plum", "grapes", "melon", "bell", "seven", "star", "wild"]);
const SPRITE = new URL("symbols.svg", import.meta.url).pathname;
const SPIN_MS = 700;
const WIN_MS = 1_300;

export class SlotView {
  static verb = "Spin";
  #rules;
  #tools;
  #reels;
  #traces;
  #shown = { round: null, spins: 0 };

  static shows({ rules }) {
    const { reels, rows, lines, symbols } = rules;
    return Array.isArray(reels) && reels.every((strip) => typeof strip === "string" && strip.length > 0)
      && Number.isInteger(rows) && Array.isArray(lines) && typeof symbols === "object";
  }

  constructor(game, stage, tools) {
    this.stage = stage;
    this.#rules = game.rules;
    this.#tools = tools;
    this.#reels = el("div", { class: "reels", role: "img" });
    this.#reels.style.setProperty("--reels", String(this.#rules.reels.length));
    this.#traces = svg("svg", { class: "traces", "aria-hidden": "true", preserveAspectRatio: "none",
      viewBox: `0 0 ${this.#rules.reels.length} ${this.#rules.rows}` });
    const first = Array.from({ length: this.#rules.rows }, (_, row) =>
      this.#rules.reels.map((strip) => strip[row % strip.length]).join(""));
    this.#draw({ grid: first, lines: [] });
  }

  wait() {
    this.stage.classList.remove("landed");
    this.stage.classList.add("spinning");
    this.#traces.replaceChildren();
  }

  rest() {
    this.stage.classList.remove("spinning");
  }

  /**
   * Spin after spin, from the first that was not shown yet; at once when `signal` is aborted, or nothing shall
   * move. `say` tells each; `wins` lists what paid.
   */
  async show(round, { signal, say, wins, again = false }) {
    this.rest();
    const spins = round.outcome?.spins;
    if (!Array.isArray(spins) || spins.length === 0) {
      wins.replaceChildren();
      this.stage.replaceChildren(facts(round.outcome ?? {}));
      return;
    }
    const known = this.#shown.round === round.round_id && !again ? this.#shown.spins : 0;
    const from = Math.min(known, spins.length - 1);
    for (let at = from; at < spins.length; at += 1) {
      const isLast = at === spins.length - 1;
      const atOnce = signal.aborted || this.#tools.calm();
      if (atOnce && !isLast) continue;
      this.#spin(spins[at], wins);
      if (at > 0) say(`Free spin ${at} of ${spins.length - 1}${spins[at].win ? `: ${this.#tools.money(spins[at].win)}` : ""}`);
      if (!isLast) await pauseOf(spins[at].win > 0 ? WIN_MS : SPIN_MS, signal);
    }
    this.#shown = { round: round.round_id, spins: spins.length };
    if (spins.length > 1) wins.prepend(el("li", {}, this.#freeSpins(spins)));
    for (const gamble of round.outcome.gambles ?? []) wins.append(el("li", {}, this.#gamble(gamble)));
  }

  #freeSpins(spins) {
    const won = spins.slice(1).reduce((sum, spin) => sum + spin.win, 0);
    return `${spins.length - 1} free spins paid ${this.#tools.money(won)} in all. The last one is shown.`;
  }

  #gamble({ action, color, drawn, win }) {
    return `${plain(action)} on ${color}: ${drawn} was drawn. The win is ${this.#tools.money(win)}.`;
  }

  #spin(spin, wins) {
    this.#draw(spin);
    this.stage.classList.remove("landed");
    void this.stage.offsetWidth; // the animation begins again
    this.stage.classList.add("landed");
    const by = spin.multiplier > 1 ? ` (times ${spin.multiplier})` : "";
    const items = spin.lines.map(({ line, symbol, count, win }) =>
      el("li", {}, `Line ${line + 1}: ${count} × ${this.#name(symbol)} pays ${this.#tools.money(win)}${by}`));
    if (spin.scatters) items.push(el("li", {}, this.#scatters(spin.scatters)));
    wins.replaceChildren(...items);
  }

  #scatters({ count, win, free_spins }) {
    const pays = win ? ` pay ${this.#tools.money(win)}` : "";
    const gives = free_spins ? `${win ? " and" : ""} give ${free_spins} free spins` : "";
    return `${count} × ${this.#name(this.#rules.scatter)}${pays}${gives}`;
  }

  #draw({ grid, lines }) {
    const winning = new Set();
    const traces = lines.map(({ line, count }) => {
      const rows = this.#rules.lines[line] ?? [];
      rows.slice(0, count).forEach((row, reel) => winning.add(`${reel}/${row}`));
      return svg("polyline", { points: rows.slice(0, count).map((row, reel) => `${reel + 0.5},${row + 0.5}`).join(" ") });
    });
    const cells = grid.flatMap((row, y) => [...row].map((symbol, x) =>
      el("div", { class: winning.has(`${x}/${y}`) ? "cell pays" : "cell" }, this.#symbol(symbol))));
    this.#reels.replaceChildren(...cells);
    this.#reels.setAttribute("aria-label", grid.map((row, y) =>
      `Row ${y + 1}: ${[...row].map((symbol) => this.#name(symbol)).join(", ")}`).join(". "));
    this.#traces.replaceChildren(...traces);
    if (this.#reels.parentElement !== this.stage) this.stage.replaceChildren(this.#reels, this.#traces);
  }

  #symbol(symbol) {
    return drawing(this.#rules.symbols, symbol);
  }

  #name(symbol) {
    return this.#rules.symbols[symbol] ?? symbol;
  }
}

/** A symbol's drawing; its letter, where nobody has drawn it. */
export function drawing(symbols, symbol) {
  const name = symbols[symbol];
  if (!DRAWN.has(name)) return el("span", {}, symbol);
  return svg("svg", { "aria-hidden": "true" }, svg("use", { href: `${SPRITE}#${name}` }));
}

function pauseOf(ms, signal) {
  return new Promise((resolve) => {
    const done = () => (clearTimeout(timer), signal.removeEventListener("abort", done), resolve());
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
