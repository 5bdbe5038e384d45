// The dialog with the rules: what pays, as the game's description says, and the limits of the session.

import { byId, el } from "../shared/dom.js";
import { facts, plain } from "./view-facts.js";
import { drawing } from "./view-slot.js";

const LIMITS = {
  max_stake: "The highest stake",
  loss_limit: "The most that the session may lose",
  max_session_s: "The longest time of a session",
  min_cycle_ms: "The least time from one round to the next",
};

export function fillRules(game, session, money) {
  const { rules } = game;
  const isSlot = typeof rules.line_pays === "object" && typeof rules.symbols === "object";
  byId("rules-body").replaceChildren(
    el("p", {}, `${game.title}, version ${game.version}. A round pays ${game.max_win} times the stake at most.`),
    ...(isSlot ? slotRules(rules) : [facts(rules)]),
    ...limitRules(session, money),
    el("p", {}, "The space bar plays a round too."),
  );
}

function slotRules(rules) {
  const counts = [...new Set(Object.values(rules.line_pays).flatMap(Object.keys))].sort((a, b) => a - b);
  const head = el("tr", {}, el("th", { scope: "col" }, "Symbol"), ...counts.map((count) => el("th", { scope: "col" }, `${count} ×`)));
  const rows = Object.entries(rules.line_pays).map(([symbol, pays]) =>
    el("tr", {}, el("th", { scope: "row" }, rules.symbols[symbol]), ...counts.map((count) => el("td", {}, String(pays[count] ?? "–")))),
  );
  const caption = `Pays of a line, in line stakes: the stake divided by ${rules.lines.length}`;
  return [
    el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Pays" },
      el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...rows))),
    el("p", {}, `Lines pay from the left. The ${rules.symbols[rules.wild]} stands for every symbol but the ${rules.symbols[rules.scatter]}.`),
    el("p", {}, scatters(rules)),
    el("p", {}, freeSpins(rules)),
    el("h3", {}, `The ${rules.lines.length} lines`),
    el("ol", {}, ...rules.lines.map((line) => el("li", {}, `rows ${line.map((row) => row + 1).join(", ")}`))),
    el("h3", {}, "The symbols"),
    el("ul", { class: "legend" }, ...Object.entries(rules.symbols).map(([symbol, name]) =>
      el("li", {}, el("span", { class: "cell" }, drawing(rules.symbols, symbol)), name))),
  ];
}

function scatters({ scatter_pays, scatter, symbols }) {
  const pays = Object.entries(scatter_pays).map(([count, pay]) => `${count} pay ${pay} times the stake`);
  return `${plain(symbols[scatter])} symbols anywhere: ${pays.join(", ")}.`;
}

function freeSpins({ free_spins, gambles }) {
  if (free_spins?.awards) {
    const awards = Object.entries(free_spins.awards).map(([count, spins]) => `${count} give ${spins}`);
    return `Free spins: ${awards.join(", ")}, at most ${free_spins.maximum}. They pay ${free_spins.multiplier} times as much.`;
  }
  if (!free_spins?.multipliers) return "";
  const picks = Object.entries(free_spins.multipliers).map(([count, by]) => `${count} that pay ${by} times`);
  const risk = gambles ? ` A win may be gambled up to ${gambles.maximum} times.` : "";
  return `${free_spins.stars} or more give free spins of your choice: ${picks.join(", or ")}.${risk}`;
}

function limitRules({ limits, currency }, money) {
  const words = Object.entries(LIMITS)
    .filter(([name]) => limits[name] !== undefined && limits[name] !== null)
    .map(([name, text]) => el("li", {}, `${text}: ${amountOf(name, limits[name], currency, money)}`));
  return words.length === 0 ? [] : [el("h3", {}, "Your limits"), el("ul", {}, ...words)];
}

function amountOf(name, value, currency, money) {
  if (name.endsWith("_ms")) return `${value / 1000} s`;
  if (name.endsWith("_s")) return value >= 120 ? `${Math.floor(value / 60)} min` : `${value} s`;
  return money({ amount: value, currency });
}
