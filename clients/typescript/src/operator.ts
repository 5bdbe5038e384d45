// An operator, by its API key. For servers: a key never goes to a browser.

import type { Deposited, OpenSession, OperatorBalance, OperatorRound, OperatorRoundRecord } from "./api.ts";
import type { Money, SessionOpened, StatementItem, Withdrawn } from "./api.ts";
import type { Operations } from "./api.ts";
import { Caller, newId } from "./calls.ts";
import type { Options } from "./calls.ts";

export class OperatorClient {
  readonly #caller: Caller;

  constructor(options: Options) {
    this.#caller = new Caller(options);
  }

  openSession(session: OpenSession): Promise<SessionOpened> {
    return this.#caller.call("operatorOpenSession", { body: session });
  }

  /** Ends a session; rounds in flight finish. */
  async endSession(sessionId: string): Promise<void> {
    await this.#caller.call("operatorEndSession", { path: { session_id: sessionId } });
  }

  /** Credits the player, once per transaction id. */
  deposit(playerId: string, amount: Money, transactionId: string = newId()): Promise<Deposited> {
    const body = { transaction_id: transactionId, amount };
    return this.#caller.call("operatorDeposit", { path: { player_id: playerId }, body });
  }

  /** Pays out to the player, once per transaction id. */
  withdraw(playerId: string, amount: Money, transactionId: string = newId()): Promise<Withdrawn> {
    const body = { transaction_id: transactionId, amount };
    return this.#caller.call("operatorWithdraw", { path: { player_id: playerId }, body });
  }

  balance(playerId: string, currency: string): Promise<OperatorBalance> {
    return this.#caller.call("operatorBalance", { path: { player_id: playerId }, query: { currency } });
  }

  /** Rounds, newest first, page after page. */
  async *rounds(filters: Operations["operatorRounds"]["query"] = {}): AsyncGenerator<OperatorRound> {
    let cursor: string | null = null;
    do {
      const page: { items: OperatorRound[]; next_cursor: string | null } = await this.#caller.call(
        "operatorRounds",
        { query: { ...filters, cursor } },
      );
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** The player's postings, newest first, page after page. */
  async *statement(
    playerId: string,
    filters: Operations["operatorStatement"]["query"] = {},
  ): AsyncGenerator<StatementItem> {
    let cursor: string | null = null;
    do {
      const page: { items: StatementItem[]; next_cursor: string | null } = await this.#caller.call(
        "operatorStatement",
        { path: { player_id: playerId }, query: { ...filters, cursor } },
      );
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** One round with every wallet attempt, intervention and its event. */
  round(roundId: string, playerId?: string): Promise<OperatorRoundRecord> {
    const query = playerId === undefined ? {} : { player_id: playerId };
    return this.#caller.call("operatorRound", { path: { round_id: roundId }, query });
  }

  /** Gives an open round's stake back. Never repeated by itself: a person looks at the round first. */
  void(roundId: string, reason: string, playerId?: string): Promise<OperatorRound> {
    const query = playerId === undefined ? {} : { player_id: playerId };
    return this.#caller.call("operatorVoid", {
      path: { round_id: roundId },
      query,
      body: { reason },
      repeatable: false,
    });
  }
}
