// The page's entries: each has an address of its own, is filled when it is opened first, and is found by its words.

import { el } from "../shared/dom.js";

export class Entries {
  #all = [];
  #groups = [];

  /** A closed entry. `words` are what a search looks in, beside its head; `fill` gives its content. */
  add({ id, level, head, words, fill }) {
    const link = el("a", { class: "own-link", href: `#${encodeURIComponent(id)}` }, "Link to this");
    const heading = el(`h${level}`, {}, ...head);
    const element = el("details", { id, class: "entry" }, el("summary", {}, heading));
    const filled = () => {
      if (element.childElementCount === 1) element.append(el("div", { class: "content" }, ...fill(), el("p", {}, link)));
    };
    element.addEventListener("toggle", () => element.open && filled());
    this.#all.push({ element, filled, words: `${heading.textContent} ${words}`.toLowerCase() });
    return element;
  }

  /** A part that has entries, hidden while none of them is found. */
  group(element) {
    this.#groups.push(element);
    return element;
  }

  get count() {
    return this.#all.length;
  }

  /** Shows what has every word of `text`, and says how many that are. */
  search(text) {
    const wanted = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
    let found = 0;
    for (const { element, words } of this.#all) {
      element.hidden = !wanted.every((word) => words.includes(word));
      found += element.hidden ? 0 : 1;
    }
    for (const group of this.#groups) {
      group.hidden = wanted.length > 0 && group.querySelector("details.entry:not([hidden])") === null;
    }
    return found;
  }

  /** Opens what has this id, and goes there; false where nothing has it. */
  open(id) {
    const entry = this.#all.find(({ element }) => element.id === id);
    if (entry === undefined) return false;
    entry.filled();
    entry.element.open = true;
    entry.element.scrollIntoView();
    entry.element.querySelector("summary").focus({ preventScroll: true });
    return true;
  }
}
