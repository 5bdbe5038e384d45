// What a reload must not lose: the token and the bet that has no answer yet, in this tab alone.

const KEY = "croupier.";

/** Remembers in the tab's session storage; where the browser allows none, for the life of the page. */
export class Store {
  #memory = new Map();

  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(KEY + name) ?? "null");
    } catch {
      return this.#memory.get(name) ?? null;
    }
  }

  /** Whether a reload will find it. */
  set(name, value) {
    this.#memory.set(name, value);
    try {
      sessionStorage.setItem(KEY + name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  }

  remove(name) {
    this.#memory.delete(name);
    try {
      sessionStorage.removeItem(KEY + name);
    } catch {
      // there is nothing to remove
    }
  }
}
