// Made by pages/make_shared.py of clients/typescript/src/game.ts. Do not edit.

// A player at a game, by the session's token.

import { Caller, isUnderWay, newId, pause } from "./calls.js";

const FINAL = new Set        (["settled", "declined", "void"]);
const POLL_MS = 500;

/** Whether nothing of the round can change any more. */
export function isFinal(round       )          {
  return FINAL.has(round.state);
}

/** A round that is neither final nor awaits a choice is asked for again, as is what is no round. */
function unfinished(answer         )          {
  const { state } = answer                  ;
  return state === undefined || isUnderWay({ state });
}

export class GameClient {
           #caller        ;

  constructor(options         ) {
    this.#caller = new Caller(options);
  }

  /** The session: the game, the balance, an open round to go on with, and the commitment. */
  session()                      {
    return this.#caller.call("gameSession");
  }

  /** What the player can bet. */
  async balance()                 {
    return (await this.#caller.call("gameBalance")).balance;
  }

  /**
   * Plays a round; `stake` in minor units. Note `roundId` before you call, and the same bet may be made again
   * after a crash of your own. The round is final, or awaits a choice.
   */
  bet(
    stake        ,
    choice                          ,
    { mode = "base", roundId = newId() }                                      = {},
  )                 {
    const body = { round_id: roundId, stake, mode, ...(choice === undefined ? {} : { choice }) };
    return this.#caller.call("gamePlaceBet", { body, unfinished });
  }

  /** Makes one of an open round's choices. */
  act(
    roundId        ,
    action        ,
    params                     ,
    actionId         = newId(),
  )                 {
    const body = { action_id: actionId, action, ...(params === undefined ? {} : { params }) };
    return this.#caller.call("gameTakeAction", { path: { round_id: roundId }, body, unfinished });
  }

  /** Plays an open round to its end: each time it offers choices, `strategy` decides. */
  async finish(round       , strategy          )                 {
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

  round(roundId        )                 {
    return this.#caller.call("gameRound", { path: { round_id: roundId } });
  }

  /** A page of the player's history, newest first. */
  rounds(limit = 20, cursor                = null)                     {
    return this.#caller.call("gameRounds", { query: { limit, cursor } });
  }

  /** The player's history, newest first, page after page. */
  async *history()                        {
    let cursor                = null;
    do {
      const page            = await this.rounds(100, cursor);
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** Reveals the server seed of the rounds so far, and commits to the next one. */
  rotateSeed(clientSeed        , serverSeedHash                = null)                       {
    const body = { client_seed: clientSeed, server_seed_hash: serverSeedHash };
    return this.#caller.call("gameRotateSeed", { body });
  }
}
