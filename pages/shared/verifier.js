// Computes a round again from its revealed seed, as games/draws.py and each game's rules say. It asks nobody.

const WORDS = 2 ** 32;
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

export const commitment = async (seed) => hex(await crypto.subtle.digest("SHA-256", bytes(seed)));

/** The integers that a round draws, in their order: a function of the bound. */
export async function draws(serverSeed, clientSeed, nonce) {
  const key = await crypto.subtle.importKey("raw", bytes(serverSeed), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  let words = [], block = 0;
  return async (bound) => {
    for (const limit = WORDS - (WORDS % bound); ; ) {
      if (words.length === 0) {
        const text = new TextEncoder().encode(`${clientSeed}:${nonce}:${block++}`);
        const view = new DataView(await crypto.subtle.sign("HMAC", key, text));
        words = Array.from({ length: 8 }, (_, at) => view.getUint32(4 * at));
      }
      const word = words.shift();
      if (word < limit) return word % bound;
    }
  };
}

async function dice(game, { stake, choice: { direction, target } }, draw) {
  const roll = await draw(game.rules.rolls);
  const won = direction === "over" ? roll > target : roll < target;
  const count = direction === "over" ? game.rules.rolls - 1 - target : target;
  const win = won ? Number((BigInt(stake) * BigInt(game.rules.returned)) / BigInt(count)) : 0;
  return { outcome: { roll, direction, target, won, win }, win };
}

async function spinOf({ reels, rows, lines, line_pays, scatter_pays, wild, scatter, free_spins }, draw, stake, multiplier, room) {
  const stops = [];
  for (const strip of reels) stops.push(await draw(strip.length));
  const at = (reel, row) => reels[reel][(stops[reel] + row) % reels[reel].length];
  const grid = Array.from({ length: rows }, (_, row) => reels.map((_, reel) => at(reel, row)).join(""));
  const unit = Math.floor(stake / lines.length) * multiplier, paid = [];
  lines.forEach((line, index) => {
    const symbol = at(0, line[0]);
    let count = 1;
    while (count < line.length && [symbol, wild].includes(at(count, line[count]))) count += 1;
    const units = line_pays[symbol]?.[count];
    if (units) paid.push({ line: index, symbol, count, win: units * unit });
  });
  const count = grid.join("").split(scatter).length - 1, awards = free_spins.awards ?? {};
  const known = count in scatter_pays || count in awards;
  const scatters = known
    ? { count, win: (scatter_pays[count] ?? 0) * lines.length * unit, free_spins: Math.min(awards[count] ?? 0, room) }
    : null;
  const win = paid.reduce((sum, line) => sum + line.win, scatters?.win ?? 0);
  return { stops, grid, lines: paid, scatters, multiplier, win };
}

async function slot({ rules, max_win }, { stake }, draw) {
  let spin = await spinOf(rules, draw, stake, 1, rules.free_spins.maximum);
  let awarded = spin.scatters?.free_spins ?? 0, total = spin.win;
  const spins = [spin];
  while (spins.length <= awarded) {
    spin = await spinOf(rules, draw, stake, rules.free_spins.multiplier, rules.free_spins.maximum - awarded);
    awarded += spin.scatters?.free_spins ?? 0;
    total += spin.win;
    spins.push(spin);
  }
  const win = Math.min(total, max_win * stake);
  return { outcome: { spins, total, capped: win < total }, win };
}

async function picked({ rules }, { stake, actions }, draw) {
  const first = await spinOf(rules, draw, stake, 1, 0);
  const outcome = { spins: [first], picked: null, gambles: [], total: first.win };
  for (const { action, params } of actions) {
    if (action === "pick") {
      const by = rules.free_spins.multipliers[params.spins];
      for (let n = 0; n < params.spins; n++) outcome.spins.push(await spinOf(rules, draw, stake, by, 0));
      Object.assign(outcome, { picked: params.spins, total: outcome.spins.reduce((sum, spin) => sum + spin.win, 0) });
    } else if (action !== "collect") {
      const drawn = rules.gambles.colors[await draw(2)], right = drawn === params.color;
      outcome.total = action === "gamble" ? (right ? 2 * outcome.total : 0) : right ? 3 * outcome.total : outcome.total;
      outcome.gambles.push({ action, color: params.color, drawn, win: outcome.total });
    }
  }
  return { outcome, win: outcome.total };
}

/** { outcome, win } of a bet, or null for a game whose rules this program does not know. */
export async function recompute(game, bet, { serverSeed, clientSeed, nonce }) {
  const { rolls, reels, gambles, free_spins } = game.rules;
  const play = rolls ? dice : reels && gambles && free_spins?.multipliers ? picked : reels && free_spins?.awards ? slot : null;
  return play && play(game, bet, await draws(serverSeed, clientSeed, nonce));
}
