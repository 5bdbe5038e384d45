// The dialog about fairness: the commitment, its reveal, and the check of every round that was drawn from it.

import { Problem, newId } from "../shared/client/calls.js";
import { byId, el } from "../shared/dom.js";
import { inWords } from "../shared/problems.js";
import { commitment } from "../shared/verifier.js";
import { check } from "./fair.js";

const SAID = { same: "the same result", different: "NOT the same result", unknown: "cannot be checked here" };

const SILENT = { what: "The casino does not answer.", then: "Open this again later: it goes on where it was." };

export class Fairness {
  #seat;
  #store;
  #seeds;
  #game;
  #current = null;
  #revealed = null;

  constructor({ seat, store, seeds, game }) {
    this.#seat = seat;
    this.#store = store;
    this.#seeds = seeds;
    this.#game = game;
    byId("rotate").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#rotate(byId("next-seed").value);
    });
    byId("check-all").addEventListener("click", () => void this.#checkAll());
  }

  async open() {
    byId("next-seed").value = newId();
    byId("fairness").showModal();
    const begun = this.#store.get("rotation");
    if (begun !== null) await this.#rotate(begun.client_seed, begun.server_seed_hash);
    else await this.#load();
  }

  async #load() {
    try {
      const session = await this.#seat.client.session();
      this.#commit(session.fairness);
    } catch (error) {
      this.#say(error instanceof Problem ? inWords(error.code) : SILENT);
    }
  }

  #commit(commitment) {
    this.#current = commitment;
    byId("reveal").disabled = false;
    byId("seed-hash").textContent = commitment.server_seed_hash;
    byId("seed-client").textContent = commitment.client_seed;
    byId("seed-nonce").textContent = String(commitment.next_nonce);
  }

  #say({ what, then }) {
    byId("rotated").textContent = `${what} ${then}`;
  }

  /** Named by its hash, the same reveal may be asked for again after any doubt: a reload, or no answer. */
  async #rotate(clientSeed, hash = this.#current?.server_seed_hash) {
    byId("reveal").disabled = true;
    this.#store.set("rotation", { client_seed: clientSeed, server_seed_hash: hash });
    try {
      const { revealed, next } = await this.#seat.client.rotateSeed(clientSeed, hash);
      this.#store.remove("rotation");
      this.#seeds.add(revealed);
      this.#commit(next);
      await this.#reveal(revealed);
    } catch (error) {
      const refused = error instanceof Problem;
      if (refused) this.#store.remove("rotation");
      if (refused && error.code === "round-open") {
        this.#say({ what: "A round is still open.", then: "Finish it first, then reveal the secret." });
      } else this.#say(refused ? inWords(error.code, error.members) : SILENT);
      if (refused) await this.#load();
    }
  }

  async #reveal(revealed) {
    this.#revealed = revealed;
    byId("next-seed").value = newId();
    byId("revealed").hidden = false;
    byId("revealed-seed").textContent = revealed.server_seed;
    const canCompute = globalThis.crypto?.subtle !== undefined;
    const hash = canCompute ? await commitment(revealed.server_seed) : "the browser computes it on https pages alone";
    byId("revealed-hash").textContent = hash;
    const fits = hash === revealed.server_seed_hash;
    this.#say({
      what: "The secret is revealed, and the next rounds have a new one.",
      then: !canCompute ? "" : fits ? "Its fingerprint is the one that was shown." : "Its fingerprint is NOT the one that was shown.",
    });
    byId("check-all").hidden = revealed.last_nonce === null;
    byId("checked").textContent = revealed.last_nonce === null ? "No round was played with it." : "";
    byId("checks").replaceChildren();
  }

  async #checkAll() {
    const seed = this.#revealed;
    const counts = { same: 0, different: 0, unknown: 0 };
    byId("checks").replaceChildren();
    byId("check-all").disabled = true;
    try {
      for await (const round of this.#drawnFrom(seed)) {
        const { verdict, why } = await check(round, this.#game, seed, this.#seat.caller);
        counts[verdict] += 1;
        byId("checks").append(el("li", {}, `Round ${round.round_id}, number ${round.fairness.nonce}: ${SAID[verdict]} (${why})`));
        byId("checked").textContent = this.#summary(counts);
      }
      byId("checked").textContent = this.#summary(counts);
    } catch (error) {
      const words = inWords(error instanceof Problem ? error.code : "unanswered");
      byId("checked").textContent = `${words.what} Check again later.`;
    } finally {
      byId("check-all").disabled = false;
    }
  }

  #summary({ same, different, unknown }) {
    const all = same + different + unknown;
    const bad = different ? ` ${different} did NOT: tell your casino, with the round's id.` : "";
    return `${same} of ${all} rounds came out the same.${bad}${unknown ? ` ${unknown} cannot be checked here.` : ""}`;
  }

  /** The player's rounds of a seed: the history is read back to the first of them. */
  async *#drawnFrom({ server_seed_hash: hash }) {
    for await (const round of this.#seat.client.history()) {
      if (round.fairness.server_seed_hash !== hash) continue;
      yield round;
      if (round.fairness.nonce === 0) return;
    }
  }
}
