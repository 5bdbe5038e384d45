// A game in a page of the casino: an iframe, and the words between both. `docs/game/frames.md` is the contract.

import type { Money } from "./api.ts";

/** What a game says, by its type. The page around acts on it; money is what the casino has answered. */
export interface Said {
  /** The session is read, and a first bet is possible; again after the game was loaded anew. */
  ready: { game: string; version: string; mode: "real" | "demo"; currency: string };
  /** A round is under way: do not close the game now. */
  busy: { round: string };
  /** Nothing is under way. */
  idle: Record<never, never>;
  balance: { balance: Money };
  /** A round has won, and the player has seen it. */
  win: { round: string; stake: Money; win: Money };
  /** The player asks for the lobby, the cashier, or the history of the operator. */
  exit: Record<never, never>;
  deposit: Record<never, never>;
  history: Record<never, never>;
  /** As the player is shown it. `fatal`: this page of the game takes no further bet. */
  error: { code: string; message: string; fatal: boolean };
}

export type Type = keyof Said;
export type Handler<T extends Type> = (said: Said[T]) => void;
export type Handlers = { [T in Type]?: Handler<T> };
type Command = "refresh" | "pause" | "resume";
type Place = "exit" | "deposit" | "history";
type Check = (value: unknown) => boolean;

export interface FrameOptions {
  /** Read out as the frame's name. */
  title?: string;
  /** For `exit`, `deposit` and `history` a handler stands in place of following the launch URL's link. */
  on?: Handlers;
  /** How long a game may take to say that it is ready before `error` says `frame-silent`. */
  readyMs?: number;
}

const VERSION = 1;
const READY_MS = 20_000;
const LINKS: Record<Place, string> = { exit: "lobby_url", deposit: "deposit_url", history: "history_url" };

const isText: Check = (value) => typeof value === "string" && value.length <= 1_000;
const isId: Check = (value) => typeof value === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(value);
const isMoney: Check = (value) => {
  if (typeof value !== "object" || value === null) return false;
  const { amount, currency } = value as Record<string, unknown>;
  return Number.isSafeInteger(amount) && typeof currency === "string" && /^[A-Z][A-Z0-9]{2,9}$/.test(currency);
};
const CHECKS: { [T in Type]: Record<keyof Said[T], Check> } = {
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
  readonly element: HTMLIFrameElement;
  readonly #launch: URL;
  readonly #handlers = new Map<Type, Handler<Type>>();
  readonly #listener = (event: MessageEvent): void => this.#take(event);
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #ready = false;
  #busy = false;
  #paused = false;

  /** Throws TypeError for a launch URL, or a page around, between which nothing can be checked. */
  constructor(within: Element, launchUrl: string, options: FrameOptions = {}) {
    this.#launch = new URL(launchUrl);
    if (!isWeb(this.#launch.origin)) throw new TypeError("a launch URL begins with https://");
    if (!isWeb(location.origin)) throw new TypeError("a page without an origin of its own cannot have a frame");
    for (const [type, handler] of Object.entries(options.on ?? {})) this.on(type as Type, handler as Handler<Type>);
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
  get busy(): boolean {
    return this.#busy;
  }

  /** Sets what is done when the game says so, in place of what was set before. */
  on<T extends Type>(type: T, handler: Handler<T>): this {
    if (!Object.hasOwn(CHECKS, type)) throw new TypeError(`games do not say ${type}`);
    this.#handlers.set(type, handler as Handler<Type>);
    return this;
  }

  /** The balance has changed outside of the game, which asks for it again. */
  refresh(): void {
    this.#ask("refresh");
  }

  /** No round begins until `resume`; one that is under way ends. The game says `idle` when none is. */
  pause(): void {
    this.#paused = true;
    this.#ask("pause");
  }

  resume(): void {
    this.#paused = false;
    this.#ask("resume");
  }

  /** Takes the game out of the page. A round that is under way ends, or waits for the player, all the same. */
  remove(): void {
    clearTimeout(this.#waiting);
    removeEventListener("message", this.#listener);
    this.element.remove();
  }

  /** The launch URL, and in its fragment, beside the token, to whom the game may speak. */
  #address(): string {
    const address = new URL(this.#launch);
    const fragment = new URLSearchParams(address.hash.slice(1));
    fragment.set("parent_origin", location.origin);
    address.hash = fragment.toString();
    return address.href;
  }

  /** Before the game is ready there is nobody to ask; a pause is asked for again then. */
  #ask(type: Command): void {
    if (this.#ready) this.element.contentWindow?.postMessage({ croupier: VERSION, type }, this.#launch.origin);
  }

  /** Any window may post anything: only the game counts, while its frame shows the origin that was launched. */
  #take(event: MessageEvent): void {
    if (event.source !== this.element.contentWindow || event.origin !== this.#launch.origin) return;
    const message = read(event.data);
    if (message === null) return;
    const [type, said] = message;
    if (type === "ready") this.#begin();
    if (type === "busy" || type === "idle") this.#busy = type === "busy";
    this.#tell(type, said);
  }

  #begin(): void {
    clearTimeout(this.#waiting);
    this.#ready = true;
    this.#busy = false;
    if (this.#paused) this.#ask("pause");
  }

  #tell(type: Type, said: Said[Type]): void {
    const handler = this.#handlers.get(type);
    if (handler !== undefined) handler(said);
    else if (type in LINKS) this.#follow(type as Place);
  }

  /** Where nobody handles it. The link is the launch URL's, never one that a message brings. */
  #follow(place: Place): void {
    const link = this.#launch.searchParams.get(LINKS[place]);
    if (link !== null && URL.canParse(link) && isWeb(new URL(link).origin)) location.assign(link);
    else if (place === "exit") this.remove();
  }
}

/** The type of a message and what it says, without what the contract does not name; null for anything else. */
function read(data: unknown): [Type, Said[Type]] | null {
  if (typeof data !== "object" || data === null) return null;
  const message = data as Record<string, unknown>;
  const type = message["type"];
  if (message["croupier"] !== VERSION || typeof type !== "string" || !Object.hasOwn(CHECKS, type)) return null;
  const checks = Object.entries<Check>(CHECKS[type as Type]);
  if (!checks.every(([name, check]) => check(message[name]))) return null;
  return [type as Type, Object.fromEntries(checks.map(([name]) => [name, message[name]])) as unknown as Said[Type]];
}

function isWeb(origin: string): boolean {
  return /^https?:\/\//.test(origin);
}

function silent(readyMs: number): Said["error"] {
  const message =
    `The game has said nothing for ${readyMs / 1_000} s: see whether its address answers, and whether frame_origins ` +
    `of the casino's settings names ${location.origin}.`;
  return { code: "frame-silent", message, fatal: false };
}
