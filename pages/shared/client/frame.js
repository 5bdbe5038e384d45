// Made by pages/make_shared.py of clients/typescript/src/frame.ts. Do not edit.

// A game in a page of the casino: an iframe, and the words between both. `docs/game/frames.md` is the contract.

/** What a game says, by its type. The page around acts on it; money is what the casino has answered. */

const VERSION = 1;
const READY_MS = 20_000;
const LINKS                        = { exit: "lobby_url", deposit: "deposit_url", history: "history_url" };

const isText        = (value) => typeof value === "string" && value.length <= 1_000;
const isId        = (value) => typeof value === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(value);
const isMoney        = (value) => {
  if (typeof value !== "object" || value === null) return false;
  const { amount, currency } = value                           ;
  return Number.isSafeInteger(amount) && typeof currency === "string" && /^[A-Z][A-Z0-9]{2,9}$/.test(currency);
};
const CHECKS                                                = {
  ready: { game: isId, version: isText, mode: (value) => value === "real" || value === "demo", currency: isText },
  busy: { round: isId },
  idle: {},
  balance: { balance: isMoney },
  win: { round: isId, stake: isMoney, win: isMoney },
  exit: {},
  deposit: {},
  history: {},
  error: { code: isText, message: isText, fatal: (value) => typeof value === "boolean" },
};

/** Shows the game of a launch URL in a page, which hears what the game says, and may ask it to pause. */
export class CroupierFrame {
           element                   ;
           #launch     ;
           #handlers = new Map                     ();
           #listener = (event              )       => this.#take(event);
  #waiting                                           ;
  #ready = false;
  #busy = false;
  #paused = false;

  /** Throws TypeError for a launch URL, or a page around, between which nothing can be checked. */
  constructor(within         , launchUrl        , options               = {}) {
    this.#launch = new URL(launchUrl);
    if (!isWeb(this.#launch.origin)) throw new TypeError("a launch URL begins with https://");
    if (!isWeb(location.origin)) throw new TypeError("a page without an origin of its own cannot have a frame");
    for (const [type, handler] of Object.entries(options.on ?? {})) this.on(type        , handler                 );
    this.element = within.ownerDocument.createElement("iframe");
    this.element.title = options.title ?? "Game";
    // Frames of one tab share its storage: a game tells its own things by this name.
    this.element.name = `croupier-${Math.random().toString(36).slice(2)}`;
    this.element.allow = "fullscreen";
    this.element.referrerPolicy = "no-referrer";
    this.element.src = this.#address();
    addEventListener("message", this.#listener);
    const readyMs = options.readyMs ?? READY_MS;
    this.#waiting = setTimeout(() => this.#tell("error", silent(readyMs)), readyMs);
    within.append(this.element);
  }

  /** Whether a round is under way: closing the game would leave it to be resumed. */
  get busy()          {
    return this.#busy;
  }

  /** Sets what is done when the game says so, in place of what was set before. */
  on                (type   , handler            )       {
    if (!Object.hasOwn(CHECKS, type)) throw new TypeError(`games do not say ${type}`);
    this.#handlers.set(type, handler                 );
    return this;
  }

  /** The balance has changed outside of the game, which asks for it again. */
  refresh()       {
    this.#ask("refresh");
  }

  /** No round begins until `resume`; one that is under way ends. The game says `idle` when none is. */
  pause()       {
    this.#paused = true;
    this.#ask("pause");
  }

  resume()       {
    this.#paused = false;
    this.#ask("resume");
  }

  /** Takes the game out of the page. A round that is under way ends, or waits for the player, all the same. */
  remove()       {
    clearTimeout(this.#waiting);
    removeEventListener("message", this.#listener);
    this.element.remove();
  }

  /** The launch URL, and in its fragment, beside the token, to whom the game may speak. */
  #address()         {
    const address = new URL(this.#launch);
    const fragment = new URLSearchParams(address.hash.slice(1));
    fragment.set("parent_origin", location.origin);
    address.hash = fragment.toString();
    return address.href;
  }

  /** Before the game is ready there is nobody to ask; a pause is asked for again then. */
  #ask(type         )       {
    if (this.#ready) this.element.contentWindow?.postMessage({ croupier: VERSION, type }, this.#launch.origin);
  }

  /** Any window may post anything: only the game counts, while its frame shows the origin that was launched. */
  #take(event              )       {
    if (event.source !== this.element.contentWindow || event.origin !== this.#launch.origin) return;
    const message = read(event.data);
    if (message === null) return;
    const [type, said] = message;
    if (type === "ready") this.#begin();
    if (type === "busy" || type === "idle") this.#busy = type === "busy";
    this.#tell(type, said);
  }

  #begin()       {
    clearTimeout(this.#waiting);
    this.#ready = true;
    this.#busy = false;
    if (this.#paused) this.#ask("pause");
  }

  #tell(type      , said            )       {
    const handler = this.#handlers.get(type);
    if (handler !== undefined) handler(said);
    else if (type in LINKS) this.#follow(type         );
  }

  /** Where nobody handles it. The link is the launch URL's, never one that a message brings. */
  #follow(place       )       {
    const link = this.#launch.searchParams.get(LINKS[place]);
    if (link !== null && URL.canParse(link) && isWeb(new URL(link).origin)) location.assign(link);
    else if (place === "exit") this.remove();
  }
}

/** The type of a message and what it says, without what the contract does not name; null for anything else. */
function read(data         )                            {
  if (typeof data !== "object" || data === null) return null;
  const message = data                           ;
  const type = message["type"];
  if (message["croupier"] !== VERSION || typeof type !== "string" || !Object.hasOwn(CHECKS, type)) return null;
  const checks = Object.entries       (CHECKS[type        ]);
  if (!checks.every(([name, check]) => check(message[name]))) return null;
  return [type        , Object.fromEntries(checks.map(([name]) => [name, message[name]]))                         ];
}

function isWeb(origin        )          {
  return /^https?:\/\//.test(origin);
}

function silent(readyMs        )                {
  const message =
    `The game has said nothing for ${readyMs / 1_000} s: see whether its address answers, and whether frame_origins ` +
    `of the casino's settings names ${location.origin}.`;
  return { code: "frame-silent", message, fatal: false };
}
