// The problem codes that pages have words for.

import { VOID, WORDS } from "../../../pages/shared/problems.js";

console.log(JSON.stringify({ words: WORDS, voids: VOID }));
