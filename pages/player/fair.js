// Whether a round is what its revealed seed gives: computed in this browser, or by the casino where nobody else can.

import { Problem } from "../shared/client/calls.js";
import { commitment, recompute } from "../shared/verifier.js";

const KEPT = 20;

/** Seeds that were revealed to this tab, by their hashes. */
export class Seeds {
  #store;

  constructor(store) {
    this.#store = store;
  }

  add(revealed) {
    const others = this.#all.filter((seed) => seed.server_seed_hash !== revealed.server_seed_hash);
    this.#store.set("seeds", [revealed, ...others].slice(0, KEPT));
  }

  of(hash) {
    return this.#all.find((seed) => seed.server_seed_hash === hash) ?? null;
  }

  get #all() {
    return this.#store.get("seeds") ?? [];
  }
}

/**
 * What comes of checking a round against a revealed seed: { verdict: "same" | "different" | "unknown", why }.
 * `game` is the game as it is described now.
 */
export async function check(round, game, seed, caller) {
  if (round.outcome === null) return unknown("it has no result");
  if (globalThis.crypto?.subtle === undefined) return unknown("the browser computes it on https pages alone");
  if ((await commitment(seed.server_seed)) !== round.fairness.server_seed_hash) {
    return { verdict: "different", why: "the secret has another fingerprint than was shown" };
  }
  const choice = choiceOf(round, game);
  if (choice === null) return unknown("its choice is not part of its result");
  const { client_seed: clientSeed, nonce } = round.fairness;
  const bet = { stake: staked(round), choice, actions: round.actions };
  const isKnown = round.game.id === game.id && round.game.version === game.version;
  const computed = isKnown ? await recompute(game, bet, { serverSeed: seed.server_seed, clientSeed, nonce }) : null;
  if (computed !== null) return compared(round, computed, "computed in this browser");
  return compared(round, await byTheCasino(round, bet, seed, caller), "computed by the casino, for its rules are not known here");
}

function unknown(why) {
  return { verdict: "unknown", why };
}

function compared(round, computed, why) {
  if (computed === null) return unknown("the casino cannot compute it now");
  const same = computed.win === round.win.amount && canonical(computed.outcome) === canonical(round.outcome);
  return { verdict: same ? "same" : "different", why };
}

async function byTheCasino(round, { stake, choice, actions }, seed, caller) {
  const { client_seed, nonce } = round.fairness;
  const taken = actions.map(({ action, params }) => ({ action, params }));
  const { id: game, version } = round.game;
  const body = { game, version, server_seed: seed.server_seed, client_seed, nonce, mode: round.mode, stake, actions: taken };
  try {
    return await caller.call("verify", { body: choice === undefined ? body : { ...body, choices: choice } });
  } catch (error) {
    if (error instanceof Problem) return null;
    throw error;
  }
}

/** What was staked with the bet alone. */
export function staked(round) {
  return round.actions.reduce((stake, action) => stake - action.debit.amount, round.stake.amount);
}

/** The choice that was made with the bet, as far as the result repeats it; null when it does not. */
function choiceOf({ outcome }, { choice }) {
  if (choice === null) return undefined;
  const variants = choice.oneOf ?? choice.anyOf ?? [choice];
  const names = Object.keys(variants[0]?.properties ?? {});
  if (names.length === 0 || !names.every((name) => name in outcome)) return null;
  return Object.fromEntries(names.map((name) => [name, outcome[name]]));
}

/** JSON with its names in order. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}
