// At a running casino, whose BASE_URL and OPERATOR_KEY the environment has: `node --test test/socket.test.ts`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { GameClient, GameSocket, OperatorClient, SessionEnded, newId } from "../src/index.ts";
import type { Money, Round } from "../src/index.ts";

const baseUrl = process.env["BASE_URL"]!;
const operator = new OperatorClient({ baseUrl, bearer: process.env["OPERATOR_KEY"]! });
const over = { direction: "over", target: 4_999 };

async function seat(balance: number): Promise<{ sessionId: string; token: string }> {
  const player = `ts-${newId()}`;
  await operator.deposit(player, { amount: balance, currency: "EUR" });
  const opened = await operator.openSession({ player_id: player, game_id: "dice", currency: "EUR" });
  return { sessionId: opened.session_id, token: opened.token };
}

async function until(holds: () => boolean): Promise<void> {
  for (let n = 0; n < 200 && !holds(); n += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(holds());
}

test("bets over the socket, and HTTP shows the same round", async () => {
  const { token } = await seat(1_000);
  const socket = new GameSocket({ baseUrl, token });
  const game = new GameClient({ baseUrl, bearer: token });
  try {
    await socket.ping();
    const round = await socket.bet(100, over);
    assert.equal(round.state, "settled");
    assert.deepEqual(await game.round(round.round_id), round);
    assert.deepEqual(await socket.round(round.round_id), round);
    assert.deepEqual(await socket.bet(100, over, { roundId: round.round_id }), round);
    assert.deepEqual(await socket.balance(), round.balance);
    assert.equal((await socket.session()).session_id, (await game.session()).session_id);
    await assert.rejects(socket.bet(1, over), { code: "stake-not-allowed" });
    assert.equal(socket.connections, 1);
  } finally {
    socket.close();
  }
});

test("hears of rounds that were played elsewhere, and of the session's end", async () => {
  const { token, sessionId } = await seat(1_000);
  const rounds: Round[] = [];
  const balances: Money[] = [];
  let ended = "";
  const socket = new GameSocket({
    baseUrl,
    token,
    onRound: (round) => rounds.push(round),
    onBalance: (balance) => balances.push(balance),
    onSessionEnded: (why) => (ended = why),
  });
  try {
    await socket.ping();
    const played = await new GameClient({ baseUrl, bearer: token }).bet(100, over);
    await until(() => rounds.length === 1 && balances.length > 0);
    assert.deepEqual(rounds[0], played);
    assert.deepEqual(balances[0], played.balance);
    await operator.endSession(sessionId);
    await until(() => ended !== "");
    await assert.rejects(socket.balance(), SessionEnded);
  } finally {
    socket.close();
  }
});
