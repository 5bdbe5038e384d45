// What the reader opens calls with: one field for each kind of credentials, kept in this page's memory and nowhere else.

import { byId, el } from "../shared/dom.js";
import { inline, words } from "./text.js";

export class Credentials {
  #fields = new Map();

  /** Shows a field for each way of `schemes` that goes as a bearer token. */
  constructor(schemes) {
    for (const [name, { type, scheme, description }] of Object.entries(schemes ?? {})) {
      if (type === "http" && scheme === "bearer") this.#fields.set(name, field(name, description));
    }
    byId("credential-fields").replaceChildren(...[...this.#fields.values()].map(({ label }) => label));
    byId("credentials").hidden = this.#fields.size === 0;
  }

  /** The first that a call may be opened with and that was entered: its name and itself. Null without one. */
  of({ security }) {
    const names = (security ?? []).flatMap((needed) => Object.keys(needed));
    const name = names.find((each) => this.#value(each) !== "");
    return name === undefined ? null : { name, value: this.#value(name) };
  }

  #value(name) {
    return this.#fields.get(name)?.input.value.trim() ?? "";
  }

  /** Whether there is such a field. */
  takes(name) {
    return this.#fields.has(name);
  }

  set(name, value) {
    this.#fields.get(name).input.value = value;
  }
}

function field(name, description) {
  // A password's field: shown to nobody who looks at the screen, and restored by no browser.
  const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  return { input, label: el("label", {}, el("span", {}, words(name)), input, el("span", { class: "soft" }, ...inline(description ?? ""))) };
}
