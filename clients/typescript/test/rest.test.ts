// At a running casino, whose BASE_URL and OPERATOR_KEY the environment has: `node --test test/rest.test.ts`.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { GameClient, OperatorClient, Problem, Unanswered, isFinal, newId } from "../src/index.ts";
import type { Round } from "../src/index.ts";

const baseUrl = process.env["BASE_URL"]!;
const operator = new OperatorClient({ baseUrl, bearer: process.env["OPERATOR_KEY"]! });
const playerId = `ts-${newId()}`;
const over = { direction: "over", target: 4_999 };
let token: string;

before(async () => {
  await operator.deposit(playerId, { amount: 10_000, currency: "EUR" });
  token = (await operator.openSession({ player_id: playerId, game_id: "fruit-lines", currency: "EUR" })).token;
});

async function dice(balance: number): Promise<{ player: string; token: string }> {
  const player = `ts-${newId()}`;
  if (balance > 0) await operator.deposit(player, { amount: balance, currency: "EUR" });
  const opened = await operator.openSession({ player_id: player, game_id: "dice", currency: "EUR" });
  return { player, token: opened.token };
}

/** Sends every request, and loses the answers to the first ones. */
function losing(losses: number): typeof fetch & { lost: number } {
  const lossy = async (...args: Parameters<typeof fetch>): Promise<Response> => {
    const response = await fetch(...args);
    if (lossy.lost === losses) return response;
    lossy.lost += 1;
    throw new TypeError("the answer is lost");
  };
  lossy.lost = 0;
  return lossy;
}

test("plays slot rounds and finds them in the history, newest first", async () => {
  const game = new GameClient({ baseUrl, bearer: token });
  const session = await game.session();
  assert.equal(session.player.id, playerId);
  assert.deepEqual(session.balance, { amount: 10_000, currency: "EUR" });
  const stake = session.game["stakes"] as number[];
  const rounds: Round[] = [];
  for (let n = 0; n < 3; n += 1) rounds.push(await game.bet(stake[0]!));
  for (const round of rounds) assert.ok(isFinal(round) && round.state === "settled");
  const found: Round[] = [];
  for await (const round of game.history()) found.push(round);
  assert.deepEqual(found, rounds.toReversed());
  assert.deepEqual(await game.round(rounds[0]!.round_id), rounds[0]);
  assert.deepEqual(await game.balance(), rounds[2]!.balance);
});

test("repeats a bet whose answers were lost, and it is played once", async () => {
  const { player, token } = await dice(1_000);
  const lossy = losing(2);
  const patience = { totalMs: 150_000, firstPauseMs: 10 };
  const game = new GameClient({ baseUrl, bearer: token, patience, fetch: lossy });
  const round = await game.bet(100, over);
  assert.equal(lossy.lost, 2);
  const kept = (await operator.balance(player, "EUR")).balance.amount;
  assert.equal(kept, 1_000 - 100 + round.win.amount);
  let rounds = 0;
  for await (const _ of operator.rounds({ player_id: player })) rounds += 1;
  assert.equal(rounds, 1);
});

test("rejects with the problem that the casino names, and what it adds", async () => {
  const { token } = await dice(99);
  const game = new GameClient({ baseUrl, bearer: token });
  await assert.rejects(game.bet(100, over), (error: unknown) => {
    assert.ok(error instanceof Problem);
    assert.equal(error.code, "insufficient-funds");
    assert.equal(error.status, 402);
    assert.deepEqual(error.members["balance"], { amount: 99, currency: "EUR" });
    return true;
  });
  await assert.rejects(game.round("never"), { code: "not-found" });
  await assert.rejects(game.bet(1, over), { code: "stake-not-allowed" });
  const stranger = new GameClient({ baseUrl, bearer: "no-token" });
  await assert.rejects(stranger.balance(), { code: "unauthenticated" });
});

test("gives up when the patience ends, and says that the call may be made again", async () => {
  const fetch = (): Promise<Response> => Promise.reject(new TypeError("nobody is there"));
  const game = new GameClient({ baseUrl, bearer: token, fetch, patience: { totalMs: 20, firstPauseMs: 5 } });
  await assert.rejects(game.bet(100, over), Unanswered);
});

test("rotates the seed and can name it", async () => {
  const { token } = await dice(1_000);
  const game = new GameClient({ baseUrl, bearer: token });
  const { server_seed_hash } = (await game.session()).fairness;
  const rotated = await game.rotateSeed("seven-green-apples", server_seed_hash);
  assert.equal(rotated.revealed.server_seed_hash, server_seed_hash);
  assert.equal(rotated.next.client_seed, "seven-green-apples");
});

test("plays an open round to its end by a strategy", async () => {
  const open = { round_id: "r-1", state: "awaiting_choice", choices: [{ action: "pick" }] };
  const sent: Record<string, unknown>[] = [];
  const answers = [open, { ...open, state: "settled" }];
  const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    sent.push(JSON.parse(String(init?.body)) as Record<string, unknown>);
    return Response.json(answers[sent.length - 1]);
  };
  const game = new GameClient({ baseUrl, bearer: token, fetch: fetch as typeof globalThis.fetch });
  const round = await game.finish(open as unknown as Round, () => ({ action: "pick", params: { box: 2 } }));
  assert.equal(round.state, "settled");
  assert.deepEqual(sent.map(({ action_id: _, ...rest }) => rest), [
    { action: "pick", params: { box: 2 } },
    { action: "pick", params: { box: 2 } },
  ]);
  assert.notEqual(sent[0]!["action_id"], sent[1]!["action_id"]);
});
