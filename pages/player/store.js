// What a reload must not lose: the token and the bet that has no answer yet, in this tab alone.

/**
 * Remembers in the tab's session storage; where the browser allows none, for the life of the page. All frames of a tab
 * share it, so what is kept is kept by game, and by the name that a frame has from the page around.
 */
export class Store {
  #memory = new Map();
  #prefix;

  constructor(game) {
    this.#prefix = ["croupier", self.name, game ?? "", ""].join(".");
  }

  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(this.#prefix + name) ?? "null");
    } catch {
      return this.#memory.get(name) ?? null;
    }
  }

  /** Whether a reload will find it. */
  set(name, value) {
    this.#memory.set(name, value);
    try {
      sessionStorage.setItem(this.#prefix + name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  }

  remove(name) {
    this.#memory.delete(name);
    try {
      sessionStorage.removeItem(this.#prefix + name);
    } catch {
      // there is nothing to remove
    }
  }
}
