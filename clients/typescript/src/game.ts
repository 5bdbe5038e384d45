// A player at a game, by the session's token.

import type { Money, RoundOut, RoundPage, SeedRotated, SessionOut } from "./api.ts";
import { Caller, isUnderWay, newId, pause } from "./calls.ts";
import type { Options } from "./calls.ts";

export type Round = RoundOut;

export interface Decision {
  action: string;
  params?: Record<string, string | number | boolean>;
}

export type Strategy = (round: Round) => Decision;

const FINAL = new Set<string>(["settled", "declined", "void"]);
const POLL_MS = 500;

/** Whether nothing of the round can change any more. */
export function isFinal(round: Round): boolean {
  return FINAL.has(round.state);
}

/** A round that is neither final nor awaits a choice is asked for again, as is what is no round. */
function unfinished(answer: unknown): boolean {
  const { state } = answer as Partial<Round>;
  return state === undefined || isUnderWay({ state });
}

export class GameClient {
  readonly #caller: Caller;

  constructor(options: Options) {
    this.#caller = new Caller(options);
  }

  /** The session: the game, the balance, an open round to go on with, and the commitment. */
  session(): Promise<SessionOut> {
    return this.#caller.call("gameSession");
  }

  /** What the player can bet. */
  async balance(): Promise<Money> {
    return (await this.#caller.call("gameBalance")).balance;
  }

  /**
   * Plays a round; `stake` in minor units. Note `roundId` before you call, and the same bet may be made again
   * after a crash of your own. The round is final, or awaits a choice.
   */
  bet(
    stake: number,
    choice?: Record<string, unknown>,
    { mode = "base", roundId = newId() }: { mode?: string; roundId?: string } = {},
  ): Promise<Round> {
    const body = { round_id: roundId, stake, mode, ...(choice === undefined ? {} : { choice }) };
    return this.#caller.call("gamePlaceBet", { body, unfinished });
  }

  /** Makes one of an open round's choices. */
  act(
    roundId: string,
    action: string,
    params?: Decision["params"],
    actionId: string = newId(),
  ): Promise<Round> {
    const body = { action_id: actionId, action, ...(params === undefined ? {} : { params }) };
    return this.#caller.call("gameTakeAction", { path: { round_id: roundId }, body, unfinished });
  }

  /** Plays an open round to its end: each time it offers choices, `strategy` decides. */
  async finish(round: Round, strategy: Strategy): Promise<Round> {
    while (!isFinal(round)) {
      if (round.state === "awaiting_choice") {
        const { action, params } = strategy(round);
        round = await this.act(round.round_id, action, params);
      } else {
        await pause(POLL_MS);
        round = await this.#caller.call("gameRound", { path: { round_id: round.round_id }, unfinished });
      }
    }
    return round;
  }

  round(roundId: string): Promise<Round> {
    return this.#caller.call("gameRound", { path: { round_id: roundId } });
  }

  /** A page of the player's history, newest first. */
  rounds(limit = 20, cursor: string | null = null): Promise<RoundPage> {
    return this.#caller.call("gameRounds", { query: { limit, cursor } });
  }

  /** The player's history, newest first, page after page. */
  async *history(): AsyncGenerator<Round> {
    let cursor: string | null = null;
    do {
      const page: RoundPage = await this.rounds(100, cursor);
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** Reveals the server seed of the rounds so far, and commits to the next one. */
  rotateSeed(clientSeed: string, serverSeedHash: string | null = null): Promise<SeedRotated> {
    const body = { client_seed: clientSeed, server_seed_hash: serverSeedHash };
    return this.#caller.call("gameRotateSeed", { body });
  }
}
