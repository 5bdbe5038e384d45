// The lobby: asks which games there are, opens demo sessions with the key of the address, and shows each in a frame.

import { Caller, Problem } from "../shared/client/calls.js";
import { byId, el } from "../shared/dom.js";
import { Table } from "./table.js";

const PATIENCE = { totalMs: 5_000, firstPauseMs: 200 };
const NO_KEY = "This address has no key. Open the lobby at the address that ./croupier up prints; ./croupier status --json has it too.";

const key = new URLSearchParams(location.hash.slice(1)).get("key");
const caller = new Caller({ baseUrl: location.origin, bearer: key ?? "", patience: PATIENCE });

// Another key in the same tab: the browser itself would only scroll.
addEventListener("hashchange", () => location.reload());

if (key === null) say(NO_KEY);
else await guarded(showGames);

async function showGames() {
  const { items } = await caller.call("games");
  byId("games").replaceChildren(...items.map(card));
}

function card(game) {
  const open = el("button", { type: "button", class: "main", onclick: () => guarded(() => play(game, open)) }, `Play ${game.title}`);
  return el(
    "li",
    {},
    el("h3", {}, game.title),
    el("p", {}, `${game.id} ${game.version}; wins up to ${game.max_win} times the stake`),
    open,
  );
}

async function play(game, button) {
  button.disabled = true;
  try {
    const device = byId("device").value;
    const table = new Table({ game, device, launchUrl: await session(game, device), fill: () => session(game, device) });
    byId("tables").prepend(table.element);
    table.open();
  } finally {
    button.disabled = false;
  }
}

/** The launch URL of a new session, which has filled the player's demo balance. */
async function session(game, device) {
  const here = `${location.origin}${location.pathname}`;
  const told = { device, lang: navigator.language, lobby_url: here, deposit_url: here };
  const opened = await caller.request(
    { method: "POST", path: "/lobby/sessions" },
    { body: { game_id: game.id, ...told } },
  );
  return opened.launch_url;
}

async function guarded(work) {
  try {
    byId("notice").hidden = true;
    await work();
  } catch (error) {
    say(words(error));
  }
}

function words(error) {
  if (!(error instanceof Problem)) return "The stack does not answer. See whether it is up: ./croupier status.";
  if (error.code === "unauthenticated") return `The key of this address is not the stack's. ${NO_KEY}`;
  return `The stack refused: ${error.detail}`;
}

function say(text) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.hidden = false;
}
