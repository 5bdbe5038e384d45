// What can be bet, made of the game's description: modes, the ladder of stakes, and a field for each part of a choice.

import { byId, el } from "../shared/dom.js";
import { plain } from "./view-facts.js";

export class BetForm {
  #game;
  #limits;
  #money;
  #fields = new Map();
  #variants = [];

  /** `money` makes a text of an amount. */
  constructor(game, limits, money) {
    this.#game = game;
    this.#limits = limits;
    this.#money = money;
    this.#fillModes();
    this.#fillChoice();
    byId("mode").addEventListener("change", () => this.#fillStakes());
    byId("stake").addEventListener("change", () => this.#changed());
    byId("less").addEventListener("click", () => this.#step(-1));
    byId("more").addEventListener("click", () => this.#step(1));
  }

  get mode() {
    return byId("mode").value;
  }

  get stake() {
    return Number(byId("stake").value);
  }

  /** The choice as it would be sent, undefined for a game without one. Null, and the field is named, when it is none. */
  get choice() {
    if (this.#game.choice === null) return undefined;
    if (!byId("bet").reportValidity()) return null;
    const own = [...this.#fields].map(([name, field]) => [name, field.read()]);
    if (this.#variants.length === 0) return this.#fields.get("")?.read() ?? Object.fromEntries(own);
    return Object.fromEntries(own);
  }

  /** The bet that a round was made with, in the form. */
  set({ stake, mode }) {
    if (this.#game.modes[mode] !== undefined) byId("mode").value = mode;
    this.#fillStakes(stake);
  }

  /** As long as `disabled`, nothing can be changed. */
  disable(disabled) {
    for (const control of byId("bet").querySelectorAll("select, input, textarea")) control.disabled = disabled;
    this.#changed(disabled);
  }

  #fillModes() {
    const modes = Object.entries(this.#game.modes);
    byId("mode").replaceChildren(...modes.map(([name, { description }]) => el("option", { value: name }, description)));
    byId("mode").value = "base";
    byId("mode-row").hidden = modes.length < 2;
    this.#fillStakes();
  }

  #fillStakes(chosen = this.stake) {
    const { stakes: only, max_stake: most } = this.#limits;
    const ladder = (this.#game.modes[this.mode]?.stakes ?? this.#game.stakes).filter(
      (stake) => (!only || only.includes(stake)) && (!most || stake <= most),
    );
    byId("stake").replaceChildren(...ladder.map((stake) => el("option", { value: stake }, this.#money(stake))));
    byId("stake").value = String(ladder.includes(chosen) ? chosen : (ladder[0] ?? ""));
    this.#changed();
  }

  #step(by) {
    const select = byId("stake");
    select.selectedIndex = Math.min(Math.max(select.selectedIndex + by, 0), select.options.length - 1);
    this.#changed();
  }

  #changed(disabled = byId("stake").disabled) {
    const { selectedIndex, options } = byId("stake");
    byId("less").disabled = disabled || selectedIndex <= 0;
    byId("more").disabled = disabled || selectedIndex >= options.length - 1;
    this.#odds();
  }

  #fillChoice() {
    const schema = this.#game.choice;
    byId("choice").hidden = schema === null;
    if (schema === null) return;
    this.#variants = (schema.oneOf ?? schema.anyOf ?? [schema]).filter(isFlat);
    if (this.#variants.length === 0) {
      const field = jsonField();
      this.#fields.set("", field);
      byId("fields").replaceChildren(field.label);
      return;
    }
    this.#fillFields(0);
  }

  /** A field for each property of one variant; those that tell the variants apart lead from one to the other. */
  #fillFields(variant, values = {}) {
    this.#fields.clear();
    const { properties = {} } = this.#variants[variant];
    for (const [name, schema] of Object.entries(properties)) {
      const tells = "const" in schema && this.#variants.length > 1;
      const options = tells ? this.#variants.map((other) => other.properties?.[name]?.const) : (schema.enum ?? null);
      this.#fields.set(name, "const" in schema && !tells ? fixed(schema.const) : fieldOf(name, schema, options, values[name]));
      if (!tells) continue;
      const { input } = this.#fields.get(name);
      input.selectedIndex = variant;
      input.addEventListener("change", () => {
        const kept = Object.fromEntries([...this.#fields].map(([key, field]) => [key, field.read()]));
        const at = input.selectedIndex;
        this.#fillFields(at, kept);
        this.#fields.get(name).input.focus();
      });
    }
    byId("fields").replaceChildren(...[...this.#fields.values()].map((field) => field.label).filter(Boolean));
    byId("fields").oninput = () => this.#odds();
    this.#odds();
  }

  /** For a roll against a target: how many win, by the rules. */
  #odds() {
    const { rolls } = this.#game.rules;
    const target = this.#fields.get("target")?.read(), direction = this.#fields.get("direction")?.read();
    const known = Number.isInteger(rolls) && Number.isInteger(target) && typeof direction === "string";
    byId("odds").hidden = !known;
    if (known) byId("odds").textContent = `${direction === "over" ? rolls - 1 - target : target} of ${rolls} rolls win.`;
  }
}

function isFlat({ properties }) {
  return Object.values(properties ?? {}).every(
    ({ type, enum: values, const: only }) => only !== undefined || values || ["integer", "boolean", "string"].includes(type),
  );
}

function fixed(value) {
  return { read: () => value, label: null };
}

function fieldOf(name, schema, options, value) {
  const input = inputOf(schema, options, value);
  const range = schema.type === "integer" && schema.minimum !== undefined ? ` (${schema.minimum} to ${schema.maximum})` : "";
  const label = el("label", {}, plain(name) + range, input);
  if (options) return { label, input, read: () => options[input.selectedIndex] };
  if (schema.type === "integer") return { label, input, read: () => (input.value === "" ? null : Number(input.value)) };
  if (schema.type === "boolean") return { label, input, read: () => input.checked };
  return { label, input, read: () => input.value };
}

function inputOf(schema, options, value) {
  if (options) {
    const select = el("select", {}, ...options.map((option) => el("option", {}, plain(option))));
    select.selectedIndex = Math.max(options.indexOf(value), 0);
    return select;
  }
  if (schema.type === "boolean") return el("input", { type: "checkbox", checked: value === true });
  const { minimum: min, maximum: max, minLength: minlength, maxLength: maxlength } = schema;
  if (schema.type === "string") return el("input", { type: "text", required: true, minlength, maxlength, value: value ?? "" });
  const middle = Math.floor(((min ?? 0) + (max ?? min ?? 0)) / 2);
  const start = Math.min(Math.max(value ?? middle, min ?? -Infinity), max ?? Infinity);
  return el("input", { type: "number", inputmode: "numeric", required: true, min, max, step: 1, value: start });
}

/** For a choice that no form is made of: the game's own words. */
function jsonField() {
  const input = el("textarea", { required: true, spellcheck: "false" });
  const read = () => {
    try {
      return JSON.parse(input.value);
    } catch {
      return null;
    }
  };
  input.addEventListener("input", () => input.setCustomValidity(read() === null ? "Write a JSON object." : ""));
  return { label: el("label", {}, "Choice as JSON", input), input, read };
}
