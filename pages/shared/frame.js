// The game's side of the frame contract: what the launch URL says, and the words between a game and the page around it.

const VERSION = 1;
const COMMANDS = new Set(["refresh", "pause", "resume"]);
const LONGEST_URL = 512;

/**
 * What the address says, each a string or null. What does not hold what it should is null: whoever made the
 * address, no link leads to anything but https, or http of this machine.
 */
export function readLaunch(address) {
  const query = new URLSearchParams(address.search);
  const fragment = new URLSearchParams(address.hash.slice(1));
  return {
    game: matching(query.get("game"), /^[a-z][a-z0-9-]{0,63}$/),
    token: fragment.get("token") || null,
    lang: language(query.get("lang")),
    device: matching(query.get("device"), /^(desktop|mobile)$/),
    country: matching(query.get("country"), /^[A-Z]{2}$/),
    lobbyUrl: link(query.get("lobby_url")),
    depositUrl: link(query.get("deposit_url")),
    historyUrl: link(query.get("history_url")),
    parentOrigin: origin(fragment.get("parent_origin")),
  };
}

/** The fragment as it may stay in the address: a reload in a frame still knows its parent. */
export function withoutToken(hash) {
  const fragment = new URLSearchParams(hash.slice(1));
  fragment.delete("token");
  return fragment.size > 0 ? `#${fragment}` : "";
}

/** The page around, if there is one to speak to; else an object that says nothing, and follows links itself. */
export function openFrame(launch, here = globalThis) {
  return new Frame(launch, here);
}

class Frame {
  #here;
  #links;
  #handlers = new Map();
  #parentOrigin;

  constructor(launch, here) {
    this.#here = here;
    this.#parentOrigin = here.parent === here.self ? null : launch.parentOrigin;
    this.#links = { exit: launch.lobbyUrl, deposit: launch.depositUrl, history: launch.historyUrl };
    if (this.framed) here.addEventListener("message", (event) => this.#take(event));
  }

  get framed() {
    return this.#parentOrigin !== null;
  }

  /** `handler` does what the page around asks for: refresh, pause or resume. */
  on(command, handler) {
    if (!COMMANDS.has(command)) throw new TypeError(`no command of the frame: ${command}`);
    this.#handlers.set(command, handler);
  }

  ready({ game, version, mode, currency }) {
    this.#say("ready", { game, version, mode, currency });
  }

  busy(round) {
    this.#say("busy", { round });
  }

  idle() {
    this.#say("idle");
  }

  balance(balance) {
    if (balance !== null) this.#say("balance", { balance: money(balance) });
  }

  win({ round, stake, win }) {
    this.#say("win", { round, stake: money(stake), win: money(win) });
  }

  error({ code, message, fatal = false }) {
    this.#say("error", { code, message, fatal });
  }

  /** Whether the player can be led there: `exit`, `deposit` or `history`. */
  offers(place) {
    return this.#links[place] !== null || (place === "exit" && this.framed);
  }

  /** In a frame the page around decides what becomes of it; alone, the game's page goes there itself. */
  leave(place) {
    if (!(place in this.#links)) throw new TypeError(`no place to leave for: ${place}`);
    if (this.framed) this.#say(place);
    else if (this.#links[place] !== null) this.#here.location.assign(this.#links[place]);
  }

  #say(type, fields = {}) {
    if (this.framed) this.#here.parent.postMessage({ croupier: VERSION, type, ...fields }, this.#parentOrigin);
  }

  /** Any window may post anything: only the parent counts, while it is of the origin that it said it is. */
  #take(event) {
    if (event.source !== this.#here.parent || event.origin !== this.#parentOrigin) return;
    const said = event.data;
    if (typeof said !== "object" || said === null || said.croupier !== VERSION) return;
    if (COMMANDS.has(said.type)) this.#handlers.get(said.type)?.();
  }
}

/** Only what the contract names: whatever else an answer holds stays here. */
function money({ amount, currency }) {
  return { amount, currency };
}

function matching(text, pattern) {
  return text !== null && pattern.test(text) ? text : null;
}

function language(text) {
  try {
    return text === null ? null : Intl.getCanonicalLocales(text)[0];
  } catch {
    return null;
  }
}

function link(text) {
  if (text === null || text.length > LONGEST_URL || !URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return null;
  return isTrusted(url) ? url.href : null;
}

/** `*` or an address with a path would be another promise than one origin. */
function origin(text) {
  if (text === null || !URL.canParse(text)) return null;
  const url = new URL(text);
  return isTrusted(url) && url.origin === text ? text : null;
}

function isTrusted(url) {
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
}
