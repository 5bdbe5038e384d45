// What a round waits for, as buttons: one for each value that may be chosen, with what it costs.

import { el } from "../shared/dom.js";
import { plain } from "./view-facts.js";

const BUTTONS_LIMIT = 24;

export function fillOffers(target, choices, money, choose) {
  target.replaceChildren(...choices.flatMap((offer) => {
    const names = Object.keys(offer.params);
    const count = names.reduce((product, name) => product * offer.params[name].length, 1);
    return count > BUTTONS_LIMIT ? [form(offer, money, choose)] : buttons(offer, names, money, choose);
  }));
}

function buttons(offer, names, money, choose) {
  return combinations(offer.params, names).map((params) =>
    el("button", { type: "button", class: "main", onclick: () => choose(offer, params) }, labelOf(offer, params, money)));
}

/** Too many values for buttons: a field for each parameter. */
function form(offer, money, choose) {
  const selects = Object.entries(offer.params).map(([name, values]) =>
    [name, values, el("select", {}, ...values.map((value) => el("option", {}, plain(value))))]);
  const submit = (event) => {
    event.preventDefault();
    choose(offer, Object.fromEntries(selects.map(([name, values, select]) => [name, values[select.selectedIndex]])));
  };
  return el("form", { class: "row", onsubmit: submit },
    ...selects.map(([name, , select]) => el("label", {}, `${plain(name)} `, select)),
    el("button", { class: "main" }, labelOf(offer, {}, money)));
}

function labelOf(offer, params, money) {
  const values = Object.entries(params).map(([name, value]) => (typeof value === "string" ? value : `${value} ${plain(name).toLowerCase()}`));
  const cost = offer.debit.amount > 0 ? `, costs ${money(offer.debit)}` : "";
  return `${plain(offer.action)}${values.length ? ` ${values.join(", ")}` : ""}${cost}`;
}

function combinations(params, names) {
  return names.reduce(
    (found, name) => found.flatMap((known) => params[name].map((value) => ({ ...known, [name]: value }))),
    [{}],
  );
}
