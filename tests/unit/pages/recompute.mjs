// What the verifier of the pages makes of each bet in a file: [{game, bet, draws}] in, [{outcome, win}] out.

import { readFileSync } from "node:fs";

import { commitment, recompute } from "../../../pages/shared/verifier.js";

const answers = [];
for (const { game, bet, draws } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const answer = await recompute(game, bet, draws);
  answers.push(answer && { ...answer, hash: await commitment(draws.serverSeed) });
}
console.log(JSON.stringify(answers));
