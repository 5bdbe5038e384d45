// Made by pages/make_shared.py of clients/typescript/src/index.ts. Do not edit.

export * from "./api.js";
export { Caller, Problem, Unanswered, isRefusal, isUnderWay, newId } from "./calls.js";

export { CroupierFrame } from "./frame.js";

export { GameClient, isFinal } from "./game.js";

export { OperatorClient } from "./operator.js";
export { GameSocket, SessionEnded } from "./socket.js";
