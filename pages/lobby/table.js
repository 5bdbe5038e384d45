// One open game: its frame, what may be asked of it, and every message between both, newest last.

import { CroupierFrame } from "../shared/client/frame.js";
import { el } from "../shared/dom.js";
import { shown } from "../shared/money.js";

const LONGEST_LOG = 200;
const STATES = { loading: "loading", idle: "idle", busy: "round under way", silent: "no answer" };

export class Table {
  #options;
  #frame = null;
  #paused = false;
  #state = el("span", { class: "state", role: "status" }, STATES.loading);
  #pause = el("button", { type: "button", onclick: () => this.#turn() }, "Pause");
  #log;
  #side;

  /** `fill` opens another session of the same player, which fills the demo balance. */
  constructor(options) {
    this.#options = options;
    const { title } = options.game;
    this.#log = el("div", { class: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": `Messages of ${title}` });
    this.#side = el("div", { class: `side ${options.device}` });
    const heading = el("h3", { tabindex: -1 }, title);
    this.element = el(
      "section",
      { class: "table", "aria-label": title },
      el("header", {}, heading, this.#state, this.#pause, this.#button("Refresh balance", () => this.#refresh()), this.#button("Close", () => this.close())),
      this.#side,
    );
  }

  open() {
    const { game, launchUrl } = this.#options;
    const on = {
      ready: (said) => this.#heard("ready", `${said.game} ${said.version}, ${said.mode} money, ${said.currency}`),
      busy: ({ round }) => this.#moved("busy", `round ${round}`),
      idle: () => this.#moved("idle", ""),
      balance: ({ balance }) => this.#heard("balance", shown(balance)),
      win: ({ round, stake, win }) => this.#heard("win", `${shown(win)} of ${shown(stake)} staked, round ${round}`),
      exit: () => this.close(),
      deposit: () => this.#deposit(),
      history: () => this.#heard("history", ""),
      error: (said) => this.#failed(said),
    };
    this.#frame = new CroupierFrame(this.#side, launchUrl, { title: game.title, on });
    this.#side.append(this.#log);
    this.element.querySelector("h3").focus();
  }

  /** The player is back in the lobby; a round that is under way ends, or waits, all the same. */
  close() {
    this.#frame.remove();
    this.element.remove();
    document.getElementById("games-heading").scrollIntoView();
    document.querySelector(".games button")?.focus();
  }

  #button(text, onclick) {
    return el("button", { type: "button", onclick }, text);
  }

  #turn() {
    this.#paused = !this.#paused;
    this.#pause.textContent = this.#paused ? "Resume" : "Pause";
    if (this.#paused) this.#frame.pause();
    else this.#frame.resume();
    this.#asked(this.#paused ? "pause" : "resume");
  }

  #refresh() {
    this.#frame.refresh();
    this.#asked("refresh");
  }

  /** What a casino's cashier does: there is more money, and the game is told to look. */
  async #deposit() {
    this.#heard("deposit", "");
    try {
      await this.#options.fill();
      this.#refresh();
    } catch {
      this.#heard("lobby", "the demo balance could not be filled");
    }
  }

  #moved(type, more) {
    this.#state.textContent = STATES[type] + (type === "idle" && this.#paused ? ", paused" : "");
    this.#heard(type, more);
  }

  #failed({ code, message, fatal }) {
    if (code === "frame-silent") this.#state.textContent = STATES.silent;
    this.#heard("error", `${code}: ${message}${fatal ? " No further bet." : ""}`);
  }

  #heard(type, more) {
    this.#note(el("p", {}, el("strong", {}, type), el("span", { class: "more" }, more && ` ${more}`)));
  }

  #asked(type) {
    this.#note(el("p", { class: "asked" }, "asked to ", el("strong", {}, type)));
  }

  #note(line) {
    this.#log.append(line);
    while (this.#log.childElementCount > LONGEST_LOG) this.#log.firstElementChild.remove();
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}
