// Needs no casino: `node --test test/certain.test.ts`. What each answer to a bet means is in clients/answers.json, which
// the Python client's tests read too.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { GameClient, GameSocket, Problem, Unanswered } from "../src/index.ts";

interface Case {
  says: string;
  status: number;
  content_type: string;
  body: string;
  verdict: "answer" | "refused" | "uncertain" | "unfinished";
}

type Message = Record<string, unknown>;

const CASES = JSON.parse(readFileSync(new URL("../../answers.json", import.meta.url), "utf8")) as Case[];
const ROUND = { round_id: "r-1", state: "settled", sequence: 1, win: { amount: 198, currency: "EUR" } };
const BODIES: Record<string, string> = {
  ROUND: JSON.stringify(ROUND),
  PENDING: JSON.stringify({ ...ROUND, state: "pending" }),
  SETTLING: JSON.stringify({ ...ROUND, state: "settling" }),
};
const baseUrl = "https://games.example/eu/casino/";

function answering(...answers: Case[]): { fetch: typeof fetch; sent: { url: string; body: string }[] } {
  const sent: { url: string; body: string }[] = [];
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> => {
    const { status, content_type, body } = answers[Math.min(sent.length, answers.length - 1)]!;
    assert.equal(init?.redirect, "manual", "a redirect may turn a bet into a GET");
    sent.push({ url: String(url), body: String(init?.body) });
    return new Response(BODIES[body] ?? body, { status, headers: { "content-type": content_type } });
  };
  return { fetch: fetch as typeof globalThis.fetch, sent };
}

const SETTLED = CASES[0]!;
const patience = { totalMs: 20, firstPauseMs: 1 };

for (const answer of CASES) {
  test(`${answer.status} ${answer.content_type}, ${answer.says}: ${answer.verdict}`, async () => {
    const { fetch, sent } = answering(answer);
    const bet = new GameClient({ baseUrl, bearer: "t", fetch, patience }).bet(100);
    if (answer.verdict === "answer") {
      assert.equal((await bet).win.amount, 198);
      assert.equal(sent.length, 1);
      return;
    }
    const error: unknown = await bet.then(() => null, (reason: unknown) => reason);
    if (answer.verdict === "refused") {
      assert.ok(error instanceof Problem);
      assert.equal(error.status, answer.status);
      assert.equal(sent.length, 1);
      return;
    }
    assert.ok(error instanceof Unanswered, String(error));
    assert.equal(error.ids["round_id"], (JSON.parse(sent[0]!.body) as Message)["round_id"]);
    assert.equal((error.unfinished as Message | undefined)?.["state"], JSON.parse(BODIES[answer.body] ?? "{}").state);
    assert.ok(sent.length > 1, "it was given up without patience");
    assert.equal(new Set(sent.map(({ body }) => body)).size, 1);
    const again = answering(answer, SETTLED);
    const round = await new GameClient({ baseUrl, bearer: "t", fetch: again.fetch, patience }).bet(100);
    assert.equal(round.state, "settled");
  });
}

test("keeps the path of its address", async () => {
  for (const address of ["https://games.example/eu/casino", "https://games.example/eu/casino/"]) {
    const { fetch, sent } = answering(SETTLED);
    await new GameClient({ baseUrl: address, bearer: "t", fetch }).bet(100);
    assert.equal(sent[0]!.url, "https://games.example/eu/casino/v1/game/rounds");
  }
});

test("waits no longer for a time that the server names than its patience lasts", async () => {
  const fetch = (): Promise<Response> =>
    Promise.resolve(new Response("", { status: 503, headers: { "retry-after": "60" } }));
  const game = new GameClient({ baseUrl, bearer: "t", fetch, patience });
  await assert.rejects(game.bet(100), Unanswered); // the run's own limit would end a wait of 60 s
});

/** A WebSocket whose server answers every call with what `answer` makes of it. */
function speaking(answer: (message: Message) => unknown): { urls: string[]; asked: Message[] } {
  const urls: string[] = [];
  const asked: Message[] = [];
  class Spoken {
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: string }) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;
    constructor(url: unknown) {
      urls.push(String(url));
      setTimeout(() => this.onopen?.(), 0);
    }
    send(text: string): void {
      const message = JSON.parse(text) as Message;
      const isHello = message["type"] === "hello";
      if (!isHello) asked.push(message);
      const said = isHello ? { type: "hello", sequence: 0 } : answer(message);
      const data = typeof said === "string" ? said : JSON.stringify({ id: message["id"], ...(said as object) });
      setTimeout(() => this.onmessage?.({ data }), 0);
    }
    close(): void {
      setTimeout(() => this.onclose?.({ code: 1000 }), 0);
    }
  }
  (globalThis as unknown as { WebSocket: unknown }).WebSocket = Spoken;
  return { urls, asked };
}

for (const state of ["pending", "settling"]) {
  test(`a socket's bet that stays ${state} is given up with its id`, async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
    const { asked, urls } = speaking(() => ({ type: "round", round: { ...ROUND, state, sequence: null } }));
    const socket = new GameSocket({ baseUrl, token: "t", patience: { totalMs: 60_000, firstPauseMs: 1 } });
    try {
      let error: unknown;
      void socket.bet(100).then(() => (error = null), (reason: unknown) => (error = reason));
      while (error === undefined) {
        context.mock.timers.tick(100);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(error instanceof Unanswered, String(error));
      assert.equal(error.ids["round_id"], asked[0]!["round_id"]);
      assert.equal((error.unfinished as Message)["state"], state);
      assert.ok(asked.length > 1, "it was not asked again");
      assert.equal(urls[0], "wss://games.example/eu/casino/v1/game/ws");
    } finally {
      socket.close();
    }
  });
}

test("a socket's bet goes on until its round has ended", async () => {
  const states = ["pending", "settling", "settled"];
  speaking(() => ({ type: "round", round: { ...ROUND, state: states.shift(), sequence: null } }));
  const socket = new GameSocket({ baseUrl, token: "t" });
  assert.equal((await socket.bet(100)).state, "settled");
  socket.close();
});

test("a socket takes a refusal from the same table, and asks again after the rest", async () => {
  const problems = [
    { status: 502, code: "wallet-failed", retry_after: 0 },
    { status: 503, code: "overloaded", retry_after: 0 },
    { status: 529, code: "of-tomorrow", retry_after: 0 },
    { status: 402, code: "insufficient-funds" },
  ];
  const { asked } = speaking(() => ({ type: "problem", problem: problems.shift() }));
  const socket = new GameSocket({ baseUrl, token: "t" });
  await assert.rejects(socket.bet(100), { code: "insufficient-funds" });
  assert.equal(asked.length, 4);
  socket.close();
});

test("a socket that is answered by something else connects again", async () => {
  let said = 0;
  const { urls } = speaking(() => (said++ === 0 ? "<html>" : { type: "pong" }));
  const socket = new GameSocket({ baseUrl, token: "t", patience: { totalMs: 60_000, firstPauseMs: 1 } });
  await socket.ping();
  assert.equal(urls.length, 2);
  socket.close();
});
