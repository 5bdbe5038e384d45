// Opens the game that the launch URL names: the token, the session, the game's description, and what is resumed.

import { Problem } from "../shared/client/calls.js";
import { byId, el } from "../shared/dom.js";
import { openFrame, readLaunch, withoutToken } from "../shared/frame.js";
import { localeOf, shown } from "../shared/money.js";
import { inWords } from "../shared/problems.js";
import { Seeds, check } from "./fair.js";
import { Fairness } from "./fairness.js";
import { History } from "./history.js";
import { Rounds } from "./rounds.js";
import { fillRules } from "./rules.js";
import { Seat } from "./seat.js";
import { Store } from "./store.js";
import { Table } from "./table.js";

const OPEN_PATIENCE = 3;
const launch = readLaunch(location);
const frame = openFrame(launch);
const store = new Store(launch.game);
const locale = localeOf(launch.lang ?? undefined);
const money = (value) => shown(value, locale);
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden;

/** The launch URL's token, or after a reload the one that was kept: it stays in no address, where that is possible. */
function token() {
  if (launch.token !== null && store.set("token", launch.token)) {
    history.replaceState(history.state, "", location.pathname + location.search + withoutToken(location.hash));
  }
  return launch.token ?? store.get("token");
}

function give(words, retry) {
  const button = retry && el("button", { type: "button", onclick: retry }, "Try again");
  byId("alerts").replaceChildren(el("div", { class: "notice" }, el("p", {}, `${words.what} ${words.then}`), button));
  byId("result").textContent = "";
  document.body.classList.add("closed");
  frame.error({ code: words.code, message: `${words.what} ${words.then}`, fatal: words.fatal });
}

function leaveButtons() {
  for (const place of ["exit", "deposit"]) {
    byId(place).hidden = !frame.offers(place);
    byId(place).addEventListener("click", () => frame.leave(place));
  }
  byId("history-casino").hidden = !frame.offers("history");
  byId("history-casino").addEventListener("click", () => frame.leave("history"));
}

async function sessionOf(seat) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await seat.client.session();
    } catch (error) {
      if (error instanceof Problem || tries >= OPEN_PATIENCE) throw error;
      byId("result").textContent = "The casino does not answer yet. Asking again…";
    }
  }
}

async function open() {
  byId("alerts").replaceChildren();
  byId("result").textContent = "Opening the game…";
  const kept = token();
  if (kept === null) return give(inWords("no-token"));
  let table = null;
  const heard = {
    onLine: (line) => table?.isOnLine(line),
    onRound: (round) => table?.heard(round),
    onResync: () => void table?.resync(),
    onSessionEnded: () => table?.sessionOver(),
  };
  const baseUrl = new URL(".", location.href).href;
  const seat = new Seat(baseUrl, kept, heard, (fresh) => store.set("token", fresh));
  try {
    const session = await sessionOf(seat);
    table = seated(seat, session);
    await table.resume(session);
  } catch (error) {
    seat.close();
    if (!(error instanceof Problem)) console.warn(error);
    give(inWords(error instanceof Problem ? error.code : "unanswered"), () => location.reload());
  }
}

/** Everything in its place, for a session that was read. */
function seated(seat, session) {
  const game = session.game;
  const rounds = new Rounds(seat, store, session.session_id);
  document.title = game.title;
  byId("title").textContent = game.title;
  byId("demo").hidden = session.mode !== "demo";
  fillRules(game, session, money);
  frame.ready({ game: game.id, version: game.version, mode: session.mode, currency: session.currency });
  const table = new Table({ seat, rounds, session, game, frame, locale, money, calm });
  frame.on("refresh", () => void table.refreshBalance());
  frame.on("pause", () => table.pause());
  frame.on("resume", () => table.unpause());
  dialogs(seat, table, game);
  keys(table);
  seat.open(session);
  return table;
}

function dialogs(seat, table, game) {
  const seeds = new Seeds(store);
  const fairness = new Fairness({ seat, store, seeds, game });
  const note = async (round) => {
    const seed = seeds.of(round.fairness.server_seed_hash);
    if (seed === null) return "To check it, reveal its secret under Fairness.";
    const { verdict, why } = await check(round, game, seed, seat.caller);
    return { same: `Checked: the same result, ${why}.`, different: `NOT the same result: ${why}.`, unknown: `It cannot be checked here: ${why}.` }[verdict];
  };
  const onReplay = (round) => void table.replay(round, note(round));
  const past = new History({ client: () => seat.client, money, locale, onReplay });
  byId("open-rules").addEventListener("click", () => byId("rules").showModal());
  byId("open-history").addEventListener("click", () => void past.open());
  byId("open-fairness").addEventListener("click", () => void fairness.open());
  byId("open-rules").disabled = false;
}

/** The space bar plays, wherever it would do nothing else. */
function keys(table) {
  document.addEventListener("keydown", (event) => {
    // A key that is held is one press: it makes no bet after the other.
    if (event.repeat && event.target instanceof Element && event.target.closest("#bet, #offers") && event.code === "Enter") event.preventDefault();
    const takes = event.target instanceof Element && event.target.closest("button, select, input, textarea, a, dialog, [tabindex]");
    if (event.code !== "Space" || event.repeat || takes || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    table.press();
  });
}

leaveButtons();
void open();
