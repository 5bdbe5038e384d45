// Made by pages/make_shared.py of clients/typescript/src/operator.ts. Do not edit.

// An operator, by its API key. For servers: a key never goes to a browser.

import { Caller, newId } from "./calls.js";

export class OperatorClient {
           #caller        ;

  constructor(options         ) {
    this.#caller = new Caller(options);
  }

  openSession(session             )                         {
    return this.#caller.call("operatorOpenSession", { body: session });
  }

  /** Ends a session; rounds in flight finish. */
  async endSession(sessionId        )                {
    await this.#caller.call("operatorEndSession", { path: { session_id: sessionId } });
  }

  /** Credits the player, once per transaction id. */
  deposit(playerId        , amount       , transactionId         = newId())                     {
    const body = { transaction_id: transactionId, amount };
    return this.#caller.call("operatorDeposit", { path: { player_id: playerId }, body });
  }

  /** Pays out to the player, once per transaction id. */
  withdraw(playerId        , amount       , transactionId         = newId())                     {
    const body = { transaction_id: transactionId, amount };
    return this.#caller.call("operatorWithdraw", { path: { player_id: playerId }, body });
  }

  balance(playerId        , currency        )                           {
    return this.#caller.call("operatorBalance", { path: { player_id: playerId }, query: { currency } });
  }

  /** Rounds, newest first, page after page. */
  async *rounds(filters                                        = {})                                {
    let cursor                = null;
    do {
      const page                                                         = await this.#caller.call(
        "operatorRounds",
        { query: { ...filters, cursor } },
      );
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** The player's postings, newest first, page after page. */
  async *statement(
    playerId        ,
    filters                                           = {},
  )                                {
    let cursor                = null;
    do {
      const page                                                         = await this.#caller.call(
        "operatorStatement",
        { path: { player_id: playerId }, query: { ...filters, cursor } },
      );
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** One round with every wallet attempt, intervention and its event. */
  round(roundId        , playerId         )                               {
    const query = playerId === undefined ? {} : { player_id: playerId };
    return this.#caller.call("operatorRound", { path: { round_id: roundId }, query });
  }

  /** Gives an open round's stake back. Never repeated by itself: a person looks at the round first. */
  void(roundId        , reason        , playerId         )                         {
    const query = playerId === undefined ? {} : { player_id: playerId };
    return this.#caller.call("operatorVoid", {
      path: { round_id: roundId },
      query,
      body: { reason },
      repeatable: false,
    });
  }
}
