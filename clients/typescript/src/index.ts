export * from "./api.ts";
export { Caller, Problem, Unanswered, isRefusal, isUnderWay, newId } from "./calls.ts";
export type { Options, Patience } from "./calls.ts";
export { GameClient, isFinal } from "./game.ts";
export type { Decision, Round, Strategy } from "./game.ts";
export { OperatorClient } from "./operator.ts";
export { GameSocket, SessionEnded } from "./socket.ts";
export type { SocketOptions } from "./socket.ts";
